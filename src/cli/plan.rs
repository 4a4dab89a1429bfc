use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Preset of pre-training or fine-tuning: name of a built-in one, or a TOML file.
    #[arg(long)]
    pub(crate) preset: String,
    /// Change one setting: `--set clip.num_frames=256`. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) sets: Vec<String>,
    /// Clips per step, all at once (default: train.batch, in micro-batches as train.accumulate says).
    #[arg(long)]
    pub(crate) batch: Option<i64>,
    /// Logits of each classifier of a fine-tuning preset: 97,300 for verbs and nouns (default: 100 each, which is little beside
    /// an encoder).
    #[arg(long, value_delimiter = ',', value_name = "N,..", value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) classes: Vec<i64>,
    /// Rate of matrix products that training reaches on the device, 10^12 per second (`bench step` measures it): tells how long
    /// the training takes.
    #[arg(long, value_name = "TFLOP/S")]
    pub(crate) rate: Option<f64>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
