use std::ffi::OsString;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct LaunchArgs {
    /// How many processes (ranks) share the training, each a part of every batch.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) nproc: u16,
    /// Port on which they meet (default: a free one).
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
    /// A command that trains, as it is typed without launch: `-- pretrain --preset ...`.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}
