use tch::Tensor;

/// What one training step minimises, and the parts worth logging.
#[derive(Debug)]
pub struct Losses {
    /// The scalar whose gradient is taken.
    pub total: Tensor,
    /// Named scalars for the log, detached: parts of the loss and gauges. Names are keys of `metrics.jsonl`.
    pub terms: Vec<(&'static str, Tensor)>,
}
