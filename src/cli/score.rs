//! What can be typed after `longvid eval score`, `eval submit` and `eval export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use eval::{Averaging, Missing, Protocol};

#[derive(Debug, Args)]
pub(crate) struct ScoreArgs {
    /// Scores of a test set: .npz, .safetensors, or the list of names of raw ones (PREFIX_ids.txt). May be repeated: other
    /// seeds, other data sets.
    #[arg(long, required = true, value_name = "FILE")]
    pub(crate) scores: Vec<PathBuf>,
    /// Its annotations: Diving48_V2_test.json, EPIC_100_validation.csv (the official lists beside it), or the folder of either;
    /// of `plain`, a labelled clip store. One for all scores, or one for each.
    #[arg(long, required = true, value_name = "FILE")]
    pub(crate) annotations: Vec<PathBuf>,
    /// By what it is scored: diving48-v2, epic100 or plain. One for all scores, or one for each.
    #[arg(long, required = true, value_name = "NAME")]
    pub(crate) protocol: Vec<Protocol>,
    /// What annotated clips without scores are.
    #[arg(long, value_enum, default_value_t = MissingArg::Refused)]
    pub(crate) missing: MissingArg,
    /// Clip store of the test set: the worst errors are drawn from it. One for all scores, or one for each.
    #[arg(long, value_name = "CLIPS")]
    pub(crate) clips: Vec<PathBuf>,
    /// Folder for the results (default: that of the first scores).
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// Print the results as JSON instead of the table.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MissingArg {
    /// An error that names them.
    Refused,
    /// Answered wrongly; the evaluation is called partial.
    Wrong,
    /// Not there, as if they were not annotated; the evaluation is called partial.
    LeftOut,
}

impl MissingArg {
    pub(crate) fn missing(self) -> Missing {
        match self {
            MissingArg::Refused => Missing::Refused,
            MissingArg::Wrong => Missing::Wrong,
            MissingArg::LeftOut => Missing::LeftOut,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    /// Scores of the test segments in the label spaces verb and noun.
    #[arg(long, value_name = "FILE")]
    pub(crate) scores: PathBuf,
    /// The segments that need scores: EPIC_100_test_timestamps.csv, or its folder.
    #[arg(long, value_name = "FILE")]
    pub(crate) annotations: PathBuf,
    /// How views are averaged, where the scores hold several.
    #[arg(long, value_enum, default_value_t = AveragingArg::Probabilities)]
    pub(crate) average: AveragingArg,
    /// Supervision level, pre-training: 0 none to 5, as the challenge defines them.
    #[arg(long, value_name = "0..5", value_parser = clap::value_parser!(u8).range(0..=5))]
    pub(crate) sls_pt: u8,
    /// Supervision level, training labels.
    #[arg(long, value_name = "0..5", value_parser = clap::value_parser!(u8).range(0..=5))]
    pub(crate) sls_tl: u8,
    /// Supervision level, training data.
    #[arg(long, value_name = "0..5", value_parser = clap::value_parser!(u8).range(0..=5))]
    pub(crate) sls_td: u8,
    /// The .zip to write.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AveragingArg {
    /// Mean of the softmax.
    Probabilities,
    /// Mean of the logits.
    Logits,
}

impl AveragingArg {
    pub(crate) fn averaging(self) -> Averaging {
        match self {
            AveragingArg::Probabilities => Averaging::Probabilities,
            AveragingArg::Logits => Averaging::Logits,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct EvalExportArgs {
    /// Scores: .npz, .safetensors, or the list of names of raw ones (PREFIX_ids.txt).
    #[arg(long, value_name = "FILE")]
    pub(crate) scores: PathBuf,
    /// File to write: .npz or .safetensors.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}
