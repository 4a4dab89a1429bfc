use serde::{Deserialize, Serialize};

use super::{ScoreTable, Truth};
use crate::EvalError;

/// What becomes of annotated clips that have no scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// They are an error: a published number is of all clips.
    Refused,
    /// They count as answered wrongly: what a set of clips is worth of which some could not be read.
    Wrong,
    /// They do not count, as if they were not annotated.
    LeftOut,
}

/// How much of a test set was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// Clips of the annotations.
    pub num_annotated: usize,
    /// Those that have scores.
    pub num_scored: usize,
    /// Clips that could not be read, as the scores tell.
    pub num_failed: u64,
    /// What became of those without scores.
    pub missing: Missing,
    /// Whether the scores themselves say that clips were left out on purpose.
    pub is_limited: bool,
}

impl Coverage {
    /// Compares clips with scores and clips with annotations.
    ///
    /// # Errors
    /// [`EvalError::EmptyScores`], [`EvalError::ScoreUnknown`] for scores of a clip that has no annotation, and
    /// [`EvalError::ScoresMissing`] under [`Missing::Refused`].
    pub(super) fn of(table: &ScoreTable, truth: &Truth, missing: Missing) -> Result<Self, EvalError> {
        if table.ids().is_empty() {
            return Err(EvalError::EmptyScores);
        }
        if let Some(row) = table.ids().iter().position(|id| !truth.has(id)) {
            return Err(EvalError::ScoreUnknown { row, id: table.ids()[row].clone() });
        }
        let without = truth.clips().iter().filter(|clip| table.clip(&clip.id).is_none());
        let ids: Vec<String> = without.map(|clip| clip.id.clone()).collect();
        let num_annotated = truth.clips().len();
        if missing == Missing::Refused && !ids.is_empty() {
            return Err(EvalError::ScoresMissing { ids, num_annotated });
        }
        let header = table.header();
        let num_scored = num_annotated - ids.len();
        Ok(Coverage { num_annotated, num_scored, num_failed: header.num_failed, missing, is_limited: header.partial })
    }

    /// What makes the evaluation a partial one; `None` where every annotated clip was measured. To be said wherever
    /// a number of it is.
    pub fn partial(&self) -> Option<String> {
        let Coverage { num_annotated, num_scored, .. } = self;
        let counted = match self.missing {
            _ if num_scored == num_annotated => "",
            Missing::LeftOut => "; the others do not count",
            Missing::Wrong | Missing::Refused => "; the others count as wrong",
        };
        let limited = if self.is_limited { "; the scores say that clips were left out" } else { "" };
        let is_whole = num_scored == num_annotated && !self.is_limited;
        (!is_whole).then(|| format!("partial: {num_scored} of {num_annotated} clips have scores{counted}{limited}"))
    }
}
