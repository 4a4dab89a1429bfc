/// Area under the ROC curve by the Mann-Whitney statistic: how often a positive scores above a negative, ties counting
/// half.
/// `None` where either is missing, or a score is NaN.
///
/// * `scores` - the higher the likelier positive
/// * `is_positive` - one for each score
pub fn auc(scores: &[f32], is_positive: &[bool]) -> Option<f64> {
    let num_positive = is_positive.iter().filter(|positive| **positive).count();
    let num_negative = scores.len() - num_positive;
    if num_positive == 0 || num_negative == 0 || scores.iter().any(|score| score.is_nan()) {
        return None;
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_unstable_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let mut rank_sum = 0.0;
    let mut below = 0;
    // `total_cmp` puts -0 before 0, which are equal here: neighbours all the same.
    for ties in order.chunk_by(|a, b| scores[*a] == scores[*b]) {
        // Ranks count from 1; equal scores share the mean of theirs.
        let mid_rank = below as f64 + (ties.len() + 1) as f64 / 2.0;
        rank_sum += mid_rank * ties.iter().filter(|i| is_positive[**i]).count() as f64;
        below += ties.len();
    }
    let (p, n) = (num_positive as f64, num_negative as f64);
    Some((rank_sum - p * (p + 1.0) / 2.0) / (p * n))
}

#[cfg(test)]
mod tests {
    use rand::RngExt as _;
    use spec::{Purpose, rng_for};

    use super::*;

    #[test]
    fn the_area_is_the_share_of_pairs_in_order() {
        // Pairs (positive, negative): (3, 1) (3, 2) (2, 1) in order, (2, 2) a tie: 3.5 of 4.
        assert_eq!(auc(&[1.0, 2.0, 2.0, 3.0], &[false, false, true, true]), Some(0.875));
        assert_eq!(auc(&[0.0, -0.0], &[true, false]), Some(0.5));
        assert_eq!(auc(&[1.0, 2.0], &[true, true]), None);
        assert_eq!(auc(&[], &[]), None);
        assert_eq!(auc(&[f32::NAN, 2.0], &[true, false]), None);
    }

    #[test]
    fn all_pairs_counted_one_by_one_agree() {
        for seed in 0..20 {
            let rng = &mut rng_for(seed, 0, 0, Purpose::Eval);
            // Few different scores, so that many are equal.
            let scores: Vec<f32> = (0..60).map(|_| rng.random_range(0..9) as f32).collect();
            let positive: Vec<bool> = (0..60).map(|_| rng.random_range(0..3) == 0).collect();
            let (mut won, mut pairs) = (0.0, 0.0);
            for i in (0..60).filter(|i| positive[*i]) {
                for j in (0..60).filter(|j| !positive[*j]) {
                    pairs += 1.0;
                    won += if scores[i] > scores[j] {
                        1.0
                    } else if scores[i] == scores[j] {
                        0.5
                    } else {
                        0.0
                    };
                }
            }
            assert!((auc(&scores, &positive).unwrap() - won / pairs).abs() < 1e-12);
        }
    }
}
