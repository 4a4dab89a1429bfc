//! Video files to frames, through an ffmpeg child process that writes pictures on a pipe.

mod child;
mod pictures;
mod probe;
#[cfg(test)]
mod tests;

use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use self::pictures::Pictures;
use crate::{Ffmpeg, VideoError};

/// Smallest short side of a source that is worth keeping, pixels: one patch of a common encoder.
const MIN_SIDE_PX: u32 = 16;
/// Longest side over shortest beyond which a picture is no scene but a strip.
const MAX_ASPECT: u32 = 16;
/// ffmpeg's quantiser scale of the frames. At 3 a frame is as close to its source as at quality 90 of the usual tables,
/// and a fifth smaller (31.3 dB at 43.7 kB against 53.8 kB on a 456x256 juggling video, measured). Our choice.
const JPEG_SCALE: &str = "3";

/// How files are decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodeOptions {
    /// Length of the shorter side of the frames handed out; the other one keeps the display aspect and is even.
    pub short_side_px: u32,
    /// Cap on the frame rate; `None` keeps every file's own average rate.
    pub max_frames_per_sec: Option<f64>,
    /// How long ffmpeg may keep us waiting for one file, all frames together.
    pub time_limit: Duration,
}

/// One decoded frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Width.
    pub width_px: u32,
    /// Height.
    pub height_px: u32,
    /// The picture as JPEG, 4:2:0; [`crate::jpeg::decode`] gives its pixels.
    pub jpeg: &'a [u8],
}

/// A file that was decoded from its first frame to its last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decoded {
    /// Frames handed out; frame `k` is shown from `k / frames_per_sec` seconds on.
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

/// What became of one file.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Every frame that the container promises was decoded without a complaint.
    Whole(Decoded),
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
    #[error("{lines} decoder errors, first: {first}")]
    DecoderErrors {
        /// Lines of error output.
        lines: usize,
        /// The first of them.
        first: String,
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

/// Decodes a whole file frame by frame at a constant rate; `on_frame` may stop it. Memory holds one frame.
///
/// # Errors
/// [`VideoError::NoFfmpeg`] when the child cannot be run. Everything that is wrong with the file is a [`Reject`].
pub fn decode(
    ffmpeg: &Ffmpeg,
    path: &Path,
    options: &DecodeOptions,
    on_frame: &mut dyn FnMut(Frame<'_>) -> ControlFlow<()>,
) -> Result<Verdict, VideoError> {
    let limit = options.time_limit;
    let probe = match probe::probe(ffmpeg, path, limit)? {
        Ok(probe) => probe,
        Err(reject) => return Ok(Verdict::Rejected(reject)),
    };
    let source_rate = Rate::near(probe.frames_per_sec);
    let rate =
        options.max_frames_per_sec.map(Rate::near).filter(|cap| cap.get() < source_rate.get()).unwrap_or(source_rate);
    let mut command = ffmpeg.command();
    command.args(["-v", "error", "-protocol_whitelist", "file", "-threads", "1", "-i"]).arg(probe::input(path));
    command.args(["-map", "0:V:0", "-fps_mode", "passthrough", "-filter_threads", "1", "-vf"]);
    command.arg(filters(rate, options.short_side_px));
    // Pictures that carry their size: no guess of what rotation, sample aspect and rounding come to. They are stored as
    // they come: nothing is converted to RGB and back, and a fourteenth of its bytes go through the pipe.
    command.args(["-c:v", "mjpeg", "-q:v", JPEG_SCALE, "-huffman", "default", "-pix_fmt", "yuvj420p"]);
    command.args(["-threads", "1", "-f", "image2pipe", "pipe:1"]);
    let (read, exit) = child::run(&mut command, limit, |out| read_frames(out, options.short_side_px, on_frame))
        .map_err(|source| VideoError::NoFfmpeg { program: ffmpeg.program().to_owned(), source })?;
    let seen = match read {
        Ended::Eof(seen) => seen,
        Ended::Rejected(reject) => return Ok(Verdict::Rejected(reject)),
        Ended::Stopped => return Ok(Verdict::Stopped),
    };
    let expected = (probe.num_packets as f64 * rate.get() / source_rate.get()).round() as u64;
    Ok(match judge(&seen, &exit, expected, limit) {
        Err(reject) => Verdict::Rejected(reject),
        Ok(num_frames) => Verdict::Whole(Decoded {
            num_frames,
            frames_per_sec: rate.get(),
            source_frames_per_sec: source_rate.get(),
            width_px: seen.width_px,
            height_px: seen.height_px,
        }),
    })
}

/// Constant rate, then the display aspect with the given short side and an even long one.
fn filters(rate: Rate, short_px: u32) -> String {
    let long = |over: &str, under: &str| format!("2*max(1,round({short_px}*{over}/({under})/2))");
    let width = format!("if(lt(iw*sar,ih),{short_px},{})", long("iw*sar", "ih"));
    let height = format!("if(lt(iw*sar,ih),{},{short_px})", long("ih", "iw*sar"));
    format!("fps={}/{},scale=w='{width}':h='{height}':flags=bicubic:out_range=full,setsar=1", rate.num, rate.den)
}

/// A frame rate as ffmpeg takes it exactly.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rate {
    num: u32,
    den: u32,
}

impl Rate {
    /// The whole or NTSC rate (`n * 1000 / 1001`) within 0.02 %, else the rate in thousandths.
    fn near(frames_per_sec: f64) -> Rate {
        let whole = frames_per_sec.round() as u32;
        let ntsc = (frames_per_sec * 1.001).round() as u32;
        let known = [Rate { num: whole, den: 1 }, Rate { num: ntsc * 1000, den: 1001 }];
        let close = |rate: &Rate| (rate.get() / frames_per_sec - 1.0).abs() < 2e-4;
        let thousandths = Rate { num: ((frames_per_sec * 1000.0).round() as u32).max(1), den: 1000 };
        known.into_iter().find(close).unwrap_or(thousandths)
    }

    fn get(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }
}

/// What came through the pipe.
#[derive(Default)]
struct Seen {
    num_frames: u32,
    width_px: u32,
    height_px: u32,
}

enum Ended {
    Eof(Seen),
    Rejected(Reject),
    Stopped,
}

fn read_frames(out: &mut impl Read, short_px: u32, on_frame: &mut dyn FnMut(Frame<'_>) -> ControlFlow<()>) -> Ended {
    let mut seen = Seen::default();
    let mut pictures = Pictures::new(out);
    // A pipe that breaks off within a frame is judged like one that ends: by the count and what ffmpeg said.
    while let Ok(Some(frame)) = pictures.next() {
        let Frame { width_px, height_px, .. } = frame;
        if width_px.max(height_px) > MAX_ASPECT * short_px {
            return Ended::Rejected(Reject::BadSize { width_px, height_px });
        }
        if seen.num_frames > 0 && (width_px, height_px) != (seen.width_px, seen.height_px) {
            let from = format!("{}x{}", seen.width_px, seen.height_px);
            return Ended::Rejected(Reject::SizeChanges { from, to: format!("{width_px}x{height_px}") });
        }
        (seen.width_px, seen.height_px) = (width_px, height_px);
        seen.num_frames += 1;
        if on_frame(frame).is_break() {
            return Ended::Stopped;
        }
    }
    Ended::Eof(seen)
}

fn judge(seen: &Seen, exit: &child::Exit, expected: u64, limit: Duration) -> Result<u32, Reject> {
    if exit.timed_out {
        return Err(Reject::TimeLimit { limit_secs: limit.as_secs() });
    }
    let lines = exit.stderr.lines().count();
    if lines > 0 || !exit.status.success() {
        let first = if lines > 0 { probe::first_line(&exit.stderr) } else { exit.status.to_string() };
        return Err(Reject::DecoderErrors { lines, first });
    }
    if seen.num_frames < 2 {
        return Err(if seen.num_frames == 0 { Reject::NoFrames } else { Reject::SingleFrame });
    }
    let decoded = u64::from(seen.num_frames);
    if decoded + (expected / 50).max(2) < expected {
        return Err(Reject::FewerFrames { decoded, expected });
    }
    Ok(seen.num_frames)
}
