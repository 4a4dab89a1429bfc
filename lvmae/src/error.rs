/// What can go wrong in masked pre-training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LvmaeError {
    /// A share lies outside 0..1, or leaves nothing to see or to predict.
    #[error("{key} = {value} is impossible on a grid of {num_tokens} tokens: {rule}")]
    Share {
        /// The setting, in the preset's words.
        key: &'static str,
        /// What was given.
        value: f64,
        /// Tokens of the clip.
        num_tokens: i64,
        /// The condition that failed.
        rule: &'static str,
    },
    /// An adaptive mask was asked for on a clip without priorities.
    #[error(
        "decoder_mask adaptive needs one priority per token ({want}), got {got}; give the token store with --tokens"
    )]
    Priorities {
        /// Tokens of the clip.
        want: usize,
        /// Priorities that came.
        got: usize,
    },
    /// The network failed.
    #[error(transparent)]
    Nn(#[from] nn::NnError),
}
