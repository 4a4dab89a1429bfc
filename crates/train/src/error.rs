use std::path::{Path, PathBuf};

use nn::NnError;
use safetensors::SafeTensorError;

/// What can go wrong while training, or with what a run keeps on disk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A setting of the `[train]` section makes no sense.
    #[error("{key} = {value} is out of range: it must be {rule}")]
    OutOfRange {
        /// The setting, in the preset's words.
        key: &'static str,
        /// What was given.
        value: String,
        /// The condition that failed, readable after "it must be".
        rule: &'static str,
    },
    /// The environment variables that place this process among the ranks are incomplete or contradict each other.
    #[error("{variable}{} {remedy}", .value.as_ref().map(|value| format!(" = {value:?}")).unwrap_or_default())]
    Launch {
        /// The variable.
        variable: &'static str,
        /// Its value; `None` where it is not set.
        value: Option<String>,
        /// What is wrong with it, and what to set.
        remedy: String,
    },
    /// The system refused to read or write, a full disk included. What was there before is still there.
    #[error("cannot {doing} {path:?}")]
    Io {
        /// Read, write, rename, ...
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// The disk is full. What was there before is still there.
    #[error(
        "the disk of {path:?} is full; make room and start again, a run with --resume: its last checkpoint is whole"
    )]
    DiskFull {
        /// The file that did not fit.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// Another process trains in this folder.
    #[error("another process is training in {path:?}; wait for it or use another --out")]
    InUse {
        /// The run folder.
        path: PathBuf,
    },
    /// A fresh start in a folder that already holds a run.
    #[error("{path:?} already holds a run; continue it with --resume or use another --out")]
    HoldsRun {
        /// The run folder.
        path: PathBuf,
    },
    /// A fresh start in a folder with files that are not a run's.
    #[error("{path:?} is not empty (it holds {entry:?}); use another --out")]
    NotEmpty {
        /// The folder.
        path: PathBuf,
        /// One of the files in it.
        entry: String,
    },
    /// `--resume` where no run was started.
    #[error("{path:?} holds no run; start it without --resume")]
    NoRun {
        /// The run folder.
        path: PathBuf,
    },
    /// The folder or checkpoint belongs to a run with other settings.
    #[error(
        "{path:?} holds a run of other settings ({differences}); --resume with the same preset, or use another --out"
    )]
    OtherConfig {
        /// The run folder or checkpoint.
        path: PathBuf,
        /// Every key that differs, with both values.
        differences: String,
    },
    /// A resumed run was begun with other data.
    #[error(
        "{path:?} was begun with other {data}: {found} there, {wanted} here; give the same stores to go on, or another --out to start afresh"
    )]
    OtherData {
        /// The run folder.
        path: PathBuf,
        /// What differs: "clips", "tokenizer".
        data: String,
        /// Its id in the record of the run.
        found: String,
        /// Its id now.
        wanted: String,
    },
    /// A resolved config is not TOML.
    #[error("the resolved config {origin} is not TOML")]
    ConfigText {
        /// The file it stands in, or "of this run".
        origin: String,
        /// What the parser said.
        source: toml::de::Error,
    },
    /// `run.json` is not what a run writes.
    #[error("{path:?} is damaged; restore it, or start again with another --out")]
    RunRecord {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },

    /// The file ends before what its header announces.
    #[error("{path:?} is truncated: {num_bytes} bytes are fewer than its header announces; restore or write it again")]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Its length, bytes.
        num_bytes: usize,
    },
    /// The file is of another format altogether, or its header is damaged.
    #[error("{path:?} is not a safetensors file, or its header is damaged; give the file that a run wrote")]
    NotSafetensors {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        source: SafeTensorError,
    },
    /// A file of `torch.save`, which is a program in Python's own format: it is not run here.
    #[error(
        "{path:?} is a pickle of torch.save; convert it, if you trust it, by: python -c \"import sys, torch; from \
         safetensors.torch import save_file; d = torch.load(sys.argv[1], map_location='cpu', weights_only=False); d = \
         d.get('model', d.get('module', d)); save_file({{k: v.clone().contiguous() for k, v in d.items()}}, sys.argv[2])\" \
         IN.pth OUT.safetensors"
    )]
    Pickle {
        /// The file.
        path: PathBuf,
    },
    /// A safetensors file of another program.
    #[error("{path:?} is a safetensors file, but longvid did not write it; give the file that a run wrote")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file is of a format version that this program does not know yet.
    #[error("{path:?} has format version {found}, this program reads up to {known}; update longvid")]
    NewerVersion {
        /// The file.
        path: PathBuf,
        /// The file's version.
        found: String,
        /// The newest version that can be read.
        known: u32,
    },
    /// A tokenizer where an encoder is wanted, and the like.
    #[error("{path:?} holds the weights of kind {found:?}, not {wanted:?}; give the file of that kind")]
    OtherKind {
        /// The file.
        path: PathBuf,
        /// Its kind.
        found: String,
        /// The kind that was asked for.
        wanted: String,
    },
    /// The contents do not have the checksum that was written with them.
    #[error("{path:?} is damaged: its checksum does not fit its contents; restore or write it again")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The checkpoints are damaged, all of them.
    #[error("no checkpoint in {folder:?} is readable; restore one, or start again with another --out")]
    NoCheckpointLeft {
        /// The folder of the checkpoints.
        folder: PathBuf,
        /// What is wrong with the last one.
        source: Box<TrainError>,
    },
    /// The last checkpoint is of another program, run or model, and an older one would do.
    #[error("{path:?} is refused; {offered:?} is whole and of this run: move the first away to go on from the second")]
    CheckpointRefused {
        /// The last checkpoint.
        path: PathBuf,
        /// The one that would do.
        offered: PathBuf,
        /// Why the last one is refused.
        source: Box<TrainError>,
    },
    /// A tensor's element type cannot be stored.
    #[error("tensor {name} is of type {kind}, which weight files do not hold")]
    ElementType {
        /// The tensor.
        name: String,
        /// Its element type.
        kind: String,
    },

    /// The weights lack a variable of the model.
    #[error("the weights lack the model's variable {name}: they belong to another model")]
    MissingVariable {
        /// The first variable, by name, that is missing.
        name: String,
    },
    /// The weights hold what the model does not have.
    #[error("the weights hold {count} variables that the model lacks, first {name}: they belong to another model")]
    ExtraVariables {
        /// The first of them, by name.
        name: String,
        /// How many.
        count: usize,
    },
    /// A variable has another shape in the weights than in the model.
    #[error("variable {name} has shape {found:?} in the weights, {wanted:?} in the model")]
    VariableShape {
        /// The variable.
        name: String,
        /// Its shape in the weights.
        found: Vec<i64>,
        /// Its shape in the model.
        wanted: Vec<i64>,
    },

    /// The loss or the gradient became NaN or infinite. The step was not taken; the last checkpoint is intact.
    #[error(
        "the {what} is {value} at step {step}: {culprit}; clips: {clips}; the batch is in {folder:?}. Start with a lower \
         train.learning_rate or train.clip_grad_norm, or --resume with \
         --set 'train.non_finite={{kind=\"skip\",at_most=10}}' to leave such steps out"
    )]
    NotFinite {
        /// `loss` or `gradient norm`.
        what: &'static str,
        /// Its value.
        value: f64,
        /// The step, from 1.
        step: u64,
        /// Where the first number that is not finite came from, in words.
        culprit: String,
        /// The clips of the micro-batch, comma separated.
        clips: String,
        /// Where the micro-batch was saved.
        folder: PathBuf,
    },
    /// Memory ran out in forward, backward or the optimizer.
    #[error(
        "step {step} ran out of memory: {} more were asked for while tensors held {} at the peak, {} of them for weights, \
         gradients and optimizer",
        Size(*.asked_bytes),
        Size(*.peak_bytes),
        Size(*.in_use_bytes)
    )]
    OutOfMemory {
        /// The step, from 1.
        step: u64,
        /// Bytes of the allocation that failed; `None` where libtorch did not say.
        asked_bytes: Option<i64>,
        /// The most bytes that tensors held since the last log line; `None` where nothing counts them.
        peak_bytes: Option<i64>,
        /// Bytes that tensors still held after the step was abandoned.
        in_use_bytes: Option<i64>,
        /// Where, in libtorch's words.
        source: Box<NnError>,
    },
    /// The ranks lost each other: one died, hangs, or cannot be reached.
    #[error(
        "the ranks of this run lost each other; go on with --resume from the last checkpoint, with any number of ranks"
    )]
    Ranks(#[from] torch_ext::GroupError),
    /// Any other failure of libtorch within a step.
    #[error("step {step} failed")]
    Step {
        /// The step, from 1.
        step: u64,
        /// Where, in libtorch's words.
        source: NnError,
    },
    /// Something inside the step panicked that is not libtorch: a bug of this program.
    #[error("step {step} hit a bug of this program ({said}); please report it")]
    Panicked {
        /// The step, from 1.
        step: u64,
        /// The panic's message and place.
        said: String,
    },
    /// A failure of libtorch outside a step.
    #[error(transparent)]
    Nn(#[from] NnError),
}

impl TrainError {
    /// A failure to write, with a full disk told apart.
    pub fn write(path: &Path, source: std::io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                TrainError::DiskFull { path, source }
            }
            _ => TrainError::Io { doing: "write", path, source },
        }
    }
}

/// A size for people: MiB, GiB or "an unknown amount".
struct Size(Option<i64>);

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(bytes) if bytes < 1 << 30 => write!(f, "{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
            Some(bytes) => write!(f, "{:.2} GiB", bytes as f64 / f64::from(1 << 30)),
            None => write!(f, "an unknown amount"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_out_of_memory_says_what_was_asked_for_and_what_was_in_use() {
        let source = NnError::OutOfMemory { during: "forward", source: tch::TchError::Torch(String::new()) };
        let error = TrainError::OutOfMemory {
            step: 3,
            asked_bytes: Some(1 << 28),
            peak_bytes: Some(3 << 30),
            in_use_bytes: Some(1 << 29),
            source: Box::new(source),
        };
        let want = "step 3 ran out of memory: 256.0 MiB more were asked for while tensors held 3.00 GiB at the peak, 512.0 \
                    MiB of them for weights, gradients and optimizer";
        assert_eq!(error.to_string(), want);
    }
}
