use serde::{Deserialize, Serialize};

use super::action::action_rank;
use super::answers::{SpaceAnswers, answers};
use super::protocol::rank;
use super::{Averaging, Coverage, Missing, Protocol, ScoreHeader, ScoreTable, StoredViews, Truth, TruthClip};
use crate::{EvalError, Interval, Scores, bootstrap, mean_class, top_k};

/// Which clips a measure is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subset {
    /// All that count.
    All,
    /// Those of tail classes; of actions, those whose verb or noun is one.
    Tail,
    /// Those of subjects whom no training clip shows.
    Unseen,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Share of clips whose right class stands first.
    Top1,
    /// Share of clips whose right class is among the first five.
    Top5,
    /// Mean of the classes' own top-1, of classes that have clips ([`mean_class`]).
    MeanClass,
}

/// One number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// Which clips it is of.
    pub subset: Subset,
    /// The label space, or `action`: verb and noun both right.
    pub target: String,
    /// What is measured.
    pub measure: Measure,
    /// 0 to 1; none where the subset has no clip.
    pub value: Option<f64>,
    /// 95 % interval over clips ([`bootstrap`]), lower and upper end; none for means over classes.
    pub interval: Option<[f64; 2]>,
    /// Clips of the subset, by which the value is divided.
    pub num_clips: usize,
}

/// All numbers for one way of bringing views together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// How views were averaged; none where each clip has one.
    pub averaging: Option<Averaging>,
    /// The numbers, in the protocol's order.
    pub metrics: Vec<Metric>,
}

/// What scores are worth by a protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// By which protocol.
    pub protocol: Protocol,
    /// What is known of the scores.
    pub scores: ScoreHeader,
    /// How much of the test set was measured.
    pub coverage: Coverage,
    /// What makes it a partial evaluation ([`Coverage::partial`]); none where it is whole.
    pub partial: Option<String>,
    /// One for each way of averaging views; the first is the one that the answers below are by.
    pub outcomes: Vec<Outcome>,
    /// Answers by class, confusions and worst errors in each label space.
    pub spaces: Vec<SpaceAnswers>,
}

/// Rank of a clip that has no scores.
const NEVER: usize = usize::MAX;

/// A clip that counts, and its row of scores.
pub(super) struct Counted<'a> {
    pub(super) clip: &'a TruthClip,
    pub(super) row: Option<usize>,
}

/// Scores against right answers.
///
/// * `missing` - what becomes of annotated clips that have no scores
///
/// # Errors
/// [`EvalError::ScoreSpaces`] where scores or annotations lack a label space of the protocol or differ in its classes,
/// [`EvalError::EmptyScores`], [`EvalError::ScoreUnknown`], [`EvalError::ScoresMissing`].
pub fn evaluate(
    protocol: Protocol,
    table: &ScoreTable,
    truth: &Truth,
    missing: Missing,
) -> Result<Evaluation, EvalError> {
    let spaces = spaces(protocol, table, truth)?;
    let coverage = Coverage::of(table, truth, missing)?;
    let all = truth.clips().iter().map(|clip| Counted { clip, row: table.clip(&clip.id) });
    let counted: Vec<Counted<'_>> = all.filter(|clip| clip.row.is_some() || missing != Missing::LeftOut).collect();
    let ways: &[Option<Averaging>] = match table.header().stored_views {
        StoredViews::Kept if table.has_views() => &[Some(Averaging::Probabilities), Some(Averaging::Logits)],
        StoredViews::Kept => &[None],
        StoredViews::MeanProbabilities => &[Some(Averaging::Probabilities)],
        StoredViews::MeanLogits => &[Some(Averaging::Logits)],
    };
    let (mut outcomes, mut described) = (Vec::new(), Vec::new());
    for averaging in ways {
        let of_space = |space: &Space| table.averaged(space.in_table, averaging.unwrap_or(Averaging::Probabilities));
        let scores: Vec<Scores> = spaces.iter().map(of_space).collect();
        let ranked = Ranked::new(protocol, &counted, (&spaces, &scores));
        outcomes.push(Outcome { averaging: *averaging, metrics: ranked.metrics(protocol, truth, &spaces) });
        if described.is_empty() {
            let answers = |(space, scores): (&Space, &Scores)| {
                answers(&truth.spaces()[space.in_truth], &counted, (space.in_truth, scores), protocol.ties())
            };
            described = spaces.iter().zip(&scores).map(answers).collect();
        }
    }
    let (scores, partial) = (table.header().clone(), coverage.partial());
    Ok(Evaluation { protocol, scores, coverage, partial, outcomes, spaces: described })
}

/// A label space that is scored.
struct Space {
    name: String,
    in_table: usize,
    in_truth: usize,
}

fn spaces(protocol: Protocol, table: &ScoreTable, truth: &Truth) -> Result<Vec<Space>, EvalError> {
    let find = |name: String| {
        let in_truth = truth.spaces().iter().position(|space| space.name == name)?;
        let num_classes = truth.spaces()[in_truth].classes.len();
        let in_table = table.spaces().position(|space| space == (name.as_str(), num_classes))?;
        Some(Space { name, in_table, in_truth })
    };
    let found: Option<Vec<Space>> = protocol.spaces(table).into_iter().map(find).collect();
    found.ok_or_else(|| {
        let counted = |name: &str, num_classes: usize| format!("{name} ({num_classes})");
        let known: Vec<String> = truth.spaces().iter().map(|space| counted(&space.name, space.classes.len())).collect();
        EvalError::ScoreSpaces {
            found: table.spaces().map(|(name, num_classes)| counted(name, num_classes)).collect(),
            expected: format!("what {protocol} and the annotations have, [{}]", known.join(", ")),
        }
    })
}

/// Ranks of the right answers of the clips that count.
struct Ranked<'a> {
    clips: &'a [Counted<'a>],
    /// In each label space.
    by_space: Vec<Vec<usize>>,
    /// Of verb and noun together.
    actions: Option<Vec<usize>>,
}

impl<'a> Ranked<'a> {
    fn new(protocol: Protocol, clips: &'a [Counted<'a>], (spaces, scores): (&[Space], &[Scores])) -> Self {
        let in_space = |(space, scores): (&Space, &Scores)| {
            let label = |clip: &Counted<'_>| clip.clip.labels[space.in_truth];
            let of = |clip: &Counted<'_>| {
                clip.row.map_or(NEVER, |row| rank(scores.of_clip(row), label(clip), protocol.ties()))
            };
            clips.iter().map(of).collect()
        };
        let by_space = spaces.iter().zip(scores).map(in_space).collect();
        let actions = (protocol == Protocol::Epic100).then(|| {
            let of = |clip: &Counted<'_>| {
                let right = (clip.clip.labels[spaces[0].in_truth], clip.clip.labels[spaces[1].in_truth]);
                clip.row.and_then(|row| action_rank(scores[0].of_clip(row), scores[1].of_clip(row), right))
            };
            clips.iter().map(|clip| of(clip).unwrap_or(NEVER)).collect()
        });
        Ranked { clips, by_space, actions }
    }

    fn metrics(&self, protocol: Protocol, truth: &Truth, spaces: &[Space]) -> Vec<Metric> {
        let targets: Vec<(&str, &[usize])> = spaces
            .iter()
            .map(|space| space.name.as_str())
            .zip(self.by_space.iter().map(Vec::as_slice))
            .chain(self.actions.iter().map(|ranks| ("action", ranks.as_slice())))
            .collect();
        let mut metrics = Vec::new();
        for (i, (target, ranks)) in targets.iter().enumerate() {
            let all = |_: &Counted<'_>| true;
            metrics.extend(
                [Measure::Top1, Measure::Top5].map(|measure| self.metric((Subset::All, target), measure, ranks, &all)),
            );
            if protocol != Protocol::Epic100 {
                let labels: Vec<i64> = self.clips.iter().map(|c| c.clip.labels[spaces[i].in_truth] as i64).collect();
                let num_classes = truth.spaces()[spaces[i].in_truth].classes.len();
                let value = (!labels.is_empty()).then(|| mean_class(ranks, &labels, num_classes));
                let (target, num_clips) = ((*target).to_owned(), labels.len());
                let measure = Measure::MeanClass;
                metrics.push(Metric { subset: Subset::All, target, measure, value, interval: None, num_clips });
            }
        }
        if protocol == Protocol::Epic100 {
            for (i, (target, ranks)) in targets.iter().enumerate() {
                let in_tail = |clip: &Counted<'_>, space: &Space| {
                    truth.spaces()[space.in_truth].tail.contains(&clip.clip.labels[space.in_truth])
                };
                let is_tail = |clip: &Counted<'_>| match spaces.get(i) {
                    Some(space) => in_tail(clip, space),
                    None => spaces.iter().any(|space| in_tail(clip, space)),
                };
                let is_unseen = |clip: &Counted<'_>| clip.clip.is_unseen;
                metrics.push(self.metric((Subset::Tail, target), Measure::Top1, ranks, &is_tail));
                metrics.push(self.metric((Subset::Unseen, target), Measure::Top1, ranks, &is_unseen));
            }
        }
        metrics
    }

    fn metric(
        &self,
        (subset, target): (Subset, &str),
        measure: Measure,
        ranks: &[usize],
        is_in: &dyn Fn(&Counted<'_>) -> bool,
    ) -> Metric {
        let chosen = self.clips.iter().zip(ranks).filter(|(clip, _)| is_in(clip)).map(|(_, rank)| *rank);
        let ranks: Vec<usize> = chosen.collect();
        let k = if measure == Measure::Top5 { 5 } else { 1 };
        let value = (!ranks.is_empty()).then(|| top_k(&ranks, k));
        let interval = value.map(|_| {
            let hits: Vec<bool> = ranks.iter().map(|rank| *rank < k).collect();
            let Interval { low, high } = bootstrap(&hits, 0);
            [low, high]
        });
        Metric { subset, target: target.to_owned(), measure, value, interval, num_clips: ranks.len() }
    }
}
