use spec::{Purpose, Rng, rng_for};

use crate::{Flow, Part, Tokens};

/// One clip to load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClipRequest {
    /// Index of the segment in the clip store.
    pub segment: usize,
    /// First frame of the clip in the segment's timeline; beside tokens a multiple of the patch's frames.
    pub start_frame: usize,
    /// Frames of the clip, beside tokens a multiple of the patch's frames: the geometry's count, or one tokenizer window, or
    /// a whole timeline.
    pub num_frames: usize,
    /// How they are seen.
    pub view: View,
}

/// How the frames of a clip are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The same every time: tests, tokens, pictures.
    Fixed {
        /// Part of each frame's share of time in whose middle the frame is taken.
        instant: Part,
        /// Which of the squares along the frame's long side.
        crop: Part,
    },
    /// As the source's [`crate::Augment`] draws it.
    Drawn(ClipDraw),
}

impl View {
    /// The centre square in the middle of each share of time.
    pub const CENTRE: View = View::Fixed { instant: Part::WHOLE, crop: Part::WHOLE };
}

/// What a clip's random choices are a pure function of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClipDraw {
    /// Run seed.
    pub seed: u64,
    /// Passes over the data before this one.
    pub epoch: u64,
    /// Clip and repeat, in one number.
    pub item: u64,
}

impl ClipDraw {
    pub(crate) fn rng(self, purpose: Purpose) -> Rng {
        rng_for(self.seed, self.epoch, self.item, purpose)
    }
}

/// One loaded clip.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadedClip {
    /// What was asked for.
    pub request: ClipRequest,
    /// `[request.num_frames, size_px, size_px, 3]`, row-major, `0..=255`.
    pub rgb: Vec<u8>,
    /// How many of the frames are of the segment; they come first, and the rest fills a clip whose segment is too short.
    pub num_real: usize,
    /// Tokens of the same frames, where a token store is used.
    pub tokens: Option<Tokens>,
    /// Optical flow of the frames, where it was asked for.
    pub flow: Option<Flow>,
}

impl LoadedClip {
    /// Which frames are of the segment: `[request.num_frames]`.
    pub fn real_mask(&self) -> Vec<bool> {
        (0..self.request.num_frames).map(|frame| frame < self.num_real).collect()
    }
}
