use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{CheckArgs, ImportCommand, SynthCommand};

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
    /// Put stores together into a new one: the shards of an import, several sets of clips, or the shards of an encoding.
    Merge(MergeArgs),
    /// Add the videos of other clip stores to one.
    Append(AppendArgs),
    /// Write a clip store's frames and tables as plain files, or a token store's arrays as one .npz.
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
    /// Clip stores of the same options and classes, or token stores that are shards; shards in any order.
    #[arg(required = true)]
    pub(crate) stores: Vec<PathBuf>,
    /// Store to write.
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
    /// A clip store, or with --npz a token store.
    pub(crate) store: PathBuf,
    #[command(flatten)]
    pub(crate) to: ExportTo,
    /// Frames of these videos only (names as `data info` shows them, comma separated).
    #[arg(long, value_delimiter = ',', conflicts_with = "npz")]
    pub(crate) videos: Option<Vec<String>>,
    /// Also the values that the codes stand for, f32: as many bytes as the codes, times the values per code.
    #[arg(long, requires = "npz")]
    pub(crate) values: bool,
    /// Clip store that the tokens were made from: its labels are written, too.
    #[arg(long, requires = "npz")]
    pub(crate) clips: Option<PathBuf>,
}

/// Where an export goes: exactly one of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ExportTo {
    /// New folder for a clip store's frames and tables.
    #[arg(long)]
    pub(crate) to: Option<PathBuf>,
    /// New file for a token store's arrays, which numpy.load reads.
    #[arg(long)]
    pub(crate) npz: Option<PathBuf>,
}
