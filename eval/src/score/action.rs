//! Actions as pairs of a verb and a noun, ranked as EPIC-KITCHENS-100's C1 evaluation does.

use std::cmp::Ordering;

/// Verbs, and nouns, of which actions are made.
const TOP: usize = 100;

/// Labels by their scores, highest first; of equal scores the higher label first, as `numpy.argsort` read backwards.
pub(super) fn ranking(scores: &[f64]) -> Vec<usize> {
    let mut labels: Vec<usize> = (0..scores.len()).collect();
    let by_score = |a: &usize, b: &usize| scores[*b].partial_cmp(&scores[*a]).unwrap_or(Ordering::Equal);
    labels.sort_by(|a, b| by_score(a, b).then(b.cmp(a)));
    labels
}

/// Number of actions that stand before (verb, noun) among the pairs of the 100 best verbs and the 100 best nouns; `None`
/// where it is none of these.
///
/// The published code multiplies softmax(verbs) by softmax(nouns); their order is that of the sums v + n, which do not
/// underflow. Of equal sums the pair that is later in (rank of the verb, rank of the noun) stands first, as
/// `numpy.argsort` read backwards gives it.
///
/// * `verbs`, `nouns` - logits
/// * `right` - labels of verb and noun
pub(super) fn action_rank(verbs: &[f64], nouns: &[f64], right: (usize, usize)) -> Option<usize> {
    let top = |scores: &[f64]| -> Vec<usize> { ranking(scores).into_iter().take(TOP).collect() };
    let (top_verbs, top_nouns) = (top(verbs), top(nouns));
    let place = |labels: &[usize], label: usize| labels.iter().position(|other| *other == label);
    let place = (place(&top_verbs, right.0)?, place(&top_nouns, right.1)?);
    let sum = verbs[right.0] + nouns[right.1];
    let mut before = 0;
    for (i, verb) in top_verbs.iter().enumerate() {
        for (j, noun) in top_nouns.iter().enumerate() {
            let other = verbs[*verb] + nouns[*noun];
            before += usize::from(other > sum || (other == sum && (i, j) > place));
        }
    }
    Some(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_scores_are_ranked_from_the_higher_label_down() {
        assert_eq!(ranking(&[0.5, 0.9, 0.5, 0.1]), [1, 2, 0, 3]);
    }

    #[test]
    fn actions_are_ranked_by_the_sum_of_their_scores() {
        // Sums: (0, 0) 3, (0, 1) 5, (1, 0) 2, (1, 1) 4.
        let (verbs, nouns) = ([2.0, 1.0], [1.0, 3.0]);
        let ranks = [(0, 1), (1, 1), (0, 0), (1, 0)].map(|right| action_rank(&verbs, &nouns, right));
        assert_eq!(ranks, [Some(0), Some(1), Some(2), Some(3)]);
    }

    #[test]
    fn of_equal_actions_the_one_with_the_verb_ranked_lower_stands_first() {
        // In order of (rank of the verb, rank of the noun) the pairs are (0, 1), (0, 0), (1, 1), (1, 0) with the sums 2, 1,
        // 1, 0, and numpy.argsort([2, 1, 1, 0])[::-1] is [0, 2, 1, 3].
        let (verbs, nouns) = ([1.0, 0.0], [0.0, 1.0]);
        let ranks = [(0, 1), (1, 1), (0, 0), (1, 0)].map(|right| action_rank(&verbs, &nouns, right));
        assert_eq!(ranks, [Some(0), Some(1), Some(2), Some(3)]);
    }

    #[test]
    fn a_noun_below_the_hundredth_makes_no_action() {
        let nouns: Vec<f64> = (0..101).map(f64::from).collect();
        assert_eq!(action_rank(&[1.0, 0.0], &nouns, (0, 0)), None);
        // Noun 1 is the hundredth. Before it with the better verb stand 99 nouns with that verb; with the other one, 98 that are
        // more than a point better, and one that is just a point better: its pair is the later one.
        assert_eq!(action_rank(&[1.0, 0.0], &nouns, (0, 1)), Some(99 + 98 + 1));
    }

    #[test]
    fn scores_that_would_underflow_keep_their_order() {
        let (verbs, nouns) = ([-2000.0, -2001.0], [-3000.0, -3002.0]);
        assert_eq!(action_rank(&verbs, &nouns, (1, 0)), Some(1));
        assert_eq!(action_rank(&verbs, &nouns, (0, 1)), Some(2));
    }
}
