//! Scores as data: what a classifier said of each clip, whoever computed it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{EvalError, Scores};

/// What the numbers of a [`ScoreTable`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreValues {
    /// What a softmax would turn into probabilities: any finite number.
    Logits,
    /// Probabilities, 0 to 1.
    Probabilities,
}

/// How the views of a clip become one row of scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Averaging {
    /// Mean of the softmax (VideoMAE's test).
    Probabilities,
    /// Mean of the logits: the probabilities' geometric mean.
    Logits,
}

/// What a table of scores holds of each clip's views.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoredViews {
    /// One row for each view.
    Kept,
    /// One row, the mean of the views' probabilities.
    MeanProbabilities,
    /// One row, the mean of the views' logits.
    MeanLogits,
}

/// What must be known of scores to read them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreHeader {
    /// Logits or probabilities.
    pub values: ScoreValues,
    /// Clips x crops in which each segment was seen, `2x3`; `1x1` for a single view.
    pub views: String,
    /// What is stored of them.
    pub stored_views: StoredViews,
    /// Segments that could not be read and have no scores.
    pub num_failed: u64,
    /// Whether segments were left out on purpose, by a limit for instance.
    pub partial: bool,
    /// What gave the scores, for people: a run folder, the name of a model.
    pub source: String,
}

/// Scores of one label space.
#[derive(Clone, Debug, PartialEq)]
struct SpaceScores {
    name: String,
    num_classes: usize,
    /// `[views of all clips, C]`, clip after clip.
    values_vc: Vec<f32>,
}

/// Scores of clips in one label space (`class`) or several (`verb`, `noun`), each clip under its name: the `segments/id` of
/// a clip store, which is Diving48's `vid_name` and EPIC-KITCHENS' `narration_id`.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreTable {
    header: ScoreHeader,
    spaces: Vec<SpaceScores>,
    ids: Vec<String>,
    /// Rows before each clip, and all: `[n + 1]`.
    offset: Vec<usize>,
    /// Number of each clip by its name.
    clips: BTreeMap<String, usize>,
}

impl ScoreTable {
    /// A table without clips.
    ///
    /// * `spaces` - name and number of classes of each label space
    ///
    /// # Errors
    /// [`EvalError::ScoreSpaces`] for none, a name twice, or a space of less than two classes.
    pub fn new(header: ScoreHeader, spaces: &[(&str, usize)]) -> Result<Self, EvalError> {
        let is_new = |i: usize| !spaces[..i].iter().any(|(name, _)| *name == spaces[i].0);
        let fits =
            |(i, (name, num_classes)): (usize, &(&str, usize))| !name.is_empty() && *num_classes >= 2 && is_new(i);
        if spaces.is_empty() || !spaces.iter().enumerate().all(fits) {
            let found = spaces.iter().map(|(name, num_classes)| format!("{name} ({num_classes})")).collect();
            return Err(EvalError::ScoreSpaces { found, expected: "one or more of two or more classes".to_owned() });
        }
        let empty = |(name, num_classes): &(&str, usize)| SpaceScores {
            name: (*name).to_owned(),
            num_classes: *num_classes,
            values_vc: Vec::new(),
        };
        let spaces = spaces.iter().map(empty).collect();
        Ok(ScoreTable { header, spaces, ids: Vec::new(), offset: vec![0], clips: BTreeMap::new() })
    }

    /// Adds a clip.
    ///
    /// * `id` - its name, new to the table
    /// * `scores` - of each label space in turn, `[V, C]` view after view; one view where [`StoredViews`] is a mean
    ///
    /// # Errors
    /// [`EvalError::ScoreTwice`], [`EvalError::ScoreSpaces`], [`EvalError::ScoreCount`], [`EvalError::ScoreValue`]; each
    /// names the clip.
    pub fn push(&mut self, id: &str, scores: &[&[f32]]) -> Result<(), EvalError> {
        if self.clips.contains_key(id) {
            return Err(EvalError::ScoreTwice { id: id.to_owned() });
        }
        if scores.len() != self.spaces.len() {
            let found = vec![format!("{} of clip {id:?}", scores.len())];
            return Err(EvalError::ScoreSpaces { found, expected: self.spaces.len().to_string() });
        }
        let num_views = match self.header.stored_views {
            StoredViews::Kept => (scores[0].len() / self.spaces[0].num_classes).max(1),
            StoredViews::MeanProbabilities | StoredViews::MeanLogits => 1,
        };
        for (space, row) in self.spaces.iter().zip(scores) {
            space.check(id, row, num_views, self.header.values)?;
        }
        for (space, row) in self.spaces.iter_mut().zip(scores) {
            space.values_vc.extend_from_slice(row);
        }
        self.offset.push(self.num_rows() + num_views);
        self.clips.insert(id.to_owned(), self.ids.len());
        self.ids.push(id.to_owned());
        Ok(())
    }

    /// What is known of all scores.
    pub fn header(&self) -> &ScoreHeader {
        &self.header
    }

    /// Names of the clips, in the order in which they were added.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// Number of the clip of that name.
    pub fn clip(&self, id: &str) -> Option<usize> {
        self.clips.get(id).copied()
    }

    /// Name and number of classes of each label space.
    pub fn spaces(&self) -> impl ExactSizeIterator<Item = (&str, usize)> {
        self.spaces.iter().map(|space| (space.name.as_str(), space.num_classes))
    }

    /// Rows before each clip, and all rows: `[n + 1]`. Clip `i` has the rows `offset[i]..offset[i + 1]`, one for each
    /// stored view.
    pub fn offset(&self) -> &[usize] {
        &self.offset
    }

    /// All rows of a label space, `[offset[n], C]`.
    ///
    /// * `space` - its number, below that of [`ScoreTable::spaces`]
    pub fn rows(&self, space: usize) -> &[f32] {
        &self.spaces[space].values_vc
    }

    /// Whether averaging probabilities or logits makes a difference: some clip has several rows.
    pub fn has_views(&self) -> bool {
        self.num_rows() > self.ids.len()
    }

    /// One row for each clip, `[n, C]`, in logits: a single row of logits as it stands, probabilities by their logarithm.
    ///
    /// * `space` - number of the label space
    pub fn averaged(&self, space: usize, averaging: Averaging) -> Scores {
        let space = &self.spaces[space];
        let rows = |clip: usize| {
            let range = self.offset[clip] * space.num_classes..self.offset[clip + 1] * space.num_classes;
            space.values_vc[range].chunks_exact(space.num_classes)
        };
        let mean = |clip: usize| {
            let logits: Vec<Vec<f64>> = rows(clip).map(|row| self.header.values.logits(row)).collect();
            mean_of(logits, averaging)
        };
        Scores::new((0..self.ids.len()).flat_map(mean).collect(), space.num_classes)
    }

    fn num_rows(&self) -> usize {
        self.offset[self.ids.len()]
    }
}

impl SpaceScores {
    /// * `row` - `[num_views, C]`
    fn check(&self, id: &str, row: &[f32], num_views: usize, values: ScoreValues) -> Result<(), EvalError> {
        if row.len() != num_views * self.num_classes {
            let (id, space) = (id.to_owned(), self.name.clone());
            return Err(EvalError::ScoreCount {
                id,
                space,
                found: row.len(),
                num_views,
                num_classes: self.num_classes,
            });
        }
        let (is_right, rule): (fn(&f32) -> bool, _) = match values {
            ScoreValues::Logits => (|value| value.is_finite(), "a finite number"),
            ScoreValues::Probabilities => (|value| (0.0..=1.0).contains(value), "a probability, 0 to 1"),
        };
        match row.iter().position(|value| !is_right(value)) {
            None => Ok(()),
            Some(at) => {
                let (id, space, class) = (id.to_owned(), self.name.clone(), at % self.num_classes);
                Err(EvalError::ScoreValue { id, space, class, value: row[at], rule })
            }
        }
    }
}

impl ScoreValues {
    fn logits(self, row: &[f32]) -> Vec<f64> {
        let row = row.iter().copied().map(f64::from);
        match self {
            ScoreValues::Logits => row.collect(),
            ScoreValues::Probabilities => row.map(f64::ln).collect(),
        }
    }
}

/// * `rows` - logits of each view, `[V, C]`, at least one
fn mean_of(mut rows: Vec<Vec<f64>>, averaging: Averaging) -> Vec<f64> {
    if rows.len() == 1 {
        return rows.remove(0);
    }
    let num_views = rows.len() as f64;
    if averaging == Averaging::Probabilities {
        rows.iter_mut().for_each(|row| softmax(row));
    }
    let sums = (0..rows[0].len()).map(|class| rows.iter().map(|row| row[class]).sum::<f64>());
    sums.map(|sum| match averaging {
        Averaging::Probabilities => (sum / num_views).ln(),
        Averaging::Logits => sum / num_views,
    })
    .collect()
}

fn softmax(row: &mut [f64]) {
    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    row.iter_mut().for_each(|value| *value = (*value - max).exp());
    let sum: f64 = row.iter().sum();
    row.iter_mut().for_each(|value| *value /= sum);
}
