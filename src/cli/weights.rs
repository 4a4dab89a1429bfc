use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(crate) enum WeightsCommand {
    /// Weights of VideoMAE or VideoMAE V2 (transformers' names or those of the published code) into longvid's.
    Import(WeightsImportArgs),
    /// Weights into a folder that transformers' VideoMAE loads.
    Export(WeightsExportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct WeightsImportArgs {
    /// Folder with model.safetensors and config.json; or a safetensors file, whose config.json is read where one lies beside it.
    #[arg(long)]
    pub(crate) from: PathBuf,
    /// File to write.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// What to take of it.
    #[arg(long, value_enum, default_value_t = PartArg::Encoder)]
    pub(crate) part: PartArg,
    /// Change a setting that neither the weights' shapes nor config.json tell: `--set clip.num_frames=32`. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) sets: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PartArg {
    /// The encoder: for `eval`, and for `pretrain --init`.
    Encoder,
    /// With decoder and head: for `pretrain --init`.
    Model,
}

#[derive(Debug, Args)]
pub(crate) struct WeightsExportArgs {
    /// `encoder.safetensors`, whose encoder is exported; or a run folder or a checkpoint, of which the whole model is.
    #[arg(long)]
    pub(crate) from: PathBuf,
    /// New folder for config.json and model.safetensors.
    #[arg(long)]
    pub(crate) to: PathBuf,
    /// Also write sample.safetensors: a clip of noise and what the weights make of it here, to compare with.
    #[arg(long)]
    pub(crate) sample: bool,
}
