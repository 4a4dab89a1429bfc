use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tch::nn::VarStore;
use torch_ext::Group;

use crate::agree::{agree, terms_of_all};
use crate::at::At;
use crate::caught::catch;
use crate::keeper::Keeper;
use crate::meter::Meter;
use crate::micro_batch::{MicroBatch, Sums};
use crate::trouble::Trouble;
use crate::{AdamW, Ema, GradNorms, NamedTensors, RunDir, StepLog, Task, TrainError, TrainPlan, named};

/// What [`fit`] works on.
#[derive(Debug)]
pub struct Fit<'a> {
    /// How to train.
    pub plan: &'a TrainPlan,
    /// The model's variables.
    pub vs: &'a VarStore,
    /// Optimizer of these variables.
    pub optimizer: &'a mut AdamW,
    /// Their average, where the plan has one.
    pub ema: Option<&'a mut Ema>,
    /// The processes that train together.
    pub ranks: &'a Group,
    /// Where checkpoints and metrics go, and where a resumed run begins.
    pub run: &'a RunDir,
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
/// Each step goes in this order: learning rate, data; for each micro-batch forward, finite check and backward; the mean of
/// the gradients over the ranks, clipping, the optimizer, the task's own update, the average of the weights; then what is
/// measured beside training, log, pictures, checkpoint.
///
/// The weights are touched only when loss and gradient are finite on all ranks; a step waits for the device to see that,
/// and for nothing else unless it logs. Checkpoints are written while training goes on.
///
/// * `on_log` - told of every line that goes to `metrics.jsonl`
///
/// # Errors
/// Errors of the task as they are. [`TrainError::NotFinite`], [`TrainError::OutOfMemory`], [`TrainError::Step`],
/// [`TrainError::Panicked`], [`TrainError::Ranks`]: the step was not taken and the last checkpoint is intact.
/// [`TrainError::Io`] and [`TrainError::DiskFull`] when a checkpoint or a line of metrics cannot be written, and the
/// refusals of a checkpoint to resume from.
pub fn fit<T: Task>(job: Fit<'_>, task: &mut T, mut on_log: impl FnMut(&StepLog)) -> Result<Outcome, T::Error> {
    let Fit { plan, vs, optimizer, mut ema, ranks, run, interrupt } = job;
    let split = plan.split(ranks.num_ranks())?;
    let precision = plan.precision().on(vs.device());
    let state = state(vs, optimizer, ema.as_deref());
    let mut keeper = Keeper::resume(run, plan, ranks, &state)?;
    let mut meter = Meter::start(vs.device());
    for step in keeper.progress.step + 1..=plan.steps() {
        let began = Instant::now();
        let at = At { step, device: vs.device() };
        let learning_rate = plan.schedule().learning_rate(step);

        let loaded = catch("making the batch", || task.next(step)).map_err(|caught| at.caught(caught))??;
        let first = ranks.rank() * split.accumulate;
        let place = |i| MicroBatch { run_seed: plan.seed(), index: (first + i) as u64, at, precision };
        optimizer.drop_gradients().map_err(|err| at.failed(err))?;
        let mut sums = Sums::default();
        for (i, batch) in loaded.micro_batches.iter().enumerate() {
            let compute = || sums.add(place(i), 1.0 / split.accumulate as f64, || task.loss(batch));
            catch("forward", compute).map_err(|caught| at.caught(caught))??;
            if !sums.loss.is_finite() {
                break;
            }
        }
        let agreed = agree(ranks, sums.loss, interrupt.load(Ordering::Relaxed))?;
        let mut norms = GradNorms::unknown();
        if agreed.loss.is_finite() {
            ranks.mean(&optimizer.gradients()).map_err(TrainError::Ranks)?;
            norms = optimizer.clip_grad_norm(plan.clip_grad_norm()).map_err(|err| at.failed(err))?;
        }
        let grad_norm = norms.worst();
        let taken = grad_norm.is_finite();
        if taken {
            optimizer.step(learning_rate).map_err(|err| at.failed(err))?;
            catch("the update after a step", || task.after_step(step, ranks)).map_err(|caught| at.caught(caught))??;
            ema.as_mut().map_or(Ok(()), |ema| ema.update(step)).map_err(|err| at.failed(err))?;
        } else {
            let trouble = Trouble { at, loss: agreed.loss, grad_norm, vs, run, ranks };
            trouble.follow(plan.non_finite(), &mut keeper.progress, task, (&loaded.micro_batches, place))?;
        }
        keeper.progress.add(step, Some(agreed.loss).filter(|_| taken));
        let num_frames = loaded.num_frames * ranks.num_ranks() as u64;
        meter.add((began.elapsed().as_secs_f64(), loaded.wait_secs), num_frames);

        let measures = task.measures_at(step);
        if plan.logs_at(step) || measures || !taken {
            let mut terms = if taken { terms_of_all(ranks, at, &sums)? } else { BTreeMap::new() };
            terms.extend(norms.sides);
            let known = StepLog { terms, learning_rate, grad_norm, ..keeper.progress.log(agreed.loss) };
            let mut log = meter.restart(known);
            if measures && ranks.is_first() {
                log.terms.extend(catch("measuring", || task.measure(step)).map_err(|caught| at.caught(caught))??);
                // Neither its time nor its memory is training's.
                meter = Meter::start(vs.device());
            }
            keeper.log(&log)?;
            on_log(&log);
        }
        if plan.pictures_at(step) && ranks.is_first() {
            let pictures = catch("drawing pictures", || task.pictures(step)).map_err(|caught| at.caught(caught))??;
            keeper.show(step, &pictures)?;
        }
        if plan.checkpoints_at(step) || agreed.interrupted {
            keeper.save(plan.checkpoints_at(step), &state)?;
        }
        if agreed.interrupted && step < plan.steps() {
            keeper.finish()?;
            return Ok(Outcome::Interrupted { step });
        }
        keeper.poll()?;
    }
    keeper.finish()?;
    Ok(Outcome::Finished)
}

/// Everything that changes during training, by name, sharing storage.
fn state(vs: &VarStore, optimizer: &AdamW, ema: Option<&Ema>) -> NamedTensors {
    let prefixed = |prefix: &'static str| move |(name, tensor)| (format!("{prefix}.{name}"), tensor);
    let mut state = optimizer.state();
    state.extend(named(vs).into_iter().map(prefixed("weights")));
    if let Some(ema) = ema {
        let averages = ema.averages().iter().map(|(name, average)| (name.clone(), average.shallow_clone()));
        state.extend(averages.map(prefixed("ema")));
    }
    state
}

#[cfg(test)]
mod tests;
