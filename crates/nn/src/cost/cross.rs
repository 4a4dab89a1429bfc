use super::parts::{BLOCK_SQUARES, NORM_ROW_BYTES, attention_backward_flops};
use super::{Computing, Part};
use crate::{Attention, Blocks, DecoderAttention, StackConfig};

/// Who reads whom in a decoder whose queries read a memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Clips B.
    pub clips: i64,
    /// Queries and what they read.
    pub memory: Blocks,
    /// Whether queries read each other.
    pub attention: DecoderAttention,
}

impl Reading {
    /// Queries that read queries.
    pub fn own(self) -> Option<Blocks> {
        let own = Blocks { keys: self.memory.queries, ..self.memory };
        (self.attention == DecoderAttention::SelfAndCross).then_some(own)
    }
}

impl StackConfig {
    /// Trained values of the part of a [`crate::CrossBlock`] in which queries read each other, in all blocks.
    pub fn num_own_parameters(&self) -> i64 {
        self.depth * self.own_parameters()
    }

    /// Those of one block.
    fn own_parameters(&self) -> i64 {
        4 * self.width * self.width + 6 * self.width
    }
}

/// One [`crate::CrossBlock`]; what it keeps, and its queries.
pub fn cross_block(cfg: &StackConfig, reading: Reading, computing: Computing) -> Part {
    let Reading { clips, memory, .. } = reading;
    let (d, w) = (cfg.width, computing.value_bytes());
    let [q, m] = [clips * memory.num_queries(), clips * memory.num_keys()];
    let own_pairs = clips * reading.own().map_or(0, Blocks::num_pairs);
    let pairs = clips * memory.num_pairs() + own_pairs;
    // Attentions that a query goes through.
    let num = if reading.own().is_some() { 2 } else { 1 };
    let (pairs_kept, pairs_backward) = match computing.attention {
        Attention::Fused => (4 * num * q * cfg.heads, 0),
        Attention::Eager => (w * num * q * d + w * pairs * cfg.heads, 2 * w * pairs * cfg.heads - 9 * w * q * d),
    };
    // Queries, the memory's keys and values, what was mixed; where queries read each other, q, k, v and that once more.
    let attention_bytes = 2 * w * q * d + 2 * w * m * d + (num - 1) * 4 * w * q * d + pairs_kept;
    let squares = BLOCK_SQUARES + (num - 1) * 4;
    // All norms' inputs and outputs, the hidden layer before and behind the GELU, the memory where it is cast.
    let others = (num + 1) * ((4 + w) * q * d + NORM_ROW_BYTES * q)
        + 8 * w * q * d
        + computing.weight_copy_bytes(m * d + squares * d * d);
    let kept_bytes = attention_bytes + others;
    let in_mlp = computing.stream_grad_bytes(q * d) + 4 * w * q * d + computing.weight_grad_bytes(4 * d * d);
    let linear = 2 * (10 * q + 2 * m + (num - 1) * 4 * q) * d * d;
    Part {
        name: "decoder block",
        count: cfg.depth,
        kept_bytes,
        attention_bytes,
        // The MLP's output and the sum with it.
        forward_bytes: kept_bytes + (w + 4) * q * d,
        // The memory's gradient waits for the first block.
        backward_bytes: 4 * m * d + in_mlp.max(pairs_backward),
        forward_flops: linear + 4 * pairs * d,
        backward_flops: 2 * linear + attention_backward_flops(pairs * d, computing),
        gradient_bytes: 4 * (cfg.block_parameters() + (num - 1) * cfg.own_parameters()),
    }
}
