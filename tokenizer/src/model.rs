use nn::{During, Losses, NnError, expect_kind, expect_shape};
use tch::nn::Path;
use tch::{Kind, Tensor};
use vector_quantize::Fsq;

use crate::cnn::{Decoder, Encoder};
use crate::config::WINDOW_FRAMES;
use crate::loss::{Critics, Forward, losses};
use crate::scorer::{Scorer, adjacent_distance};
use crate::topk::keep_mask;
use crate::{CheckedTokenizer, TokenizerError};

/// Encoder, scorer, quantizer and decoder, trained together and then frozen.
#[derive(Debug)]
pub struct Tokenizer {
    pub(crate) checked: CheckedTokenizer,
    pub(crate) encoder: Encoder,
    pub(crate) decoder: Decoder,
    pub(crate) scorer: Scorer,
}

impl Tokenizer {
    /// Adds the weights to `path`, drawn from libtorch's generator: seed it (`tch::manual_seed`) for the same weights.
    ///
    /// # Errors
    /// [`TokenizerError::Nn`] when libtorch cannot allocate them.
    pub fn new(path: &Path, checked: &CheckedTokenizer) -> Result<Self, TokenizerError> {
        Ok(Tokenizer {
            checked: checked.clone(),
            encoder: Encoder::new(&(path / "encoder"), checked)?,
            decoder: Decoder::new(&(path / "decoder"), checked)?,
            scorer: Scorer::new(&(path / "scorer"), &checked.config().scorer)?,
        })
    }

    /// FSQ levels per channel of the latent; their number is the width D of the token values.
    pub fn levels(&self) -> &[i64] {
        self.fsq().levels()
    }

    /// Number of codes K.
    pub fn codebook_size(&self) -> i64 {
        self.fsq().codebook_size()
    }

    /// The quantized latents that codes stand for: the targets VQ(V) of LVMAE's equation 2.
    ///
    /// * `codes` - `[..]` int64 in `0..K`
    ///
    /// Returns `[.., D]` f32 in `[-1, 1]`.
    ///
    /// # Errors
    /// [`TokenizerError::Vq`] for a code outside `0..K`.
    pub fn values_from_codes(&self, codes: &Tensor) -> Result<Tensor, TokenizerError> {
        Ok(self.fsq().values_from_codes(codes)?)
    }

    /// One training step's loss over a batch of windows: encode, score, set all but the top tokens to 0, quantize, decode,
    /// compare. Reports `recon`, `psnr_db`, `kept_share`, `score_mean`, `score_std`, and where they have a weight
    /// `frame_diff`, `perceptual`, `g_loss` (the tokenizer's adversarial term), `d_loss` (the discriminator's), `logit_real`,
    /// `logit_fake`, `adaptive_weight`, `r1` and `lecam`, all before they are weighted; and the codes of all tokens, those set
    /// to 0 included. With a discriminator the total is the sum of both sides'.
    ///
    /// * `clip_bthwc` - `[B, 16, H, W, 3]` u8
    /// * `critics` - collect what their [`Critics::after_step`] needs
    /// * `step` - of the run, from 1
    ///
    /// # Errors
    /// [`TokenizerError::Nn`] for another shape or element type, or when libtorch fails; [`TokenizerError::ClipSize`] for a
    /// side that is not a multiple of the patch.
    pub fn loss(&self, clip_bthwc: &Tensor, critics: &mut Critics, step: u64) -> Result<Losses, TokenizerError> {
        let forward = self.forward(clip_bthwc)?;
        losses(&forward, (&self.checked.config().loss, self.codebook_size()), critics, step)
    }

    /// A training step's forward pass over windows `[B, 16, H, W, 3]` u8.
    pub(crate) fn forward(&self, clip_bthwc: &Tensor) -> Result<Forward, TokenizerError> {
        expect_shape("clip", clip_bthwc, &[-1, WINDOW_FRAMES, -1, -1, 3])?;
        self.expect_clip(clip_bthwc)?;
        let frames = normalized(clip_bthwc)?;
        let latents = self.encoder.forward(&frames)?;
        let scores = adjacent_distance(&self.scorer.features(&frames)?)?;
        let mask = self.mask(&scores, self.checked.config().top_k.keep_ratio)?;
        let quantized = self.fsq().quantize(&masked(&latents, &mask)?)?;
        let output = self.decoder.forward(&quantized.values)?;
        let last_layer = self.decoder.last_layer();
        Ok(Forward { frames, output, codes: quantized.codes, scores, mask, last_layer })
    }

    pub(crate) fn fsq(&self) -> &Fsq {
        self.checked.fsq()
    }

    /// The straight-through mask that keeps the first latent frame and `share` of the rest, `[B, T, H, W]`.
    pub(crate) fn mask(&self, scores_bthw: &Tensor, share: f64) -> Result<Tensor, NnError> {
        keep_mask(scores_bthw, share, self.checked.config().top_k.temperature).during("choosing the top tokens")
    }

    /// Checks that a clip is u8 `[B, F, H, W, 3]` with whole windows and patches.
    pub(crate) fn expect_clip(&self, clip_bthwc: &Tensor) -> Result<(), TokenizerError> {
        expect_shape("clip", clip_bthwc, &[-1, -1, -1, -1, 3])?;
        expect_kind("clip", clip_bthwc, Kind::Uint8)?;
        let (size, patch) = (clip_bthwc.size(), self.checked.patch());
        for (axis, size, step) in
            [("frames", size[1], WINDOW_FRAMES), ("height", size[2], patch.h), ("width", size[3], patch.w)]
        {
            if size == 0 || size % step != 0 {
                return Err(TokenizerError::ClipSize { axis, size, step });
            }
        }
        Ok(())
    }
}

/// u8 frames to f32 in `[-1, 1]`.
pub(crate) fn normalized(clip: &Tensor) -> Result<Tensor, NnError> {
    let frames = || clip.f_to_kind(Kind::Float)?.f_div_scalar(127.5)?.f_sub_scalar(1.0);
    frames().during("reading frames")
}

/// Latents `[B, T, H, W, D]` with those outside the mask `[B, T, H, W]` set to 0. The gradient reaches the scorer through
/// this product and nothing else.
pub(crate) fn masked(latents_bthwd: &Tensor, mask_bthw: &Tensor) -> Result<Tensor, NnError> {
    mask_bthw.f_unsqueeze(-1).and_then(|mask| latents_bthwd.f_mul(&mask)).during("masking tokens")
}
