use std::path::PathBuf;

use clap::Args;

use super::RunArgs;

#[derive(Debug, Args)]
pub(crate) struct FinetuneArgs {
    /// Name of a built-in fine-tuning preset, or a TOML file.
    #[arg(long)]
    pub(crate) preset: String,
    /// Change one setting: `--set train.steps=50`. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) sets: Vec<String>,
    #[command(flatten)]
    pub(crate) start: StartArgs,
    /// Labelled clip store to learn from.
    #[arg(long)]
    pub(crate) train_clips: PathBuf,
    /// Labelled clip store of other groups, looked at once, when training has ended.
    #[arg(long)]
    pub(crate) test_clips: PathBuf,
    /// Run folder: classifier, results, scores of the test clips, checkpoints, metrics.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Clips and crops per test segment, which are averaged: 2x3 is two clips of three crops each, slide64x1 a clip every 64
    /// frames.
    #[arg(long, value_name = "CLIPSxCROPS", default_value_t = video::Views::SINGLE)]
    pub(crate) views: video::Views,
    /// Go on from the last checkpoint in the run folder; of a finished run, test again.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Print the resolved preset and what it means, and stop.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// What the encoder begins with.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct StartArgs {
    /// Pre-trained weights: a run folder, its `encoder.safetensors`, or what `weights import` wrote.
    #[arg(long, value_name = "RUN|WEIGHTS")]
    pub(crate) encoder: Option<PathBuf>,
    /// Random weights in the preset's shape: what pre-training is compared with.
    #[arg(long)]
    pub(crate) from_scratch: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Run folder of a fine-tuning, or its `classifier.safetensors`.
    #[arg(long, value_name = "RUN|WEIGHTS")]
    pub(crate) classifier: PathBuf,
    /// Labelled clip store of the same classes.
    #[arg(long)]
    pub(crate) test_clips: PathBuf,
    /// Clips and crops per segment, which are averaged: 2x3 is two clips of three crops each.
    #[arg(long, value_name = "CLIPSxCROPS", default_value_t = video::Views::SINGLE)]
    pub(crate) views: video::Views,
    /// File for the results.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// New file for the scores of every clip and view, .npz or .safetensors, as `eval score` reads them.
    #[arg(long, value_name = "FILE")]
    pub(crate) scores: Option<PathBuf>,
}

impl RunArgs {
    /// What fine-tuning has in common with other training commands.
    pub(crate) fn of_finetuning(args: &FinetuneArgs) -> Self {
        RunArgs {
            preset: args.preset.clone(),
            sets: args.sets.clone(),
            clips: args.train_clips.clone(),
            out: args.out.clone(),
            resume: args.resume,
            dry_run: args.dry_run,
        }
    }
}
