use tch::Tensor;

/// What one training step minimises, and the parts worth logging.
#[derive(Debug)]
pub struct Losses {
    /// The scalar whose gradient is taken.
    pub total: Tensor,
    /// Named scalars for the log, detached: parts of the loss and gauges. Names are keys of `metrics.jsonl`.
    pub terms: Vec<(&'static str, Tensor)>,
    /// The encoder's tokens of this batch, detached, `[B, N, D]`: those of the clip's tokens that it saw. For gauges of
    /// collapse; `None` where nothing is encoded that a probe would read (the tokenizer).
    pub features: Option<Tensor>,
    /// The codes of this batch, where there is a codebook: counted over micro-batches and ranks for gauges of its use.
    pub codes: Option<Codes>,
}

/// Codes and the codebook that they are of.
#[derive(Debug)]
pub struct Codes {
    /// int64 in `0..codebook_size`, any shape.
    pub codes: Tensor,
    /// Number of codes K.
    pub codebook_size: i64,
}
