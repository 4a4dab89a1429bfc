use nn::{CrossBlock, DecoderAttention, Mode, NnError, Recompute, Stack, StackConfig, init, layer_norm};
use tch::Tensor;
use tch::nn::{LayerNorm, Path};

/// What the learned query of an [`AttentivePool`] reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryReads {
    /// The tokens (V-JEPA's attentive probe).
    Tokens,
    /// The tokens and itself (CaiT's class attention).
    TokensAndItself,
}

/// Tokens to one vector by a learned query that reads them, behind blocks in which they read each other.
///
/// Beside V-JEPA's and CaiT's the query is normalised before it asks; CaiT's scales of branches (LayerScale) are left out.
#[derive(Debug)]
pub struct AttentivePool {
    blocks: Option<Stack>,
    query: Tensor,
    norm: LayerNorm,
    cross: CrossBlock,
    reads: QueryReads,
}

impl AttentivePool {
    /// Variables `blocks.<i>`, `query_token`, `norm` and `cross` under `p`.
    ///
    /// * `cfg` - `depth` counts the block of the query, so that 1 is the query alone
    ///
    /// # Errors
    /// [`NnError::Config`].
    pub fn new(p: &Path, cfg: &StackConfig, reads: QueryReads) -> Result<Self, NnError> {
        cfg.check()?;
        let before = StackConfig { depth: cfg.depth - 1, ..cfg.clone() };
        let blocks = (before.depth > 0).then(|| Stack::new(p / "blocks", &before, Recompute::None, 0.0)).transpose()?;
        Ok(AttentivePool {
            blocks,
            query: init::query_token(p, "query_token", cfg.width),
            norm: layer_norm(&(p / "norm"), cfg.width),
            cross: CrossBlock::new(p / "cross", cfg, DecoderAttention::Cross),
            reads,
        })
    }

    /// One vector per clip, `[B, D]`.
    ///
    /// * `tokens_bnd` - `[B, N, D]`
    ///
    /// # Errors
    /// [`NnError::OutOfMemory`], [`NnError::Torch`].
    pub fn forward(&self, tokens_bnd: &Tensor, mode: Mode) -> Result<Tensor, NnError> {
        let tokens_bnd = match &self.blocks {
            Some(blocks) => blocks.forward(tokens_bnd.shallow_clone(), None, mode)?,
            None => tokens_bnd.shallow_clone(),
        };
        let query_b1d = self.query.expand([tokens_bnd.size()[0], -1, -1], false);
        let memory = match self.reads {
            QueryReads::Tokens => tokens_bnd.apply(&self.norm),
            QueryReads::TokensAndItself => {
                Tensor::cat(&[query_b1d.to_kind(tokens_bnd.kind()), tokens_bnd], 1).apply(&self.norm)
            }
        };
        Ok(self.cross.forward(&query_b1d, &memory, None).squeeze_dim(1))
    }
}
