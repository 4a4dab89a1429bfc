use std::borrow::Borrow;
use std::ops::Range;
use std::rc::Rc;

use nn::{
    CrossBlock, Cubes, Mode, NnError, Recompute, Vit, additive_mask, init, layer_norm, mask_in_precision,
    position_codes,
};
use spec::Grid;
use tch::nn::{LayerNorm, Linear, Path};
use tch::{Device, Kind, Tensor};

use crate::{ArvideoError, CheckedArvideo, ClusterPlan};

/// Parts in which the decoder answers. A part reads the memory up to its last block, so the table of who reads whom is
/// skipped where it is empty; in exchange each part projects its keys and values anew.
///
/// 8 was fastest at 64 x 8 x 8 and at 64 x 14 x 14 tokens in 128 clusters: a quarter less CPU time per step than one
/// part with the whole mask, for 2 to 6 % more memory. One part per block, which needs no mask, took twice the time.
const NUM_PARTS: i64 = 8;

/// Encoder and decoder of next-cluster prediction.
#[derive(Debug)]
pub struct Arvideo {
    pub(crate) checked: CheckedArvideo,
    encoder: Vit,
    encoder_mask_ii: Tensor,
    to_decoder: Linear,
    query_11d: Tensor,
    // Shared with the closures that recompute a part.
    decoder: Rc<Vec<CrossBlock>>,
    norm: LayerNorm,
    head: Linear,
    /// Input clusters, and predicted clusters: all but one.
    num_blocks: i64,
}

/// What the decoder says, and of which tokens.
#[derive(Debug)]
pub struct Predictions {
    /// Token indices `[B, Q]` int64: all clusters but the first, in each clip's own order.
    pub tokens_bq: Tensor,
    /// What is predicted of them, `[B, Q, C]`: values, or the logits of levels.
    pub values_bqc: Tensor,
    /// The encoder's tokens, `[B, I, D]`.
    pub features_bid: Tensor,
}

impl Arvideo {
    /// Variables `encoder`, `to_decoder`, `query`, `decoder.<i>`, `norm` and `head` under `p`.
    ///
    /// * `target_width` - values of one target: the width of a code, the sum of its levels, or pixels times colours of a cube
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
        let num_blocks = checked.clusters().count() as i64 - 1;
        let kept = checked.num_kept() as i64;
        let decoder = p / "decoder";
        Ok(Arvideo {
            checked: checked.clone(),
            encoder: Vit::new(p / "encoder", &cfg.encoder, checked.patch())?,
            encoder_mask_ii: block_causal(0..num_blocks, [kept, kept], p.device())?,
            to_decoder: init::linear_without_bias(p / "to_decoder", cfg.encoder.width, width),
            query_11d: init::query_token(p, "query", width),
            decoder: Rc::new((0..cfg.decoder.depth).map(|i| CrossBlock::new(&decoder / i, &cfg.decoder)).collect()),
            norm: layer_norm(&(p / "norm"), width),
            head: init::linear(p / "head", width, target_width),
            num_blocks,
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
        self.num_blocks = checked.clusters().count() as i64 - 1;
        let kept = checked.num_kept() as i64;
        self.encoder_mask_ii = block_causal(0..self.num_blocks, [kept, kept], self.encoder_mask_ii.device())?;
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
        let (kept, size) = (self.checked.num_kept() as i64, self.checked.clusters().size() as i64);
        let inputs_bi = stack("input tokens", cubes, plans.iter().map(|p| &p.inputs), self.num_blocks * kept)?;
        let tokens_bq = stack("predicted tokens", cubes, plans.iter().map(|p| &p.predicted), self.num_blocks * size)?;
        let features_bid = self.encoder.encode(cubes, &inputs_bi, Some(&self.encoder_mask_ii), mode)?;
        let values_bqc = self.decode(&features_bid, &inputs_bi, &tokens_bq)?;
        Ok(Predictions { tokens_bq, values_bqc, features_bid })
    }

    /// `encoded_bid` are the encoder's tokens at `inputs_bi`; the answer `[B, Q, C]` is for the places `tokens_bq`.
    fn decode(&self, encoded_bid: &Tensor, inputs_bi: &Tensor, tokens_bq: &Tensor) -> Result<Tensor, NnError> {
        let (kept, size) = (self.checked.num_kept() as i64, self.checked.clusters().size() as i64);
        let memory_bid = encoded_bid.apply(&self.to_decoder) + self.codes(inputs_bi);
        let mut answers = Vec::new();
        for blocks in parts(self.num_blocks) {
            let tokens = tokens_bq.narrow(1, blocks.start * size, (blocks.end - blocks.start) * size);
            let queries = self.codes(&tokens) + &self.query_11d;
            let memory = memory_bid.narrow(1, 0, blocks.end * kept);
            answers.push(self.read(queries, memory, block_causal(blocks, [size, kept], encoded_bid.device())?)?);
        }
        Ok(Tensor::cat(&answers, 1).apply(&self.norm).apply(&self.head))
    }

    /// The decoder's blocks over one part of the queries.
    fn read(&self, queries_bqd: Tensor, memory_bmd: Tensor, mask_qm: Tensor) -> Result<Tensor, NnError> {
        let (decoder, mask_qm) = (self.decoder.clone(), mask_in_precision(&mask_qm));
        let run = move |inputs: &[Tensor]| {
            decoder.iter().fold(inputs[0].shallow_clone(), |x, block| block.forward(&x, &inputs[1], Some(&mask_qm)))
        };
        match self.checked.recompute() {
            Recompute::EveryBlock | Recompute::Every(_) if memory_bmd.requires_grad() => {
                Ok(torch_ext::checkpoint(&[&queries_bqd, &memory_bmd], run)?)
            }
            _ => Ok(run(&[queries_bqd, memory_bmd])),
        }
    }

    fn codes(&self, index_bi: &Tensor) -> Tensor {
        let cfg = self.checked.config();
        position_codes(cfg.encoder.position, self.checked.grid(), index_bi, cfg.decoder.width)
    }
}

/// The blocks whose queries are answered together, part by part.
pub(crate) fn parts(num_blocks: i64) -> impl Iterator<Item = Range<i64>> {
    let step = (num_blocks as u64).div_ceil(NUM_PARTS as u64) as i64;
    (0..num_blocks).step_by(step as usize).map(move |first| first..(first + step).min(num_blocks))
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

/// The mask under which each of `blocks` reads itself and every block before it, `[Q, M]`, 0 or minus infinity.
///
/// * `blocks` - the blocks that ask; the keys are those of `0..blocks.end`
/// * `sizes` - tokens of a block that asks, and of one that is read
///
/// # Errors
/// [`NnError::OutOfMemory`].
fn block_causal(blocks: Range<i64>, sizes: [i64; 2], device: Device) -> Result<Tensor, NnError> {
    let number = |blocks: Range<i64>, size: i64| {
        Tensor::arange_start(blocks.start, blocks.end, (Kind::Int64, device))
            .repeat_interleave_self_int(size, None, None)
    };
    let [asks, read] = sizes;
    let (asking, key) = (number(blocks.clone(), asks), number(0..blocks.end, read));
    additive_mask(&key.unsqueeze(0).le_tensor(&asking.unsqueeze(1)))
}

#[cfg(test)]
pub(crate) mod tests;
