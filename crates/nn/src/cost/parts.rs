use super::{Computing, Part, Tokens};
use crate::{Attention, Position, Recompute, StackConfig, VitConfig};

/// Libtorch's generator on the CPU, whose state a part that runs again keeps.
const GENERATOR_BYTES: i64 = 5056;

/// Mean and reciprocal deviation of a row, which a layer norm keeps.
pub(super) const NORM_ROW_BYTES: i64 = 8;

/// Values of a block's weights in squared widths: 4 of attention, 8 of the MLP.
pub(super) const BLOCK_SQUARES: i64 = 12;

impl StackConfig {
    /// Trained values: weights, 9 widths of biases, 4 of norms. Those of blocks that read a memory are as many.
    pub fn num_parameters(&self) -> i64 {
        self.depth * self.block_parameters()
    }

    /// Those of one block.
    pub(super) fn block_parameters(&self) -> i64 {
        BLOCK_SQUARES * self.width * self.width + 13 * self.width
    }
}

impl VitConfig {
    /// Trained values.
    ///
    /// * `cube_values` - pixels times colours of a cube
    pub fn num_parameters(&self, cube_values: i64) -> i64 {
        self.stack().num_parameters() + (cube_values + 1) * self.width + 2 * self.width
    }

    /// Cubes to tokens, blocks.
    ///
    /// * `cube_values` - pixels times colours of a cube
    pub fn parts(&self, tokens: Tokens, cube_values: i64, computing: Computing) -> Vec<Part> {
        let mut parts = vec![embedding(self, tokens, cube_values, computing)];
        let (drops, recompute) = (self.drop_path > 0.0, self.recompute);
        let one = block("encoder block", &self.stack(), tokens, computing);
        // A branch that may be dropped is multiplied: one more gradient is under way.
        let more = if drops { 4 * tokens.rows() * self.width } else { 0 };
        let one = Part { backward_bytes: one.backward_bytes + more, ..one };
        parts.extend(stack(one, self.depth, recompute, 4 * tokens.rows() * self.width));
        parts
    }
}

/// One block of self-attention; what it keeps, and its input.
pub fn block(name: &'static str, cfg: &StackConfig, tokens: Tokens, computing: Computing) -> Part {
    let (r, d, w) = (tokens.rows(), cfg.width, computing.value_bytes());
    let pairs = tokens.pairs();
    let weights = w * pairs * cfg.heads;
    let (pairs_kept, pairs_backward) = match computing.attention {
        Attention::Fused => (4 * r * cfg.heads, 0),
        // Its output in two layouts; the weights' gradient and the logits', when most of the MLP's 10 R D are gone.
        Attention::Eager => (w * r * d + weights, 2 * weights - 9 * w * r * d),
    };
    let attention_bytes = 4 * w * r * d + pairs_kept;
    // Both norms' inputs, n1, n2, and the hidden layer before and behind the GELU.
    let others = (8 + 10 * w) * r * d + 2 * NORM_ROW_BYTES * r + computing.weight_copy_bytes(BLOCK_SQUARES * d * d);
    let kept_bytes = attention_bytes + others;
    let in_mlp = computing.stream_grad_bytes(r * d) + 4 * w * r * d + computing.weight_grad_bytes(4 * d * d);
    let linear = 2 * BLOCK_SQUARES * r * d * d;
    Part {
        name,
        count: cfg.depth,
        kept_bytes,
        attention_bytes,
        // The MLP's output and the sum with it.
        forward_bytes: kept_bytes + (w + 4) * r * d,
        backward_bytes: in_mlp.max(pairs_backward),
        forward_flops: linear + 4 * pairs * d,
        backward_flops: 2 * linear + attention_backward_flops(pairs * d, computing),
        gradient_bytes: 4 * cfg.block_parameters(),
    }
}

/// Five products of the fused kernel, which computes the weights again; four where they are kept.
pub(super) fn attention_backward_flops(pair_values: i64, computing: Computing) -> i64 {
    match computing.attention {
        Attention::Fused => 10 * pair_values,
        Attention::Eager => 8 * pair_values,
    }
}

/// A stack of `depth` blocks like `one`, with or without running parts of it again.
///
/// * `input_bytes` - the tokens that go into each
pub fn stack(one: Part, depth: i64, recompute: Recompute, input_bytes: i64) -> Vec<Part> {
    let per_part = match recompute {
        Recompute::None => return vec![Part { count: depth, ..one }],
        Recompute::EveryBlock => 1,
        Recompute::Every(blocks) => blocks.clamp(1, depth),
    };
    let whole = recomputed(&one, per_part, input_bytes);
    let mut parts = vec![Part { count: depth / per_part, ..whole }];
    if depth % per_part != 0 {
        parts.push(recomputed(&one, depth % per_part, input_bytes));
    }
    parts
}

/// `num` blocks that keep their input only and run again as a whole in the backward pass.
fn recomputed(one: &Part, num: i64, input_bytes: i64) -> Part {
    let forward_flops = num * one.forward_flops;
    Part {
        count: 1,
        kept_bytes: input_bytes + GENERATOR_BYTES,
        attention_bytes: 0,
        // Without autograd only this function's own variables keep anything: all of a block but its first norm's output,
        // and the MLP's output.
        forward_bytes: one.kept_bytes + GENERATOR_BYTES,
        // All that the blocks would have kept: their input is there already, but the output beside it is as large.
        backward_bytes: num * one.kept_bytes + one.backward_bytes,
        forward_flops,
        backward_flops: forward_flops + num * one.backward_flops,
        gradient_bytes: num * one.gradient_bytes,
        ..one.clone()
    }
}

/// Cubes of chosen tokens as floats, the linear layer over them, position codes.
///
/// * `cube_values` - pixels times colours of a cube
fn embedding(cfg: &VitConfig, tokens: Tokens, cube_values: i64, computing: Computing) -> Part {
    let (r, d, w) = (tokens.rows(), cfg.width, computing.value_bytes());
    let kept_bytes = w * r * cube_values;
    let flops = 2 * r * d * cube_values;
    let coding = kept_bytes + w * r * d + position_codes(cfg.position, r, d);
    Part {
        name: "cubes and embedding",
        count: 1,
        kept_bytes,
        attention_bytes: 0,
        // On the scale 0..1, less the mean, over the deviation.
        forward_bytes: coding.max(3 * 4 * r * cube_values),
        backward_bytes: computing.stream_grad_bytes(r * d) + computing.weight_grad_bytes(d * cube_values),
        forward_flops: flops,
        // Pixels need no gradient.
        backward_flops: flops,
        gradient_bytes: 4 * (cube_values + 1) * d,
    }
}

/// The most that making position codes of `rows` tokens holds, the codes among it.
fn position_codes(kind: Position, rows: i64, width: i64) -> i64 {
    // f64: angles, sines and cosines half as wide each, both together; and the result.
    let interleaved = |width: i64| 24 * rows * width;
    match kind {
        Position::Flat => interleaved(width),
        // The sum so far, and one neighbour's codes on the way to it.
        Position::FlatOf(_) => 4 * rows * width + interleaved(width),
        Position::Separable | Position::SeparableOf(_) => {
            let side = width / 6 * 2;
            (4 * rows * (width - side) + interleaved(side)).max(8 * rows * width)
        }
    }
}

/// What stands between an encoder's blocks and a decoder: the last norm, the map to the decoder's width, position codes of
/// what comes out and of the queries. The features are kept to be looked at, too.
///
/// * `rows` - tokens of the encoder, and queries
/// * `widths` - of encoder and decoder
pub fn bridge(position: Position, [rows, query_rows]: [i64; 2], [from, to]: [i64; 2], computing: Computing) -> Part {
    let (features, w) = (rows * from, computing.value_bytes());
    let kept_bytes = 2 * 4 * features
        + NORM_ROW_BYTES * rows
        + computing.weight_copy_bytes(features)
        + computing.weight_copy_bytes(from * to);
    let coding = [rows, query_rows].map(|rows| position_codes(position, rows, to));
    let flops = 2 * features * to;
    Part {
        name: "encoder's norm, to the decoder",
        count: 1,
        kept_bytes,
        attention_bytes: 0,
        forward_bytes: kept_bytes + w * rows * to + coding[0].max(4 * rows * to + coding[1]),
        // What the decoder's tokens got, and its part that goes on.
        backward_bytes: 4 * (rows + query_rows) * to
            + computing.stream_grad_bytes(features)
            + computing.weight_grad_bytes(from * to),
        forward_flops: flops,
        backward_flops: 2 * flops,
        // The norm, the map, the query.
        gradient_bytes: 4 * (2 * from + from * to + to),
    }
}

/// How predictions are compared with their targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparing {
    /// Mean squared error.
    Values {
        /// The most that making the targets holds, the targets among it.
        target_bytes: i64,
    },
    /// Cross-entropy over all values of a prediction.
    Classes,
}

/// What stands between a decoder's blocks and the loss: the last norm, the head, targets and the error.
///
/// * `all_rows` - tokens that came through the decoder
/// * `rows` - those of them that are predicted
/// * `widths` - of the decoder, and of a target
pub fn loss(
    [all_rows, rows]: [i64; 2],
    [width, target_width]: [i64; 2],
    comparing: Comparing,
    computing: Computing,
) -> Part {
    let w = computing.value_bytes();
    let (tokens, values) = (rows * width, rows * target_width);
    let norm_and_head =
        4 * all_rows * width + NORM_ROW_BYTES * rows + w * tokens + computing.weight_copy_bytes(width * target_width);
    let kept_bytes = norm_and_head + 4 * values;
    let (comparing_bytes, error_grad_bytes) = match comparing {
        // Targets, differences and their squares beside the predictions. The mean's gradient, the power one lower, twice
        // that, and the product.
        Comparing::Values { target_bytes } => (target_bytes.max(3 * 4 * values), 4 * 4 * values),
        // Shares' logarithms, and f32 logits beside those of bf16. The gradient of what was looked up, and the logits'.
        Comparing::Classes => (4 * values + computing.weight_copy_bytes(2 * values), 2 * 4 * values),
    };
    let head = computing.stream_grad_bytes(values) - 4 * values
        + w * tokens
        + computing.weight_grad_bytes(width * target_width);
    let flops = 2 * rows * width * target_width;
    Part {
        name: "head and loss",
        count: 1,
        kept_bytes,
        attention_bytes: 0,
        forward_bytes: norm_and_head + w * values + comparing_bytes,
        backward_bytes: error_grad_bytes.max(head),
        forward_flops: flops,
        backward_flops: 2 * flops,
        gradient_bytes: 4 * (2 * width + (width + 1) * target_width),
    }
}
