use std::borrow::Borrow;

use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::{self, Path};

use crate::attention::eager;
use crate::block_causal::SpanOf;
use crate::init;
use crate::{Attention, BlockCausal, DropPath, NnError};

/// Width and depth of a stack of transformer blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StackConfig {
    /// Values per token.
    pub width: i64,
    /// Number of blocks.
    pub depth: i64,
    /// Attention heads; divides `width`.
    pub heads: i64,
}

impl StackConfig {
    /// Checks that the heads divide the width.
    ///
    /// # Errors
    /// [`NnError::Config`] with the value.
    pub fn check(&self) -> Result<(), NnError> {
        let bad = |key, value: i64, rule| Err(NnError::Config { key, value: value.to_string(), rule });
        if self.width < 6 || self.width % 2 != 0 {
            return bad("width", self.width, "must be even and at least 6, for sine and cosine on three axes");
        }
        if !(1..=1000).contains(&self.depth) {
            return bad("depth", self.depth, "must be between 1 and 1000");
        }
        if self.heads < 1 || self.width % self.heads != 0 {
            return bad("heads", self.heads, "must divide the width");
        }
        Ok(())
    }
}

/// Hidden width of a block's MLP, in widths; 4 in every paper of this field.
const MLP_RATIO: i64 = 4;

/// Layer norm with timm's and VideoMAE's epsilon.
pub fn layer_norm(p: &Path, width: i64) -> nn::LayerNorm {
    nn::layer_norm(p, vec![width], nn::LayerNormConfig { eps: 1e-6, ..Default::default() })
}

/// Pre-norm self-attention block (ViT, Dosovitskiy et al. 2021).
#[derive(Debug)]
pub struct Block {
    attn: SelfAttention,
    norm2: nn::LayerNorm,
    mlp: Mlp,
}

impl Block {
    /// A block with variables `norm1`, `attn.qkv`, `attn.proj`, `norm2`, `mlp.fc1`, `mlp.fc2` under `p`.
    pub fn new<'a>(p: impl Borrow<Path<'a>>, cfg: &StackConfig) -> Self {
        let (p, d) = (p.borrow(), cfg.width);
        Block {
            attn: SelfAttention::new(p, "norm1", cfg),
            norm2: layer_norm(&(p / "norm2"), d),
            mlp: Mlp::new(&(p / "mlp"), d),
        }
    }

    /// * `x_bnd` - tokens `[B, N, D]`
    /// * `reach` - who reads whom; `None`: every token sees every other
    /// * `drop` - on either branch, drawn for each
    pub fn forward(&self, x_bnd: &Tensor, reach: Option<&BlockCausal>, drop: DropPath) -> Tensor {
        let x_bnd = x_bnd + drop.apply(self.attn.forward(x_bnd, reach));
        &x_bnd + drop.apply(self.mlp.forward(&x_bnd.apply(&self.norm2)))
    }
}

/// Norm, attention of tokens to each other, and the projection of what it mixed.
#[derive(Debug)]
struct SelfAttention {
    norm: nn::LayerNorm,
    qkv: nn::Linear,
    proj: nn::Linear,
    heads: i64,
}

impl SelfAttention {
    fn new(p: &Path, norm: &str, cfg: &StackConfig) -> Self {
        let (attn, d) = (p / "attn", cfg.width);
        SelfAttention {
            norm: layer_norm(&(p / norm), d),
            qkv: init::linear(&attn / "qkv", d, 3 * d),
            proj: init::linear(&attn / "proj", d, d),
            heads: cfg.heads,
        }
    }

    fn forward(&self, x_bnd: &Tensor, reach: Option<&BlockCausal>) -> Tensor {
        let (b, n, d) = (x_bnd.size()[0], x_bnd.size()[1], x_bnd.size()[2]);
        let qkv = x_bnd.apply(&self.norm).apply(&self.qkv);
        let qkv_3bhnd = qkv.view([b, n, 3, self.heads, d / self.heads]).permute([2, 0, 3, 1, 4]);
        // One backward for the three: selecting each would make and add three gradients of the size of all.
        let [q, k, v] = &qkv_3bhnd.unbind(0)[..] else { unreachable!("qkv has three parts") };
        mix([q, k, v], reach, &self.proj)
    }
}

/// What the queries of a [`CrossBlock`] read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecoderAttention {
    /// The memory alone, never each other.
    Cross,
    /// Each other, and then the memory.
    SelfAndCross,
}

/// Pre-norm block in which queries read a memory, and, if it is built so, before it each other.
#[derive(Debug)]
pub struct CrossBlock {
    own: Option<SelfAttention>,
    norm1: nn::LayerNorm,
    q: nn::Linear,
    kv: nn::Linear,
    proj: nn::Linear,
    norm2: nn::LayerNorm,
    mlp: Mlp,
    heads: i64,
}

impl CrossBlock {
    /// A block with variables `norm1`, `cross.q`, `cross.kv`, `cross.proj`, `norm2`, `mlp.fc1`, `mlp.fc2` under `p`; where
    /// queries read each other `norm0`, `attn.qkv` and `attn.proj`, too.
    pub fn new<'a>(p: impl Borrow<Path<'a>>, cfg: &StackConfig, attention: DecoderAttention) -> Self {
        let (p, d) = (p.borrow(), cfg.width);
        let cross = p / "cross";
        let own = match attention {
            DecoderAttention::Cross => None,
            DecoderAttention::SelfAndCross => Some(SelfAttention::new(p, "norm0", cfg)),
        };
        CrossBlock {
            own,
            norm1: layer_norm(&(p / "norm1"), d),
            q: init::linear(&cross / "q", d, d),
            kv: init::linear(&cross / "kv", d, 2 * d),
            proj: init::linear(&cross / "proj", d, d),
            norm2: layer_norm(&(p / "norm2"), d),
            mlp: Mlp::new(&(p / "mlp"), d),
            heads: cfg.heads,
        }
    }

    /// * `x_bqd` - queries `[B, Q, D]`
    /// * `memory_bmd` - what they read, already normalised, `[B, M, D]`
    /// * `reach` - who reads whom; `None`: every query reads all of the memory, and every other query
    pub fn forward(&self, x_bqd: &Tensor, memory_bmd: &Tensor, reach: Option<&DecoderReach>) -> Tensor {
        let (b, q_len, d) = (x_bqd.size()[0], x_bqd.size()[1], x_bqd.size()[2]);
        let (m_len, head) = (memory_bmd.size()[1], d / self.heads);
        let own = self.own.as_ref().map(|own| x_bqd + own.forward(x_bqd, reach.and_then(|reach| reach.own.as_ref())));
        let x_bqd = own.as_ref().unwrap_or(x_bqd);
        let q = x_bqd.apply(&self.norm1).apply(&self.q).view([b, q_len, self.heads, head]).transpose(1, 2);
        let kv_2bhmd = memory_bmd.apply(&self.kv).view([b, m_len, 2, self.heads, head]).permute([2, 0, 3, 1, 4]);
        let [k, v] = &kv_2bhmd.unbind(0)[..] else { unreachable!("kv has two parts") };
        let x_bqd = x_bqd + mix([&q, k, v], reach.map(|reach| &reach.memory), &self.proj);
        &x_bqd + self.mlp.forward(&x_bqd.apply(&self.norm2))
    }
}

/// Who reads whom in a [`CrossBlock`].
#[derive(Debug)]
pub struct DecoderReach {
    /// Which part of the memory each query reads.
    pub memory: BlockCausal,
    /// Which queries it reads, where there is [`DecoderAttention::SelfAndCross`].
    pub own: Option<BlockCausal>,
}

impl DecoderReach {
    pub(crate) fn in_precision(&self) -> Self {
        DecoderReach { memory: self.memory.in_precision(), own: self.own.as_ref().map(BlockCausal::in_precision) }
    }
}

#[derive(Debug)]
struct Mlp {
    fc1: nn::Linear,
    fc2: nn::Linear,
}

impl Mlp {
    fn new(p: &Path, d: i64) -> Self {
        Mlp { fc1: init::linear(p / "fc1", d, MLP_RATIO * d), fc2: init::linear(p / "fc2", MLP_RATIO * d, d) }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        x.apply(&self.fc1).gelu("none").apply(&self.fc2)
    }
}

/// Attention and the projection of what it mixed, `[B, Q, D]`.
fn mix([q_bhqd, k_bhmd, v_bhmd]: [&Tensor; 3], reach: Option<&BlockCausal>, proj: &nn::Linear) -> Tensor {
    let Some(reach) = reach else { return attention(q_bhqd, k_bhmd, v_bhmd, None).apply(proj) };
    let of_span = |span: SpanOf| attention(&span.q_bhsd, &span.k_bhmd, &span.v_bhmd, Some(&span.mask_sm)).apply(proj);
    // Joined behind the projection, which keeps what it reads: joined before it, that would be kept twice.
    let mut mixed: Vec<Tensor> = reach.split([q_bhqd, k_bhmd, v_bhmd]).into_iter().map(of_span).collect();
    if mixed.len() == 1 { mixed.remove(0) } else { Tensor::cat(&mixed, 1) }
}

/// Fused attention, heads merged again: `[B, H, Q, d]` with `[B, H, M, d]` twice gives `[B, Q, H d]`.
///
/// Memory is linear in the tokens. Attention dropout stays 0: libtorch's CPU kernel falls back to the quadratic path
/// with it.
///
/// * `mask_qm` - added to the logits, 0 or minus infinity
fn attention(q_bhqd: &Tensor, k_bhmd: &Tensor, v_bhmd: &Tensor, mask_qm: Option<&Tensor>) -> Tensor {
    let mixed = match Attention::now() {
        Attention::Fused => {
            Tensor::scaled_dot_product_attention(q_bhqd, k_bhmd, v_bhmd, mask_qm, 0.0, false, None, false)
        }
        Attention::Eager => eager(q_bhqd, k_bhmd, v_bhmd, mask_qm),
    };
    mixed.transpose(1, 2).flatten(2, 3)
}

#[cfg(test)]
mod tests;
