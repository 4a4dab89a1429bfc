use std::time::Duration;

/// How files are decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodeOptions {
    /// Length of the shorter side of the frames handed out; the other one keeps the display aspect and is even.
    pub short_side_px: u32,
    /// Cap on the frame rate; `None` keeps every file's own average rate.
    pub max_frames_per_sec: Option<f64>,
    /// What one file may cost.
    pub limits: DecodeLimits,
}

/// What one file may cost before it is rejected: a file of a few bytes can ask for any time, size or memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// How long ffmpeg may keep us waiting, all frames together. Default: 10 minutes.
    pub time: Duration,
    /// Bytes of all frames handed out, `width * height * 3` each. Default: 1 TiB, 14 hours of 60 frames per second at
    /// 455 x 256 pixels (an hour takes 70 GiB).
    pub decoded_bytes: u64,
    /// Pixels of one frame of the source. Default: 2^26, a square of 8192; 8K video has half of that.
    pub source_px: u32,
    /// Memory of the ffmpeg process: each single block, and on Linux the whole address space. Default: 4 GiB, several
    /// times what 8K video with 16 reference frames takes.
    pub memory_bytes: u64,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        DecodeLimits {
            time: Duration::from_secs(600),
            decoded_bytes: 1 << 40,
            source_px: 1 << 26,
            memory_bytes: 4 << 30,
        }
    }
}
