#[cfg(test)]
mod tests;

use nn::{During, NnError, Past};
use serde::{Deserialize, Serialize};
use spec::Patch;
use tch::Tensor;

use crate::Tokenizer;
use crate::config::WINDOW_FRAMES;
use crate::scorer::Scorer;

/// How frames become latent frames; t is `patch.t`, the frames under one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeLayout {
    /// F frames to F / t latent frames: the grid that LVMAE shares with its ViT.
    Pairs,
    /// 1 + t k frames to 1 + k latent frames, the first of which is the first frame's alone: an image is a video of one
    /// frame (MAGVIT-v2, arXiv:2310.05737). Made as `Pairs` is, of the video behind t - 1 blank frames.
    FirstFrame,
}

impl TimeLayout {
    /// Frames of a window, what training sees at once: 16, or 1 + 16.
    pub fn window_frames(self) -> i64 {
        match self {
            TimeLayout::Pairs => WINDOW_FRAMES,
            TimeLayout::FirstFrame => 1 + WINDOW_FRAMES,
        }
    }

    /// Frames that a video lacks to begin with a whole cube: 0, or t - 1.
    pub fn lead_frames(self, patch: Patch) -> i64 {
        match self {
            TimeLayout::Pairs => 0,
            TimeLayout::FirstFrame => patch.t - 1,
        }
    }
}

impl Tokenizer {
    /// Latents `[B, T, H, W, D]` before quantization of frames `[B, F, Y, X, 3]` f32 in `[-1, 1]`.
    pub(crate) fn latents(&self, frames: &Tensor, past: &mut Past) -> Result<Tensor, NnError> {
        let latents = match self.missing_frames(past) {
            0 => self.encoder.forward(frames, past)?,
            count => {
                // Blank means 0, the grey between black and white, as beyond the borders of the convolutions.
                let blank = frames.f_narrow(1, 0, 1).and_then(|first| first.f_zeros_like()).during("encoding")?;
                self.encoder.forward(&behind(count, &blank, frames)?, past)?
            }
        };
        past.end_chunk();
        Ok(latents)
    }

    /// The scorer's clues `[B, T, H, W, C]` of frames and their latents, as in [`Tokenizer::latents`].
    ///
    /// * `is_start` - whether the frames are a video's first
    pub(crate) fn clues(&self, seen: (&Tensor, &Tensor), is_start: bool) -> Result<Tensor, NnError> {
        self.clues_by(&self.scorer, seen, is_start)
    }

    /// Those of another scorer.
    pub(crate) fn clues_by(
        &self,
        scorer: &Scorer,
        (frames, latents): (&Tensor, &Tensor),
        is_start: bool,
    ) -> Result<Tensor, NnError> {
        match is_start {
            true => scorer.clues(&self.whole_cubes(frames)?, latents),
            false => scorer.clues(frames, latents),
        }
    }

    /// Frames `[B, F, Y, X, 3]`, not clamped, of quantized latents `[B, T, H, W, D]`.
    pub(crate) fn frames(&self, values: &Tensor, past: &mut Past) -> Result<Tensor, NnError> {
        let missing = self.missing_frames(past);
        let frames = self.decoder.forward(values, past)?;
        past.end_chunk();
        frames.f_narrow(1, missing, frames.size()[1] - missing).during("decoding")
    }

    /// A video `[B, F, ..]` behind as many stills of its first frame as it lacks: for what compares latent frames. Against
    /// blank frames, everything would have moved.
    pub(crate) fn whole_cubes(&self, frames: &Tensor) -> Result<Tensor, NnError> {
        match self.time().lead_frames(self.checked.patch()) {
            0 => Ok(frames.shallow_clone()),
            count => behind(count, &frames.f_narrow(1, 0, 1).during("leading in a video")?, frames),
        }
    }

    /// Frames that what follows lacks before it to be whole cubes.
    pub(crate) fn missing_frames(&self, past: &Past) -> i64 {
        if past.is_empty() { self.time().lead_frames(self.checked.patch()) } else { 0 }
    }
}

/// `frames` behind `count` times the frame `first`.
fn behind(count: i64, first: &Tensor, frames: &Tensor) -> Result<Tensor, NnError> {
    let joined = || Tensor::f_cat(&[&first.f_expand([-1, count, -1, -1, -1], false)?, frames], 1);
    joined().during("leading in a video")
}
