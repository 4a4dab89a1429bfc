use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

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
