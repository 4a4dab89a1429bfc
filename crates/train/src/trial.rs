use nn::Losses;
use tch::nn::VarStore;

use crate::at::At;
use crate::caught::catch;
use crate::micro_batch::{MicroBatch, Sums};
use crate::{AdamW, Ema, TrainError, TrainPlan};

/// A step of training that belongs to no run, on one micro-batch, with all that a run holds in memory: gradients, moments,
/// averages. To see whether it fits. The model's weights are changed.
///
/// # Errors
/// [`TrainError::OutOfMemory`] when it does not fit; else as [`crate::fit`], which names this step 1.
pub fn trial_step<E: From<TrainError>>(
    plan: &TrainPlan,
    vs: &VarStore,
    loss: impl FnOnce() -> Result<Losses, E>,
) -> Result<(), E> {
    let at = At { step: 1, device: vs.device() };
    let precision = plan.precision().on(vs.device());
    let place = MicroBatch { run_seed: plan.seed(), index: 0, at, precision };
    let mut optimizer = AdamW::new(vs, plan.adamw()).map_err(|err| at.failed(err))?;
    let mut ema = Ema::new(plan.model_of(vs), plan.ema()).map_err(|err| at.failed(err))?;
    let mut sums = Sums::default();
    catch("forward", || sums.add(place, 1.0, loss)).map_err(|caught| at.caught(caught))??;
    let mut rest = || {
        optimizer.clip_grad_norm(plan.clip_grad_norm())?;
        optimizer.step(plan.schedule().learning_rate(1))?;
        ema.as_mut().map_or(Ok(()), |ema| ema.update(1))
    };
    Ok(rest().map_err(|err| at.failed(err))?)
}
