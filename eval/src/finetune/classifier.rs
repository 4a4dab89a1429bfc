use nn::{Cubes, During, Losses, Mode, NnError, StackConfig, Vit, VitConfig, expect_shape, layer_norm};
use serde::{Deserialize, Serialize};
use spec::{Grid, Patch};
use tch::nn::{Init, LayerNorm, Linear, LinearConfig, Path, linear};
use tch::{Kind, TchError, Tensor};

use super::{HeadKind, Heads, TokenDrop};
use crate::{AttentivePool, EvalError, QueryReads};

/// An encoder with classifiers on it: the `[model]` section of a fine-tuning preset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifierConfig {
    /// The ViT. VideoMAE leaves its final norm out and norms the mean of the tokens instead.
    pub encoder: VitConfig,
    /// How tokens become one vector.
    pub pool: HeadPool,
    /// Which classifiers there are.
    pub heads: HeadKind,
    /// Standard deviation of the heads' first weights, in units of 0.02; small, so that all classes begin equally likely.
    /// VideoMAE: 0.001.
    pub init_scale: f64,
    /// Tokens that the encoder does not see in training.
    pub token_drop: TokenDrop,
}

/// How a clip's tokens become one vector; a layer norm follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum HeadPool {
    /// Their mean: VideoMAE, and LVMAE's ViT-B.
    Mean {},
    /// One layer of class attention (CaiT, arXiv:2103.17239): LVMAE's ViT-L.
    ClassAttention {
        /// Attention heads; divides the encoder's width.
        heads: i64,
    },
}

impl ClassifierConfig {
    /// Checks every range.
    ///
    /// # Errors
    /// [`EvalError::Nn`] for an impossible network, [`EvalError::OutOfRange`].
    pub fn check(&self) -> Result<(), EvalError> {
        self.encoder.check()?;
        self.token_drop.check()?;
        if let HeadPool::ClassAttention { heads } = self.pool {
            self.class_attention(heads).check()?;
        }
        match self.init_scale >= 0.0 && self.init_scale.is_finite() {
            true => Ok(()),
            false => Err(EvalError::OutOfRange { key: "model.init_scale", value: self.init_scale, rule: "at least 0" }),
        }
    }

    pub(super) fn class_attention(&self, heads: i64) -> StackConfig {
        StackConfig { width: self.encoder.width, depth: 1, heads }
    }
}

/// The network that is fine-tuned.
#[derive(Debug)]
pub struct Classifier {
    encoder: Vit,
    /// `None`: the mean.
    attention: Option<AttentivePool>,
    norm: LayerNorm,
    outputs: Vec<Linear>,
    grid: Grid,
    patch: Patch,
}

impl Classifier {
    /// Variables `encoder`, and under `head` `attention`, `norm` and `outputs.<i>`.
    ///
    /// # Errors
    /// [`ClassifierConfig::check`].
    pub fn new(
        p: &Path,
        cfg: &ClassifierConfig,
        heads: &Heads,
        (grid, patch): (Grid, Patch),
    ) -> Result<Self, EvalError> {
        cfg.check()?;
        let (head, width) = (p / "head", cfg.encoder.width);
        let attention = match cfg.pool {
            HeadPool::Mean {} => None,
            HeadPool::ClassAttention { heads } => {
                let stack = cfg.class_attention(heads);
                Some(AttentivePool::new(&(&head / "attention"), &stack, QueryReads::TokensAndItself)?)
            }
        };
        let ws_init = Init::Randn { mean: 0.0, stdev: 0.02 * cfg.init_scale };
        let init = LinearConfig { ws_init, bs_init: Some(Init::Const(0.0)), bias: true };
        let outputs = &head / "outputs";
        Ok(Classifier {
            encoder: Vit::new(p / "encoder", &cfg.encoder, patch)?,
            attention,
            norm: layer_norm(&(&head / "norm"), width),
            outputs: (heads.widths().iter().zip(0i64..)).map(|(n, i)| linear(&outputs / i, width, *n, init)).collect(),
            grid,
            patch,
        })
    }

    /// What a test asks: the logits of each head, `[B, K]` float each, all tokens being seen.
    ///
    /// * `clip_bthwc` - pixels `[B, T, S, S, 3]` u8
    ///
    /// # Errors
    /// [`EvalError::Nn`].
    pub fn logits(&self, clip_bthwc: &Tensor) -> Result<Vec<Tensor>, EvalError> {
        let cubes = Cubes::new(clip_bthwc, self.grid, self.patch)?;
        let tokens = self.encoder.encode_all(&cubes, Mode::Eval)?;
        Ok(self.classify(&tokens, Mode::Eval)?)
    }

    /// The loss of a training step: the sum over heads of the cross-entropy with soft targets, mean over clips. The term
    /// `accuracy` is the share of clips of which every head finds the likeliest class.
    ///
    /// * `clip_bthwc` - pixels `[B, T, S, S, 3]` u8, mixed already
    /// * `visible_bi` - tokens that the encoder sees, `[B, I]` int64
    /// * `targets` - of each head, `[B, K]`: a distribution over its classes
    ///
    /// # Errors
    /// [`EvalError::Nn`].
    pub fn loss(&self, clip_bthwc: &Tensor, visible_bi: &Tensor, targets: &[Tensor]) -> Result<Losses, EvalError> {
        let cubes = Cubes::new(clip_bthwc, self.grid, self.patch)?;
        let tokens = self.encoder.encode(&cubes, visible_bi, None, Mode::Train)?;
        let logits = self.classify(&tokens, Mode::Train)?;
        let mut total: Option<Tensor> = None;
        for (logits_bk, target_bk) in logits.iter().zip(targets) {
            let loss = soft_cross_entropy(logits_bk, target_bk)?;
            total = Some(total.map_or(loss.shallow_clone(), |total| total + loss));
        }
        let (Some(total), Some(accuracy)) = (total, accuracy(&logits, targets).during("counting hits")?) else {
            return Err(NnError::Shape { name: "targets", got: vec![0], want: vec![logits.len() as i64] }.into());
        };
        Ok(Losses { total, terms: vec![("accuracy", accuracy)], features: Some(tokens.detach()), codes: None })
    }

    fn classify(&self, tokens_bnd: &Tensor, mode: Mode) -> Result<Vec<Tensor>, NnError> {
        let pooled_bd = match &self.attention {
            None => tokens_bnd.f_mean_dim([1i64].as_slice(), false, Kind::Float).during("pooling tokens")?,
            Some(attention) => attention.forward(tokens_bnd, mode)?,
        };
        let normed = pooled_bd.apply(&self.norm);
        Ok(self.outputs.iter().map(|output| normed.apply(output).to_kind(Kind::Float)).collect())
    }
}

/// `-sum_k target_k log softmax(logits)_k`, mean over clips: timm's SoftTargetCrossEntropy.
///
/// * `logits_bk`, `target_bk` - `[B, K]`; a target sums to 1
///
/// # Errors
/// [`NnError::Shape`] when they differ; [`NnError::Torch`].
pub fn soft_cross_entropy(logits_bk: &Tensor, target_bk: &Tensor) -> Result<Tensor, NnError> {
    expect_shape("targets", target_bk, &logits_bk.size())?;
    let loss = || logits_bk.f_log_softmax(-1, Kind::Float)?.f_mul(target_bk)?.f_sum(Kind::Float)?.f_neg();
    loss().and_then(|sum| sum.f_div_scalar(logits_bk.size()[0])).during("the loss of soft targets")
}

/// Share of clips whose highest logit is that of the highest target, in every head.
fn accuracy(logits: &[Tensor], targets: &[Tensor]) -> Result<Option<Tensor>, TchError> {
    let mut right: Option<Tensor> = None;
    for (logits_bk, target_bk) in logits.iter().zip(targets) {
        let hit = logits_bk.f_argmax(-1, false)?.f_eq_tensor(&target_bk.f_argmax(-1, false)?)?;
        right = Some(match right {
            Some(right) => right.f_logical_and(&hit)?,
            None => hit,
        });
    }
    right.map(|right| right.f_to_kind(Kind::Float)?.f_mean(Kind::Float)).transpose()
}

#[cfg(test)]
mod tests;
