use tch::Tensor;
use torch_ext::Group;

use crate::agree::from_first;
use crate::checkpoint::{CheckpointWriter, Checkpoints, Progress};
use crate::metrics::Metrics;
use crate::tensorboard::{EventFile, Image};
use crate::{Drawn, NamedTensors, RunDir, StepLog, TrainError, TrainPlan};

/// What a run keeps: how far it is, and on the first rank the files that say so. The other ranks write nothing.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) progress: Progress,
    files: Option<Files>,
}

#[derive(Debug)]
struct Files {
    writer: CheckpointWriter,
    metrics: Metrics,
    events: EventFile,
}

impl Keeper {
    /// Sets the state of all ranks to the run's last checkpoint, or to the first rank's weights where there is none.
    pub(crate) fn resume(
        run: &RunDir,
        plan: &TrainPlan,
        ranks: &Group,
        state: &NamedTensors,
    ) -> Result<Self, TrainError> {
        let (mut progress, mut files) = (Progress::default(), None);
        if ranks.is_first() {
            let checkpoints = Checkpoints::of(run, plan.keep_checkpoints());
            progress = checkpoints.load(state)?;
            checkpoints.tidy()?;
            if plan.checkpoints_at(progress.step) {
                // A kill may have come between the checkpoint and this.
                checkpoints.rank(progress)?;
                progress.start_anew();
            }
            run.begin()?;
            let metrics = run.metrics_through(progress.step)?;
            let events = EventFile::open_after(run.root(), progress.step)?;
            files = Some(Files { writer: CheckpointWriter::start(checkpoints)?, metrics, events });
        }
        let Progress { step, loss_sum, num_losses, num_skipped } = progress;
        let [step, loss_sum, num_losses, num_skipped] =
            from_first(ranks, [step as f64, loss_sum, num_losses as f64, num_skipped as f64])?;
        ranks.broadcast(&state.values().map(Tensor::shallow_clone).collect::<Vec<_>>())?;
        let progress =
            Progress { step: step as u64, loss_sum, num_losses: num_losses as u64, num_skipped: num_skipped as u64 };
        Ok(Keeper { progress, files })
    }

    pub(crate) fn log(&mut self, log: &StepLog) -> Result<(), TrainError> {
        let Some(files) = &mut self.files else { return Ok(()) };
        files.metrics.append(log)?;
        files.events.append(log)
    }

    pub(crate) fn show(&mut self, step: u64, pictures: &[Drawn]) -> Result<(), TrainError> {
        let Some(files) = &mut self.files else { return Ok(()) };
        for Drawn { tag, png, width, height } in pictures {
            files.events.image(step, Image { tag, png, width: *width, height: *height })?;
        }
        Ok(())
    }

    /// Starts to write a checkpoint.
    ///
    /// * `scheduled` - whether the plan has one here, or something else asked for it
    pub(crate) fn save(&mut self, scheduled: bool, state: &NamedTensors) -> Result<(), TrainError> {
        if let Some(files) = &mut self.files {
            files.metrics.sync()?;
            files.events.sync()?;
            files.writer.write(self.progress, scheduled, state)?;
        }
        if scheduled {
            self.progress.start_anew();
        }
        Ok(())
    }

    /// Whether the checkpoint under way has failed.
    pub(crate) fn poll(&mut self) -> Result<(), TrainError> {
        self.files.as_mut().map_or(Ok(()), |files| files.writer.poll())
    }

    /// Waits for the checkpoint under way.
    pub(crate) fn finish(&mut self) -> Result<(), TrainError> {
        self.files.as_mut().map_or(Ok(()), |files| files.writer.finish())
    }
}
