use super::{Computing, Part, Tokens};
use crate::{Attention, Recompute, StackConfig};

/// Who reads what in a part of a decoder: each block's queries read all of the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Queries of this part.
    pub queries: Tokens,
    /// What they read; of as many clips.
    pub memory: Tokens,
    /// Whether the part runs again in the backward pass, and then as a whole.
    pub recompute: Recompute,
}

/// All blocks of a [`crate::CrossBlock`] decoder over one part of its queries, with the mask that these share.
///
/// * `waiting_bytes` - gradients that wait while this part's backward pass runs: those of the answers of all parts, and, as
///   far as other parts came to them, of the memory and of weights
/// * the part's own `gradient_bytes` are none: which part is the last to use the weights, the caller knows
pub fn cross_blocks(cfg: &StackConfig, reading: Reading, waiting_bytes: i64, computing: Computing) -> Part {
    let Reading { queries, memory, recompute } = reading;
    let (q, m, d, w) = (queries.rows(), memory.rows(), cfg.width, computing.value_bytes());
    let mask_values = queries.per_clip * memory.per_clip;
    let pairs = queries.clips * mask_values;
    let (pairs_kept, pairs_backward) = match computing.attention {
        Attention::Fused => (4 * q * cfg.heads, 0),
        Attention::Eager => (w * q * d + w * pairs * cfg.heads, 2 * w * pairs * cfg.heads - 9 * w * q * d),
    };
    // Rows that are no whole are copied for the product, as are those that are cast.
    let memory_copy = if memory.clips > 1 || w == 2 { w * m * d } else { 0 };
    let attention_bytes = 2 * w * q * d + 2 * w * m * d + pairs_kept;
    // Both norms' inputs, n1, n2, and the hidden layer before and behind the GELU.
    let others = (8 + 10 * w) * q * d + 16 * q + memory_copy + computing.weight_copy_bytes(12 * d * d);
    let block_bytes = attention_bytes + others;
    let all_bytes = cfg.depth * block_bytes;
    let in_mlp = computing.weight_copy_bytes(q * d) + 4 * w * q * d + computing.weight_grad_bytes(4 * d * d);
    let answer_bytes = if queries.clips > 1 { 4 * q * d } else { 0 };
    let backward_bytes = waiting_bytes + answer_bytes + in_mlp.max(pairs_backward);

    let linear = 2 * (10 * q + 2 * m) * d * d;
    let attention_flops = if computing.attention == Attention::Fused { 10 } else { 8 } * pairs * d;
    let part = Part {
        name: "decoder part",
        count: 1,
        kept_bytes: w * mask_values + all_bytes,
        attention_bytes: w * mask_values + cfg.depth * attention_bytes,
        // The mask is made of one that is bool and one of zeros.
        forward_bytes: (w * mask_values + all_bytes + (w + 4) * q * d).max(10 * mask_values),
        backward_bytes,
        forward_flops: cfg.depth * (linear + 4 * pairs * d),
        backward_flops: cfg.depth * (2 * linear + attention_flops),
        gradient_bytes: 0,
    };
    if recompute == Recompute::None {
        return part;
    }
    Part {
        kept_bytes: w * mask_values + 4 * q * d,
        attention_bytes: w * mask_values,
        forward_bytes: (w * mask_values + block_bytes + 4 * q * d).max(10 * mask_values),
        // Its queries are kept already, its answers are there again.
        backward_bytes: all_bytes + backward_bytes,
        backward_flops: part.forward_flops + part.backward_flops,
        ..part
    }
}
