use std::f64::consts::PI;

use nn::{During, Mode, NnError, StackConfig};
use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};
use spec::{Purpose, rng_for};
use tch::nn::{Init, Linear, LinearConfig, VarStore, linear};
use tch::{Kind, Reduction, Tensor};
use torch_ext::AdamWStep;

use super::{AttentivePool, QueryReads, TokenSet};
use crate::linear::{Fold, folds};
use crate::rates::RateSearch;
use crate::{EvalError, Scores};

/// A classifier that chooses what it reads of a frozen encoder's tokens: a learned query's attention, and a linear layer
/// on what it brings back.
#[derive(Debug)]
pub struct AttentiveProbe {
    pool: AttentivePool,
    output: Linear,
    /// Holds their variables.
    vs: VarStore,
}

/// How an [`AttentiveProbe`] is trained: AdamW on the cross-entropy, by several learning rates side by side on the same
/// batches, of which held-out training clips choose one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttentiveSearch {
    /// Blocks: 1 is the query alone (V-JEPA); V-JEPA 2 has 4, in three of which the tokens read each other first.
    pub depth: i64,
    /// Attention heads; divides the width of a token.
    pub heads: i64,
    /// The highest learning rates to try, each above 0; they fall to 0 along half a cosine.
    pub rates: Vec<f64>,
    /// Passes over the training clips.
    pub epochs: u64,
    /// Clips per step; the last step of an epoch may have fewer.
    pub batch: usize,
    /// Decoupled weight decay of all weights.
    pub weight_decay: f64,
    /// One of so many parts of the training clips is held out to choose the rate. A group stays in one part.
    pub num_folds: usize,
}

impl AttentiveSearch {
    /// The probe of the rate with the most hits on a held-out part of the training clips (of equal ones the smallest),
    /// trained anew on all of them; and that rate. Seeds libtorch's generator.
    ///
    /// * `seed` - of the first weights, the held-out part and the order of clips
    ///
    /// # Errors
    /// [`EvalError::OutOfRange`], [`EvalError::OneGroup`], [`EvalError::Label`], [`EvalError::Nn`].
    pub fn fit(&self, train: &TokenSet, num_classes: usize, seed: u64) -> Result<(AttentiveProbe, f64), EvalError> {
        self.check(train)?;
        expect_classes(train, num_classes)?;
        let Fold { kept, held_out } = folds(train.groups(), self.num_folds, seed)?.swap_remove(0);
        let labels: Vec<i64> = held_out.iter().map(|clip| train.labels()[*clip]).collect();
        let probes = self.train(train, (&kept, &self.rates), (num_classes, seed))?;
        let ranks = |probe: &AttentiveProbe| Ok(probe.scores_of(train, &held_out)?.ranks(&labels));
        let rate = self.search().best(&probes.iter().map(ranks).collect::<Result<Vec<_>, EvalError>>()?);
        drop(probes);
        let all: Vec<usize> = (0..train.num_clips()).collect();
        Ok((self.train(train, (&all, &[rate]), (num_classes, seed))?.swap_remove(0), rate))
    }

    fn check(&self, train: &TokenSet) -> Result<(), EvalError> {
        self.stack(train).check()?;
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            let (key, value, rule) = ("weight_decay", self.weight_decay, "at least 0");
            return Err(EvalError::OutOfRange { key, value, rule });
        }
        self.search().check()
    }

    fn search(&self) -> RateSearch<'_> {
        RateSearch { rates: &self.rates, epochs: self.epochs, batch: self.batch, num_folds: self.num_folds }
    }

    fn stack(&self, train: &TokenSet) -> StackConfig {
        StackConfig { width: train.width(), depth: self.depth, heads: self.heads }
    }

    /// The probe of each rate, trained on some of the clips.
    fn train(
        &self,
        train: &TokenSet,
        (clips, rates): (&[usize], &[f64]),
        (num_classes, seed): (usize, u64),
    ) -> Result<Vec<AttentiveProbe>, EvalError> {
        let new = |_: &f64| -> Result<Learner, EvalError> {
            // All begin with the same weights.
            tch::manual_seed(seed as i64);
            let vs = VarStore::new(train.device());
            Ok(Learner::new(AttentiveProbe::new(vs, &self.stack(train), num_classes)?)?)
        };
        let mut learners = rates.iter().map(new).collect::<Result<Vec<_>, _>>()?;
        let num_steps = self.epochs * clips.len().div_ceil(self.batch) as u64;
        let mut step = 0;
        for epoch in 0..self.epochs {
            let mut order = clips.to_vec();
            // Items 0 to 2 are the bootstrap, the folds and the linear probe.
            order.shuffle(&mut rng_for(seed, epoch, 3, Purpose::Eval));
            for clips in order.chunks(self.batch) {
                let pace = 0.5 * (1.0 + (PI * step as f64 / num_steps as f64).cos());
                let batch = train.batch(clips)?;
                for (learner, rate) in learners.iter_mut().zip(rates) {
                    learner.step(&batch, (rate * pace, self.weight_decay))?;
                }
                step += 1;
            }
        }
        Ok(learners.into_iter().map(|learner| learner.probe).collect())
    }
}

/// A probe that is being trained, with AdamW's state.
struct Learner {
    probe: AttentiveProbe,
    parameters: Vec<Tensor>,
    exp_avgs: Vec<Tensor>,
    exp_avg_sqs: Vec<Tensor>,
    num_steps: Vec<Tensor>,
}

impl Learner {
    fn new(probe: AttentiveProbe) -> Result<Self, NnError> {
        let parameters = probe.vs.trainable_variables();
        let zeros = |x: &Tensor| x.f_zeros_like().map(|zeros| zeros.set_requires_grad(false));
        let moments = || parameters.iter().map(zeros).collect::<Result<Vec<_>, _>>().during("making moments");
        let count = |x: &Tensor| Tensor::f_zeros([], (Kind::Float, x.device()));
        let num_steps = parameters.iter().map(count).collect::<Result<_, _>>().during("making moments")?;
        Ok(Learner { exp_avgs: moments()?, exp_avg_sqs: moments()?, num_steps, parameters, probe })
    }

    fn step(
        &mut self,
        (tokens_bld, labels_b): &(Tensor, Tensor),
        (learning_rate, weight_decay): (f64, f64),
    ) -> Result<(), NnError> {
        let logits_bk = self.probe.logits(tokens_bld, Mode::Train)?;
        let gradients = || {
            let loss = logits_bk.f_cross_entropy_loss(labels_b, None::<Tensor>, Reduction::Mean, -100, 0.0)?;
            Tensor::f_run_backward(&[&loss], &self.parameters, false, false)
        };
        let gradients = gradients().during("the gradient of the attentive probe")?;
        let by = AdamWStep { learning_rate, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay };
        let moments = (&self.exp_avgs[..], &self.exp_avg_sqs[..]);
        tch::no_grad(|| torch_ext::fused_adamw(&self.parameters, &gradients, moments, &self.num_steps, &by))?;
        Ok(())
    }
}

impl AttentiveProbe {
    fn new(vs: VarStore, cfg: &StackConfig, num_classes: usize) -> Result<Self, NnError> {
        let ws_init = Init::Randn { mean: 0.0, stdev: 0.02 };
        let init = LinearConfig { ws_init, bs_init: Some(Init::Const(0.0)), bias: true };
        Ok(AttentiveProbe {
            pool: AttentivePool::new(&(vs.root() / "pool"), cfg, QueryReads::Tokens)?,
            output: linear(vs.root() / "output", cfg.width, num_classes as i64, init),
            vs,
        })
    }

    /// The scores of other clips.
    ///
    /// # Errors
    /// [`EvalError::Widths`], [`EvalError::Nn`].
    pub fn scores(&self, clips: &TokenSet) -> Result<Scores, EvalError> {
        let width = self.output.ws.size()[1];
        if clips.width() != width {
            return Err(EvalError::Widths { train: width as usize, test: clips.width() as usize });
        }
        self.scores_of(clips, &(0..clips.num_clips()).collect::<Vec<_>>())
    }

    fn scores_of(&self, set: &TokenSet, clips: &[usize]) -> Result<Scores, EvalError> {
        let mut values = Vec::new();
        for clip in clips {
            let (tokens_bld, _) = set.batch(&[*clip])?;
            let logits = tch::no_grad(|| self.logits(&tokens_bld, Mode::Eval))?;
            let row = logits.f_to_kind(Kind::Double).and_then(|x| Vec::<f64>::try_from(x.flatten(0, -1)));
            values.extend(row.during("scoring clips")?);
        }
        Ok(Scores::new(values, self.output.ws.size()[0] as usize))
    }

    fn logits(&self, tokens_bld: &Tensor, mode: Mode) -> Result<Tensor, NnError> {
        Ok(self.pool.forward(tokens_bld, mode)?.apply(&self.output))
    }
}

fn expect_classes(set: &TokenSet, num_classes: usize) -> Result<(), EvalError> {
    match set.labels().iter().position(|label| !(0..num_classes as i64).contains(label)) {
        Some(clip) => Err(EvalError::Label { clip, label: set.labels()[clip], num_classes }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
