use serde::{Deserialize, Serialize};
use spec::share_of;

/// Which tokens of a cluster are predicted, and how much each counts: priorities are our addition, each with its control. A
/// share of a cluster is rounded down, but to at least one token.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Predicted {
    /// All, and each counts the same: the paper's choice, and the control of `weighted`.
    All {},
    /// All, and each counts in the loss as much as its priority, 1 in the clip's mean.
    Weighted {},
    /// This share of each cluster, those of highest priority.
    Top {
        /// Above 0, at most 1.
        share: f64,
    },
    /// This share of each cluster, at random: the control of `top`.
    Random {
        /// Above 0, at most 1.
        share: f64,
    },
}

impl Predicted {
    /// Share of each cluster.
    pub fn share(self) -> f64 {
        match self {
            Predicted::All {} | Predicted::Weighted {} => 1.0,
            Predicted::Top { share } | Predicted::Random { share } => share,
        }
    }

    /// Whether priorities are read.
    pub fn needs_priorities(self) -> bool {
        matches!(self, Predicted::Weighted {} | Predicted::Top { .. })
    }
}

/// A share of a cluster of `size` tokens, rounded down, but at least one.
pub(crate) fn tokens_of(share: f64, size: usize) -> usize {
    (share_of(share, size as i64) as usize).max(1)
}
