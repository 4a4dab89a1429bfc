use std::path::PathBuf;

use serde::Serialize;

use crate::VideoError;

use super::super::options::within;

/// What `data synth kitchens` renders.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KitchenOptions {
    /// Folder to write: `EPIC_100_*.csv` and `<participant>/videos/<video>.MP4`.
    #[serde(skip)]
    pub out: PathBuf,
    /// Videos to train on, of the seen participants in turn.
    pub num_train_videos: usize,
    /// Videos to validate on, of the unseen and the seen participants in turn.
    pub num_val_videos: usize,
    /// Videos to test on, whose labels are not written; 0 for none.
    pub num_test_videos: usize,
    /// Labelled actions of each video.
    pub segments_per_video: usize,
    /// Height of the frames, pixels; even. They are 4:3.
    pub size_px: u32,
    /// Frames per second of most videos, and of every fourth.
    pub frames_per_sec: [f64; 2],
    /// Participants who film training videos.
    pub num_participants: usize,
    /// Participants who film validation videos only; as many again film test videos only.
    pub num_unseen: usize,
    /// Seed of everything random.
    pub seed: u64,
}

impl KitchenOptions {
    /// The default set: 12 + 6 videos of 128 x 96 pixels with 12 actions each, about 40 seconds long.
    pub fn new(out: PathBuf) -> Self {
        KitchenOptions {
            out,
            num_train_videos: 12,
            num_val_videos: 6,
            num_test_videos: 0,
            segments_per_video: 12,
            size_px: 96,
            frames_per_sec: [25.0, 30.0],
            num_participants: 4,
            num_unseen: 2,
            seed: 0,
        }
    }

    /// Checks all ranges.
    ///
    /// # Errors
    /// [`VideoError::Option`] for the first value that is out of range.
    pub fn check(&self) -> Result<(), VideoError> {
        let most = 100_000;
        within(
            "num_train_videos",
            self.num_train_videos,
            (1..=most).contains(&self.num_train_videos),
            "in 1..=100000",
        )?;
        within("num_val_videos", self.num_val_videos, (1..=most).contains(&self.num_val_videos), "in 1..=100000")?;
        within("num_test_videos", self.num_test_videos, self.num_test_videos <= most, "in 0..=100000")?;
        let segments = self.segments_per_video;
        within("segments_per_video", segments, (1..=1000).contains(&segments), "in 1..=1000")?;
        let even = self.size_px.is_multiple_of(2) && (32..=1080).contains(&self.size_px);
        within("size_px", self.size_px, even, "even and in 32..=1080")?;
        let rates = self.frames_per_sec.iter().all(|rate| (5.0..=120.0).contains(rate));
        within("frames_per_sec", format!("{:?}", self.frames_per_sec), rates, "two numbers in 5..=120")?;
        let seen = self.num_participants;
        within("num_participants", seen, (1..=self.num_train_videos).contains(&seen), "in 1..=num_train_videos")?;
        let unseen = self.num_unseen;
        within("num_unseen", unseen, unseen <= self.num_val_videos, "at most num_val_videos")?;
        within("num_unseen", unseen, seen + 2 * unseen <= 99, "lower: P99 is the last participant")
    }

    /// Width and height of the frames, pixels; both even.
    pub fn picture_px(&self) -> [u32; 2] {
        [(2 * self.size_px + 1) / 3 * 2, self.size_px]
    }
}
