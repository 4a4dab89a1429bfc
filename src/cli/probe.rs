use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::labelled::RareClasses;

#[derive(Debug, Args)]
pub(crate) struct ProbeArgs {
    /// A run folder, or its `encoder.safetensors`.
    #[arg(long)]
    pub(crate) encoder: PathBuf,
    /// Labelled clip store to fit the probe to.
    #[arg(long)]
    pub(crate) train_clips: PathBuf,
    /// Labelled clip store of other groups to test on.
    #[arg(long)]
    pub(crate) test_clips: PathBuf,
    /// What to predict, where the stores have several label spaces (`verb`, `noun`).
    #[arg(long, value_name = "NAME")]
    pub(crate) labels: Option<String>,
    /// What becomes of a class with one training clip.
    #[arg(long, value_enum, default_value_t = RareClasses::Refuse)]
    pub(crate) rare_classes: RareClasses,
    /// Clips and crops per segment, whose features are averaged: 2x3 is two clips of three crops each, slide64x1 a clip every
    /// 64 frames.
    #[arg(long, value_name = "CLIPSxCROPS", default_value_t = video::Views::SINGLE)]
    pub(crate) views: video::Views,
    /// Seed of the random encoder beside it, of what is held out, of a probe's first weights, and of the intervals.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// So many seeds from that one on, for the spread: a row for each encoder and seed.
    #[arg(long, default_value_t = 1)]
    pub(crate) seeds: u64,
    /// Write what the probe reads of the trained encoder, too: a new file in .npz or .safetensors.
    #[arg(long, value_name = "FILE")]
    pub(crate) export: Option<PathBuf>,
    /// See clips otherwise than in pre-training, `--set clip.num_frames=64`: position codes are resampled. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) sets: Vec<String>,
    /// File for the results (default: `eval_<probe>.json` beside the encoder).
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
}

/// A probe of one vector per clip.
#[derive(Debug, Args)]
pub(crate) struct PooledArgs {
    #[command(flatten)]
    pub(crate) probe: ProbeArgs,
    /// How tokens become one vector per clip.
    #[arg(long, value_enum, default_value_t = PoolArg::Time8)]
    pub(crate) pool: PoolArg,
}

#[derive(Debug, Args)]
pub(crate) struct LinearArgs {
    #[command(flatten)]
    pub(crate) pooled: PooledArgs,
    /// How the classifier is fitted.
    #[arg(long, value_enum, default_value_t = FitArg::Ridge)]
    pub(crate) fit: FitArg,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum FitArg {
    /// Ridge regression in closed form, its penalty chosen by cross-validation on training clips.
    Ridge,
    /// Gradient descent on the cross-entropy, by eight learning rates at once of which held-out training clips choose one.
    Sgd,
}

#[derive(Debug, Args)]
pub(crate) struct AttentiveArgs {
    #[command(flatten)]
    pub(crate) probe: ProbeArgs,
    /// Blocks: 1 is the query alone (V-JEPA), 4 is V-JEPA 2's.
    #[arg(long, default_value_t = 1)]
    pub(crate) depth: i64,
    /// Attention heads, a divisor of the encoder's width (default: the encoder's own).
    #[arg(long)]
    pub(crate) heads: Option<i64>,
    /// Passes over the training clips.
    #[arg(long, default_value_t = 20)]
    pub(crate) epochs: u64,
    /// Learning rates, of which held-out training clips choose one.
    #[arg(long, value_delimiter = ',', default_value = "1e-4,3e-4,1e-3,3e-3")]
    pub(crate) rates: Vec<f64>,
    /// What is read: held in memory for all clips.
    #[arg(long, value_enum, default_value_t = TokensArg::Frames)]
    pub(crate) tokens: TokensArg,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum TokensArg {
    /// The mean of the tokens of each latent frame: 64 vectors of a clip of 128 frames.
    Frames,
    /// All tokens, as V-JEPA does: of a clip of 128 frames of 224 x 224 pixels, 37 MiB with ViT-B.
    All,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum PoolArg {
    /// Mean over all tokens.
    Mean,
    /// Means over eight equal spans of time, one after the other: keeps the order of events.
    Time8,
}

/// A probe on a schedule, beside pre-training.
#[derive(Debug, Args)]
pub(crate) struct ProbingArgs {
    /// Probe the encoder after each so many steps, and after the last; training goes on as it would without. The accuracy
    /// goes to `metrics.jsonl`. Of several ranks the first one probes, and the others wait no longer than
    /// LONGVID_DIST_TIMEOUT.
    #[arg(long, value_name = "STEPS", requires_all = ["probe_train_clips", "probe_test_clips"])]
    pub(crate) probe_every: Option<NonZeroU64>,
    /// The probe.
    #[arg(long, value_enum, default_value_t = ScheduledProbe::Knn)]
    pub(crate) probe: ScheduledProbe,
    /// Labelled clip store to fit it to.
    #[arg(long, value_name = "CLIPS", requires = "probe_every")]
    pub(crate) probe_train_clips: Option<PathBuf>,
    /// Labelled clip store of other groups to test on.
    #[arg(long, value_name = "CLIPS", requires = "probe_every")]
    pub(crate) probe_test_clips: Option<PathBuf>,
    /// What it predicts, where the stores have several label spaces.
    #[arg(long, value_name = "NAME", requires = "probe_every")]
    pub(crate) probe_labels: Option<String>,
}

/// Probes that are quick enough for a schedule.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ScheduledProbe {
    /// Nearest neighbours: `knn_accuracy`.
    Knn,
    /// Ridge regression: `linear_accuracy`.
    Linear,
}
