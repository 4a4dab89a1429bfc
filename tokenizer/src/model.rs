use nn::{During, Losses, NnError, Past, expect_kind, expect_shape};
use tch::nn::Path;
use tch::{Kind, Tensor};
use torch_ext::Group;
use vector_quantize::{Quantizer, QuantizerConfig, Share};

use crate::beside::{Beside, Place};
use crate::cnn::{Decoder, Encoder};
use crate::loss::{Forward, losses};
use crate::scorer::Scorer;
use crate::topk::training_mask;
use crate::{CheckedTokenizer, LongVideo, TimeLayout, TokenizerError, TopKConfig};

/// Encoder, scorer, quantizer and decoder, trained together and then frozen.
#[derive(Debug)]
pub struct Tokenizer {
    pub(crate) checked: CheckedTokenizer,
    pub(crate) encoder: Encoder,
    pub(crate) decoder: Decoder,
    pub(crate) scorer: Scorer,
    pub(crate) quantizer: Quantizer,
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
            scorer: Scorer::new(&(path / "scorer"), &checked.config().scorer, checked.quantizer().num_channels())?,
            quantizer: Quantizer::new(&(path / "quantizer"), checked.quantizer())?,
        })
    }

    /// What turns latents into codes and codes into values.
    pub fn quantizer(&self) -> &Quantizer {
        &self.quantizer
    }

    /// How frames become latent frames.
    pub fn time(&self) -> TimeLayout {
        self.checked.config().time
    }

    /// Its settings.
    pub fn quantizer_config(&self) -> &QuantizerConfig {
        self.checked.quantizer().config()
    }

    /// Codes as digits in mixed radix, the first digit the fastest: how many values each has. An FSQ has one per channel, LFQ
    /// one per bit, a learned codebook a single one, a residual those of its stages one after the other. Their product is K.
    pub fn code_digits(&self) -> Vec<i64> {
        digits(self.quantizer_config())
    }

    /// Number of codes K.
    pub fn codebook_size(&self) -> i64 {
        self.quantizer.codebook_size()
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
        Ok(self.quantizer.values_from_codes(codes)?)
    }

    /// One training step's loss over a batch of windows: encode, score, set all but the top tokens to 0, quantize, decode,
    /// compare. Reports `recon`, `psnr_db`, `kept_share`, `score_mean`, `score_std`, and where they have a weight
    /// `frame_diff`, `spread`, `perceptual`, `g_loss` (the tokenizer's adversarial term), `d_loss` (the discriminator's), `logit_real`,
    /// `logit_fake`, `adaptive_weight`, `r1` and `lecam`, all before they are weighted; and the codes of all tokens, those set
    /// to 0 included. With a discriminator the total is the sum of both sides'.
    ///
    /// * `clip_bthwc` - `[B, 16, H, W, 3]` u8; 17 frames under [`TimeLayout::FirstFrame`]
    /// * `beside` - collects what its [`Beside::after_step`] needs
    /// * `place` - which batch of the run this is
    ///
    /// # Errors
    /// [`TokenizerError::Nn`] for another shape or element type, or when libtorch fails; [`TokenizerError::ClipSize`] for a
    /// side that is not a multiple of the patch.
    pub fn loss(&self, clip_bthwc: &Tensor, beside: &mut Beside, place: Place) -> Result<Losses, TokenizerError> {
        let forward = self.forward(clip_bthwc)?;
        let of_what = (&self.checked.config().loss, self.codebook_size());
        let mut losses = losses(&forward, of_what, &mut beside.critics, place.step)?;
        if let Some(watch) = &mut beside.watch {
            let seen = forward.seen()?;
            losses.terms.extend(watch.terms(self, &seen, place.step)?);
            watch.collect(&seen, &self.quantizer, place.share)?;
        }
        Ok(losses)
    }

    /// A training step's forward pass over windows, [`Tokenizer::loss`]'s.
    pub(crate) fn forward(&self, clip_bthwc: &Tensor) -> Result<Forward, TokenizerError> {
        expect_shape("clip", clip_bthwc, &[-1, self.checked.window_frames(), -1, -1, 3])?;
        self.expect_clip(clip_bthwc, LongVideo::Windows)?;
        let frames = normalized(clip_bthwc)?;
        let latents = self.latents(&frames, &mut Past::none())?;
        let scores = self.scorer.scores(&self.clues((&frames, &latents), true)?)?;
        let TopKConfig { keep, gradient } = self.checked.config().top_k;
        let mask = training_mask(&scores, keep, gradient).during("choosing the top tokens")?;
        let quantized = self.quantizer.quantize(&latents)?;
        let output = self.frames(&masked(&quantized.values, &mask)?, &mut Past::none())?;
        let last_layer = self.decoder.last_layer();
        let spread = match &self.quantizer {
            Quantizer::Fsq(fsq) if self.checked.config().loss.spread_weight > 0.0 => {
                Some(fsq.spread(&quantized.values)?)
            }
            _ => None,
        };
        Ok(Forward { frames, latents, output, quantized, spread, scores, mask, last_layer })
    }

    /// Sets a learned codebook by k-means on the windows of the first step; does nothing where nothing is learned, or once it
    /// was done.
    ///
    /// * `clip_bthwc` - this rank's windows, as for [`Tokenizer::loss`]
    ///
    /// # Errors
    /// As [`Tokenizer::loss`]; [`TokenizerError::Ranks`] when a rank is missing.
    pub fn start_codebook(&self, clip_bthwc: &Tensor, ranks: &Group) -> Result<(), TokenizerError> {
        if self.quantizer.is_started()? {
            return Ok(());
        }
        let latents = tch::no_grad(|| self.latents(&normalized(clip_bthwc)?, &mut Past::none()))?;
        let share = Share { index: ranks.rank() as i64, of: ranks.num_ranks() as i64 };
        let sum = |tensor: &Tensor| Ok(ranks.sum(std::slice::from_ref(tensor))?);
        self.quantizer.start_over_ranks(&latents, share, sum)
    }

    /// Checks that a clip is u8 `[B, F, H, W, 3]` with whole windows or latent frames, and whole patches.
    pub(crate) fn expect_clip(&self, clip_bthwc: &Tensor, long: LongVideo) -> Result<(), TokenizerError> {
        expect_shape("clip", clip_bthwc, &[-1, -1, -1, -1, 3])?;
        expect_kind("clip", clip_bthwc, Kind::Uint8)?;
        let (size, patch) = (clip_bthwc.size(), self.checked.patch());
        let num_frames = size[1];
        let step = match (long, self.checked.config().time) {
            (LongVideo::Windows, _) => self.checked.window_frames(),
            (LongVideo::Carried, TimeLayout::Pairs) => patch.t,
            (LongVideo::Carried, TimeLayout::FirstFrame) if num_frames % patch.t == 1 % patch.t => 1,
            (LongVideo::Carried, TimeLayout::FirstFrame) => {
                return Err(TokenizerError::FirstFrame { num_frames, step: patch.t });
            }
        };
        for (axis, size, step) in
            [("frames", num_frames, step), ("height", size[2], patch.h), ("width", size[3], patch.w)]
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
    let frames = || {
        let mut frames = clip.f_to_kind(Kind::Float)?;
        frames.f_div_scalar_(127.5)?.f_sub_scalar_(1.0)
    };
    frames().during("reading frames")
}

/// Values `[B, T, H, W, D]` with those outside the mask `[B, T, H, W]` set to 0. The gradient reaches the scorer through this
/// product and nothing else.
pub(crate) fn masked(values_bthwd: &Tensor, mask_bthw: &Tensor) -> Result<Tensor, NnError> {
    mask_bthw.f_unsqueeze(-1).and_then(|mask| values_bthwd.f_mul(&mask)).during("masking tokens")
}

fn digits(quantizer: &QuantizerConfig) -> Vec<i64> {
    match quantizer {
        QuantizerConfig::Fsq { levels, .. } => levels.clone(),
        QuantizerConfig::Lfq(lfq) => vec![2; lfq.bits as usize],
        QuantizerConfig::Vq(vq) => vec![vq.codes],
        QuantizerConfig::Residual { stages, of } => digits(of).repeat(*stages as usize),
    }
}
