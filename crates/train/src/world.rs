use std::collections::BTreeMap;

use tch::Tensor;
use crate::stub::Group;

use crate::{NamedTensors, TrainError};

/// The processes that train one model together.
#[derive(Debug)]
pub enum World {
    /// This one.
    Alone,
    /// Several, this one among them.
    Ranks(Group),
}

/// What all ranks know after forward and backward.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Agreed {
    /// Mean over the ranks; not finite when one of them is not.
    pub(crate) loss: f64,
    /// Whether any rank was asked to stop.
    pub(crate) interrupted: bool,
}

impl World {
    /// How many there are.
    pub fn num_ranks(&self) -> usize {
        match self {
            World::Alone => 1,
            World::Ranks(group) => group.num_ranks(),
        }
    }

    /// Which one this is, from 0.
    pub fn rank(&self) -> usize {
        match self {
            World::Alone => 0,
            World::Ranks(group) => group.rank(),
        }
    }

    /// Whether this is the one that writes files and speaks to the user.
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    pub(crate) fn agree(&self, loss: f64, interrupted: bool) -> Result<Agreed, TrainError> {
        let mut values = [loss, f64::from(u8::from(interrupted))];
        self.sum_values(&mut values)?;
        let [loss, interrupted] = values;
        Ok(Agreed { loss: loss / self.num_ranks() as f64, interrupted: interrupted > 0.0 })
    }

    /// Replaces each tensor by its mean over the ranks.
    pub(crate) fn mean(&self, tensors: &[Tensor]) -> Result<(), TrainError> {
        match self {
            World::Alone => Ok(()),
            World::Ranks(group) => Ok(group.mean(tensors)?),
        }
    }

    /// Means of named values, which have the same names on all ranks.
    pub(crate) fn mean_terms(&self, terms: Vec<(&'static str, f64)>) -> Result<BTreeMap<&'static str, f64>, TrainError> {
        let (names, mut values): (Vec<_>, Vec<f64>) = terms.into_iter().unzip();
        self.sum_values(&mut values)?;
        let num_ranks = self.num_ranks() as f64;
        Ok(names.into_iter().zip(values.into_iter().map(|sum| sum / num_ranks)).collect())
    }

    /// The first rank's values.
    pub(crate) fn from_first<const N: usize>(&self, values: [f64; N]) -> Result<[f64; N], TrainError> {
        let mut values = if self.is_first() { values } else { [0.0; N] };
        self.sum_values(&mut values)?;
        Ok(values)
    }

    /// Replaces each tensor by the first rank's.
    pub(crate) fn broadcast(&self, tensors: &NamedTensors) -> Result<(), TrainError> {
        let World::Ranks(group) = self else { return Ok(()) };
        let tensors: Vec<Tensor> = tensors.values().map(Tensor::shallow_clone).collect();
        Ok(group.broadcast(&tensors)?)
    }

    fn sum_values(&self, values: &mut [f64]) -> Result<(), TrainError> {
        match self {
            World::Alone => Ok(()),
            World::Ranks(group) => Ok(group.sum_values(values)?),
        }
    }
}
