use std::path::PathBuf;

use clap::Args;

use super::LimitArgs;

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Folders of videos and clip stores (.h5): training and test data together.
    #[arg(required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// Preset whose `[clip]` the segments of clip stores are read by.
    #[arg(long, default_value = "lvmae-b-128f")]
    pub(crate) preset: String,
    /// Change one setting: `--set clip.num_frames=32`. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) sets: Vec<String>,
    /// Write every verdict into this CSV.
    #[arg(long)]
    pub(crate) manifest: Option<PathBuf>,
    /// Compare with the manifest of an earlier check.
    #[arg(long, value_name = "OLD.csv")]
    pub(crate) against: Option<PathBuf>,
    /// Rejected files, too, end with exit code 1.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}
