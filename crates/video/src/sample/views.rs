use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use spec::{ClipGeometry, Sampling};

use super::Timeline;
use crate::{ClipRequest, VideoError, View};

/// One of `of` equal parts, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which.
    pub index: u32,
    /// Of how many.
    pub of: u32,
}

impl Part {
    /// The only part: its middle is the middle of the whole.
    pub const WHOLE: Part = Part { index: 0, of: 1 };

    /// Middle of the part, `0..1` of the whole.
    pub fn middle(self) -> f64 {
        (f64::from(self.index) + 0.5) / f64::from(self.of)
    }

    /// Where a thing of this part starts when the first starts at 0, the last at `last`, and the others evenly between;
    /// an only one is in the middle.
    pub fn start(self, last: usize) -> usize {
        let (index, gaps) = (self.index as usize, (self.of as usize).saturating_sub(1));
        (index * last).checked_div(gaps).unwrap_or(last / 2)
    }
}

/// How often a segment is seen in a test, `2x3` when written: its features or scores are averaged over all views.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Views {
    num_clips: u32,
    num_crops: u32,
}

impl Views {
    /// One clip from the middle of the timeline, centre crop: LVMAE's test.
    pub const SINGLE: Views = Views { num_clips: 1, num_crops: 1 };

    /// * `num_clips` - clips along the timeline, at least 1
    /// * `num_crops` - 1: the centre square; 3: along the frame's long side, each as large as the short side
    ///
    /// # Errors
    /// [`VideoError::Option`].
    pub fn new(num_clips: u32, num_crops: u32) -> Result<Self, VideoError> {
        if !(1..=1000).contains(&num_clips) || !matches!(num_crops, 1 | 3) {
            return Err(refused(&format!("{num_clips}x{num_crops}")));
        }
        Ok(Views { num_clips, num_crops })
    }

    /// Views of one segment.
    pub fn count(&self) -> usize {
        (self.num_clips * self.num_crops) as usize
    }

    /// The clips of a segment, crops of the first clip first. At a fixed rate the clips start evenly spaced, the first
    /// at the timeline's start and the last at its end; where the clip is the whole segment they interleave, each
    /// taking its frames at another part of their shares (VideoMAE's test on Something-Something).
    ///
    /// * `timeline` - of the segment, in the middle of its shares
    pub fn requests(&self, segment: usize, timeline: &Timeline, geometry: &ClipGeometry) -> Vec<ClipRequest> {
        let num_frames = geometry.num_frames() as usize;
        let starts = timeline.clip_starts(num_frames, geometry);
        let parts = |of: u32| (0..of).map(move |index| Part { index, of });
        let request = |clip: Part, crop: Part| match geometry.sampling() {
            Sampling::Rate { .. } => {
                let view = View::Fixed { instant: Part::WHOLE, crop };
                ClipRequest { segment, start_frame: starts[clip.start(starts.len() - 1)], num_frames, view }
            }
            Sampling::Segment => {
                ClipRequest { segment, start_frame: 0, num_frames, view: View::Fixed { instant: clip, crop } }
            }
        };
        parts(self.num_clips).flat_map(|clip| parts(self.num_crops).map(move |crop| request(clip, crop))).collect()
    }
}

impl fmt::Display for Views {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.num_clips, self.num_crops)
    }
}

impl FromStr for Views {
    type Err = VideoError;

    fn from_str(text: &str) -> Result<Self, VideoError> {
        let numbers = text.split_once('x').and_then(|(clips, crops)| Some((clips.parse().ok()?, crops.parse().ok()?)));
        let (num_clips, num_crops) = numbers.ok_or_else(|| refused(text))?;
        Views::new(num_clips, num_crops)
    }
}

fn refused(value: &str) -> VideoError {
    let rule = "CLIPSxCROPS with 1 to 1000 clips and 1 or 3 crops, such as 2x3";
    VideoError::Option { option: "views", value: value.to_owned(), rule }
}

#[cfg(test)]
mod tests {
    use spec::{ClipSpec, Short};

    use super::*;

    fn views(text: &str, num_real: usize, sampling: Sampling) -> Vec<ClipRequest> {
        let clip = ClipSpec { num_frames: 16, size_px: 8, patch: [2, 8, 8], sampling, short: Short::Hold };
        let timeline = Timeline { frames: vec![0; num_real.next_multiple_of(16)], num_real };
        text.parse::<Views>().unwrap().requests(5, &timeline, &clip.check().unwrap())
    }

    #[test]
    fn clips_span_the_timeline_and_crops_come_first() {
        let got = views("3x3", 47, Sampling::Rate { frames_per_sec: 10.0 });
        // Starts 0, 2, ... 30: the first, the middle of 16 rounded down, the last.
        let starts: Vec<usize> = got.iter().map(|request| request.start_frame).collect();
        assert_eq!(starts, [0, 0, 0, 14, 14, 14, 30, 30, 30]);
        let crops = got.iter().map(|request| match request.view {
            View::Fixed { instant: Part::WHOLE, crop } => (crop.index, crop.of),
            other => panic!("{other:?}"),
        });
        assert_eq!(crops.collect::<Vec<_>>(), [(0, 3), (1, 3), (2, 3)].repeat(3));
        assert!(got.iter().all(|request| (request.segment, request.num_frames) == (5, 16)));
    }

    #[test]
    fn a_single_clip_is_from_the_middle() {
        let got = views("1x1", 48, Sampling::Rate { frames_per_sec: 10.0 });
        assert_eq!(got, [ClipRequest { segment: 5, start_frame: 16, num_frames: 16, view: View::CENTRE }]);
    }

    #[test]
    fn clips_of_whole_segments_interleave() {
        let middles = views("2x1", 16, Sampling::Segment).into_iter().map(|request| match request.view {
            View::Fixed { instant, crop: Part::WHOLE } => (request.start_frame, instant.middle()),
            other => panic!("{other:?}"),
        });
        assert_eq!(middles.collect::<Vec<_>>(), [(0, 0.25), (0, 0.75)]);
    }

    #[test]
    fn other_numbers_of_views_are_refused() {
        for text in ["0x1", "1x2", "3", "x", "1x-1", "axb", "1000001x3"] {
            let said = text.parse::<Views>().unwrap_err().to_string();
            assert!(said.starts_with(&format!("views = {text} is out of range: it must be CLIPSxCROPS")), "{said}");
        }
        assert_eq!("5x3".parse::<Views>().unwrap().to_string(), "5x3");
    }
}
