use spec::{ClipGeometry, Sampling};

use crate::{Segment, Video};

/// Timelines are whole tokenizer windows of this many frames.
pub const WINDOW_FRAMES: usize = 16;

/// The frames of one segment, sampled by time: what the tokenizer encodes and what clips are cut from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// Stored frame of the video for each frame of the timeline. At least a clip long and a multiple of
    /// [`WINDOW_FRAMES`]; the last real frame is repeated to get there.
    pub frames: Vec<u32>,
    /// Frames before the repeats.
    pub num_real: usize,
}

/// Samples a segment: a frame of the timeline stands for an equal share of time and shows what the video shows in
/// the middle of that share. A segment too short for one share gives the one frame at its middle.
pub fn timeline(video: &Video, segment: &Segment, geometry: &ClipGeometry) -> Timeline {
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
    let mut frames: Vec<u32> = (0..num_real).map(|k| shown(start_secs + (k as f64 + 0.5) * share_secs)).collect();
    let repeated = frames.last().copied().unwrap_or(last);
    frames.resize(num_real.max(num_frames).next_multiple_of(WINDOW_FRAMES), repeated);
    Timeline { frames, num_real }
}

impl Timeline {
    /// Where a clip of `num_frames` may start: multiples of the patch's frames, so that codes and pixels stay in
    /// register, and no further than keeps repeats out of the clip where the timeline is long enough. Never empty.
    pub fn clip_starts(&self, num_frames: usize, geometry: &ClipGeometry) -> Vec<usize> {
        let last = self.num_real.saturating_sub(num_frames);
        (0..=last).step_by(geometry.patch().t as usize).collect()
    }
}

#[cfg(test)]
mod tests {
    use spec::ClipSpec;

    use super::*;

    fn video(num_frames: u32, frames_per_sec: f64) -> Video {
        Video {
            name: "a".to_owned(),
            first_frame: 0,
            num_frames,
            frames_per_sec,
            source_frames_per_sec: frames_per_sec,
            height_px: 8,
            width_px: 8,
            content_hash: String::new(),
            frames_hash: String::new(),
        }
    }

    fn sample(video: &Video, start_secs: f64, stop_secs: f64, clip: (i64, Sampling)) -> Timeline {
        let [id, group, subject] = [const { String::new() }; 3];
        let segment = Segment { id, video: 0, start_secs, stop_secs, labels: Vec::new(), group, subject };
        let spec = ClipSpec { num_frames: clip.0, size_px: 8, patch: [2, 8, 8], sampling: clip.1 };
        timeline(video, &segment, &spec.check().unwrap())
    }

    #[test]
    fn half_the_rate_takes_the_later_of_every_two_frames() {
        // 30 fps sampled at 15 per second from 0 s: times 1/30, 3/30, 5/30 ... are the frames 1, 3, 5 ...
        let got = sample(&video(36, 30.0), 0.0, 1.2, (4, Sampling::Rate { frames_per_sec: 15.0 }));
        let mut expected: Vec<u32> = (0..18).map(|k| 2 * k + 1).collect();
        assert_eq!(got.num_real, 18);
        expected.resize(32, 35);
        assert_eq!(got.frames, expected);
    }

    #[test]
    fn the_own_rate_takes_every_frame_once() {
        for frames_per_sec in [25.0, 30_000.0 / 1001.0, 16.667] {
            let video = video(64, frames_per_sec);
            let got = sample(&video, 0.0, video.duration_secs(), (16, Sampling::Rate { frames_per_sec }));
            assert_eq!(got.frames, (0..64).collect::<Vec<u32>>(), "{frames_per_sec}");
        }
    }

    #[test]
    fn a_whole_segment_is_spread_over_the_clip() {
        // 2 s from 1 s on, 16 frames: centres at 1.0625, 1.1875 ... s; times 10 and cut: 10, 11, 13, 14, 15 ...
        let got = sample(&video(40, 10.0), 1.0, 3.0, (16, Sampling::Segment));
        assert_eq!(got.frames, [10, 11, 13, 14, 15, 16, 18, 19, 20, 21, 23, 24, 25, 26, 28, 29]);
        assert_eq!(got.num_real, 16);
    }

    #[test]
    fn a_short_segment_repeats_its_last_frame_up_to_the_clip() {
        // 0.3 s at 10 per second: 3 samples; a clip of 20 frames needs two windows.
        let got = sample(&video(100, 10.0), 5.0, 5.3, (20, Sampling::Rate { frames_per_sec: 10.0 }));
        assert_eq!((got.num_real, got.frames.len()), (3, 32));
        assert_eq!(got.frames[..4], [50, 51, 52, 52]);
        let blink = sample(&video(100, 10.0), 5.0, 5.001, (20, Sampling::Rate { frames_per_sec: 10.0 }));
        assert_eq!((blink.num_real, blink.frames[0], blink.frames[31]), (1, 50, 50));
    }

    #[test]
    fn clips_start_on_cubes_and_avoid_repeats() {
        let spec = ClipSpec { num_frames: 16, size_px: 8, patch: [4, 8, 8], sampling: Sampling::Segment };
        let geometry = spec.check().unwrap();
        let starts = |num_real: usize| Timeline { frames: vec![0; 32], num_real }.clip_starts(16, &geometry);
        assert_eq!(starts(27), [0, 4, 8]);
        assert_eq!(starts(28), [0, 4, 8, 12]);
        assert_eq!(starts(3), [0]);
    }
}
