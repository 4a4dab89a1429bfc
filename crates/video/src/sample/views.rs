use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
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

/// How often a segment is seen in a test, `2x3` or `slide64x1` when written: its features or scores are averaged over all
/// views.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Views {
    clips: Clips,
    num_crops: u32,
}

/// Where the clips of a segment start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clips {
    /// So many, evenly.
    Spread(u32),
    /// One each so many frames, to the segment's end.
    Sliding(u32),
}

impl Views {
    /// One clip from the middle of the timeline, centre crop: LVMAE's test.
    pub const SINGLE: Views = Views { clips: Clips::Spread(1), num_crops: 1 };

    /// * `num_clips` - clips along the timeline, at least 1
    /// * `num_crops` - 1: the centre square; 3: along the frame's long side, each as large as the short side
    ///
    /// # Errors
    /// [`VideoError::Option`].
    pub fn new(num_clips: u32, num_crops: u32) -> Result<Self, VideoError> {
        if !(1..=1000).contains(&num_clips) || !matches!(num_crops, 1 | 3) {
            return Err(refused(&format!("{num_clips}x{num_crops}")));
        }
        Ok(Views { clips: Clips::Spread(num_clips), num_crops })
    }

    /// The clips of a segment, crops of the first clip first. At a fixed rate spread clips start evenly spaced, the first
    /// at the timeline's start and the last at its end; where the clip is the whole segment they interleave, each
    /// taking its frames at another part of their shares (VideoMAE's test on Something-Something). Sliding clips show
    /// every frame.
    ///
    /// * `timeline` - of the segment, in the middle of its shares
    ///
    /// # Errors
    /// [`VideoError::Option`] for sliding clips that leave frames out, or of whole segments.
    pub fn requests(
        &self,
        segment: usize,
        timeline: &Timeline,
        geometry: &ClipGeometry,
    ) -> Result<Vec<ClipRequest>, VideoError> {
        let num_frames = geometry.num_frames() as usize;
        let parts = |of: u32| (0..of).map(move |index| Part { index, of });
        let at = |start_frame: usize, instant: Part| (start_frame, instant);
        let clips: Vec<(usize, Part)> = match (self.clips, geometry.sampling()) {
            (Clips::Spread(of), Sampling::Rate { .. }) => {
                let starts = timeline.clip_starts(num_frames, geometry);
                parts(of).map(|clip| at(starts[clip.start(starts.len() - 1)], Part::WHOLE)).collect()
            }
            (Clips::Spread(of), Sampling::Segment) => parts(of).map(|clip| at(0, clip)).collect(),
            (Clips::Sliding(stride), Sampling::Rate { .. }) => {
                let starts = timeline.sliding(num_frames, stride as usize, geometry)?;
                starts.into_iter().map(|start| at(start, Part::WHOLE)).collect()
            }
            (Clips::Sliding(_), Sampling::Segment) => {
                let rule = "spread, such as 2x3, where a clip is the whole segment";
                return Err(VideoError::Option { option: "views", value: self.to_string(), rule });
            }
        };
        let request = |(start_frame, instant): (usize, Part), crop: Part| ClipRequest {
            segment,
            start_frame,
            num_frames,
            view: View::Fixed { instant, crop },
        };
        Ok(clips.into_iter().flat_map(|clip| parts(self.num_crops).map(move |crop| request(clip, crop))).collect())
    }
}

impl fmt::Display for Views {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.clips {
            Clips::Spread(num_clips) => write!(f, "{num_clips}x{}", self.num_crops),
            Clips::Sliding(stride_frames) => write!(f, "slide{stride_frames}x{}", self.num_crops),
        }
    }
}

impl Serialize for Views {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Views {
    type Err = VideoError;

    fn from_str(text: &str) -> Result<Self, VideoError> {
        let spread = text.strip_prefix("slide").unwrap_or(text);
        let numbers =
            spread.split_once('x').and_then(|(clips, crops)| Some((clips.parse().ok()?, crops.parse().ok()?)));
        let (number, num_crops) = numbers.ok_or_else(|| refused(text))?;
        if spread.len() == text.len() {
            return Views::new(number, num_crops);
        }
        Ok(Views { clips: Clips::Sliding(number), ..Views::new(1, num_crops)? })
    }
}

fn refused(value: &str) -> VideoError {
    let rule = "CLIPSxCROPS with 1 to 1000 clips and 1 or 3 crops, such as 2x3, or slideFRAMESxCROPS";
    VideoError::Option { option: "views", value: value.to_owned(), rule }
}

#[cfg(test)]
mod tests {
    use spec::{ClipSpec, Short};

    use super::*;

    fn views(text: &str, num_real: usize, sampling: Sampling) -> Vec<ClipRequest> {
        let clip = ClipSpec { num_frames: 16, size_px: 8, patch: [2, 8, 8], sampling, short: Short::Hold };
        let timeline = Timeline { frames: vec![0; num_real.next_multiple_of(16)], num_real };
        text.parse::<Views>().unwrap().requests(5, &timeline, &clip.check().unwrap()).unwrap()
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
    fn sliding_clips_go_on_to_the_end() {
        let starts = |text: &str, num_real| {
            let got = views(text, num_real, Sampling::Rate { frames_per_sec: 10.0 });
            got.into_iter().map(|request| request.start_frame).collect::<Vec<_>>()
        };
        // Windows of 16 each 8 frames; 41 frames end in the window from 26 on, as starts are even.
        assert_eq!(starts("slide8x1", 41), [0, 8, 16, 24, 26]);
        assert_eq!(starts("slide16x3", 20), [0, 0, 0, 4, 4, 4]);
        assert_eq!(starts("slide16x1", 5), [0]);
        assert_eq!("slide8x3".parse::<Views>().unwrap().to_string(), "slide8x3");
    }

    #[test]
    fn sliding_clips_that_cannot_be_are_refused() {
        let refused = |text: &str, sampling| {
            let clip = ClipSpec { num_frames: 16, size_px: 8, patch: [2, 8, 8], sampling, short: Short::Hold };
            let timeline = Timeline { frames: vec![0; 32], num_real: 32 };
            text.parse::<Views>().unwrap().requests(0, &timeline, &clip.check().unwrap()).is_err()
        };
        assert!(refused("slide8x1", Sampling::Segment));
        for stride in [0, 7, 18] {
            assert!(refused(&format!("slide{stride}x1"), Sampling::Rate { frames_per_sec: 10.0 }), "{stride}");
        }
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
