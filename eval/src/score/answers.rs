use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::TruthSpace;
use super::evaluation::Counted;
use super::protocol::{Ties, rank};
use crate::Scores;

/// Wrong answers that are named: those with the widest margins.
const NUM_WORST: usize = 24;

/// What was answered in one label space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpaceAnswers {
    /// Name of the label space.
    pub name: String,
    /// Names of all classes, by label.
    pub classes: Vec<String>,
    /// Classes that have clips, by label.
    pub by_class: Vec<ClassAnswers>,
    /// Clips by right and given answer, both labels: `(right, answered, clips)`, sorted. Clips without scores are none.
    pub confusion: Vec<(usize, usize, usize)>,
    /// The wrong answers that were given with the widest margins, widest first.
    pub worst: Vec<WorstAnswer>,
}

impl SpaceAnswers {
    /// Labels that clips have or that were answered, ascending: the rows and columns of a table of confusions.
    pub fn seen(&self) -> Vec<usize> {
        let right = self.by_class.iter().map(|class| class.label);
        let seen: BTreeSet<usize> = right.chain(self.confusion.iter().map(|(_, answered, _)| *answered)).collect();
        seen.into_iter().collect()
    }
}

/// What was answered to the clips of one class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassAnswers {
    /// Its label.
    pub label: usize,
    /// Clips that count, at least one.
    pub num_clips: usize,
    /// Those answered rightly.
    pub num_right: usize,
    /// Label of the wrong answer that was given most often, the lowest of several; none where all are right.
    pub mistaken_for: Option<usize>,
}

/// A wrong answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorstAnswer {
    /// Name of the clip.
    pub id: String,
    /// The right label.
    pub label: usize,
    /// The label that was answered.
    pub answered: usize,
    /// By how much its logit is the greater: the natural logarithm of the ratio of the two probabilities.
    pub margin: f64,
}

/// * `space_scores` - number of the label space in a clip's labels, and its scores by row
pub(super) fn answers(
    space: &TruthSpace,
    clips: &[Counted<'_>],
    (in_truth, scores): (usize, &Scores),
    ties: Ties,
) -> SpaceAnswers {
    let mut by_class: BTreeMap<usize, (usize, BTreeMap<usize, usize>)> = BTreeMap::new();
    let mut worst = Vec::new();
    for Counted { clip, row } in clips {
        let label = clip.labels[in_truth];
        let (num_clips, given) = by_class.entry(label).or_default();
        *num_clips += 1;
        let Some(scores) = row.map(|row| scores.of_clip(row)) else { continue };
        let first = (0..scores.len()).find(|class| rank(scores, *class, ties) == 0).unwrap_or(label);
        *given.entry(first).or_default() += 1;
        if first != label {
            let margin = scores[first] - scores[label];
            // A probability of 0 has no logarithm; JSON has no infinity.
            worst.push(WorstAnswer { id: clip.id.clone(), label, answered: first, margin: margin.min(f64::MAX) });
        }
    }
    worst.sort_by(|a, b| b.margin.total_cmp(&a.margin).then_with(|| a.id.cmp(&b.id)));
    worst.truncate(NUM_WORST);
    let of_class = |(label, (num_clips, given)): (&usize, &(usize, BTreeMap<usize, usize>))| {
        let wrong = given.iter().filter(|(answered, _)| *answered != label);
        let most = wrong.max_by_key(|(answered, count)| (**count, std::cmp::Reverse(**answered)));
        ClassAnswers {
            label: *label,
            num_clips: *num_clips,
            num_right: given.get(label).copied().unwrap_or(0),
            mistaken_for: most.map(|(answered, _)| *answered),
        }
    };
    let pairs = by_class
        .iter()
        .flat_map(|(label, (_, given))| given.iter().map(|(answered, count)| (*label, *answered, *count)));
    SpaceAnswers {
        name: space.name.clone(),
        classes: space.classes.clone(),
        confusion: pairs.collect(),
        by_class: by_class.iter().map(of_class).collect(),
        worst,
    }
}
