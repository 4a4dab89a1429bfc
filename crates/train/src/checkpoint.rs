//! The state of a run on disk: all variables of the model, the optimizer's moments, and the step.

use std::path::{Path, PathBuf};

use tch::nn::VarStore;

use crate::named::copy_all;
use crate::tensor_file::{self, Label, TensorFile};
use crate::{AdamW, NamedTensors, RunDir, TrainError, atomic, named, settings};

const KIND: &str = "checkpoint";

impl RunDir {
    /// Writes the state after `step` steps. The checkpoint before it stays as `checkpoint.prev.safetensors`; while and
    /// after this fails, at least one of the two is whole.
    ///
    /// # Errors
    /// [`TrainError::Io`], a full disk included.
    pub fn save_checkpoint(&self, step: u64, vs: &VarStore, optimizer: &AdamW) -> Result<(), TrainError> {
        let config_toml = self.config_toml().to_owned();
        let label = Label { kind: KIND.to_owned(), config_toml, step: Some(step) };
        let last = self.checkpoint();
        let (staged, _) = tensor_file::stage(&last, &label, &state(vs, optimizer))?;
        if last.exists() {
            atomic::rename(&last, &self.previous_checkpoint())?;
        }
        staged.publish()
    }

    /// Sets model and optimizer to the last checkpoint and returns its step; 0, and nothing set, when the run has none.
    ///
    /// Where the last checkpoint is damaged, the one before it takes its place, with a warning: the run then repeats some
    /// steps and arrives at the same weights. The damaged file is kept as `checkpoint.damaged.safetensors`.
    ///
    /// # Errors
    /// [`TrainError::NoCheckpointLeft`] when both are damaged, and the refusal itself when there is no other one;
    /// [`TrainError::NewerVersion`], [`TrainError::OtherConfig`]; [`TrainError::MissingVariable`],
    /// [`TrainError::VariableShape`], [`TrainError::ExtraVariables`] for a checkpoint of another model.
    pub fn load_checkpoint(&self, vs: &VarStore, optimizer: &mut AdamW) -> Result<u64, TrainError> {
        let Some(file) = self.read_last()? else { return Ok(0) };
        let path = self.checkpoint();
        let there = settings::settings("of the checkpoint", &file.label.config_toml)?;
        let here = settings::settings("of this run", self.config_toml())?;
        if there != here {
            return Err(TrainError::OtherConfig { path, differences: settings::differences(&there, &here) });
        }
        let step = file.label.step.ok_or(TrainError::Foreign { path })?;
        copy_all(&file.tensors, &state(vs, optimizer))?;
        tracing::info!(step, "resumed from a checkpoint");
        Ok(step)
    }

    fn read_last(&self) -> Result<Option<TensorFile>, TrainError> {
        let (last, previous) = (self.checkpoint(), self.previous_checkpoint());
        let refused = match read_if_there(&last) {
            Ok(Some(file)) => return Ok(Some(file)),
            // A kill between the two renames of `save_checkpoint`, or before the first checkpoint.
            Ok(None) if !previous.exists() => return Ok(None),
            Ok(None) => None,
            Err(err) if is_damage(&err) && previous.exists() => Some(err),
            Err(err) => return Err(err),
        };
        let file = tensor_file::read(&previous, KIND).map_err(|source| match refused {
            Some(_) => TrainError::NoCheckpointLeft { previous: previous.clone(), source: Box::new(source) },
            None => source,
        })?;
        if let Some(err) = refused {
            tracing::warn!("{err}; going on from {previous:?}");
            atomic::rename(&last, &self.root().join("checkpoint.damaged.safetensors"))?;
        }
        // Takes the last one's place, so that the next save does not overwrite it before its successor is whole.
        atomic::rename(&previous, &last)?;
        Ok(Some(file))
    }

    fn checkpoint(&self) -> PathBuf {
        self.root().join("checkpoint.safetensors")
    }

    fn previous_checkpoint(&self) -> PathBuf {
        self.root().join("checkpoint.prev.safetensors")
    }
}

/// Everything that changes during training, by name, sharing storage.
fn state(vs: &VarStore, optimizer: &AdamW) -> NamedTensors {
    let weights = named(vs).into_iter().map(|(name, tensor)| (format!("weights.{name}"), tensor));
    weights.chain(optimizer.state()).collect()
}

fn read_if_there(path: &Path) -> Result<Option<TensorFile>, TrainError> {
    if path.exists() { tensor_file::read(path, KIND).map(Some) } else { Ok(None) }
}

/// Whether the file was right once, so that the one before it is worth trying.
fn is_damage(err: &TrainError) -> bool {
    matches!(
        err,
        TrainError::Truncated { .. }
            | TrainError::NotSafetensors { .. }
            | TrainError::Foreign { .. }
            | TrainError::Damaged { .. }
    )
}

#[cfg(test)]
mod tests;
