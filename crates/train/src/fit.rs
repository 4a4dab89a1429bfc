use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use nn::{During, Losses, NnError};
use rand::Rng as _;
use spec::{Purpose, rng_for};
use tch::{Device, Tensor, nn::VarStore};
use torch_ext::memory;

use crate::caught::{Caught, catch};
use crate::{AdamW, RunDir, StepLog, TrainError, TrainPlan};

/// What [`fit`] works on.
#[derive(Debug)]
pub struct Fit<'a> {
    /// How to train.
    pub plan: &'a TrainPlan,
    /// The model's variables.
    pub vs: &'a VarStore,
    /// Optimizer of these variables.
    pub optimizer: &'a mut AdamW,
    /// Where checkpoints and metrics go, and where a resumed run begins.
    pub run: &'a RunDir,
    /// Frames in one batch, for `frames_per_sec`.
    pub frames_per_step: u64,
    /// Set (by a signal handler) to end the run after the current step, with a checkpoint.
    pub interrupt: &'a AtomicBool,
}

/// How a run ended when it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All steps are done and in the last checkpoint.
    Finished,
    /// Interrupted; a checkpoint of `step` was written.
    Interrupted {
        /// Steps done.
        step: u64,
    },
}

/// Trains from the run's last checkpoint, or from the model as it is, to the last step.
///
/// * `next` - the batch of a step (from 1) and the seconds spent waiting for it; must depend on the step alone
/// * `loss` - the objective on a batch; must depend on model and batch alone, but for what it draws from libtorch's own
///   generator (dropout, drop path), which is seeded from run seed and step before each call
/// * `on_log` - told of every line that goes to `metrics.jsonl`
///
/// Each step waits for the device twice, to see that loss and gradient are finite before the weights are touched. The
/// terms of the loss are read only on steps that log.
///
/// # Errors
/// Errors of the closures as they are. [`TrainError::NotFinite`], [`TrainError::OutOfMemory`], [`TrainError::Step`],
/// [`TrainError::Panicked`]: the step was not taken and the last checkpoint is intact. [`TrainError::Io`] when a
/// checkpoint or a line of metrics cannot be written, and the errors of [`RunDir::load_checkpoint`].
pub fn fit<B, E: From<TrainError>>(
    job: Fit<'_>,
    mut next: impl FnMut(u64) -> Result<(B, f64), E>,
    mut loss: impl FnMut(&B) -> Result<Losses, E>,
    mut on_log: impl FnMut(&StepLog),
) -> Result<Outcome, E> {
    let Fit { plan, vs, optimizer, run, frames_per_step, interrupt } = job;
    let start = run.load_checkpoint(vs, optimizer)?;
    let mut metrics = run.metrics_through(start)?;
    let mut meter = Meter::start(vs.device());
    for step in start + 1..=plan.steps() {
        let began = Instant::now();
        let at = At { step, device: vs.device() };
        let learning_rate = plan.schedule().learning_rate(step);

        let (batch, wait_secs) = catch("making the batch", || next(step)).map_err(|c| at.caught(c))??;
        seed_libtorch(plan.seed(), step);
        let (loss_value, terms) =
            catch("forward", || backpropagate(at, optimizer, || loss(&batch))).map_err(|c| at.caught(c))??;
        let grad_norm = optimizer.clip_grad_norm(plan.clip_grad_norm()).map_err(|err| at.failed(err))?;
        at.expect_finite("gradient norm", grad_norm)?;
        optimizer.step(learning_rate).map_err(|err| at.failed(err))?;
        meter.add(began.elapsed().as_secs_f64(), wait_secs);

        if plan.logs_at(step) {
            let terms = read(&terms).map_err(|err| at.failed(err))?;
            let Pace { step_secs, wait_secs, peak_bytes } = meter.restart();
            let log = StepLog {
                step,
                loss: loss_value,
                terms,
                learning_rate,
                grad_norm,
                step_secs,
                wait_secs,
                frames_per_sec: frames_per_step as f64 / step_secs,
                peak_bytes,
            };
            metrics.append(&log)?;
            on_log(&log);
        }
        let interrupted = interrupt.load(Ordering::Relaxed);
        if interrupted || plan.checkpoints_at(step) {
            metrics.sync()?;
            run.save_checkpoint(step, vs, optimizer)?;
        }
        if interrupted && step < plan.steps() {
            return Ok(Outcome::Interrupted { step });
        }
    }
    Ok(Outcome::Finished)
}

/// Terms of the loss by name, not read yet.
type Terms = Vec<(&'static str, Tensor)>;

/// Forward, finite check, backward: leaves the gradient in the parameters and returns the loss with its terms.
fn backpropagate<E: From<TrainError>>(
    at: At,
    optimizer: &mut AdamW,
    loss: impl FnOnce() -> Result<Losses, E>,
) -> Result<(f64, Terms), E> {
    let Losses { total, terms, .. } = loss()?;
    let value = f64::try_from(&total).during("reading the loss").map_err(|err| at.failed(err))?;
    at.expect_finite("loss", value)?;
    optimizer.zero_grad().map_err(|err| at.failed(err))?;
    total.f_backward().during("backward").map_err(|err| at.failed(err))?;
    Ok((value, terms))
}

fn read(terms: &Terms) -> Result<BTreeMap<&'static str, f64>, NnError> {
    terms.iter().map(|(name, value)| Ok((*name, f64::try_from(value).during("reading the loss's terms")?))).collect()
}

/// Makes what operators draw from libtorch's own generator a function of run seed and step, so that a resumed run draws
/// the same.
fn seed_libtorch(run_seed: u64, step: u64) {
    tch::manual_seed(rng_for(run_seed, step, u64::MAX, Purpose::Torch).next_u64() as i64);
}

/// Which step failed, and on what device.
#[derive(Clone, Copy)]
struct At {
    step: u64,
    device: Device,
}

impl At {
    fn failed(self, source: NnError) -> TrainError {
        let step = self.step;
        match source {
            NnError::OutOfMemory { .. } | NnError::Ext(torch_ext::Error::OutOfMemory { .. }) => {
                let stats = memory::stats(self.device).ok();
                let counted = |bytes: i64| Some(bytes).filter(|bytes| *bytes > 0);
                let peak_bytes = stats.and_then(|stats| counted(stats.peak_bytes));
                let in_use_bytes = stats.and_then(|stats| counted(stats.current_bytes));
                TrainError::OutOfMemory { step, peak_bytes, in_use_bytes, source: Box::new(source) }
            }
            source => TrainError::Step { step, source },
        }
    }

    fn caught(self, caught: Caught) -> TrainError {
        match caught {
            Caught::Torch(err) => self.failed(err),
            Caught::Bug(said) => TrainError::Panicked { step: self.step, said },
        }
    }

    fn expect_finite(self, what: &'static str, value: f64) -> Result<(), TrainError> {
        if value.is_finite() { Ok(()) } else { Err(TrainError::NotFinite { what, value, step: self.step }) }
    }
}

/// Sums up time since the last line of metrics. The memory peak is the process's own counter, started anew here.
struct Meter {
    device: Device,
    num_steps: u64,
    step_secs: f64,
    wait_secs: f64,
}

/// Means and peak since the last line of metrics.
struct Pace {
    step_secs: f64,
    wait_secs: f64,
    peak_bytes: Option<i64>,
}

impl Meter {
    fn start(device: Device) -> Self {
        // A device without statistics has no peak to start.
        memory::reset_peak(device).ok();
        Meter { device, num_steps: 0, step_secs: 0.0, wait_secs: 0.0 }
    }

    fn add(&mut self, step_secs: f64, wait_secs: f64) {
        self.num_steps += 1;
        self.step_secs += step_secs;
        self.wait_secs += wait_secs;
    }

    fn restart(&mut self) -> Pace {
        let num_steps = self.num_steps.max(1) as f64;
        // The counter stands at zero where it was not installed.
        let peak_bytes = memory::stats(self.device).ok().map(|stats| stats.peak_bytes).filter(|bytes| *bytes > 0);
        let pace = Pace { step_secs: self.step_secs / num_steps, wait_secs: self.wait_secs / num_steps, peak_bytes };
        *self = Meter::start(self.device);
        pace
    }
}

#[cfg(test)]
mod tests;
