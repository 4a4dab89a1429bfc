use std::borrow::Borrow;

use nn::{
    BlockCausal, Blocks, CrossStack, Cubes, DecoderAttention, DecoderReach, Mode, NnError, Vit, init, layer_norm,
    position_codes,
};
use spec::Grid;
use tch::nn::{LayerNorm, Linear, Path};
use tch::{Device, Tensor};

use crate::{ArvideoError, CheckedArvideo, ClusterPlan};

/// Encoder and decoder of next-cluster prediction.
#[derive(Debug)]
pub struct Arvideo {
    pub(crate) checked: CheckedArvideo,
    encoder: Vit,
    to_decoder: Linear,
    query_11d: Tensor,
    decoder: CrossStack,
    norm: LayerNorm,
    head: Linear,
    reach: Box<Reach>,
}

/// Who reads whom, on one grid.
#[derive(Debug)]
struct Reach {
    encoder: BlockCausal,
    decoder: DecoderReach,
}

impl Reach {
    fn new(checked: &CheckedArvideo, device: Device) -> Result<Box<Self>, NnError> {
        let memory = checked.decoder_blocks();
        let own = match checked.config().decoder_attention {
            DecoderAttention::Cross => None,
            // A query that read a later one would read, through it, the clusters that this one reads.
            DecoderAttention::SelfAndCross => {
                Some(BlockCausal::new(Blocks { keys: memory.queries, ..memory }, device)?)
            }
        };
        let memory = BlockCausal::new(memory, device)?;
        let encoder = BlockCausal::new(checked.encoder_blocks(), device)?;
        Ok(Box::new(Reach { encoder, decoder: DecoderReach { memory, own } }))
    }
}

/// What the decoder says, and of which tokens.
#[derive(Debug)]
pub struct Predictions {
    /// Token indices `[B, Q]` int64: those asked of all clusters but the first, in each clip's own order.
    pub tokens_bq: Tensor,
    /// What is predicted of them, `[B, Q, C]`: values, or the logits of levels or codes.
    pub values_bqc: Tensor,
    /// The encoder's tokens, `[B, I, D]`.
    pub features_bid: Tensor,
}

impl Arvideo {
    /// Variables `encoder`, `to_decoder`, `query`, `decoder.<i>`, `norm` and `head` under `p`.
    ///
    /// * `target_width` - values of one target: the width of a code, the sum of its levels, the number of codes, or pixels
    ///   times colours of a cube
    ///
    /// # Errors
    /// [`ArvideoError::Nn`].
    pub fn new<'a>(
        p: impl Borrow<Path<'a>>,
        checked: &CheckedArvideo,
        target_width: i64,
    ) -> Result<Self, ArvideoError> {
        let (p, cfg) = (p.borrow(), checked.config());
        let width = cfg.decoder.width;
        Ok(Arvideo {
            checked: checked.clone(),
            encoder: Vit::new(p / "encoder", &cfg.encoder, checked.patch())?,
            to_decoder: init::linear_without_bias(p / "to_decoder", cfg.encoder.width, width),
            query_11d: init::query_token(p, "query", width),
            decoder: CrossStack::new(p / "decoder", &cfg.decoder, cfg.decoder_attention, checked.recompute())?,
            norm: layer_norm(&(p / "norm"), width),
            head: init::linear(p / "head", width, target_width),
            reach: Reach::new(checked, p.device())?,
        })
    }

    /// The ViT that is kept after pre-training.
    pub fn encoder(&self) -> &Vit {
        &self.encoder
    }

    /// The same weights for clips of another size: no variable depends on it, since position codes are computed.
    ///
    /// # Errors
    /// What the settings' [`check`](crate::ArvideoConfig::check) says of the grid; [`ArvideoError::Nn`].
    pub fn change_grid(&mut self, grid: Grid) -> Result<(), ArvideoError> {
        let checked = self.checked.config().check(grid, self.checked.patch())?;
        self.reach = Reach::new(&checked, self.query_11d.device())?;
        self.checked = checked;
        Ok(())
    }

    /// Predicts every cluster but the first of each clip from those before it.
    ///
    /// * `plans` - one per clip, from this model's [`CheckedArvideo::plan`]
    /// * `mode` - whether the encoder's drop path is on; the decoder has none
    ///
    /// # Errors
    /// [`NnError::Shape`] when the plans are not one per clip or of other clusters; [`NnError::Torch`],
    /// [`NnError::OutOfMemory`].
    pub fn predictions(&self, cubes: &Cubes, plans: &[ClusterPlan], mode: Mode) -> Result<Predictions, NnError> {
        let blocks = self.checked.decoder_blocks();
        let inputs_bi = stack("input tokens", cubes, plans.iter().map(|p| &p.inputs), blocks.num_keys())?;
        let tokens_bq = stack("predicted tokens", cubes, plans.iter().map(|p| &p.predicted), blocks.num_queries())?;
        let features_bid = self.encoder.encode(cubes, &inputs_bi, Some(&self.reach.encoder), mode)?;
        let values_bqc = self.decode(&features_bid, &inputs_bi, &tokens_bq)?;
        Ok(Predictions { tokens_bq, values_bqc, features_bid })
    }

    /// `encoded_bid` are the encoder's tokens at `inputs_bi`; the answer `[B, Q, C]` is for the places `tokens_bq`.
    fn decode(&self, encoded_bid: &Tensor, inputs_bi: &Tensor, tokens_bq: &Tensor) -> Result<Tensor, NnError> {
        let memory_bid = encoded_bid.apply(&self.to_decoder) + self.codes(inputs_bi);
        let queries_bqd = self.codes(tokens_bq) + &self.query_11d;
        let answers_bqd = self.decoder.forward(queries_bqd, &memory_bid, &self.reach.decoder)?;
        Ok(answers_bqd.apply(&self.norm).apply(&self.head))
    }

    fn codes(&self, index_bi: &Tensor) -> Tensor {
        let cfg = self.checked.config();
        position_codes(cfg.encoder.position, self.checked.grid(), index_bi, cfg.decoder.width)
    }
}

/// Token lists of equal length as `[B, length]` int64 on the clip's device.
fn stack<'a>(
    name: &'static str,
    cubes: &Cubes,
    lists: impl Iterator<Item = &'a Vec<i64>>,
    length: i64,
) -> Result<Tensor, NnError> {
    let lists: Vec<&Vec<i64>> = lists.collect();
    let got: Vec<i64> = lists.iter().map(|l| l.len() as i64).collect();
    let want = vec![length; cubes.num_clips() as usize];
    if got != want {
        return Err(NnError::Shape { name, got, want });
    }
    let flat: Vec<i64> = lists.into_iter().flatten().copied().collect();
    Ok(Tensor::from_slice(&flat).view([cubes.num_clips(), length]).to_device(cubes.device()))
}

#[cfg(test)]
pub(crate) mod tests;
