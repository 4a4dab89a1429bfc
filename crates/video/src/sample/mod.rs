//! Which frames of a video a clip has: by time, never by frame index.

#[cfg(test)]
mod tests;
mod views;

use rand::RngExt as _;
use spec::{ClipGeometry, Rng, Sampling, Short};
pub use views::{Part, Views};

use crate::{Segment, Video, VideoError};

/// Timelines are whole tokenizer windows of this many frames.
pub const WINDOW_FRAMES: usize = 16;

/// The frames of one segment, sampled by time: what the tokenizer encodes and what clips are cut from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// Stored frame of the video for each frame of the timeline. At least a clip long and a multiple of
    /// [`WINDOW_FRAMES`]; the geometry says what fills it up to there.
    pub frames: Vec<u32>,
    /// Frames before the filling.
    pub num_real: usize,
}

/// Where in its share of time each frame is taken.
#[derive(Debug)]
pub enum Instants<'a> {
    /// The same place in every share: the middle of one of its equal parts.
    Part(Part),
    /// Anew in each share, uniformly (TSN's training, arXiv:1608.00859).
    Random(&'a mut Rng),
}

/// Samples a segment: a frame of the timeline stands for an equal share of time and shows what the video shows in
/// the middle of that share. A segment too short for one share gives the one frame at its middle.
pub fn timeline(video: &Video, segment: &Segment, geometry: &ClipGeometry) -> Timeline {
    timeline_at(video, segment, geometry, Instants::Part(Part::WHOLE))
}

/// The same with the instants within the shares given.
pub fn timeline_at(video: &Video, segment: &Segment, geometry: &ClipGeometry, mut instants: Instants) -> Timeline {
    let (start_secs, stop_secs) = (segment.start_secs, segment.stop_secs.min(video.duration_secs()));
    let secs = (stop_secs - start_secs).max(0.0);
    let num_frames = geometry.num_frames() as usize;
    let (num_real, share_secs) = match geometry.sampling() {
        // Sample k is at (k + 1/2) / rate; those before the end count.
        Sampling::Rate { frames_per_sec } => {
            ((secs * frames_per_sec - 0.5).ceil().max(1.0) as usize, 1.0 / frames_per_sec)
        }
        Sampling::Segment => (num_frames, secs / num_frames as f64),
    };
    let share_secs = share_secs.min(secs);
    let last = video.num_frames.saturating_sub(1);
    // A time that rounding puts a hair before the change of frames belongs to the later frame.
    let shown = |secs: f64| ((secs * video.frames_per_sec + 1e-6).floor() as u32).min(last);
    let mut frames: Vec<u32> =
        (0..num_real).map(|k| shown(start_secs + instants.next_secs(k, share_secs, secs))).collect();
    let len = num_real.max(num_frames).next_multiple_of(WINDOW_FRAMES);
    let filling = |k: usize| match geometry.short() {
        Short::Hold => num_real - 1,
        Short::Loop => k % num_real,
    };
    frames.extend((num_real..len).map(filling).map(|k| frames[k]).collect::<Vec<_>>());
    Timeline { frames, num_real }
}

impl Instants<'_> {
    /// Seconds from the segment's start to the frame of share `k`.
    fn next_secs(&mut self, k: usize, share_secs: f64, secs: f64) -> f64 {
        match self {
            Instants::Part(part) => (k as f64 + part.middle()) * share_secs,
            // The last share may reach beyond the segment's end; the random instant stays before it.
            Instants::Random(rng) => {
                let start_secs = k as f64 * share_secs;
                start_secs + rng.random::<f64>() * share_secs.min(secs - start_secs)
            }
        }
    }
}

impl Timeline {
    /// Where a clip of `num_frames` may start: multiples of the patch's frames, so that codes and pixels stay in
    /// register, and no further than keeps the filling out of the clip where the timeline is long enough. Never empty.
    pub fn clip_starts(&self, num_frames: usize, geometry: &ClipGeometry) -> Vec<usize> {
        let last = self.num_real.saturating_sub(num_frames);
        (0..=last).step_by(geometry.patch().t as usize).collect()
    }

    /// Starts of windows of `num_frames` that together show every real frame: one each `stride_frames`, and the last
    /// no later than it takes to reach the end.
    ///
    /// # Errors
    /// [`VideoError::Option`] when the stride is not a positive multiple of the patch's frames, or leaves frames out.
    pub fn sliding(
        &self,
        num_frames: usize,
        stride_frames: usize,
        geometry: &ClipGeometry,
    ) -> Result<Vec<usize>, VideoError> {
        let step = geometry.patch().t as usize;
        if stride_frames == 0 || stride_frames > num_frames || !stride_frames.is_multiple_of(step) {
            let rule = "a positive multiple of the patch's frames and at most a window";
            return Err(VideoError::Option { option: "stride_frames", value: stride_frames.to_string(), rule });
        }
        let last = self.num_real.saturating_sub(num_frames).next_multiple_of(step);
        Ok((0..last).step_by(stride_frames).chain([last]).collect())
    }

    /// How many of `num_frames` frames from `start_frame` on are real. They come first.
    pub fn num_real_of(&self, start_frame: usize, num_frames: usize) -> usize {
        self.num_real.saturating_sub(start_frame).min(num_frames)
    }
}
