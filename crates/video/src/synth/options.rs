use std::path::PathBuf;

use serde::Serialize;

use crate::VideoError;

use super::class::DiveSet;
use super::dive::{FLIGHT_SHARE, RAMP, TURNING, blurred};

/// What `data synth` renders.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DiveOptions {
    /// Folder to write: `Diving48_V2_train.json`, `Diving48_V2_test.json`, `Diving48_vocab.json`, `rgb/*.mp4`.
    #[serde(skip)]
    pub out: PathBuf,
    /// Whether to write `masks/*.pbm` beside the videos: where the diver moves, as a [`MaskVideo`](super::MaskVideo). They change
    /// no video, and a later call can add them.
    #[serde(skip)]
    pub masks: bool,
    /// Videos to train on.
    pub num_train: usize,
    /// Videos to test on, from other sources.
    pub num_test: usize,
    /// Classes, `2..=192`; 4, 8, 16, 48 and 192 are full products of their attributes ([`DiveSet`]).
    pub num_classes: usize,
    /// Width and height, pixels; even.
    pub size_px: u32,
    /// Frames per second of the videos.
    pub frames_per_sec: f64,
    /// Shortest and longest video, seconds; at least 3.
    pub seconds: [f64; 2],
    /// Typical speed of a single twist, turns per second; `n` twists go `sqrt(n)` times as fast. It sets how many frames
    /// per video it takes to count twists: with the default a dive seen in 16 frames turns by more than half a twist
    /// from one to the next.
    pub twist_rate: f64,
    /// How the dives are filmed.
    pub camera: Camera,
    /// What is behind the diver.
    pub place: Place,
    /// Source videos of the training and of the test set. One is used only once all classes are filmed in the one before,
    /// so a small set may have fewer.
    pub num_sources: [usize; 2],
    /// Seed of everything random.
    pub seed: u64,
}

/// How a dive is filmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Camera {
    /// By hand, panning after the diver: everything in the picture moves.
    Follow,
    /// From a tripod aimed at the middle of the flight: nothing moves but the diver, and what there is of board and water.
    Still,
}

/// Where a dive is filmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// A pool with water, deck and spectators.
    Pool,
    /// Before a wall of one colour: small networks see the diver at once instead of learning to.
    Studio,
}

impl DiveOptions {
    /// The default set: 8 classes, 640 + 160 videos of 96 x 96 pixels and 129 to 180 frames.
    pub fn new(out: PathBuf) -> Self {
        DiveOptions {
            out,
            masks: false,
            num_train: 640,
            num_test: 160,
            num_classes: 8,
            size_px: 96,
            frames_per_sec: 30.0,
            seconds: [4.3, 6.0],
            twist_rate: 2.7,
            camera: Camera::Follow,
            place: Place::Pool,
            num_sources: [40, 10],
            seed: 0,
        }
    }

    /// Checks all ranges and gives the classes.
    ///
    /// # Errors
    /// [`VideoError::Option`] for the first value that is out of range.
    pub fn check(&self) -> Result<DiveSet, VideoError> {
        let set = DiveSet::new(self.num_classes)?;
        within("num_train", self.num_train, (1..=1_000_000).contains(&self.num_train), "in 1..=1000000")?;
        within("num_test", self.num_test, (1..=1_000_000).contains(&self.num_test), "in 1..=1000000")?;
        let even = self.size_px.is_multiple_of(2) && (32..=512).contains(&self.size_px);
        within("size_px", self.size_px, even, "even and in 32..=512")?;
        within("frames_per_sec", self.frames_per_sec, (5.0..=120.0).contains(&self.frames_per_sec), "in 5..=120")?;
        let [shortest, longest] = self.seconds;
        let span = shortest >= 3.0 && longest >= shortest && longest <= 60.0;
        within("seconds", format!("{:?}", self.seconds), span, "two rising numbers in 3..=60")?;
        let counts = self.num_sources.iter().all(|n| (1..=10_000).contains(n));
        within("num_sources", format!("{:?}", self.num_sources), counts, "two numbers in 1..=10000")?;
        self.check_twist_rate(set.max_twists())?;
        Ok(set)
    }

    /// The most twists must fit into the turning part of the shortest flight, and the video's own frame rate must resolve
    /// the fastest.
    fn check_twist_rate(&self, max_twists: u32) -> Result<(), VideoError> {
        let root = f64::from(max_twists).sqrt();
        let room_secs = self.seconds[0] * f64::from(FLIGHT_SHARE[0] * (TURNING[1] - TURNING[0]));
        let longest_secs = root * f64::from(blurred(1.0)) / self.twist_rate;
        within(
            "twist_rate",
            self.twist_rate,
            longest_secs <= room_secs,
            "higher, or the flight ends before the last twist",
        )?;
        let fastest = root * self.twist_rate / f64::from(blurred(0.0) * (1.0 - RAMP));
        within(
            "twist_rate",
            self.twist_rate,
            fastest <= self.frames_per_sec / 2.0,
            "lower, or more frames per second are needed",
        )
    }
}

pub(super) fn within(
    option: &'static str,
    value: impl ToString,
    holds: bool,
    rule: &'static str,
) -> Result<(), VideoError> {
    if holds { Ok(()) } else { Err(VideoError::Option { option, value: value.to_string(), rule }) }
}
