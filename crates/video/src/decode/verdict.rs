use std::fmt::{Display, Formatter};

/// A file that was decoded from its first frame to its last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decoded {
    /// Frames handed out; frame `k` is shown from `k / frames_per_sec` seconds on, counted from the
    /// file's first picture.
    pub num_frames: u32,
    /// Constant rate of the frames handed out.
    pub frames_per_sec: f64,
    /// Average rate of the file itself.
    pub source_frames_per_sec: f64,
    /// Width of every frame, rotation and sample aspect applied.
    pub width_px: u32,
    /// Height of every frame.
    pub height_px: u32,
}

/// Warnings of ffmpeg about a file that could be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notes {
    /// How many.
    pub num: usize,
    /// The first of them.
    pub first: String,
}

impl Display for Notes {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} warnings, first: {}", self.num, self.first)
    }
}

/// What became of one file.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Every frame that the container promises was decoded without an error; what ffmpeg warned of, if anything.
    Whole(Decoded, Option<Notes>),
    /// The file is not used, and why.
    Rejected(Reject),
    /// The receiver of the frames asked to stop.
    Stopped,
}

/// Why a file is not used. The text goes into the store's list of rejected files.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Reject {
    /// ffmpeg recognises no container.
    #[error("not a media file: {said}")]
    NotMedia {
        /// ffmpeg's first message.
        said: String,
    },
    /// Text, a still picture or a play list.
    #[error("not a video file: ffmpeg reads it as {format}")]
    NotVideo {
        /// ffmpeg's name of the format.
        format: String,
    },
    /// Only audio, subtitles or a cover picture.
    #[error("no video stream")]
    NoVideoStream,
    /// A video stream without a frame.
    #[error("no frames")]
    NoFrames,
    /// One frame: a picture.
    #[error("only one frame")]
    SingleFrame,
    /// The times of the frames give no usable rate.
    #[error("{frames_per_sec} frames per second is no usable rate")]
    BadRate {
        /// Average rate.
        frames_per_sec: f64,
    },
    /// Too small or too elongated.
    #[error("{width_px}x{height_px} pixels: the short side must be at least 16 and the long one at most 16 times that")]
    BadSize {
        /// Width of the display.
        width_px: u32,
        /// Height of the display.
        height_px: u32,
    },
    /// More pixels than [`DecodeLimits::source_px`](super::DecodeLimits).
    #[error("{width_px}x{height_px} pixels in a frame, more than the limit of {limit_px}")]
    TooManyPixels {
        /// Width of the source.
        width_px: u32,
        /// Height of the source.
        height_px: u32,
        /// The limit, pixels.
        limit_px: u32,
    },
    /// More frames or larger ones than [`DecodeLimits::decoded_bytes`](super::DecodeLimits) allows.
    #[error("decodes to {decoded_bytes} bytes or more, the limit is {limit_bytes}")]
    TooManyBytes {
        /// Bytes of the frames that the container promises, or of those that came out where that is more.
        decoded_bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
    /// The frame size changes within the file.
    #[error("the frame size changes from {from} to {to}")]
    SizeChanges {
        /// First size.
        from: String,
        /// The one that came later.
        to: String,
    },
    /// Audio and video end before the container says: the file was cut off.
    #[error("ends at {end_secs:.2} s of {said_secs:.2} s")]
    EndsEarly {
        /// Where the last packet ends.
        end_secs: f64,
        /// The container's duration.
        said_secs: f64,
    },
    /// Fewer frames could be decoded than the container holds.
    #[error("{decoded} of {expected} frames could be decoded")]
    FewerFrames {
        /// Frames that came out.
        decoded: u64,
        /// Frames that the container's packets make at the chosen rate.
        expected: u64,
    },
    /// The decoder complained; ffmpeg goes on after that and shows damaged frames.
    #[error("{num} decoder errors, first: {first}")]
    DecoderErrors {
        /// Messages of level error or worse.
        num: usize,
        /// The first of them.
        first: String,
    },
    /// ffmpeg crashed on it or gave up without a word.
    #[error("ffmpeg failed: {how}")]
    Failed {
        /// Exit code or signal.
        how: String,
    },
    /// ffmpeg took too long and was killed.
    #[error("took longer than {limit_secs} s")]
    TimeLimit {
        /// The limit.
        limit_secs: u64,
    },
    /// The file's name cannot be stored.
    #[error("the name is not UTF-8")]
    NameNotUtf8,
}

impl Reject {
    /// The kind of reason in a few words, the same for every file.
    pub fn kind(&self) -> &'static str {
        match self {
            Reject::NotMedia { .. } => "not a media file",
            Reject::NotVideo { .. } => "not a video file",
            Reject::NoVideoStream => "no video stream",
            Reject::NoFrames => "no frames",
            Reject::SingleFrame => "only one frame",
            Reject::BadRate { .. } => "no usable rate",
            Reject::BadSize { .. } => "too small or too long a frame",
            Reject::TooManyPixels { .. } => "too many pixels",
            Reject::TooManyBytes { .. } => "too many bytes",
            Reject::SizeChanges { .. } => "frame size changes",
            Reject::EndsEarly { .. } => "ends early",
            Reject::FewerFrames { .. } => "frames are missing",
            Reject::DecoderErrors { .. } => "decoder errors",
            Reject::Failed { .. } => "ffmpeg failed",
            Reject::TimeLimit { .. } => "took too long",
            Reject::NameNotUtf8 => "name not UTF-8",
        }
    }
}
