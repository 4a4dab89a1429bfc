use std::borrow::Borrow;

use serde::{Deserialize, Serialize};
use tch::nn::{self, Path};
use tch::{Kind, Tensor};
use torch_ext::Precision;

use crate::attention::eager;
use crate::init;
use crate::{Attention, DropPath, During, NnError};

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
    norm1: nn::LayerNorm,
    qkv: nn::Linear,
    proj: nn::Linear,
    norm2: nn::LayerNorm,
    mlp: Mlp,
    heads: i64,
}

impl Block {
    /// A block with variables `norm1`, `attn.qkv`, `attn.proj`, `norm2`, `mlp.fc1`, `mlp.fc2` under `p`.
    pub fn new<'a>(p: impl Borrow<Path<'a>>, cfg: &StackConfig) -> Self {
        let (p, d) = (p.borrow(), cfg.width);
        let attn = p / "attn";
        Block {
            norm1: layer_norm(&(p / "norm1"), d),
            qkv: init::linear(&attn / "qkv", d, 3 * d),
            proj: init::linear(&attn / "proj", d, d),
            norm2: layer_norm(&(p / "norm2"), d),
            mlp: Mlp::new(&(p / "mlp"), d),
            heads: cfg.heads,
        }
    }

    /// * `x_bnd` - tokens `[B, N, D]`
    /// * `mask_nn` - added to the attention logits, `[N, N]`, 0 or minus infinity; `None`: every token sees every other
    /// * `drop` - on either branch, drawn for each
    pub fn forward(&self, x_bnd: &Tensor, mask_nn: Option<&Tensor>, drop: DropPath) -> Tensor {
        let (b, n, d) = (x_bnd.size()[0], x_bnd.size()[1], x_bnd.size()[2]);
        let qkv = x_bnd.apply(&self.norm1).apply(&self.qkv);
        let qkv_3bhnd = qkv.view([b, n, 3, self.heads, d / self.heads]).permute([2, 0, 3, 1, 4]);
        // One backward for the three: selecting each would make and add three gradients of the size of all.
        let [q, k, v] = &qkv_3bhnd.unbind(0)[..] else { unreachable!("qkv has three parts") };
        let mixed = attention(q, k, v, mask_nn);
        let x_bnd = x_bnd + drop.apply(mixed.apply(&self.proj));
        &x_bnd + drop.apply(self.mlp.forward(&x_bnd.apply(&self.norm2)))
    }
}

/// Pre-norm block in which queries read a memory and never each other.
#[derive(Debug)]
pub struct CrossBlock {
    norm1: nn::LayerNorm,
    q: nn::Linear,
    kv: nn::Linear,
    proj: nn::Linear,
    norm2: nn::LayerNorm,
    mlp: Mlp,
    heads: i64,
}

impl CrossBlock {
    /// A block with variables `norm1`, `cross.q`, `cross.kv`, `cross.proj`, `norm2`, `mlp.fc1`, `mlp.fc2` under `p`.
    pub fn new<'a>(p: impl Borrow<Path<'a>>, cfg: &StackConfig) -> Self {
        let (p, d) = (p.borrow(), cfg.width);
        let cross = p / "cross";
        CrossBlock {
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
    /// * `mask_qm` - added to the attention logits, `[Q, M]`, 0 or minus infinity
    pub fn forward(&self, x_bqd: &Tensor, memory_bmd: &Tensor, mask_qm: Option<&Tensor>) -> Tensor {
        let (b, q_len, d) = (x_bqd.size()[0], x_bqd.size()[1], x_bqd.size()[2]);
        let (m_len, head) = (memory_bmd.size()[1], d / self.heads);
        let q = x_bqd.apply(&self.norm1).apply(&self.q).view([b, q_len, self.heads, head]).transpose(1, 2);
        let kv_2bhmd = memory_bmd.apply(&self.kv).view([b, m_len, 2, self.heads, head]).permute([2, 0, 3, 1, 4]);
        let [k, v] = &kv_2bhmd.unbind(0)[..] else { unreachable!("kv has two parts") };
        let mixed = attention(&q, k, v, mask_qm);
        let x_bqd = x_bqd + mixed.apply(&self.proj);
        &x_bqd + self.mlp.forward(&x_bqd.apply(&self.norm2))
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

/// Fused attention, heads merged again: `[B, H, Q, d]` with `[B, H, M, d]` twice gives `[B, Q, H d]`.
///
/// Memory is linear in the tokens. Attention dropout stays 0: libtorch's CPU kernel falls back to the quadratic path
/// with it.
fn attention(q_bhqd: &Tensor, k_bhmd: &Tensor, v_bhmd: &Tensor, mask_qm: Option<&Tensor>) -> Tensor {
    let mixed = match Attention::now() {
        Attention::Fused => {
            Tensor::scaled_dot_product_attention(q_bhqd, k_bhmd, v_bhmd, mask_qm, 0.0, false, None, false)
        }
        Attention::Eager => eager(q_bhqd, k_bhmd, v_bhmd, mask_qm),
    };
    mixed.transpose(1, 2).flatten(2, 3)
}

/// An additive attention mask from a boolean one.
///
/// * `sees` - `[.., Q, M]` bool: true where the query may read the key
///
/// # Errors
/// [`NnError::OutOfMemory`].
pub fn additive_mask(sees: &Tensor) -> Result<Tensor, NnError> {
    let mask = Tensor::f_zeros(sees.size(), (Kind::Float, sees.device())).during("the attention mask")?;
    mask.f_masked_fill(&sees.logical_not(), f64::NEG_INFINITY).during("the attention mask")
}

/// A mask in the kind that attention computes in now, to be cast once for all blocks: a copy would stay alive for the
/// backward pass of each. 0 and minus infinity are the same in every kind.
pub fn mask_in_precision(mask_qm: &Tensor) -> Tensor {
    match torch_ext::precision(mask_qm.device()) {
        Precision::F32 => mask_qm.shallow_clone(),
        Precision::Bf16 => mask_qm.to_kind(Kind::BFloat16),
    }
}

#[cfg(test)]
mod tests;
