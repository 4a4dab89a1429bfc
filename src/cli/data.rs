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
