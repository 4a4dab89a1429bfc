//! What a training step holds in memory and how much it computes, from sizes alone: no tensor is made.
//!
//! # What autograd keeps
//!
//! R = B N rows (tokens of all clips), D width, H heads. `w` is the size of a value in the precision that products compute
//! in, 4 bytes or 2 (bf16), in which the residual stream and the norms stay f32. An operator not named here keeps nothing:
//! additions, views, biases, concatenation.
//!
//! | operator              | keeps                                                                | bytes                   |
//! | --------------------- | -------------------------------------------------------------------- | ----------------------- |
//! | layer norm            | its input, mean and 1 / deviation of each row                         | 4 R D + 8 R             |
//! | linear layer          | its input; under bf16 that is a cast copy, and so is the weight        | w R D (+ 2 weights)     |
//! | attention, fused      | q, k and v (one tensor), its output, a sum per row and head            | 4 w R D + 4 R H         |
//! | attention, eager      | q, k, v, its output in two layouts, and the weights of all pairs      | 5 w R D + w B H N N     |
//! | attention's mask      | itself, f32 once for all blocks that share it (bf16: a copy)          | w S N, S about 512      |
//! | GELU                  | its input                                                            | 4 w R D                 |
//! | square of the loss    | the differences of Q C values                                        | 4 R C                   |
//! | softmax of the loss   | the logarithms of Q C shares                                         | 4 R C                   |
//! | a part run again      | its input, and the state of the generator                            | 4 R D                   |
//!
//! A block keeps its input and one more norm's, n1, qkv, output, n2, the MLP's hidden layer before and behind the GELU: 16 R
//! D values, all of which a linear layer or a norm shares with the operator before it.
//!
//! # What comes and goes
//!
//! Backward frees what an operator kept as soon as it is through. It holds most at the start of a part: there the gradient
//! that comes in (4 R D), that of the MLP's hidden layer (4 w R D) and that of one weight stand beside all that is kept up to
//! here. Gradients of weights grow as the kept shrinks: those of a part are there once it is through, all of them from the
//! second micro-batch on, where they are added to. The optimizer works in place.

mod classifier;
mod cross;
mod parts;

pub use classifier::{classifiers, features};
pub use cross::{Reading, cross_block};
pub use parts::{Comparing, block, bridge, loss, stack};
use torch_ext::Precision;

use crate::{Attention, Blocks};

/// How a step computes, as far as its memory hangs on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Computing {
    /// Precision of products.
    pub precision: Precision,
    /// How blocks mix tokens.
    pub attention: Attention,
}

impl Computing {
    /// Bytes of a value that a product computes.
    pub(crate) fn value_bytes(self) -> i64 {
        match self.precision {
            Precision::F32 => 4,
            Precision::Bf16 => 2,
        }
    }

    /// Bytes of the cast copy of a weight that its product keeps.
    pub(crate) fn weight_copy_bytes(self, num_values: i64) -> i64 {
        match self.precision {
            Precision::F32 => 0,
            Precision::Bf16 => 2 * num_values,
        }
    }

    /// Bytes of a weight's gradient on its way to the parameter, which is f32.
    pub(crate) fn weight_grad_bytes(self, num_values: i64) -> i64 {
        4 * num_values + self.weight_copy_bytes(num_values)
    }

    /// Bytes of a gradient `[R, D]` of the residual stream, and of its cast copy.
    pub(crate) fn stream_grad_bytes(self, num_values: i64) -> i64 {
        4 * num_values + self.weight_copy_bytes(num_values)
    }
}

/// Tokens that go through a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Clips B.
    pub clips: i64,
    /// Tokens of each, N.
    pub per_clip: i64,
    /// Who reads whom; `None`: each token all others.
    pub reach: Option<Blocks>,
}

impl Tokens {
    /// All of them, R = B N.
    pub fn rows(self) -> i64 {
        self.clips * self.per_clip
    }

    /// Pairs of tokens of which attention computes how one reads the other.
    pub(crate) fn pairs(self) -> i64 {
        self.clips * self.reach.map_or(self.per_clip * self.per_clip, Blocks::num_pairs)
    }
}

/// One part of a step: operators that run one behind the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is, in a few words.
    pub name: &'static str,
    /// How often it stands in a row.
    pub count: i64,
    /// Bytes that each keeps from its forward to its backward pass.
    pub kept_bytes: i64,
    /// What of these attention keeps.
    pub attention_bytes: i64,
    /// The most that one holds in its forward pass, with what it keeps.
    pub forward_bytes: i64,
    /// The most that one holds in its backward pass beside what it kept.
    pub backward_bytes: i64,
    /// Multiplications and additions of the matrix products of one, forward.
    pub forward_flops: i64,
    /// The same backward, with those that run again.
    pub backward_flops: i64,
    /// Bytes of the gradients of one's weights, which are there once it went back.
    pub gradient_bytes: i64,
}

/// A whole step, without optimizer and data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepCost {
    /// Trained values.
    pub num_parameters: i64,
    /// Bytes of tensors that belong to the model and are not trained.
    pub constant_bytes: i64,
    /// In the order of the forward pass.
    pub parts: Vec<Part>,
}

/// When a step holds most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peak {
    /// Place of the part that runs.
    pub part: usize,
    /// In which direction.
    pub pass: Pass,
    /// Bytes that parts keep then.
    pub kept_bytes: i64,
    /// Bytes that come and go with the one that runs.
    pub passing_bytes: i64,
    /// Bytes of weights' gradients that are there.
    pub gradient_bytes: i64,
}

/// Direction in which a part runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// From pixels to the loss.
    Forward,
    /// From the loss to the weights.
    Backward,
    /// Behind both: the optimizer.
    Update,
}

impl Peak {
    /// All of it.
    pub fn bytes(&self) -> i64 {
        self.kept_bytes + self.passing_bytes + self.gradient_bytes
    }
}

impl StepCost {
    /// The moment at which a step holds most beside weights, moments and data; the first where there are several. `None`
    /// without any part.
    ///
    /// * `num_micro_batches` - of the step; the second finds the gradients of the first
    pub fn peak(&self, num_micro_batches: i64) -> Option<Peak> {
        let all_gradients: i64 = self.parts.iter().map(|part| part.count * part.gradient_bytes).sum();
        let adding = num_micro_batches > 1;
        let (mut before, mut behind) = (0, all_gradients);
        let mut moments = Vec::new();
        for (i, part) in self.parts.iter().enumerate() {
            behind -= part.count * part.gradient_bytes;
            let mut moment = |pass, num_kept: i64, passing_bytes, gradient_bytes| {
                let kept_bytes = before + num_kept * part.kept_bytes;
                let gradient_bytes = if adding { all_gradients } else { gradient_bytes };
                moments.push(Peak { part: i, pass, kept_bytes, passing_bytes, gradient_bytes });
            };
            // Of several in a row the last one has most before it forward. Backward it goes first; at the first one's turn
            // the gradients of all others are there.
            moment(Pass::Forward, part.count, part.forward_bytes - part.kept_bytes, 0);
            moment(Pass::Backward, part.count, part.backward_bytes, behind);
            moment(Pass::Backward, 1, part.backward_bytes, behind + (part.count - 1) * part.gradient_bytes);
            before += part.count * part.kept_bytes;
        }
        let part = self.parts.len().checked_sub(1)?;
        moments.push(Peak { part, pass: Pass::Update, kept_bytes: 0, passing_bytes: 0, gradient_bytes: all_gradients });
        // The first of equal ones: max_by_key would give the last.
        moments.into_iter().rev().max_by_key(Peak::bytes)
    }

    /// Multiplications and additions of all matrix products of the step: a linear layer's one forward and two backward (of
    /// input and weight), fused attention's two forward and five backward (its weights are computed again), and everything
    /// forward that runs again. What is no product of matrices is not counted.
    pub fn flops(&self) -> i64 {
        self.parts.iter().map(|part| part.count * (part.forward_flops + part.backward_flops)).sum()
    }
}

#[cfg(test)]
mod tests;
