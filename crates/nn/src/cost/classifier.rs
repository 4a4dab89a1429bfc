use super::parts::NORM_ROW_BYTES;
use super::{Computing, Part, Tokens};
use crate::FinalNorm;

/// What comes out of an encoder: its last norm, where it has one, and the tokens, which are kept to be looked at.
pub fn features(norm: FinalNorm, tokens: Tokens, width: i64) -> Part {
    let features = 4 * tokens.rows() * width;
    let is_normed = norm == FinalNorm::Tokens;
    let norms_input = if is_normed { features + NORM_ROW_BYTES * tokens.rows() } else { 0 };
    let kept_bytes = features + norms_input;
    Part {
        name: "encoder's tokens",
        count: 1,
        kept_bytes,
        attention_bytes: 0,
        forward_bytes: kept_bytes,
        // The gradient that comes in, and the norm's own.
        backward_bytes: if is_normed { 2 * features } else { features },
        forward_flops: 0,
        backward_flops: 0,
        gradient_bytes: if is_normed { 4 * 2 * width } else { 0 },
    }
}

/// One vector of each clip through a norm and a linear map for each classifier, and their cross-entropies with soft targets.
///
/// * `outputs` - logits of each
pub fn classifiers(clips: i64, width: i64, outputs: &[i64], computing: Computing) -> Part {
    let (w, logits) = (computing.value_bytes(), outputs.iter().sum::<i64>());
    let weights = width * logits;
    // The norm's input and what the maps read; shares' logarithms and the targets.
    let kept_bytes = clips * ((4 + w) * width + NORM_ROW_BYTES + 2 * 4 * logits) + computing.weight_copy_bytes(weights);
    let flops = 2 * clips * weights;
    Part {
        name: "classifiers and loss",
        count: 1,
        kept_bytes,
        attention_bytes: 0,
        forward_bytes: kept_bytes + 2 * 4 * clips * logits,
        backward_bytes: 2 * 4 * clips * logits + computing.weight_grad_bytes(weights),
        forward_flops: flops,
        backward_flops: 2 * flops,
        gradient_bytes: 4 * (2 * width + weights + logits),
    }
}
