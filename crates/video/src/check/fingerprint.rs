use std::collections::VecDeque;

use crate::jpeg::Picture;

/// Samples of a fingerprint per second of video, whatever its frame rate.
pub(super) const SAMPLES_PER_SEC: f64 = 8.0;
/// Rows and columns of the cells whose mean grey is looked at.
const SIDE: usize = 8;
/// How far back a sample looks for what has changed: half a second.
const CHANGE_SAMPLES: usize = 4;
/// A cell has changed when its mean grey has by more than this: several times what compression does to a mean.
const CHANGE_GREY: f32 = 2.0;
/// Standard deviation of the cells below which a picture is all but empty: black, faded out, fog.
const CONTRAST_GREY: f32 = 5.0;

/// Mean grey of the cells of one picture, `0..=255`.
type Thumb = [f32; SIDE * SIDE];

/// One moment of a video, a bit per cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// Cells lighter than the median cell; `None` for a picture without contrast.
    pub(super) lighter: Option<u64>,
    /// Cells that have become lighter within the last half second.
    pub(super) rising: u64,
    /// Cells that have become darker.
    pub(super) falling: u64,
    /// By how much each cell has become lighter within the last half second, in steps of half a grey level.
    pub(super) change: [i8; SIDE * SIDE],
}

/// What is left of a video to find it again after it was encoded anew: 96 bytes for each eighth of a second.
///
/// `lighter` tells what the scene looks like, much as a 64-bit average hash does; two takes in one room agree in it. The
/// others tell what moves where and when, which two takes do not share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fingerprint {
    pub(super) samples: Vec<Sample>,
}

/// Makes a fingerprint from frames that come one by one. Sample `k` is what is shown at `(k + 1/2) / 8` seconds.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    fingerprint: Fingerprint,
    /// The picture shown now.
    shown: Option<Thumb>,
    /// The latest samples, the oldest first.
    before: VecDeque<Thumb>,
}

impl Sampler {
    /// Takes the next frame, shown from `start_secs` on.
    pub(super) fn push(&mut self, frame: &Picture, start_secs: f64) {
        self.sample_until(start_secs);
        self.shown = Some(thumb(frame));
    }

    /// The fingerprint of a video that ends there.
    pub(super) fn finish(mut self, duration_secs: f64) -> Fingerprint {
        self.sample_until(duration_secs);
        self.fingerprint
    }

    fn sample_until(&mut self, end_secs: f64) {
        while let Some(shown) = self.shown.filter(|_| sample_secs(self.fingerprint.samples.len()) < end_secs) {
            self.fingerprint
                .samples
                .push(sample(&shown, self.before.front().filter(|_| self.before.len() == CHANGE_SAMPLES)));
            if self.before.len() == CHANGE_SAMPLES {
                self.before.pop_front();
            }
            self.before.push_back(shown);
        }
    }
}

/// When sample `k` is taken.
pub(super) fn sample_secs(k: usize) -> f64 {
    (k as f64 + 0.5) / SAMPLES_PER_SEC
}

fn sample(now: &Thumb, before: Option<&Thumb>) -> Sample {
    let bits =
        |test: &dyn Fn(usize) -> bool| (0..now.len()).filter(|cell| test(*cell)).fold(0, |bits, cell| bits | 1 << cell);
    let change = |cell: usize| before.map_or(0.0, |before| now[cell] - before[cell]);
    let mean = now.iter().sum::<f32>() / now.len() as f32;
    let variance = now.iter().map(|grey| (grey - mean).powi(2)).sum::<f32>() / now.len() as f32;
    let mut sorted = *now;
    sorted.sort_by(f32::total_cmp);
    let median = sorted[now.len() / 2];
    Sample {
        lighter: (variance.sqrt() >= CONTRAST_GREY).then(|| bits(&|cell| now[cell] >= median)),
        rising: bits(&|cell| change(cell) > CHANGE_GREY),
        falling: bits(&|cell| change(cell) < -CHANGE_GREY),
        // Beyond the range of i8 it keeps the nearest value.
        change: std::array::from_fn(|cell| (2.0 * change(cell)).round() as i8),
    }
}

/// Mean of red, green and blue in each cell. Sides are at least 16 pixels, see [`crate::Reject::BadSize`].
fn thumb(frame: &Picture) -> Thumb {
    let (width, height) = (frame.width_px as usize, frame.height_px as usize);
    let edge = |k: usize, len: usize| k * len / SIDE;
    let mut thumb = [0.0; SIDE * SIDE];
    for (cell, grey) in thumb.iter_mut().enumerate() {
        let (row, column) = (cell / SIDE, cell % SIDE);
        let (left, right) = (edge(column, width) * 3, edge(column + 1, width) * 3);
        let (top, bottom) = (edge(row, height), edge(row + 1, height));
        let sum: u64 = (top..bottom)
            .flat_map(|y| &frame.rgb[y * width * 3 + left..y * width * 3 + right])
            .map(|value| u64::from(*value))
            .sum();
        *grey = sum as f32 / ((right - left) * (bottom - top)).max(1) as f32;
    }
    thumb
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 16 x 16 pixels, all of `grey` but the top left cell.
    fn frame(grey: u8, corner: u8) -> Picture {
        let mut rgb = vec![grey; 16 * 16 * 3];
        for y in 0..2 {
            rgb[y * 48..y * 48 + 6].fill(corner);
        }
        Picture { width_px: 16, height_px: 16, rgb }
    }

    #[test]
    fn a_sample_is_what_is_shown_at_its_time_whatever_the_frame_rate() {
        let mut sampler = Sampler::default();
        // The corner is light from 0.5 s on; samples are at 1/16, 3/16 ... s.
        sampler.push(&frame(100, 0), 0.0);
        sampler.push(&frame(100, 255), 0.5);
        let samples = sampler.finish(1.5).samples;
        assert_eq!(samples.len(), 12);
        let rising: Vec<u64> = samples.iter().map(|sample| sample.rising).collect();
        // Four samples look back to before the change.
        assert_eq!(rising, [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0]);
        assert!(samples.iter().all(|sample| sample.falling == 0));
        assert_eq!(samples[0].lighter.map(|bits| bits & 1), Some(0));
        assert_eq!(samples[4].lighter.map(|bits| bits & 1), Some(1));
    }

    #[test]
    fn an_empty_picture_has_no_look() {
        let mut sampler = Sampler::default();
        sampler.push(&frame(16, 20), 0.0);
        assert!(sampler.finish(1.0).samples.iter().all(|sample| sample.lighter.is_none()));
    }
}
