//! What can be typed. Types only: what a command does stands in `cmd`.

mod check;
mod import;
mod synth;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use self::check::CheckArgs;
pub(crate) use self::import::{ImportArgs, ImportCommand, LimitArgs};
pub(crate) use self::synth::{DivesArgs, KitchensArgs, SynthCommand};

/// Long-video self-supervised research: train a tokenizer that also learns which tokens matter, pre-train an encoder on
/// 128-frame clips with it (LVMAE, ARVideo), measure the result.
#[derive(Debug, Parser)]
#[command(name = "longvid", version, about, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Where tensors live: `auto` takes the first GPU that answers, else the CPU.
    #[arg(long, global = true, default_value = "auto", value_name = "auto|cpu|cuda[:N]")]
    pub(crate) device: String,
    /// CPU threads for tensor work (default: all cores).
    #[arg(long, global = true)]
    pub(crate) threads: Option<u16>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// What was found on this machine, what is missing, and how to get it.
    Doctor,
    /// Make, import and look into clip stores.
    #[command(subcommand)]
    Data(DataCommand),
    /// Train a tokenizer and use it.
    #[command(subcommand)]
    Tokenizer(TokenizerCommand),
    /// Pre-train an encoder by a preset (LVMAE, ARVideo).
    Pretrain(PretrainArgs),
    /// Measure a frozen encoder.
    #[command(subcommand)]
    Eval(EvalCommand),
    /// Measure memory and time.
    #[command(subcommand)]
    Bench(BenchCommand),
    /// One self-contained HTML page about runs.
    Report(ReportArgs),
    /// The whole path on synthetic dives, or on your own videos, in minutes.
    Demo(DemoArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Render synthetic labelled videos.
    #[command(subcommand)]
    Synth(SynthCommand),
    /// Decode videos into a clip store.
    #[command(subcommand)]
    Import(ImportCommand),
    /// What is inside a clip store or a token store.
    Info(InfoArgs),
    /// Compare stores with the checksums that were written with them.
    Verify(VerifyArgs),
    /// Put clip stores together into a new one: the shards of an import, or several sets.
    Merge(MergeArgs),
    /// Add the videos of other clip stores to one.
    Append(AppendArgs),
    /// Write a clip store's frames and tables as plain files.
    Export(ExportArgs),
    /// Decode everything as training would, and look for videos that are there twice.
    ///
    /// Exit code 0: nothing wrong; 1: an overlap, a damaged store, or a difference to --against; 2: bad input.
    Check(CheckArgs),
}

#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// A clip store or a token store.
    pub(crate) store: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Clip stores and token stores.
    #[arg(required = true)]
    pub(crate) stores: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct MergeArgs {
    /// Clip stores of the same options and classes; shards in any order.
    #[arg(required = true)]
    pub(crate) stores: Vec<PathBuf>,
    /// Clip store to write.
    #[arg(long)]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct AppendArgs {
    /// Clip store to add to. It is replaced in one step, when everything is written.
    pub(crate) store: PathBuf,
    /// Clip stores to add.
    #[arg(required = true)]
    pub(crate) more: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// A clip store.
    pub(crate) store: PathBuf,
    /// New folder for frames and tables.
    #[arg(long)]
    pub(crate) to: PathBuf,
    /// Frames of these videos only (names as `data info` shows them, comma separated).
    #[arg(long, value_delimiter = ',')]
    pub(crate) videos: Option<Vec<String>>,
}

/// A preset with changes, and where the run goes.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Name of a built-in preset, or a TOML file.
    #[arg(long)]
    pub(crate) preset: String,
    /// Change one setting: `--set train.steps=50`. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) sets: Vec<String>,
    /// Clip store to train on.
    #[arg(long)]
    pub(crate) clips: PathBuf,
    /// Run folder: weights, checkpoints, metrics, pictures.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Go on from the last checkpoint in the run folder.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Print the resolved preset and what it means, and stop.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenizerCommand {
    /// Learn codes and priorities from 16-frame windows.
    Train(TokenizerTrainArgs),
    /// Write codes and priorities of a whole clip store into a token store.
    Encode(TokenizerEncodeArgs),
    /// Pictures: frames, reconstructions, priorities.
    Reconstruct(TokenizerReconstructArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TokenizerTrainArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TokenizerEncodeArgs {
    /// `tokenizer.safetensors` of a run.
    #[arg(long)]
    pub(crate) tokenizer: PathBuf,
    /// Clip store to encode.
    #[arg(long)]
    pub(crate) clips: PathBuf,
    /// Token store to write.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Side of the square that is encoded, pixels (default: the tokenizer's own). Clips of a smaller side can then be
    /// cut from it at random, in whole tokens.
    #[arg(long)]
    pub(crate) size_px: Option<i64>,
}

#[derive(Debug, Args)]
pub(crate) struct TokenizerReconstructArgs {
    /// `tokenizer.safetensors` of a run.
    #[arg(long)]
    pub(crate) tokenizer: PathBuf,
    /// Clip store.
    #[arg(long)]
    pub(crate) clips: PathBuf,
    /// Folder for the pictures.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// How many segments, spread over the store.
    #[arg(long, default_value_t = 4)]
    pub(crate) count: usize,
}

#[derive(Debug, Args)]
pub(crate) struct PretrainArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,
    /// Token store of the same clips: needed for codes as targets and for adaptive masks.
    #[arg(long)]
    pub(crate) tokens: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EvalCommand {
    /// Nearest neighbours on frozen features: nothing is trained.
    Knn(ProbeArgs),
    /// Ridge regression on frozen features.
    Linear(ProbeArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ProbeArgs {
    /// `encoder.safetensors` of a run.
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
    /// How tokens become one vector per clip.
    #[arg(long, value_enum, default_value_t = PoolArg::Time8)]
    pub(crate) pool: PoolArg,
    /// Clips and crops per segment, whose features are averaged: 2x3 is two clips of three crops each.
    #[arg(long, value_name = "CLIPSxCROPS", default_value_t = video::Views::SINGLE)]
    pub(crate) views: video::Views,
    /// Seed of the random encoder beside it and of the intervals.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// File for the results (default: `eval_<probe>.json` beside the encoder).
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum PoolArg {
    /// Mean over all tokens.
    Mean,
    /// Means over eight equal spans of time, one after the other: keeps the order of events.
    Time8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Peak memory of a training step against the number of frames, one child process per point.
    Memory(BenchMemoryArgs),
    /// How many clips per second come out of a clip store.
    Loader(BenchLoaderArgs),
    /// One point of `bench memory`, as JSON (what the children run).
    #[command(hide = true)]
    MemoryPoint(MemoryPointArgs),
}

/// Which steps are measured.
#[derive(Args, Clone, Debug)]
pub(crate) struct BenchModelArgs {
    /// Pre-training preset to measure.
    #[arg(long, default_value = "lvmae-b-128f")]
    pub(crate) preset: String,
    /// Change one setting: `--set model.encoder.depth=6`. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) sets: Vec<String>,
    /// Clips per step.
    #[arg(long, default_value_t = 1)]
    pub(crate) batch: i64,
    /// Timed steps per point, after one that is not.
    #[arg(long, default_value_t = 1)]
    pub(crate) steps: u32,
}

#[derive(Debug, Args)]
pub(crate) struct BenchMemoryArgs {
    #[command(flatten)]
    pub(crate) model: BenchModelArgs,
    /// Frame counts (comma separated).
    #[arg(long, value_delimiter = ',', default_value = "16,32,64,128")]
    pub(crate) frames: Vec<i64>,
    /// Decoder masks (comma separated).
    #[arg(long, value_enum, value_delimiter = ',', default_value = "none,adaptive")]
    pub(crate) masks: Vec<MaskArg>,
    /// Folder for `memory.json`, `memory.md` and `memory.svg`.
    #[arg(long)]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct MemoryPointArgs {
    #[command(flatten)]
    pub(crate) model: BenchModelArgs,
    #[arg(long)]
    pub(crate) frames: i64,
    #[arg(long, value_enum)]
    pub(crate) mask: MaskArg,
}

#[derive(Debug, Args)]
pub(crate) struct BenchLoaderArgs {
    /// Pre-training preset whose clips are loaded.
    #[arg(long, default_value = "lvmae-b-128f")]
    pub(crate) preset: String,
    /// Change one setting: `--set clip.num_frames=16`. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) sets: Vec<String>,
    /// Clip store to load from.
    #[arg(long)]
    pub(crate) clips: PathBuf,
    /// Token store of the same clips, loaded with them.
    #[arg(long)]
    pub(crate) tokens: Option<PathBuf>,
    /// Clips per step.
    #[arg(long, default_value_t = 4)]
    pub(crate) batch: i64,
    /// Steps per round.
    #[arg(long, default_value_t = 16)]
    pub(crate) steps: u64,
    /// How often it is measured; the first round also fills the system's file cache.
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: u16,
    /// Loading threads (default: all cores).
    #[arg(long)]
    pub(crate) workers: Option<u16>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Decoder masks with the paper's budgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MaskArg {
    /// Every hidden token is decoded.
    None,
    /// 15 % of all tokens, at random.
    Random,
    /// 10 % by priority and 5 % at random.
    Adaptive,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Run folders.
    #[arg(required = true)]
    pub(crate) runs: Vec<PathBuf>,
    /// The page.
    #[arg(short, long, default_value = "report.html")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Your own folder of videos instead of synthetic dives; with one sub-folder per class there is a probe too.
    #[arg(long)]
    pub(crate) videos: Option<PathBuf>,
    /// New folder for everything that is made.
    #[arg(long, default_value = "runs/demo")]
    pub(crate) out: PathBuf,
}
