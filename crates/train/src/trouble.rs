use std::fs;
use std::path::{Path, PathBuf};

use nn::{During, Losses};
use serde::Serialize;
use tch::nn::VarStore;
use torch_ext::{Group, NonFinite};

use crate::at::At;
use crate::caught::catch;
use crate::checkpoint::Progress;
use crate::micro_batch::MicroBatch;
use crate::{Evidence, NamedTensors, NonFinitePolicy, RunDir, Task, TrainError, atomic, named, weights};

/// A step whose loss or gradient is not finite. The weights are still those before it.
pub(crate) struct Trouble<'a> {
    pub(crate) at: At,
    /// Mean over the ranks.
    pub(crate) loss: f64,
    /// NaN where the loss is not finite.
    pub(crate) grad_norm: f64,
    pub(crate) vs: &'a VarStore,
    pub(crate) run: &'a RunDir,
    pub(crate) ranks: &'a Group,
}

/// `trouble.json`: what went wrong in a step.
#[derive(Debug, Serialize)]
struct Record<'a> {
    step: u64,
    what: &'static str,
    value: String,
    /// Where the first number that is not finite came from; `None` where the step, made again, went well.
    culprit: Option<&'a str>,
    clips: &'a [String],
}

impl Trouble<'_> {
    /// Makes the step again to find where it went wrong, saves the batch, and goes by the policy: `Ok` to go on with the
    /// next step.
    pub(crate) fn follow<T: Task>(
        &self,
        policy: NonFinitePolicy,
        progress: &mut Progress,
        task: &mut T,
        (micro_batches, place): (&[T::Batch], impl Fn(usize) -> MicroBatch),
    ) -> Result<(), T::Error> {
        let mut found = None;
        for (i, batch) in micro_batches.iter().enumerate() {
            let culprit = self.culprit(place(i), || task.loss(batch))?;
            found = Some((culprit, task.evidence(batch)));
            if found.as_ref().is_some_and(|(culprit, _)| culprit.is_some()) {
                break;
            }
        }
        let (culprit, evidence) = found.unwrap_or_default();
        let folder = self.save(culprit.as_deref(), &evidence)?;
        let (what, value) = self.what();
        let clips = evidence.clips.join(", ");
        let nowhere = match self.ranks.num_ranks() {
            1 => "it did not happen again when the step was repeated",
            _ => "not by this rank's clips, see what the other ranks say",
        };
        let culprit = culprit.unwrap_or_else(|| nowhere.to_owned());
        let error = TrainError::NotFinite { what, value, step: self.at.step, culprit, clips, folder };
        match policy {
            NonFinitePolicy::Skip { at_most } if progress.num_skipped < at_most => {
                progress.num_skipped += 1;
                tracing::warn!("{error}; skipped ({} of at most {at_most})", progress.num_skipped);
                Ok(())
            }
            _ => Err(error.into()),
        }
    }

    fn what(&self) -> (&'static str, f64) {
        if self.loss.is_finite() { ("gradient norm", self.grad_norm) } else { ("loss", self.loss) }
    }

    /// Forward and backward once more, watched.
    fn culprit<E: From<TrainError>>(
        &self,
        place: MicroBatch,
        loss: impl FnOnce() -> Result<Losses, E>,
    ) -> Result<Option<String>, E> {
        let named: Vec<_> = named(self.vs).into_iter().collect();
        let again = || {
            let losses = place.compute(loss)?;
            losses.total.f_backward().during("backward").map_err(|err| self.at.failed(err))?;
            Ok::<_, E>(())
        };
        let watched = torch_ext::first_non_finite(&named, || catch("forward", again));
        let (outcome, found) = watched.map_err(|err| self.at.failed(err.into()))?;
        outcome.map_err(|caught| self.at.caught(caught))??;
        Ok(found.map(|found: NonFinite| found.to_string()))
    }

    /// Writes the micro-batch and what is known of it into the run folder.
    fn save(&self, culprit: Option<&str>, evidence: &Evidence) -> Result<PathBuf, TrainError> {
        let folder =
            self.run.root().join("trouble").join(format!("step_{:09}_rank_{}", self.at.step, self.ranks.rank()));
        fs::create_dir_all(&folder).map_err(|source| TrainError::Io {
            doing: "create",
            path: folder.clone(),
            source,
        })?;
        let (what, value) = self.what();
        let value = value.to_string();
        let record = Record { step: self.at.step, what, value, culprit, clips: &evidence.clips };
        let text = serde_json::to_string_pretty(&record).expect("strings and numbers");
        atomic::write(&folder.join("trouble.json"), &text)?;
        save_batch(&folder.join("batch.safetensors"), self.run.config_toml(), &evidence.tensors)?;
        Ok(folder)
    }
}

fn save_batch(path: &Path, config_toml: &str, tensors: &NamedTensors) -> Result<(), TrainError> {
    weights::save(path, "batch", config_toml, tensors).map(drop)
}
