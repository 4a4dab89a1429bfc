use std::f64::consts::PI;

use nn::{During, NnError};
use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};
use spec::{Purpose, rng_for};
use tch::{Device, Kind, TchError, Tensor};

use super::{Fold, LinearProbe, Scaling, folds};
use crate::rates::RateSearch;
use crate::{EvalError, Features};

/// A linear classifier by stochastic gradient descent on the cross-entropy, for several learning rates in one pass over the
/// features: the weights of all rates are one tensor. Which rate is kept, held-out training clips decide.
///
/// Features are standardised and divided by the root of their number, so that a rate means the same at every width. Weights
/// begin at 0; the rate falls to 0 along half a cosine; no weight decay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SgdSearch {
    /// Learning rates to try, each above 0.
    pub rates: Vec<f64>,
    /// Passes over the training clips.
    pub epochs: u64,
    /// Clips per step; the last step of an epoch may have fewer.
    pub batch: usize,
    /// Momentum, in `0..1`.
    pub momentum: f64,
    /// One of so many parts of the training clips is held out to choose the rate. A group stays in one part.
    pub num_folds: usize,
}

impl SgdSearch {
    /// The classifier of the rate with the most hits on a held-out part of the training clips (of equal ones the smallest),
    /// trained anew on all of them; and that rate.
    ///
    /// * `seed` - of the held-out part and of the order of clips
    ///
    /// # Errors
    /// [`EvalError::OutOfRange`], [`EvalError::OneGroup`], [`EvalError::Label`], [`EvalError::Nn`].
    pub fn fit(&self, train: &Features, num_classes: usize, seed: u64) -> Result<(LinearProbe, f64), EvalError> {
        self.check()?;
        train.expect_classes(num_classes)?;
        let Fold { kept, held_out } = folds(train.groups(), self.num_folds, seed)?.swap_remove(0);
        let held_out = train.select(&held_out);
        let probes = self.train(&train.select(&kept), &self.rates, (num_classes, seed))?;
        let ranks = |probe: &LinearProbe| Ok(probe.scores(&held_out)?.ranks(held_out.labels()));
        let rate = self.search().best(&probes.iter().map(ranks).collect::<Result<Vec<_>, EvalError>>()?);
        let probe = self.train(train, &[rate], (num_classes, seed))?.swap_remove(0);
        Ok((probe, rate))
    }

    fn check(&self) -> Result<(), EvalError> {
        if !(0.0..1.0).contains(&self.momentum) {
            let (key, value, rule) = ("momentum", self.momentum, "at least 0 and below 1");
            return Err(EvalError::OutOfRange { key, value, rule });
        }
        self.search().check()
    }

    fn search(&self) -> RateSearch<'_> {
        RateSearch { rates: &self.rates, epochs: self.epochs, batch: self.batch, num_folds: self.num_folds }
    }

    /// The classifier of each rate.
    fn train(
        &self,
        train: &Features,
        rates: &[f64],
        (num_classes, seed): (usize, u64),
    ) -> Result<Vec<LinearProbe>, EvalError> {
        let scaling = Scaling::of(train)?;
        let width = train.width() as f64;
        let z_nd = scaling.apply(train)?.f_div_scalar(width.sqrt()).during("scaling features")?;
        let mut weights = Weights::zero(rates, [train.width(), num_classes]).during("making weights")?;
        let num_steps = self.epochs * train.num_clips().div_ceil(self.batch) as u64;
        let mut step = 0;
        for epoch in 0..self.epochs {
            let mut order: Vec<i64> = (0..train.num_clips() as i64).collect();
            // Items 0 and 1 are the bootstrap and the folds.
            order.shuffle(&mut rng_for(seed, epoch, 2, Purpose::Eval));
            for clips in order.chunks(self.batch) {
                let pace = 0.5 * (1.0 + (PI * step as f64 / num_steps as f64).cos());
                let labels: Vec<i64> = clips.iter().map(|clip| train.labels()[*clip as usize]).collect();
                weights.step(&z_nd, (clips, &labels), (pace, self.momentum)).during("a step of the linear probe")?;
                step += 1;
            }
        }
        Ok(weights.into_probes(&scaling, width.sqrt())?)
    }
}

/// Weights and biases of R classifiers, with their velocities.
struct Weights {
    weight_rdc: Tensor,
    bias_r1c: Tensor,
    weight_velocity: Tensor,
    bias_velocity: Tensor,
    rate_r11: Tensor,
}

impl Weights {
    fn zero(rates: &[f64], [d, num_classes]: [usize; 2]) -> Result<Self, TchError> {
        let r = rates.len() as i64;
        let zeros = |rows: i64| Tensor::f_zeros([r, rows, num_classes as i64], (Kind::Double, Device::Cpu));
        Ok(Weights {
            weight_rdc: zeros(d as i64)?,
            bias_r1c: zeros(1)?,
            weight_velocity: zeros(d as i64)?,
            bias_velocity: zeros(1)?,
            rate_r11: Tensor::f_from_slice(rates)?.f_view([r, 1, 1])?,
        })
    }

    /// One step of gradient descent with momentum, as PyTorch's SGD makes it.
    fn step(
        &mut self,
        z_nd: &Tensor,
        (clips, labels): (&[i64], &[i64]),
        (pace, momentum): (f64, f64),
    ) -> Result<(), TchError> {
        let num_classes = self.bias_r1c.size()[2];
        let z_bd = z_nd.f_index_select(0, &Tensor::f_from_slice(clips)?)?;
        let hot_bc = Tensor::f_from_slice(labels)?.f_one_hot(num_classes)?;
        let logits_rbc = z_bd.f_matmul(&self.weight_rdc)?.f_add(&self.bias_r1c)?;
        // The gradient of the mean cross-entropy by the logits.
        let grad_rbc = logits_rbc.f_softmax(-1, Kind::Double)?.f_sub(&hot_bc)?.f_div_scalar(clips.len() as i64)?;
        let rate_r11 = self.rate_r11.f_mul_scalar(pace)?;
        for (value, velocity, grad) in [
            (&mut self.weight_rdc, &mut self.weight_velocity, z_bd.f_tr()?.f_matmul(&grad_rbc)?),
            (
                &mut self.bias_r1c,
                &mut self.bias_velocity,
                grad_rbc.f_sum_dim_intlist([1i64].as_slice(), true, Kind::Double)?,
            ),
        ] {
            *velocity = velocity.f_mul_scalar(momentum)?.f_add(&grad)?;
            *value = value.f_sub(&velocity.f_mul(&rate_r11)?)?;
        }
        Ok(())
    }

    /// * `divisor` - of the standardised features that these weights were trained on
    fn into_probes(self, scaling: &Scaling, divisor: f64) -> Result<Vec<LinearProbe>, NnError> {
        let probe = |r: i64| -> Result<LinearProbe, TchError> {
            let weight_dc = self.weight_rdc.f_get(r)?.f_div_scalar(divisor)?;
            Ok(LinearProbe { scaling: scaling.clone(), weight_dc, bias_c: self.bias_r1c.f_get(r)?.f_squeeze_dim(0)? })
        };
        (0..self.rate_r11.size()[0]).map(probe).collect::<Result<_, _>>().during("taking weights apart")
    }
}

#[cfg(test)]
mod tests;
