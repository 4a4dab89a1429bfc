use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Peak memory of a training step against the number of frames, measured beside planned, one child process per point.
    Memory(BenchMemoryArgs),
    /// Time of a training step, and the share of the machine's matrix products that it reaches.
    Step(BenchStepArgs),
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
    /// Timed steps per point, after one that is not; their median is reported.
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
    /// Sizes of encoder and decoder (comma separated; default: the preset's).
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) sizes: Vec<SizeArg>,
    /// Which activations are kept (comma separated; default: as the preset says).
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) recompute: Vec<RecomputeArg>,
    /// How blocks mix tokens (comma separated): `eager` is what published codes do, and no setting of training.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "fused")]
    pub(crate) attention: Vec<AttentionArg>,
    /// Folder for `memory.json`, `memory.md` and `memory.svg`. Points that are in its `memory.json` already, measured with
    /// the same settings, are not measured again.
    #[arg(long)]
    pub(crate) out: PathBuf,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct MemoryPointArgs {
    #[command(flatten)]
    pub(crate) model: BenchModelArgs,
    #[arg(long)]
    pub(crate) frames: i64,
    #[arg(long, value_enum)]
    pub(crate) mask: MaskArg,
    #[arg(long, value_enum, default_value = "fused")]
    pub(crate) attention: AttentionArg,
    /// bf16 even where the device has no units for it: as much memory, more time.
    #[arg(long)]
    pub(crate) force_bf16: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BenchStepArgs {
    #[command(flatten)]
    pub(crate) model: BenchModelArgs,
    /// Frame counts (comma separated).
    #[arg(long, value_delimiter = ',', default_value = "16,128")]
    pub(crate) frames: Vec<i64>,
    /// Decoder masks (comma separated).
    #[arg(long, value_enum, value_delimiter = ',', default_value = "preset")]
    pub(crate) masks: Vec<MaskArg>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
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

/// Decoder masks at the paper's budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MaskArg {
    /// As the preset says; the only one for methods without a decoder mask.
    Preset,
    /// Every hidden token is decoded.
    None,
    /// 15 % of all tokens, at random.
    Random,
    /// 15 % of all tokens, in whole latent frames.
    Uniform,
    /// A quarter of all tokens by VideoMAE V2's running cells, visible ones among them.
    RunningCell,
    /// 10 % by optical flow and 5 % at random.
    Flow,
    /// 10 % by EVEREST's motion and 5 % at random.
    Motion,
    /// 10 % by priority and 5 % at random.
    Adaptive,
}

/// Sizes of encoder and decoder, by VideoMAE's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SizeArg {
    /// 384 wide, 12 deep; decoder 192 wide, 4 deep.
    S,
    /// 768 wide, 12 deep; decoder 384 wide, 4 deep.
    B,
    /// 1024 wide, 24 deep; decoder 512 wide, 4 deep.
    L,
}

/// Which activations are kept for the backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum RecomputeArg {
    /// All.
    None,
    /// Each block's input.
    EveryBlock,
}

/// How blocks mix tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AttentionArg {
    /// libtorch's fused kernel.
    Fused,
    /// Weights of all pairs of tokens as tensors.
    Eager,
}
