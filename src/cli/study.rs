use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(crate) enum StudyCommand {
    /// Which hidden tokens the decoder predicts, and whether codes or pixels (LVMAE's tables 1 and 4b).
    DecoderMasks(StudyArgs),
    /// How many frames of a dive a clip has: 16, 32, 64, 128 (LVMAE's table 4c).
    Frames(StudyArgs),
    /// Which tokens next-cluster prediction puts together (ARVideo's ablation).
    Clusters(StudyArgs),
    /// In which order clusters are predicted (ARVideo's ablation), and what priorities add.
    Orders(StudyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct StudyArgs {
    /// Folder for everything that is made. The same command goes on where it stopped.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Tokenizers and encoders are trained from this many seeds each.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seeds: u64,
    /// What is rendered for the study.
    #[arg(long, value_enum, default_value_t = StudyDataArg::Dives)]
    pub(crate) data: StudyDataArg,
    /// Labelled clip store to train on, instead of rendered clips.
    #[arg(long, requires = "test_clips")]
    pub(crate) train_clips: Option<PathBuf>,
    /// Labelled clip store of other groups to test on.
    #[arg(long, requires = "train_clips")]
    pub(crate) test_clips: Option<PathBuf>,
    /// Pre-training preset that the variants change (default: the study's method at tiny size).
    #[arg(long)]
    pub(crate) preset: Option<String>,
    /// One more change to it, for all variants. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) sets: Vec<String>,
    /// Tokenizer preset, of the same `[clip]`.
    #[arg(long, default_value = "tokenizer-tiny")]
    pub(crate) tokenizer_preset: String,
    /// A change to that. May be repeated.
    #[arg(long = "set-tokenizer", value_name = "KEY=VALUE")]
    pub(crate) tokenizer_sets: Vec<String>,
    /// Only these variants, by name.
    #[arg(long, value_delimiter = ',')]
    pub(crate) variants: Vec<String>,
}

/// Labelled videos of a study.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StudyDataArg {
    /// Dives with fast twists; what is asked for is their class.
    Dives,
    /// First-person kitchens; what is asked for is the verb, and given clip stores have one, too.
    Kitchens,
}
