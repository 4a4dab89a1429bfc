use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Pre-training preset: name of a built-in one, or a TOML file.
    #[arg(long)]
    pub(crate) preset: String,
    /// Change one setting: `--set clip.num_frames=256`. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) sets: Vec<String>,
    /// Clips per step, all at once (default: train.batch, in micro-batches as train.accumulate says).
    #[arg(long)]
    pub(crate) batch: Option<i64>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
