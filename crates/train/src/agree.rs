//! What the ranks of a run tell each other in a step, beside gradients.

use std::collections::BTreeMap;

use torch_ext::{Group, GroupError};

use crate::TrainError;
use crate::at::At;
use crate::micro_batch::Sums;

/// What all ranks know after forward and backward.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Agreed {
    /// Mean over the ranks; not finite when one of them is not.
    pub(crate) loss: f64,
    /// Whether any rank was asked to stop.
    pub(crate) interrupted: bool,
}

/// Means of this step's losses, and whether to stop after it.
pub(crate) fn agree(ranks: &Group, loss: f64, interrupted: bool) -> Result<Agreed, TrainError> {
    let mut values = [loss, f64::from(u8::from(interrupted))];
    ranks.sum_values(&mut values)?;
    let [loss, interrupted] = values;
    Ok(Agreed { loss: loss / ranks.num_ranks() as f64, interrupted: interrupted > 0.0 })
}

/// What the log tells of a step beside its loss: the terms' means over micro-batches and ranks, and how the codebook is
/// used by all of them together.
pub(crate) fn terms_of_all(ranks: &Group, at: At, sums: &Sums) -> Result<BTreeMap<&'static str, f64>, TrainError> {
    // A rank whose loss is not finite has fewer: the step is not taken, and nothing is told of it.
    let (names, mut values): (Vec<_>, Vec<f64>) = sums.read_terms(at)?.into_iter().unzip();
    ranks.sum_values(&mut values)?;
    let num_ranks = ranks.num_ranks() as f64;
    let mut terms: BTreeMap<_, _> = names.into_iter().zip(values.into_iter().map(|sum| sum / num_ranks)).collect();
    if let Some(counts_k) = sums.count_codes().map_err(|err| at.failed(err))? {
        ranks.sum(std::slice::from_ref(&counts_k))?;
        terms.extend(nn::code_gauges(&counts_k).map_err(|err| at.failed(err))?);
    }
    Ok(terms)
}

/// The first rank's values.
pub(crate) fn from_first<const N: usize>(ranks: &Group, values: [f64; N]) -> Result<[f64; N], GroupError> {
    let mut values = if ranks.is_first() { values } else { [0.0; N] };
    ranks.sum_values(&mut values)?;
    Ok(values)
}
