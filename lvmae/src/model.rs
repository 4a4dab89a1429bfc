use std::borrow::Borrow;

use nn::{Cubes, During as _, Mode, NnError, Stack, Vit, expect_shape, init, layer_norm, position_codes};
use spec::Grid;
use tch::Tensor;
use tch::nn::{LayerNorm, Linear, Path};

use crate::{CheckedLvmae, LvmaeError};

/// Encoder and decoder of the masked family.
///
/// The decoder reads `[visible tokens ; one query per asked token]` and answers at the queries. Its cost follows the
/// budget, not the clip.
#[derive(Debug)]
pub struct Lvmae {
    pub(crate) checked: CheckedLvmae,
    encoder: Vit,
    to_decoder: Linear,
    query_11d: Tensor,
    decoder: Stack,
    norm: LayerNorm,
    head: Linear,
}

/// What encoder and decoder say of a batch.
#[derive(Debug)]
pub struct Predictions {
    /// The encoder's tokens at the visible places, `[B, V, D]`.
    pub features_bvd: Tensor,
    /// What is predicted at the asked places, `[B, Q, C]`: values, or the logits of levels.
    pub values_bqc: Tensor,
}

impl Lvmae {
    /// Variables `encoder`, `to_decoder`, `query`, `decoder.<i>`, `norm` and `head` under `p`.
    ///
    /// * `target_width` - values of one target: the width of a code, the sum of its levels, or pixels times colours of a cube
    ///
    /// # Errors
    /// [`LvmaeError::Nn`].
    pub fn new<'a>(p: impl Borrow<Path<'a>>, checked: &CheckedLvmae, target_width: i64) -> Result<Self, LvmaeError> {
        let (p, cfg) = (p.borrow(), checked.config());
        let (d_enc, d_dec) = (cfg.encoder.width, cfg.decoder.width);
        Ok(Lvmae {
            checked: checked.clone(),
            encoder: Vit::new(p / "encoder", &cfg.encoder, checked.patch())?,
            to_decoder: init::linear_without_bias(p / "to_decoder", d_enc, d_dec),
            query_11d: init::query_token(p, "query", d_dec),
            decoder: Stack::new(p / "decoder", &cfg.decoder, checked.recompute(), 0.0)?,
            norm: layer_norm(&(p / "norm"), d_dec),
            head: init::linear(p / "head", d_dec, target_width),
        })
    }

    /// The ViT that is kept after pre-training.
    pub fn encoder(&self) -> &Vit {
        &self.encoder
    }

    /// The same weights for clips of another size: no variable depends on it, since position codes are computed.
    ///
    /// # Errors
    /// What the settings' [`check`](crate::LvmaeConfig::check) says of the grid.
    pub fn change_grid(&mut self, grid: Grid) -> Result<(), LvmaeError> {
        self.checked = self.checked.config().check(grid, self.checked.patch())?;
        Ok(())
    }

    /// Motion of each token by the model's own patch embeddings, one list of `N` per clip, without gradient: the cue of
    /// EVEREST's masks ([`Cue::Motion`](crate::Cue::Motion)).
    ///
    /// * `clip_bthwc` - pixels `[B, T, H, W, 3]` u8
    ///
    /// # Errors
    /// [`NnError`].
    pub fn motion(&self, clip_bthwc: &Tensor) -> Result<Vec<Vec<f32>>, NnError> {
        let cubes = Cubes::new(clip_bthwc, self.checked.grid(), self.checked.patch())?;
        let motion_bn = self.encoder.embed_motion(&cubes)?;
        let rows = |b| Vec::<f32>::try_from(motion_bn.get(b)).during("reading the motion of tokens");
        (0..cubes.num_clips()).map(rows).collect()
    }

    /// Encodes the visible tokens and predicts the asked ones from them.
    ///
    /// * `visible_bv` - tokens that the encoder sees, `[B, V]` int64
    /// * `asked_bq` - tokens to predict, `[B, Q]` int64
    /// * `mode` - whether the encoder's drop path is on; the decoder has none
    ///
    /// # Errors
    /// [`NnError`].
    pub fn forward(
        &self,
        cubes: &Cubes,
        visible_bv: &Tensor,
        asked_bq: &Tensor,
        mode: Mode,
    ) -> Result<Predictions, NnError> {
        expect_shape("visible tokens", visible_bv, &[cubes.num_clips(), -1])?;
        expect_shape("asked tokens", asked_bq, &[cubes.num_clips(), -1])?;
        let cfg = self.checked.config();
        let code = |index: &Tensor| position_codes(cfg.encoder.position, cubes.grid(), index, cfg.decoder.width);
        let features_bvd = self.encoder.encode(cubes, visible_bv, None, mode)?;
        let seen = features_bvd.apply(&self.to_decoder) + code(visible_bv);
        let asked = code(asked_bq) + &self.query_11d;
        let x = self.decoder.forward(Tensor::cat(&[seen, asked], 1), None, mode)?;
        let num_asked = asked_bq.size()[1];
        let answers = x.narrow(1, x.size()[1] - num_asked, num_asked);
        Ok(Predictions { features_bvd, values_bqc: answers.apply(&self.norm).apply(&self.head) })
    }
}
