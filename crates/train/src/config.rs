use serde::{Deserialize, Serialize};
use tch::Device;
use tch::nn::VarStore;

use crate::side::of_model;
use crate::{AdamWConfig, BatchSplit, NamedTensors, Schedule, Side, TrainError, named};

/// How a model is trained: the `[train]` section of a preset. No key has a default: all of them change results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Optimizer steps of the whole run.
    pub steps: u64,
    /// Clips per step, over all ranks and micro-batches.
    pub batch: i64,
    /// Micro-batches that a rank's clips of one step are split into: forward and backward see one at a time, their
    /// gradients add up to that of the whole step.
    pub accumulate: i64,
    /// The highest learning rate.
    pub learning_rate: f64,
    /// The learning rate of the last step.
    pub min_learning_rate: f64,
    /// Steps of linear rise from zero to `learning_rate`.
    pub warmup_steps: u64,
    /// Decay of AdamW's first and second moment, each in `0..1`.
    pub betas: [f64; 2],
    /// Decoupled weight decay of matrices and kernels (see [`crate::decays`]).
    pub weight_decay: f64,
    /// Layer-wise learning-rate decay: each encoder layer learns this many times as fast as the layer above it, in
    /// `0..=1`; 1 switches it off (see [`crate::layer_scales`]).
    pub layer_decay: f64,
    /// Longest gradient, L2 norm over all parameters; longer ones are scaled down to it. 0 switches clipping off.
    pub clip_grad_norm: f64,
    /// Precision of forward and backward; weights, gradients and moments are always f32.
    pub precision: Precision,
    /// Averaged weights beside the trained ones.
    pub ema: EmaConfig,
    /// What follows a loss or gradient that is NaN or infinite.
    pub non_finite: NonFinitePolicy,
    /// Steps between lines of `metrics.jsonl`.
    pub log_every: u64,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
    /// How many of the last checkpoints are kept; the best one is kept beside them.
    pub keep_checkpoints: usize,
    /// Steps between pictures.
    pub pictures_every: u64,
    /// Everything random derives from it.
    pub seed: u64,
}

/// Precision of forward and backward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// f32 throughout.
    F32,
    /// bf16 for matrix products and convolutions (autocast) where the device has units for it, else f32, with a warning.
    Bf16,
}

impl Precision {
    /// The precision that a device can do; warns where that is not this one.
    pub fn on(self, device: Device) -> Self {
        if self == Precision::Bf16 && !torch_ext::has_bf16(device) {
            tracing::warn!("this device has no units for bf16: training in f32");
            return Precision::F32;
        }
        self
    }
}

impl From<Precision> for torch_ext::Precision {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 => torch_ext::Precision::F32,
            Precision::Bf16 => torch_ext::Precision::Bf16,
        }
    }
}

/// Exponential moving average of the weights, updated after every step. Where there is one, it is what a finished run
/// writes as its weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum EmaConfig {
    /// No average.
    None {},
    /// `average = decay * average + (1 - decay) * weights`.
    Decay {
        /// In `0..1`. The first steps use `(1 + step) / (10 + step)` while that is smaller, so that the first weights,
        /// drawn at random, do not linger: not published; our default.
        decay: f64,
    },
}

/// What follows a loss or gradient that is NaN or infinite. The batch is saved and the culprit named in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum NonFinitePolicy {
    /// The run ends with an error.
    Stop {},
    /// The step leaves the weights as they are, is counted, and the run goes on.
    Skip {
        /// The run ends with an error when this many steps have been skipped already.
        at_most: u64,
    },
}

/// A checked [`TrainConfig`].
#[derive(Clone, Debug, PartialEq)]
pub struct TrainPlan {
    config: TrainConfig,
    sides: Vec<Side>,
}

impl TrainConfig {
    /// Checks every range.
    ///
    /// # Errors
    /// [`TrainError::OutOfRange`] with the first key that does not fit.
    pub fn check(&self) -> Result<TrainPlan, TrainError> {
        let [beta1, beta2] = self.betas;
        let non_negative = |x: f64| x >= 0.0 && x.is_finite();
        let refuse = |key, value: String, rule| Err(TrainError::OutOfRange { key, value, rule });
        let refuse_float = |key, value: f64, rule| refuse(key, value.to_string(), rule);
        if self.accumulate < 1 || self.batch < 1 || self.batch % self.accumulate != 0 {
            let value = format!("{} with train.accumulate = {}", self.batch, self.accumulate);
            return refuse("train.batch", value, "a multiple of train.accumulate, both at least 1");
        }
        for (key, value) in [
            ("train.steps", self.steps),
            ("train.log_every", self.log_every),
            ("train.checkpoint_every", self.checkpoint_every),
            ("train.keep_checkpoints", self.keep_checkpoints as u64),
            ("train.pictures_every", self.pictures_every),
        ] {
            if value < 1 {
                return refuse(key, value.to_string(), "at least 1");
            }
        }
        if self.warmup_steps > self.steps {
            return refuse("train.warmup_steps", self.warmup_steps.to_string(), "at most train.steps");
        }
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            return refuse_float("train.learning_rate", self.learning_rate, "above 0");
        }
        if !(0.0..=self.learning_rate).contains(&self.min_learning_rate) {
            let rule = "between 0 and train.learning_rate";
            return refuse_float("train.min_learning_rate", self.min_learning_rate, rule);
        }
        if ![beta1, beta2].iter().all(|beta| (0.0..1.0).contains(beta)) {
            return refuse("train.betas", format!("{:?}", self.betas), "two numbers from 0 to below 1");
        }
        if !non_negative(self.weight_decay) {
            return refuse_float("train.weight_decay", self.weight_decay, "at least 0");
        }
        if !(self.layer_decay > 0.0 && self.layer_decay <= 1.0) {
            return refuse_float("train.layer_decay", self.layer_decay, "above 0 and at most 1 (1 = none)");
        }
        if let EmaConfig::Decay { decay } = self.ema
            && !(0.0..1.0).contains(&decay)
        {
            return refuse_float("train.ema.decay", decay, "from 0 to below 1");
        }
        if !non_negative(self.clip_grad_norm) {
            return refuse_float("train.clip_grad_norm", self.clip_grad_norm, "at least 0 (0 = no clipping)");
        }
        Ok(TrainPlan { config: self.clone(), sides: Vec::new() })
    }
}

impl TrainPlan {
    /// The same plan with one more side, whose variables are trained beside the model.
    pub fn with_side(mut self, side: Side) -> Self {
        self.sides.push(side);
        self
    }

    /// The variables of the model itself, trained or not, sharing storage with it: those of no side.
    pub fn model_of(&self, vs: &VarStore) -> NamedTensors {
        of_model(named(vs), &self.sides)
    }

    /// Optimizer steps of the whole run.
    pub fn steps(&self) -> u64 {
        self.config.steps
    }

    /// Clips per step, over all ranks and micro-batches.
    pub fn batch(&self) -> i64 {
        self.config.batch
    }

    /// How a step's clips are shared out.
    ///
    /// # Errors
    /// [`TrainError::OutOfRange`] when the batch does not divide among `num_ranks` ranks and their micro-batches.
    pub fn split(&self, num_ranks: usize) -> Result<BatchSplit, TrainError> {
        let (batch, accumulate) = (self.config.batch as usize, self.config.accumulate as usize);
        let num_parts = num_ranks * accumulate;
        if !batch.is_multiple_of(num_parts) {
            let value = format!("{batch} for {num_ranks} ranks with train.accumulate = {accumulate}");
            let rule = "a multiple of the number of ranks times train.accumulate";
            return Err(TrainError::OutOfRange { key: "train.batch", value, rule });
        }
        Ok(BatchSplit { num_ranks, accumulate, num_clips: batch / num_parts })
    }

    /// Learning rate over the steps.
    pub fn schedule(&self) -> Schedule {
        Schedule {
            peak: self.config.learning_rate,
            end: self.config.min_learning_rate,
            warmup_steps: self.config.warmup_steps,
            steps: self.config.steps,
        }
    }

    /// Settings of the optimizer.
    pub fn adamw(&self) -> AdamWConfig {
        let TrainConfig { betas, weight_decay, layer_decay, .. } = self.config;
        AdamWConfig { betas, weight_decay, layer_decay, sides: self.sides.clone() }
    }

    /// Precision of forward and backward.
    pub fn precision(&self) -> Precision {
        self.config.precision
    }

    /// Averaged weights.
    pub fn ema(&self) -> EmaConfig {
        self.config.ema
    }

    /// What follows a loss or gradient that is NaN or infinite.
    pub fn non_finite(&self) -> NonFinitePolicy {
        self.config.non_finite
    }

    /// How many of the last checkpoints are kept.
    pub fn keep_checkpoints(&self) -> usize {
        self.config.keep_checkpoints
    }

    /// Longest gradient; `None` without clipping.
    pub fn clip_grad_norm(&self) -> Option<f64> {
        Some(self.config.clip_grad_norm).filter(|max| *max > 0.0)
    }

    /// Whether `step` (from 1) writes a line of metrics: the first, the last and each `log_every`-th.
    pub fn logs_at(&self, step: u64) -> bool {
        step == 1 || step == self.config.steps || step.is_multiple_of(self.config.log_every)
    }

    /// Whether a checkpoint follows `step` (from 1): each `checkpoint_every`-th and the last.
    pub fn checkpoints_at(&self, step: u64) -> bool {
        step == self.config.steps || step.is_multiple_of(self.config.checkpoint_every)
    }

    /// Whether pictures follow `step` (from 1): each `pictures_every`-th and the last.
    pub fn pictures_at(&self, step: u64) -> bool {
        step == self.config.steps || step.is_multiple_of(self.config.pictures_every)
    }

    /// Everything random derives from it.
    pub fn seed(&self) -> u64 {
        self.config.seed
    }
}

#[cfg(test)]
pub(crate) fn example() -> TrainConfig {
    TrainConfig {
        steps: 10,
        batch: 2,
        learning_rate: 0.01,
        min_learning_rate: 0.001,
        warmup_steps: 2,
        betas: [0.9, 0.95],
        weight_decay: 0.05,
        clip_grad_norm: 1.0,
        accumulate: 1,
        layer_decay: 1.0,
        precision: Precision::F32,
        ema: EmaConfig::None {},
        non_finite: NonFinitePolicy::Stop {},
        log_every: 4,
        checkpoint_every: 5,
        keep_checkpoints: 2,
        pictures_every: 10,
        seed: 7,
    }
}

#[cfg(test)]
mod tests;
