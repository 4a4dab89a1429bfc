//! The state of a run on disk: all variables of the model, their averages, the optimizer's moments, and how far it came.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::named::copy_all;
use crate::tensor_file::{self, Label, TensorFile};
use crate::{NamedTensors, RunDir, StepLog, TrainError, atomic, settings};

mod writer;

pub(crate) use writer::CheckpointWriter;

const KIND: &str = "checkpoint";
const BEST: &str = "best.safetensors";

/// How far a run has come. With weights and moments it is all that a run needs to go on: what is random and which clips
/// come next follow from the step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Progress {
    /// Steps done.
    pub(crate) step: u64,
    /// Sum of the losses since the last scheduled checkpoint.
    pub(crate) loss_sum: f64,
    /// How many losses are in that sum.
    pub(crate) num_losses: u64,
    /// Steps whose loss or gradient was not finite and that were skipped.
    pub(crate) num_skipped: u64,
}

impl Progress {
    /// Mean loss since the last scheduled checkpoint; infinite where there is none, so that it is never the best.
    pub(crate) fn mean_loss(&self) -> f64 {
        if self.num_losses == 0 { f64::INFINITY } else { self.loss_sum / self.num_losses as f64 }
    }

    /// Takes a step in.
    ///
    /// * `loss` - its loss; `None` when it was skipped
    pub(crate) fn add(&mut self, step: u64, loss: Option<f64>) {
        self.step = step;
        if let Some(loss) = loss {
            self.loss_sum += loss;
            self.num_losses += 1;
        }
    }

    /// The line of metrics of the step just taken in, with what is known here.
    pub(crate) fn log(&self, loss: f64) -> StepLog {
        StepLog { step: self.step, loss, skipped: self.num_skipped, ..StepLog::default() }
    }

    /// Begins a new mean, after a scheduled checkpoint.
    pub(crate) fn start_anew(&mut self) {
        (self.loss_sum, self.num_losses) = (0.0, 0);
    }

    // Rust writes the shortest digits that read back as the same number.
    fn to_notes(self) -> BTreeMap<String, String> {
        let note = |key: &str, value: String| (key.to_owned(), value);
        BTreeMap::from([
            note("step", self.step.to_string()),
            note("loss_sum", self.loss_sum.to_string()),
            note("num_losses", self.num_losses.to_string()),
            note("num_skipped", self.num_skipped.to_string()),
        ])
    }

    fn from_notes(notes: &BTreeMap<String, String>) -> Option<Self> {
        fn read<T: std::str::FromStr>(notes: &BTreeMap<String, String>, key: &str) -> Option<T> {
            notes.get(key)?.parse().ok()
        }
        Some(Progress {
            step: read(notes, "step")?,
            loss_sum: read(notes, "loss_sum")?,
            num_losses: read(notes, "num_losses")?,
            num_skipped: read(notes, "num_skipped")?,
        })
    }
}

/// The checkpoints of one run.
///
/// ```text
/// checkpoints/step_000000100.safetensors  checkpoints/step_000000200.safetensors  checkpoints/best.safetensors
/// ```
///
/// The best is the scheduled one with the lowest mean loss over the steps since the scheduled one before it.
#[derive(Clone, Debug)]
pub(crate) struct Checkpoints {
    folder: PathBuf,
    config_toml: String,
    /// How many of the last ones are kept.
    keep: usize,
}

impl Checkpoints {
    pub(crate) fn of(run: &RunDir, keep: usize) -> Self {
        Checkpoints { folder: run.checkpoints(), config_toml: run.config_toml().to_owned(), keep }
    }

    /// Sets the state to that of the last checkpoint; the start, and nothing set, when there is none.
    ///
    /// A damaged checkpoint is renamed to `*.damaged`, with a warning, and the one before it takes its place: the run
    /// repeats some steps and arrives at the same weights.
    ///
    /// # Errors
    /// [`TrainError::NoCheckpointLeft`] when all are damaged. [`TrainError::NewerVersion`], [`TrainError::OtherConfig`],
    /// [`TrainError::MissingVariable`], [`TrainError::VariableShape`], [`TrainError::ExtraVariables`] for a checkpoint of
    /// another program, run or model; within [`TrainError::CheckpointRefused`] where an older one would do.
    pub(crate) fn load(&self, state: &NamedTensors) -> Result<Progress, TrainError> {
        let paths = self.newest_first()?;
        let mut damaged = Vec::new();
        for (i, path) in paths.iter().enumerate() {
            match tensor_file::read(path, KIND) {
                Err(err) if is_damage(&err) => {
                    tracing::warn!("{err}; looking for the checkpoint before it");
                    damaged.push((path, err));
                }
                read => {
                    let taken = read.and_then(|file| self.take(path, &file, state));
                    let progress = taken.map_err(|err| self.offer(path, &paths[i + 1..], err))?;
                    if !damaged.is_empty() {
                        self.set_aside(damaged.into_iter().map(|(path, _)| path.clone()).collect())?;
                    }
                    tracing::info!(step = progress.step, "resumed from a checkpoint");
                    return Ok(progress);
                }
            }
        }
        match damaged.into_iter().next() {
            None => Ok(Progress::default()),
            Some((_, source)) => {
                Err(TrainError::NoCheckpointLeft { folder: self.folder.clone(), source: Box::new(source) })
            }
        }
    }

    /// Renames damaged checkpoints, and the best one with them where it is damaged too: it is a second name of one of the
    /// others, and would stand in the way of a whole one that is as good.
    fn set_aside(&self, mut damaged: Vec<PathBuf>) -> Result<(), TrainError> {
        let best = self.folder.join(BEST);
        if tensor_file::read(&best, KIND).is_err_and(|err| is_damage(&err)) {
            damaged.push(best);
        }
        damaged.iter().try_for_each(|path| atomic::rename(path, &path.with_extension("damaged")))
    }

    fn take(&self, path: &Path, file: &TensorFile, state: &NamedTensors) -> Result<Progress, TrainError> {
        let path = path.to_owned();
        let there = settings::settings("of the checkpoint", &file.label.config_toml)?;
        let here = settings::settings("of this run", &self.config_toml)?;
        if settings::hash(&there) != settings::hash(&here) {
            return Err(TrainError::OtherConfig { path, differences: settings::differences(&there, &here) });
        }
        let progress = Progress::from_notes(&file.label.notes).ok_or(TrainError::Foreign { path })?;
        copy_all(&file.tensors, state)?;
        Ok(progress)
    }

    /// The refusal of a checkpoint, with the first of the older ones that is whole and fits.
    fn offer(&self, path: &Path, older: &[PathBuf], source: TrainError) -> TrainError {
        let fits = |path: &&PathBuf| {
            let Ok(file) = tensor_file::read(path, KIND) else { return false };
            let hash = |text: &str| settings::settings("", text).map(|settings| settings::hash(&settings)).ok();
            hash(&file.label.config_toml) == hash(&self.config_toml)
        };
        match older.iter().find(fits) {
            None => source,
            Some(offered) => TrainError::CheckpointRefused {
                path: path.to_owned(),
                offered: offered.clone(),
                source: Box::new(source),
            },
        }
    }

    /// The last checkpoints, then the best one.
    fn newest_first(&self) -> Result<Vec<PathBuf>, TrainError> {
        let mut steps = self.steps()?;
        steps.reverse();
        let mut paths: Vec<PathBuf> = steps.into_iter().map(|step| self.path(step)).collect();
        paths.extend(Some(self.folder.join(BEST)).filter(|best| best.exists()));
        Ok(paths)
    }

    /// Steps that have a checkpoint, ascending.
    fn steps(&self) -> Result<Vec<u64>, TrainError> {
        let step = |name: &String| name.strip_prefix("step_")?.strip_suffix(".safetensors")?.parse::<u64>().ok();
        let mut steps: Vec<u64> = self.names()?.iter().filter_map(step).collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// All files of the folder.
    fn names(&self) -> Result<Vec<String>, TrainError> {
        let failed = |source| TrainError::Io { doing: "read", path: self.folder.clone(), source };
        let entries = fs::read_dir(&self.folder).map_err(failed)?;
        entries.map(|entry| Ok(entry.map_err(failed)?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn path(&self, step: u64) -> PathBuf {
        self.folder.join(format!("step_{step:09}.safetensors"))
    }

    fn label(&self, progress: Progress) -> Label {
        Label { kind: KIND.to_owned(), config_toml: self.config_toml.clone(), notes: progress.to_notes() }
    }

    /// Makes the checkpoint of `progress` the best one if its mean loss is the lowest so far.
    pub(crate) fn rank(&self, progress: Progress) -> Result<(), TrainError> {
        let best = self.folder.join(BEST);
        let lowest = tensor_file::peek(&best)
            .and_then(|label| Progress::from_notes(&label.notes))
            .map_or(f64::INFINITY, |best| best.mean_loss());
        if progress.mean_loss() >= lowest {
            return Ok(());
        }
        let (from, temporary) = (self.path(progress.step), self.folder.join("best.safetensors.tmp"));
        // What a kill left there.
        fs::remove_file(&temporary).ok();
        // A second name costs no space; a file system without hard links gets a copy.
        fs::hard_link(&from, &temporary)
            .or_else(|_| fs::copy(&from, &temporary).map(drop))
            .map_err(|source| TrainError::write(&temporary, source))?;
        atomic::rename(&temporary, &best)
    }

    /// Removes what a kill left: files half written, and a checkpoint that was to give way to the last.
    pub(crate) fn tidy(&self) -> Result<(), TrainError> {
        for name in self.names()?.iter().filter(|name| name.ends_with(".tmp")) {
            let path = self.folder.join(name);
            fs::remove_file(&path).map_err(|source| TrainError::Io { doing: "remove", path, source })?;
        }
        self.prune()
    }

    /// Removes all but the last ones.
    fn prune(&self) -> Result<(), TrainError> {
        let steps = self.steps()?;
        for step in &steps[..steps.len().saturating_sub(self.keep)] {
            let path = self.path(*step);
            fs::remove_file(&path).map_err(|source| TrainError::Io { doing: "remove", path, source })?;
        }
        Ok(())
    }
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
