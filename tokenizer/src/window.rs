use nn::{During, NnError, Past};
use tch::{Kind, Tensor};

use crate::config::WINDOW_FRAMES;
use crate::model::{masked, normalized};
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
    /// What the encoder says of all tokens before they are quantized, `[B, N, D]` f32.
    pub latents: Tensor,
    /// How far each token moved since the latent frame before, `[B, N]` f32, at least 0. Comparable within a clip; the
    /// scale is the scorer's own.
    pub priorities: Tensor,
}

/// How the networks see a clip that is longer than the windows of training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LongVideo {
    /// As windows side by side, each by itself (LVMAE). The clip is a whole number of them.
    Windows,
    /// As one video. It passes in chunks, and the convolutions carry the frames that they still need from one to the next.
    /// The clip is any whole number of latent frames, one included.
    Carried,
}

/// Which tokens a reconstruction is made from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Keep {
    /// Every token.
    All,
    /// In each window the first latent frame and a share of the other tokens. A carried clip is one window.
    Share {
        /// Of the tokens after the first latent frame, clamped to `0..=1`.
        share: f64,
        /// Which.
        by: Selection,
    },
}

/// How clips pass through the networks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passage {
    pub(crate) long: LongVideo,
    /// Pixels at once; at least one window or latent frame passes.
    pub(crate) pixels: i64,
}

impl From<LongVideo> for Passage {
    fn from(long: LongVideo) -> Self {
        Passage { long, pixels: CHUNK_PIXELS }
    }
}

impl Tokenizer {
    /// Codes and priorities of clips of any length, with no gradient and the memory of a few windows beside a few values per
    /// token.
    ///
    /// Priorities do not stop at a window's edge, although codes do: its first latent frame is compared with the last one
    /// of the window before, and only a clip's first frame copies its second (the paper gives no rule; copying in every
    /// window would guess one latent frame in eight).
    ///
    /// * `clip_bthwc` - `[B, F, H, W, 3]` u8, F whole windows or latent frames as `long` has it
    ///
    /// # Errors
    /// [`TokenizerError::Nn`] for another shape or element type, or when libtorch fails; [`TokenizerError::ClipSize`] and
    /// [`TokenizerError::FirstFrame`] for sizes that are not whole windows, latent frames or patches.
    pub fn encode_clip(&self, clip_bthwc: &Tensor, long: LongVideo) -> Result<Tokens, TokenizerError> {
        self.encode(clip_bthwc, long.into())
    }

    /// Clips as the decoder draws them from their tokens, in the memory that [`Tokenizer::encode_clip`] takes.
    ///
    /// * `clip_bthwc` - as there
    ///
    /// Returns u8 of the same shape.
    ///
    /// # Errors
    /// As there.
    pub fn reconstruct(&self, clip_bthwc: &Tensor, keep: Keep, long: LongVideo) -> Result<Tensor, TokenizerError> {
        self.redraw(clip_bthwc, keep, long.into())
    }

    /// The same for several choices of tokens, which share one encoding: one reconstruction each, in their order.
    ///
    /// # Errors
    /// As there.
    pub fn reconstruct_each(
        &self,
        clip_bthwc: &Tensor,
        keeps: &[Keep],
        long: LongVideo,
    ) -> Result<Vec<Tensor>, TokenizerError> {
        self.redraw_each(clip_bthwc, keeps, long.into())
    }

    pub(crate) fn encode(&self, clip_bthwc: &Tensor, passage: Passage) -> Result<Tokens, TokenizerError> {
        self.expect_clip(clip_bthwc, passage.long)?;
        tch::no_grad(|| {
            let (mut codes, mut latents, mut clues) = (Vec::new(), Vec::new(), Vec::new());
            for group in self.groups(clip_bthwc, passage)? {
                let (latents_of, clues_of) = self.seen(&group, passage)?;
                codes.push(self.quantizer.quantize(&latents_of)?.codes);
                latents.push(latents_of);
                clues.push(clues_of);
            }
            let num_clips = clip_bthwc.size()[0];
            let scores = self.scorer.scores(&side_by_side(&clues, num_clips)?)?;
            let flat = |tokens: &Tensor| tokens.f_flatten(1, 3).during("joining windows");
            Ok(Tokens {
                codes: flat(&side_by_side(&codes, num_clips)?)?,
                latents: flat(&side_by_side(&latents, num_clips)?)?,
                priorities: flat(&scores)?,
            })
        })
    }

    pub(crate) fn redraw(&self, clip_bthwc: &Tensor, keep: Keep, passage: Passage) -> Result<Tensor, TokenizerError> {
        Ok(self.redraw_each(clip_bthwc, &[keep], passage)?.swap_remove(0))
    }

    fn redraw_each(
        &self,
        clip_bthwc: &Tensor,
        keeps: &[Keep],
        passage: Passage,
    ) -> Result<Vec<Tensor>, TokenizerError> {
        self.expect_clip(clip_bthwc, passage.long)?;
        tch::no_grad(|| {
            let options = (Kind::Uint8, clip_bthwc.device());
            let empty = |_| Tensor::f_empty(clip_bthwc.size(), options).during("drawing frames");
            let drawn = keeps.iter().map(empty).collect::<Result<Vec<_>, _>>()?;
            let places = drawn.iter().map(|drawn| self.groups(drawn, passage)).collect::<Result<Vec<_>, _>>()?;
            let groups = self.groups(clip_bthwc, passage)?;
            let per_clip = groups.iter().map(|group| group.size()[0]).sum::<i64>() / clip_bthwc.size()[0].max(1);
            let mut first = 0;
            for (i, bytes) in groups.iter().enumerate() {
                let (latents, clues) = self.seen(bytes, passage)?;
                let (all, scores) = (self.quantizer.quantize(&latents)?.values, self.scorer.scores(&clues)?);
                let windows = Windows { bytes, scores: &scores, first, per_clip };
                for (keep, places) in keeps.iter().zip(&places) {
                    let values = match *keep {
                        Keep::All => all.shallow_clone(),
                        Keep::Share { share, by } => masked(&all, &self.chosen(&windows, (share, by))?)?,
                    };
                    self.draw(&values, &places[i], passage)?;
                }
                first += bytes.size()[0];
            }
            Ok(drawn)
        })
    }

    /// Latents and clues of whole windows or clips `[n, F, H, W, 3]`, which pass in chunks.
    fn seen(&self, bytes: &Tensor, passage: Passage) -> Result<(Tensor, Tensor), NnError> {
        let (mut latents, mut clues, mut past) = (Vec::new(), Vec::new(), passage.past());
        for chunk in self.chunks(bytes, passage)? {
            let frames = normalized(&chunk)?;
            // The clues of a latent frame are its own: only the beginning needs to be told apart.
            let is_start = past.is_empty();
            latents.push(self.latents(&frames, &mut past)?);
            clues.push(self.clues((&frames, &latents[latents.len() - 1]), is_start)?);
        }
        Ok((joined(&latents, 1)?, joined(&clues, 1)?))
    }

    /// Draws quantized latents `[n, T, H, W, D]` into `place`, `[n, F, H, W, 3]` u8.
    fn draw(&self, values: &Tensor, place: &Tensor, passage: Passage) -> Result<(), NnError> {
        let (mut first, mut past) = (0, passage.past());
        for mut chunk in self.chunks(place, passage)? {
            let len = (chunk.size()[1] + self.missing_frames(&past)) / self.checked.patch().t;
            let frames = self.frames(&values.f_narrow(1, first, len).during("drawing frames")?, &mut past)?;
            chunk.f_copy_(&to_bytes(&frames)?).during("drawing frames")?;
            first += len;
        }
        Ok(())
    }

    /// Windows `[n, F, H, W, 3]`, clip after clip, or clips, as many as may pass at once. They share their bytes with a
    /// contiguous clip.
    fn groups(&self, clip_bthwc: &Tensor, passage: Passage) -> Result<Vec<Tensor>, NnError> {
        let (_, _, height, width, colours) = clip_bthwc.size5().during("cutting windows")?;
        let len = self.checked.window_frames();
        let at_once = (passage.pixels / (len * height * width)).max(1);
        let windows = match passage.long {
            LongVideo::Windows => clip_bthwc.f_reshape([-1, len, height, width, colours]),
            LongVideo::Carried => Ok(clip_bthwc.shallow_clone()),
        };
        windows.and_then(|windows| windows.f_split(at_once, 0)).during("cutting windows")
    }

    /// Cuts a group `[n, F, ..]` in time where it may not pass at once: into whole latent frames.
    fn chunks(&self, group: &Tensor, passage: Passage) -> Result<Vec<Tensor>, NnError> {
        if passage.long == LongVideo::Windows {
            return Ok(vec![group.shallow_clone()]);
        }
        let (num_clips, num_frames, height, width, _) = group.size5().during("cutting chunks")?;
        let patch = self.checked.patch();
        let step = patch.t * (passage.pixels / (patch.t * num_clips * height * width)).max(1);
        // The first chunk is shorter by what the clip lacks before its first frame.
        let missing = self.time().lead_frames(patch);
        let starts = (0..num_frames + missing).step_by(step as usize);
        let ranges = starts.map(|start| ((start - missing).max(0), (start + step - missing).min(num_frames)));
        ranges.map(|(start, stop)| group.f_narrow(1, start, stop - start).during("cutting chunks")).collect()
    }
}

impl Passage {
    fn past(self) -> Past {
        match self.long {
            LongVideo::Windows => Past::none(),
            LongVideo::Carried => Past::of_chunks(),
        }
    }
}

/// What groups of windows gave, `[n, T, ..]` each, as that of their clips, `[B, w T, ..]`.
fn side_by_side(groups: &[Tensor], num_clips: i64) -> Result<Tensor, NnError> {
    let windows = joined(groups, 0)?;
    let mut size = windows.size();
    (size[0], size[1]) = (num_clips, size[0] / num_clips * size[1]);
    windows.f_reshape(size).during("joining windows")
}

fn joined(parts: &[Tensor], dim: i64) -> Result<Tensor, NnError> {
    match parts {
        [only] => Ok(only.shallow_clone()),
        parts => Tensor::f_cat(parts, dim).during("joining chunks"),
    }
}

/// f32 frames, clamped to `[-1, 1]`, as u8.
fn to_bytes(frames: &Tensor) -> Result<Tensor, NnError> {
    let bytes = || {
        let scaled = frames.f_clamp(-1.0, 1.0)?.f_add_scalar(1.0)?.f_mul_scalar(127.5)?;
        scaled.f_round()?.f_to_kind(Kind::Uint8)
    };
    bytes().during("drawing frames")
}

#[cfg(test)]
mod tests;
