use nn::{During, NnError};
use tch::{Kind, Tensor};

use crate::config::WINDOW_FRAMES;
use crate::model::{masked, normalized};
use crate::scorer::adjacent_distance;
use crate::select::Windows;
use crate::{Selection, Tokenizer, TokenizerError};

/// Pixels that pass through the networks at once outside training: two windows at 224x224. Bounds the memory of a long
/// clip to that of a few windows.
const CHUNK_PIXELS: i64 = 2 * WINDOW_FRAMES * 224 * 224;

/// What the frozen tokenizer says about clips. Tokens are in (t, h, w) order.
#[derive(Debug)]
pub struct Tokens {
    /// Codes of all tokens, none set to 0, `[B, N]` int64 in `0..K`.
    pub codes: Tensor,
    /// How far each token moved since the latent frame before, `[B, N]` f32, at least 0. Comparable within a clip; the
    /// scale is the scorer's own.
    pub priorities: Tensor,
}

/// Which tokens a reconstruction is made from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Keep {
    /// Every token.
    All,
    /// In each window the first latent frame and a share of the other tokens.
    Share {
        /// Of the tokens after the first latent frame, clamped to `0..=1`.
        share: f64,
        /// Which.
        by: Selection,
    },
}

impl Tokenizer {
    /// Codes and priorities of clips of any length, with the memory of a few windows and no gradient.
    ///
    /// Codes come from windows of 16 frames side by side, each seen by itself. Priorities do not stop at a window's
    /// edge: its first latent frame is compared with the last one of the window before, and only a clip's first frame
    /// copies its second (the paper gives no rule; copying in every window would guess one latent frame in eight).
    ///
    /// * `clip_bthwc` - `[B, F, H, W, 3]` u8, F a multiple of 16
    ///
    /// # Errors
    /// [`TokenizerError::Nn`] for another shape or element type, or when libtorch fails; [`TokenizerError::ClipSize`] for
    /// sizes that are not whole windows and patches.
    pub fn encode_clip(&self, clip_bthwc: &Tensor) -> Result<Tokens, TokenizerError> {
        self.expect_clip(clip_bthwc)?;
        tch::no_grad(|| {
            let (mut codes, mut features) = (Vec::new(), Vec::new());
            for windows in window_chunks(clip_bthwc)? {
                let frames = normalized(&windows)?;
                // Features are kept for the whole clip: a few values per token, a small part of the clip's own bytes.
                features.push(self.scorer.features(&frames)?);
                codes.push(self.fsq().quantize(&self.encoder.forward(&frames)?)?.codes);
            }
            let num_clips = clip_bthwc.size()[0];
            let scores = adjacent_distance(&joined(&features, num_clips)?)?;
            let flat = |tokens: &Tensor| tokens.f_flatten(1, -1).during("joining windows");
            Ok(Tokens { codes: flat(&joined(&codes, num_clips)?)?, priorities: flat(&scores)? })
        })
    }

    /// Clips as the decoder draws them from their tokens.
    ///
    /// * `clip_bthwc` - `[B, F, H, W, 3]` u8, F a multiple of 16
    ///
    /// Returns u8 of the same shape.
    ///
    /// # Errors
    /// As [`Tokenizer::encode_clip`].
    pub fn reconstruct(&self, clip_bthwc: &Tensor, keep: Keep) -> Result<Tensor, TokenizerError> {
        Ok(self.reconstruct_each(clip_bthwc, &[keep])?.swap_remove(0))
    }

    /// The same for several choices of tokens, which share one encoding: one reconstruction each, in their order.
    ///
    /// # Errors
    /// As [`Tokenizer::encode_clip`].
    pub fn reconstruct_each(&self, clip_bthwc: &Tensor, keeps: &[Keep]) -> Result<Vec<Tensor>, TokenizerError> {
        self.expect_clip(clip_bthwc)?;
        let (num_clips, num_frames) = (clip_bthwc.size()[0], clip_bthwc.size()[1]);
        tch::no_grad(|| {
            let mut drawn: Vec<Vec<Tensor>> = keeps.iter().map(|_| Vec::new()).collect();
            let mut first = 0;
            for bytes in window_chunks(clip_bthwc)? {
                let frames = &normalized(&bytes)?;
                let latents = self.encoder.forward(frames)?;
                let windows = Windows { bytes: &bytes, frames, first, per_clip: num_frames / WINDOW_FRAMES };
                for (keep, drawn) in keeps.iter().zip(&mut drawn) {
                    let kept = self.kept(&latents, &windows, *keep)?;
                    drawn.push(to_bytes(&self.decoder.forward(&self.fsq().quantize(&kept)?.values)?)?);
                }
                first += bytes.size()[0];
            }
            Ok(drawn.iter().map(|chunks| joined(chunks, num_clips)).collect::<Result<_, _>>()?)
        })
    }

    /// The latents of some windows with those set to 0 that do not pass.
    fn kept(&self, latents_nthwd: &Tensor, windows: &Windows<'_>, keep: Keep) -> Result<Tensor, TokenizerError> {
        let Keep::Share { share, by } = keep else { return Ok(latents_nthwd.shallow_clone()) };
        let (_, t, h, w, _) = latents_nthwd.size5().during("choosing tokens")?;
        Ok(masked(latents_nthwd, &self.chosen(windows, [t, h, w], (share, by))?)?)
    }
}

/// Cuts `[B, F, H, W, 3]` into windows `[n, 16, H, W, 3]`, clip after clip, a few at a time.
fn window_chunks(clip_bthwc: &Tensor) -> Result<Vec<Tensor>, NnError> {
    let (_, _, height, width, colours) = clip_bthwc.size5().during("cutting windows")?;
    let at_once = (CHUNK_PIXELS / (WINDOW_FRAMES * height * width)).max(1);
    clip_bthwc
        .f_reshape([-1, WINDOW_FRAMES, height, width, colours])
        .and_then(|windows| windows.f_split(at_once, 0))
        .during("cutting windows")
}

/// The inverse of [`window_chunks`] for anything that has a time axis: chunks `[n, T, ..]` to `[B, W T, ..]`.
fn joined(chunks: &[Tensor], num_clips: i64) -> Result<Tensor, NnError> {
    let join = || {
        let windows = Tensor::f_cat(chunks, 0)?;
        let mut size = windows.size();
        (size[0], size[1]) = (num_clips, windows.size()[0] / num_clips * size[1]);
        windows.f_reshape(size)
    };
    join().during("joining windows")
}

/// f32 frames, clamped to `[-1, 1]`, as u8.
fn to_bytes(frames: &Tensor) -> Result<Tensor, NnError> {
    let bytes = || {
        let scaled = frames.f_clamp(-1.0, 1.0)?.f_add_scalar(1.0)?.f_mul_scalar(127.5)?;
        scaled.f_round()?.f_to_kind(Kind::Uint8)
    };
    bytes().during("drawing frames")
}
