//! What the ranks of a run tell each other in a step, beside gradients.

use std::collections::BTreeMap;

use torch_ext::{Group, GroupError};

/// What all ranks know after forward and backward.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Agreed {
    /// Mean over the ranks; not finite when one of them is not.
    pub(crate) loss: f64,
    /// Whether any rank was asked to stop.
    pub(crate) interrupted: bool,
}

/// Means of this step's losses, and whether to stop after it.
pub(crate) fn agree(ranks: &Group, loss: f64, interrupted: bool) -> Result<Agreed, GroupError> {
    let mut values = [loss, f64::from(u8::from(interrupted))];
    ranks.sum_values(&mut values)?;
    let [loss, interrupted] = values;
    Ok(Agreed { loss: loss / ranks.num_ranks() as f64, interrupted: interrupted > 0.0 })
}

/// Means of named values, which have the same names on all ranks.
pub(crate) fn mean_terms(
    ranks: &Group,
    terms: Vec<(&'static str, f64)>,
) -> Result<BTreeMap<&'static str, f64>, GroupError> {
    let (names, mut values): (Vec<_>, Vec<f64>) = terms.into_iter().unzip();
    ranks.sum_values(&mut values)?;
    let num_ranks = ranks.num_ranks() as f64;
    Ok(names.into_iter().zip(values.into_iter().map(|sum| sum / num_ranks)).collect())
}

/// The first rank's values.
pub(crate) fn from_first<const N: usize>(ranks: &Group, values: [f64; N]) -> Result<[f64; N], GroupError> {
    let mut values = if ranks.is_first() { values } else { [0.0; N] };
    ranks.sum_values(&mut values)?;
    Ok(values)
}
