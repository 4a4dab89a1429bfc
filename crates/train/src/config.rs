use serde::{Deserialize, Serialize};

use crate::{AdamWConfig, Schedule, TrainError};

/// How a model is trained: the `[train]` section of a preset. No key has a default: all of them change results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Optimizer steps of the whole run.
    pub steps: u64,
    /// Clips per step.
    pub batch: i64,
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
    /// Longest gradient, L2 norm over all parameters; longer ones are scaled down to it. 0 switches clipping off.
    pub clip_grad_norm: f64,
    /// Steps between lines of `metrics.jsonl`.
    pub log_every: u64,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
    /// Everything random derives from it.
    pub seed: u64,
}

/// A checked [`TrainConfig`].
#[derive(Clone, Debug, PartialEq)]
pub struct TrainPlan {
    config: TrainConfig,
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
        if self.batch < 1 {
            return refuse("train.batch", self.batch.to_string(), "at least 1");
        }
        for (key, value) in [
            ("train.steps", self.steps),
            ("train.log_every", self.log_every),
            ("train.checkpoint_every", self.checkpoint_every),
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
        if !non_negative(self.clip_grad_norm) {
            return refuse_float("train.clip_grad_norm", self.clip_grad_norm, "at least 0 (0 = no clipping)");
        }
        Ok(TrainPlan { config: self.clone() })
    }
}

impl TrainPlan {
    /// Optimizer steps of the whole run.
    pub fn steps(&self) -> u64 {
        self.config.steps
    }

    /// Clips per step.
    pub fn batch(&self) -> i64 {
        self.config.batch
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
        AdamWConfig { betas: self.config.betas, weight_decay: self.config.weight_decay }
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
        log_every: 4,
        checkpoint_every: 5,
        seed: 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_refused(key: &str, change: impl FnOnce(&mut TrainConfig)) {
        let mut config = example();
        change(&mut config);
        let said = config.check().unwrap_err().to_string();
        assert!(said.starts_with(&format!("{key} = ")), "{said}");
    }

    #[test]
    fn a_value_out_of_range_is_refused_by_its_key() {
        check_refused("train.steps", |c| c.steps = 0);
        check_refused("train.batch", |c| c.batch = 0);
        check_refused("train.log_every", |c| c.log_every = 0);
        check_refused("train.checkpoint_every", |c| c.checkpoint_every = 0);
        check_refused("train.warmup_steps", |c| c.warmup_steps = 11);
        check_refused("train.learning_rate", |c| c.learning_rate = f64::NAN);
        check_refused("train.min_learning_rate", |c| c.min_learning_rate = 0.02);
        check_refused("train.betas", |c| c.betas = [0.9, 1.0]);
        check_refused("train.weight_decay", |c| c.weight_decay = f64::INFINITY);
        check_refused("train.clip_grad_norm", |c| c.clip_grad_norm = -1.0);
    }

    #[test]
    fn a_missing_key_and_an_unknown_key_are_refused() {
        let text = toml::to_string(&example()).unwrap();
        assert_eq!(toml::from_str::<TrainConfig>(&text).unwrap(), example());
        let without = text.replace("seed = 7\n", "");
        assert!(toml::from_str::<TrainConfig>(&without).unwrap_err().to_string().contains("missing field `seed`"));
        let with = format!("{text}momentum = 0.9\n");
        assert!(toml::from_str::<TrainConfig>(&with).unwrap_err().to_string().contains("unknown field `momentum`"));
    }

    #[test]
    fn first_last_and_every_fourth_step_are_logged() {
        let plan = example().check().unwrap();
        assert_eq!((1..=10).filter(|s| plan.logs_at(*s)).collect::<Vec<_>>(), [1, 4, 8, 10]);
        assert_eq!((1..=10).filter(|s| plan.checkpoints_at(*s)).collect::<Vec<_>>(), [5, 10]);
    }

    #[test]
    fn a_clip_norm_of_zero_means_none() {
        let config = TrainConfig { clip_grad_norm: 0.0, ..example() };
        assert_eq!(config.check().unwrap().clip_grad_norm(), None);
        assert_eq!(example().check().unwrap().clip_grad_norm(), Some(1.0));
    }
}
