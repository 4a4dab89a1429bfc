use serde::{Deserialize, Serialize};

use crate::SpecError;

/// Extent of one cube: the pixels that one token stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patch {
    /// Frames.
    pub t: i64,
    /// Pixels, vertical.
    pub h: i64,
    /// Pixels, horizontal.
    pub w: i64,
}

impl Patch {
    /// Pixels under one token, colour channels not counted.
    pub fn num_pixels(&self) -> i64 {
        self.t * self.h * self.w
    }
}

impl From<[i64; 3]> for Patch {
    fn from([t, h, w]: [i64; 3]) -> Self {
        Patch { t, h, w }
    }
}

/// Number of tokens on each axis. Token `(t, h, w)` has index `(t * H + h) * W + w`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grid {
    /// Latent frames.
    pub t: i64,
    /// Rows.
    pub h: i64,
    /// Columns.
    pub w: i64,
}

impl Grid {
    /// All tokens of a clip.
    pub fn num_tokens(&self) -> i64 {
        self.t * self.h * self.w
    }

    /// Tokens of one latent frame.
    pub fn tokens_per_frame(&self) -> i64 {
        self.h * self.w
    }

    /// Index of a token.
    pub fn index(&self, t: i64, h: i64, w: i64) -> i64 {
        (t * self.h + h) * self.w + w
    }

    /// `(t, h, w)` of a token index.
    pub fn place(&self, index: i64) -> (i64, i64, i64) {
        (index / self.tokens_per_frame(), index / self.w % self.h, index % self.w)
    }
}

/// Which of a video's frames make its timeline. Always by time, never by frame index, so that videos of different
/// frame rates give clips of the same speed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Sampling {
    /// A fixed rate: one frame every `1 / frames_per_sec` seconds from the segment's start.
    Rate {
        /// Frames per second of the timeline.
        frames_per_sec: f64,
    },
    /// The whole segment spread evenly over exactly `num_frames` frames, however long it lasts.
    Segment,
}

/// What stands where a segment has fewer frames than a clip. Those frames are not real: a loaded clip says how many are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Short {
    /// The last frame, held.
    #[default]
    Hold,
    /// The segment again, from its first frame on.
    Loop,
}

/// How clips are cut from videos: the `[clip]` section of a preset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipSpec {
    /// Frames per clip.
    pub num_frames: i64,
    /// Side of the square clip, pixels.
    pub size_px: i64,
    /// Cube under one token: `[frames, pixels, pixels]`.
    pub patch: [i64; 3],
    /// Which frames of the video are taken.
    pub sampling: Sampling,
    /// What fills a clip whose segment is too short.
    pub short: Short,
}

/// A checked [`ClipSpec`]: every division is exact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClipGeometry {
    num_frames: i64,
    size_px: i64,
    patch: Patch,
    grid: Grid,
    sampling: Sampling,
    short: Short,
}

impl ClipSpec {
    /// Checks that the clip is a whole number of cubes.
    ///
    /// # Errors
    /// [`SpecError::NotDivisible`] names the axis and the nearest sizes that fit; [`SpecError::OutOfRange`] a value
    /// that is not positive.
    pub fn check(&self) -> Result<ClipGeometry, SpecError> {
        let patch = Patch::from(self.patch);
        for (key, value) in [
            ("clip.num_frames", self.num_frames),
            ("clip.size_px", self.size_px),
            ("clip.patch", patch.t.min(patch.h).min(patch.w)),
        ] {
            if !(1..=1 << 16).contains(&value) {
                return Err(SpecError::OutOfRange { key, value: value.to_string(), rule: "between 1 and 65536" });
            }
        }
        if let Sampling::Rate { frames_per_sec } = self.sampling
            && !(frames_per_sec > 0.0 && frames_per_sec <= 1000.0)
        {
            return Err(SpecError::OutOfRange {
                key: "clip.sampling.frames_per_sec",
                value: frames_per_sec.to_string(),
                rule: "above 0 and at most 1000",
            });
        }
        let grid = Grid {
            t: exact("clip.num_frames", self.num_frames, patch.t)?,
            h: exact("clip.size_px", self.size_px, patch.h)?,
            w: exact("clip.size_px", self.size_px, patch.w)?,
        };
        let ClipSpec { num_frames, size_px, sampling, short, .. } = *self;
        Ok(ClipGeometry { num_frames, size_px, patch, grid, sampling, short })
    }
}

impl ClipGeometry {
    /// Frames per clip.
    pub fn num_frames(&self) -> i64 {
        self.num_frames
    }

    /// Side of the square clip, pixels.
    pub fn size_px(&self) -> i64 {
        self.size_px
    }

    /// The cube under one token.
    pub fn patch(&self) -> Patch {
        self.patch
    }

    /// Tokens on each axis.
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// Which frames of the video are taken.
    pub fn sampling(&self) -> Sampling {
        self.sampling
    }

    /// What fills a clip whose segment is too short.
    pub fn short(&self) -> Short {
        self.short
    }
}

fn exact(axis: &'static str, size: i64, step: i64) -> Result<i64, SpecError> {
    if size % step == 0 {
        return Ok(size / step);
    }
    let lower = (size / step * step).max(step);
    Err(SpecError::NotDivisible { axis, size, step, lower, upper: (size / step + 1) * step })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(num_frames: i64, size_px: i64, patch: [i64; 3]) -> ClipSpec {
        ClipSpec { num_frames, size_px, patch, sampling: Sampling::Segment, short: Short::Hold }
    }

    #[test]
    fn a_128_frame_clip_at_224_px_has_12544_tokens() {
        let grid = spec(128, 224, [2, 16, 16]).check().unwrap().grid();
        assert_eq!(grid, Grid { t: 64, h: 14, w: 14 });
        assert_eq!(grid.num_tokens(), 12_544);
    }

    #[test]
    fn index_and_place_are_inverse() {
        let grid = Grid { t: 3, h: 4, w: 5 };
        let mut next = 0;
        for t in 0..3 {
            for h in 0..4 {
                for w in 0..5 {
                    assert_eq!(grid.index(t, h, w), next);
                    assert_eq!(grid.place(next), (t, h, w));
                    next += 1;
                }
            }
        }
    }

    #[test]
    fn a_frame_count_that_does_not_divide_names_its_neighbours() {
        let said = spec(127, 64, [2, 8, 8]).check().unwrap_err().to_string();
        assert_eq!(said, "clip.num_frames = 127 is not a multiple of the patch's 2; nearest that are: 126 and 128");
        assert!(spec(128, 60, [2, 8, 8]).check().unwrap_err().to_string().contains("clip.size_px = 60"));
    }

    #[test]
    fn sizes_that_are_not_positive_are_refused() {
        for bad in [spec(0, 64, [2, 8, 8]), spec(128, -64, [2, 8, 8]), spec(128, 64, [0, 8, 8])] {
            assert!(matches!(bad.check(), Err(SpecError::OutOfRange { .. })), "{bad:?}");
        }
    }
}
