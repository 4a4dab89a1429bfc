//! What can be typed. Types only: what a command does stands in `cmd`.

mod bench;
mod check;
mod data;
mod finetune;
mod import;
mod launch;
mod plan;
mod probe;
mod score;
mod study;
mod synth;
mod tokenizer;
mod weights;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use self::bench::{
    AttentionArg, BenchCommand, BenchLoaderArgs, BenchMemoryArgs, BenchModelArgs, BenchStepArgs, MaskArg,
    MemoryPointArgs, RecomputeArg, SizeArg,
};
pub(crate) use self::check::CheckArgs;
pub(crate) use self::data::{AppendArgs, DataCommand, ExportArgs, ExportTo, InfoArgs, MergeArgs, VerifyArgs};
pub(crate) use self::finetune::{FinetuneArgs, TestArgs};
pub(crate) use self::import::{ImportArgs, ImportCommand, LimitArgs};
pub(crate) use self::launch::LaunchArgs;
pub(crate) use self::plan::PlanArgs;
pub(crate) use self::probe::{
    AttentiveArgs, FitArg, LinearArgs, PoolArg, PooledArgs, ProbeArgs, ProbingArgs, ScheduledProbe, TokensArg,
};
pub(crate) use self::score::{EvalExportArgs, ScoreArgs, SubmitArgs};
pub(crate) use self::study::{StudyArgs, StudyCommand, StudyDataArg};
pub(crate) use self::synth::{CameraArg, DivesArgs, KitchensArgs, PlaceArg, SynthCommand};
pub(crate) use self::tokenizer::TokenizerEvalArgs;
pub(crate) use self::weights::{PartArg, WeightsCommand, WeightsExportArgs, WeightsImportArgs};

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
    /// CPU threads for tensor work (default: OMP_NUM_THREADS, else all cores).
    #[arg(long, global = true)]
    pub(crate) threads: Option<u16>,
    /// Most that tensors may take of the CPU's memory, GiB; more fails with advice (default: 95 % of what is available at
    /// the start).
    #[arg(long, global = true, value_name = "GIB")]
    pub(crate) memory_gib: Option<f64>,
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
    /// How much memory a pre-training run will take, by part, what would fit, and what would save most.
    Plan(PlanArgs),
    /// A training command as several processes of this machine, which share its work.
    Launch(LaunchArgs),
    /// Measure an encoder, frozen or fine-tuned.
    #[command(subcommand)]
    Eval(EvalCommand),
    /// Exchange weights with other programs.
    #[command(subcommand)]
    Weights(WeightsCommand),
    /// Measure memory and time.
    #[command(subcommand)]
    Bench(BenchCommand),
    /// The papers' comparisons at a size that two cores carry, several seeds each.
    #[command(subcommand)]
    Study(StudyCommand),
    /// One self-contained HTML page about runs, or what differed between two of them.
    Report(ReportArgs),
    /// The whole path on synthetic dives, or on your own videos, in minutes.
    Demo(DemoArgs),
}

impl Command {
    /// Whether the command shares its work with other ranks.
    pub(crate) fn trains(&self) -> bool {
        matches!(
            self,
            Command::Tokenizer(TokenizerCommand::Train(_))
                | Command::Pretrain(_)
                | Command::Eval(EvalCommand::Finetune(_))
        )
    }
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
    /// How well clips are drawn from few of their tokens, chosen by the priorities or otherwise.
    Eval(TokenizerEvalArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TokenizerTrainArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TokenizerEncodeArgs {
    /// A tokenizer's run folder, or its `tokenizer.safetensors`.
    #[arg(long, value_name = "RUN|WEIGHTS")]
    pub(crate) tokenizer: PathBuf,
    /// Clip store to encode.
    #[arg(long)]
    pub(crate) clips: PathBuf,
    /// Token store to write.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Encode a part of the segments, so that several machines share the work: 2/8 is the second of eight. `data merge`
    /// puts the parts together.
    #[arg(long, default_value_t = video::Shard::WHOLE, value_name = "PART/PARTS")]
    pub(crate) shard: video::Shard,
    /// Token store of the same tokenizer, of an earlier version of the clip store or of a part of it: its tokens are copied
    /// and only the other segments encoded. May be repeated.
    #[arg(long, value_name = "TOKENS")]
    pub(crate) from: Vec<PathBuf>,
    /// Print what was done, and how fast, as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Side of the square that is encoded, pixels (default: the tokenizer's own). Clips of a smaller side can then be
    /// cut from it at random, in whole tokens.
    #[arg(long)]
    pub(crate) size_px: Option<i64>,
    /// Frames of the clips in pre-training (default: the tokenizer's own): timelines are sampled and filled up for them.
    #[arg(long)]
    pub(crate) num_frames: Option<i64>,
}

#[derive(Debug, Args)]
pub(crate) struct TokenizerReconstructArgs {
    /// A tokenizer's run folder, or its `tokenizer.safetensors`.
    #[arg(long, value_name = "RUN|WEIGHTS")]
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
    /// Token store of the same clips: codes as targets, and priorities for adaptive masks.
    #[arg(long)]
    pub(crate) tokens: Option<PathBuf>,
    /// Make both of every clip instead, by this tokenizer (its run folder, or its `tokenizer.safetensors`): any augmentation is
    /// allowed then, and latents can be the target.
    #[arg(long, conflicts_with = "tokens", value_name = "RUN|WEIGHTS")]
    pub(crate) tokenizer: Option<PathBuf>,
    /// Weights to begin with instead of random ones: a run folder, its `encoder.safetensors`, or what `weights import` wrote.
    #[arg(long, value_name = "RUN|WEIGHTS")]
    pub(crate) init: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) probing: ProbingArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EvalCommand {
    /// Nearest neighbours on frozen features: nothing is trained.
    Knn(PooledArgs),
    /// A linear classifier on frozen features.
    Linear(LinearArgs),
    /// A learned query's attention on a frozen encoder's tokens, and a linear classifier on what it brings back.
    Attentive(AttentiveArgs),
    /// Train an encoder and classifiers on it together, from pre-trained weights or from scratch, and test them.
    Finetune(FinetuneArgs),
    /// Test a fine-tuned classifier on other clips, or from other views.
    Test(TestArgs),
    /// The official metrics of scores that a classifier gave, ours or anybody's.
    Score(ScoreArgs),
    /// The file that EPIC-KITCHENS-100's action recognition challenge takes, from scores of its test segments.
    Submit(SubmitArgs),
    /// Scores from one kind of file into another.
    Export(EvalExportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Run folders, and folders with results of `eval score`.
    #[arg(required_unless_present = "diff")]
    pub(crate) runs: Vec<PathBuf>,
    /// Print what differed between two runs instead: settings, code, libraries, hardware, data, command, and results at
    /// the last step that both logged.
    #[arg(long, num_args = 2, value_names = ["A", "B"], conflicts_with_all = ["runs", "out"])]
    pub(crate) diff: Option<Vec<PathBuf>>,
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
