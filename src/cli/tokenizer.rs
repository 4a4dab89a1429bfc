use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct TokenizerEvalArgs {
    /// A tokenizer's run folder, or its `tokenizer.safetensors`.
    #[arg(long, value_name = "RUN|WEIGHTS")]
    pub(crate) tokenizer: PathBuf,
    /// Clip store, of clips that the tokenizer was not trained on. The first clip of each segment is measured.
    #[arg(long)]
    pub(crate) clips: PathBuf,
    /// Shares of the tokens kept, of those after each window's first latent frame, which is always kept.
    #[arg(long, value_delimiter = ',', default_value = "0.05,0.1,0.15,0.3,0.5,1.0")]
    pub(crate) kept: Vec<f64>,
    /// How often tokens are chosen at random.
    #[arg(long, default_value_t = 3)]
    pub(crate) seeds: u64,
    /// At most so many segments, spread over the store.
    #[arg(long)]
    pub(crate) limit: Option<usize>,
    /// Masks that `data synth dives --masks` wrote: also tell how well the priorities find the diver.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) masks: Option<PathBuf>,
    /// A token shows the diver when the mask covers at least this share of its cube.
    #[arg(long, default_value_t = 0.1, value_name = "SHARE")]
    pub(crate) mask_from: f64,
    /// A token does not show the diver when the mask covers at most this share; those between count for nothing.
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    pub(crate) mask_below: f64,
    /// An I3D as TorchScript with StyleGAN-V's calling convention (`i3d_torchscript.pt`): also give the Frechet video
    /// distance.
    #[arg(long, value_name = "FILE")]
    pub(crate) i3d: Option<PathBuf>,
    /// Print the results as JSON instead of tables.
    #[arg(long)]
    pub(crate) json: bool,
    /// Folder for `tokenizer_eval.json` and `tokenizer_eval.svg` (default: the tokenizer's own, where `report` finds
    /// them).
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
}
