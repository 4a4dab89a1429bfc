#[cfg(test)]
mod tests;

use nn::{During, NnError, Past};
use tch::{Kind, Tensor};

use crate::config::WINDOW_FRAMES;
use crate::model::{masked, normalized};
use crate::scorer::{first_copied, moved};
use crate::{Tokenizer, TokenizerError};

/// Pixels that pass through the networks at once outside training: two windows at 224x224. Bounds the memory of a long
/// clip to that of a few windows.
const CHUNK_PIXELS: i64 = 2 * WINDOW_FRAMES * 224 * 224;

/// What the frozen tokenizer says about clips. Tokens are in (t, h, w) order.
#[derive(Debug)]
pub struct Tokens {
    /// Codes of all tokens, none set to 0, `[B, N]` int64 in `0..K`.
    pub codes: Tensor,
    /// How far each token moved since the latent frame before, `[B, N]` f32, at least 0; 0 for a single latent frame.
    /// Comparable within a clip; the scale is the scorer's own.
    pub priorities: Tensor,
}

/// Which tokens a reconstruction is made from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Keep {
    /// Every token.
    All,
    /// The first latent frame of each window (of the clip, where it is not cut into windows) and this share of the other
    /// tokens, those of highest score, as in training. Clamped to `0..=1`.
    Share(f64),
}

/// How the networks see a clip that is longer than the windows of training. The memory is that of a few windows either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LongVideo {
    /// As windows side by side, each by itself (LVMAE). The clip is a whole number of them.
    Windows,
    /// As one video: it passes in chunks, and the convolutions carry the frames that they still need from one to the next.
    /// Any whole number of latent frames, one included.
    Carried,
}

/// How much of a clip passes at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunking {
    pub(crate) long: LongVideo,
    /// Pixels; at least one window or latent frame of one clip passes.
    pub(crate) pixels: i64,
}

impl Chunking {
    fn usual(long: LongVideo) -> Self {
        Chunking { long, pixels: CHUNK_PIXELS }
    }
}

impl Tokenizer {
    /// Codes and priorities of clips of any length, with the memory of a few windows and no gradient.
    ///
    /// Priorities do not stop at the edge of a window, although codes do: its first latent frame is compared with the last
    /// one of the window before, and only a clip's first frame copies its second (the paper gives no rule; copying in
    /// every window would guess one latent frame in eight).
    ///
    /// * `clip_bthwc` - `[B, F, H, W, 3]` u8, F whole windows or latent frames as `long` has it
    ///
    /// # Errors
    /// [`TokenizerError::Nn`] for another shape or element type, or when libtorch fails; [`TokenizerError::ClipSize`] and
    /// [`TokenizerError::FirstFrame`] for sizes that are not whole windows, latent frames or patches.
    pub fn encode_clip(&self, clip_bthwc: &Tensor, long: LongVideo) -> Result<Tokens, TokenizerError> {
        self.encode_in(clip_bthwc, Chunking::usual(long))
    }

    /// Clips as the decoder draws them from their tokens.
    ///
    /// * `clip_bthwc` - as for [`Tokenizer::encode_clip`]
    ///
    /// Returns u8 of the same shape.
    ///
    /// # Errors
    /// As [`Tokenizer::encode_clip`].
    pub fn reconstruct(&self, clip_bthwc: &Tensor, keep: Keep, long: LongVideo) -> Result<Tensor, TokenizerError> {
        self.reconstruct_in(clip_bthwc, keep, Chunking::usual(long))
    }

    pub(crate) fn encode_in(&self, clip_bthwc: &Tensor, chunking: Chunking) -> Result<Tokens, TokenizerError> {
        self.expect_clip(clip_bthwc, chunking.long)?;
        tch::no_grad(|| {
            let (mut codes, mut priorities) = (Vec::new(), Vec::new());
            for clips in few_at_once(clip_bthwc, chunking)? {
                let mut pass = Pass::new(self, chunking.long);
                let (mut codes_of, mut moved_of) = (Vec::new(), Vec::new());
                for chunk in pass.chunks(&clips, chunking.pixels)? {
                    let frames = normalized(&chunk)?;
                    codes_of.push(self.fsq().quantize(&pass.latents(&frames)?)?.codes);
                    moved_of.push(pass.moved(&frames)?);
                }
                codes.push(joined(&codes_of, 1)?);
                priorities.push(first_copied(&joined(&moved_of, 1)?)?);
            }
            let flat = |tokens: &[Tensor]| joined(tokens, 0)?.f_flatten(1, -1).during("joining chunks");
            Ok(Tokens { codes: flat(&codes)?, priorities: flat(&priorities)? })
        })
    }

    pub(crate) fn reconstruct_in(
        &self,
        clip_bthwc: &Tensor,
        keep: Keep,
        chunking: Chunking,
    ) -> Result<Tensor, TokenizerError> {
        self.expect_clip(clip_bthwc, chunking.long)?;
        tch::no_grad(|| {
            let drawn = clip_bthwc.f_empty_like().during("drawing frames")?;
            for (clips, drawn) in few_at_once(clip_bthwc, chunking)?.iter().zip(few_at_once(&drawn, chunking)?) {
                let mask_bthw = match keep {
                    Keep::All => None,
                    Keep::Share(share) => Some(self.clip_mask(clips, share.clamp(0.0, 1.0), chunking)?),
                };
                let mut pass = Pass::new(self, chunking.long);
                let mut first = 0;
                let places = pass.chunks(&drawn, chunking.pixels)?;
                for (chunk, mut place) in pass.chunks(clips, chunking.pixels)?.into_iter().zip(places) {
                    let mut latents = pass.latents(&normalized(&chunk)?)?;
                    let len = latents.size()[1];
                    if let Some(mask) = &mask_bthw {
                        latents = masked(&latents, &mask.f_narrow(1, first, len).during("masking tokens")?)?;
                    }
                    first += len;
                    let frames = pass.frames(&self.fsq().quantize(&latents)?.values)?;
                    place.f_copy_(&bytes(&frames)?).during("drawing frames")?;
                }
            }
            Ok(drawn)
        })
    }

    /// The tokens `[B, T, H, W]` that [`Keep::Share`] keeps of clips.
    fn clip_mask(&self, clips: &Tensor, share: f64, chunking: Chunking) -> Result<Tensor, TokenizerError> {
        let mut pass = Pass::new(self, chunking.long);
        let chunks = pass.chunks(clips, chunking.pixels)?;
        let moved: Result<Vec<Tensor>, NnError> = chunks.iter().map(|chunk| pass.moved(&normalized(chunk)?)).collect();
        let scores = first_copied(&joined(&moved?, 1)?)?;
        let mask = match chunking.long {
            LongVideo::Windows => self.mask(&split(&scores, self.checked.latent_frames())?, share)?,
            LongVideo::Carried => self.mask(&scores, share)?,
        };
        Ok(mask.f_view_as(&scores).during("masking tokens")?)
    }
}

/// A passage of clips through the networks, chunk after chunk.
struct Pass<'a> {
    model: &'a Tokenizer,
    long: LongVideo,
    encoder: Past,
    scorer: Past,
    decoder: Past,
    /// The scorer's features of the latent frame before the chunk, `[B, 1, H, W, C]`.
    last_features: Option<Tensor>,
}

impl<'a> Pass<'a> {
    fn new(model: &'a Tokenizer, long: LongVideo) -> Self {
        let [encoder, scorer, decoder] = [(); 3].map(|()| match long {
            LongVideo::Windows => Past::none(),
            LongVideo::Carried => Past::of_chunks(),
        });
        Pass { model, long, encoder, scorer, decoder, last_features: None }
    }

    /// Cuts clips `[B, F, H, W, 3]` into chunks `[B, f, H, W, 3]` of whole windows or latent frames.
    fn chunks(&self, clips: &Tensor, pixels: i64) -> Result<Vec<Tensor>, NnError> {
        let (num_clips, num_frames, height, width, _) = clips.size5().during("cutting chunks")?;
        let (unit, missing) = match self.long {
            LongVideo::Windows => (self.window_frames(), 0),
            LongVideo::Carried => {
                let patch = self.model.checked.patch();
                (patch.t, self.model.time().lead_frames(patch))
            }
        };
        let step = unit * (pixels / (unit * num_clips * height * width)).max(1);
        // The first chunk is shorter by what the clip lacks before its first frame.
        let starts = (0..num_frames + missing).step_by(step as usize);
        let ranges = starts.map(|start| ((start - missing).max(0), (start + step - missing).min(num_frames)));
        let cut = |(start, stop)| clips.f_narrow(1, start, stop - start).during("cutting chunks");
        ranges.map(cut).collect()
    }

    /// Latents `[B, T, H, W, D]` of a chunk of frames.
    fn latents(&mut self, frames: &Tensor) -> Result<Tensor, NnError> {
        let latents = self.model.latents(&self.windows(frames, self.window_frames())?, &mut self.encoder)?;
        self.side_by_side(&latents, frames)
    }

    /// Distances `[B, T, H, W]` of a chunk's latent frames from those before them; the clip's first one has none.
    fn moved(&mut self, frames: &Tensor) -> Result<Tensor, NnError> {
        let features = self.model.features(&self.windows(frames, self.window_frames())?, &mut self.scorer)?;
        let features = self.side_by_side(&features, frames)?;
        let last = features.f_narrow_copy(1, features.size()[1] - 1, 1).during("scoring")?;
        match self.last_features.replace(last) {
            Some(before) => moved(&joined(&[before, features], 1)?),
            None => moved(&features),
        }
    }

    /// Frames of a chunk of quantized latents, not clamped.
    fn frames(&mut self, values: &Tensor) -> Result<Tensor, NnError> {
        let frames =
            self.model.frames(&self.windows(values, self.model.checked.latent_frames())?, &mut self.decoder)?;
        self.side_by_side(&frames, values)
    }

    fn window_frames(&self) -> i64 {
        self.model.checked.window_frames()
    }

    /// A chunk `[B, w len, ..]` as the networks see it: `[B w, len, ..]` where windows are seen by themselves.
    fn windows(&self, chunk: &Tensor, len: i64) -> Result<Tensor, NnError> {
        match self.long {
            LongVideo::Windows => split(chunk, len),
            LongVideo::Carried => Ok(chunk.shallow_clone()),
        }
    }

    /// The way back: `[B w, T, ..]` to `[B, w T, ..]` with the clips of the chunk `like`.
    fn side_by_side(&self, windows: &Tensor, like: &Tensor) -> Result<Tensor, NnError> {
        let num_clips = like.size()[0];
        let mut size = windows.size();
        (size[0], size[1]) = (num_clips, size[0] / num_clips * size[1]);
        windows.f_reshape(size).during("joining windows")
    }
}

/// `[B, w len, ..]` to `[B w, len, ..]`.
fn split(chunk: &Tensor, len: i64) -> Result<Tensor, NnError> {
    let mut size = chunk.size();
    (size[0], size[1]) = (size[0] * size[1] / len, len);
    chunk.f_reshape(size).during("cutting windows")
}

/// As many clips at a time as pass with a window of each.
fn few_at_once(clip_bthwc: &Tensor, chunking: Chunking) -> Result<Vec<Tensor>, NnError> {
    let (_, _, height, width, _) = clip_bthwc.size5().during("cutting chunks")?;
    clip_bthwc.f_split((chunking.pixels / (WINDOW_FRAMES * height * width)).max(1), 0).during("cutting chunks")
}

fn joined(parts: &[Tensor], dim: i64) -> Result<Tensor, NnError> {
    match parts {
        [only] => Ok(only.shallow_clone()),
        parts => Tensor::f_cat(parts, dim).during("joining chunks"),
    }
}

/// f32 frames, clamped to `[-1, 1]`, as u8.
fn bytes(frames: &Tensor) -> Result<Tensor, NnError> {
    let bytes = || {
        let scaled = frames.f_clamp(-1.0, 1.0)?.f_add_scalar(1.0)?.f_mul_scalar(127.5)?;
        scaled.f_round()?.f_to_kind(Kind::Uint8)
    };
    bytes().during("drawing frames")
}
