//! Video files to frames, through an ffmpeg child process that writes pictures on a pipe.

mod child;
mod messages;
mod options;
mod pictures;
mod pipe;
mod probe;
mod rate;
#[cfg(test)]
mod tests;
mod verdict;

use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;

pub use options::{DecodeLimits, DecodeOptions};
pub use verdict::{Decoded, Notes, Reject, Verdict};

use self::messages::Messages;
use self::pipe::{Bounds, Ended, Seen, read_frames};
use self::probe::Matrix;
use self::rate::Rate;
use crate::{Ffmpeg, VideoError};

/// Smallest short side of a source that is worth keeping, pixels: one patch of a common encoder.
const MIN_SIDE_PX: u32 = 16;
/// ffmpeg's quantiser scale of the frames. At 3 a frame is as close to its source as at quality 90 of the usual tables,
/// and a fifth smaller (31.3 dB at 43.7 kB against 53.8 kB on a 456x256 juggling video, measured). Our choice.
const JPEG_SCALE: &str = "3";

/// One decoded frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Width.
    pub width_px: u32,
    /// Height.
    pub height_px: u32,
    /// When it begins to be shown, seconds from the file's first picture on.
    pub start_secs: f64,
    /// The picture as JPEG, 4:2:0; [`crate::jpeg::decode`] gives its pixels.
    pub jpeg: &'a [u8],
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
    let limits = &options.limits;
    let probe = match probe::probe(ffmpeg, path, limits)? {
        Ok(probe) => probe,
        Err(reject) => return Ok(Verdict::Rejected(reject)),
    };
    let source_rate = Rate::near(probe.frames_per_sec);
    let rate =
        options.max_frames_per_sec.map(Rate::near).filter(|cap| cap.get() < source_rate.get()).unwrap_or(source_rate);
    let expected = (probe.num_packets as f64 * rate.get() / source_rate.get()).round() as u64;
    let bounds = Bounds {
        short_side_px: options.short_side_px,
        expected,
        limit_bytes: limits.decoded_bytes,
        frames_per_sec: rate.get(),
    };
    let mut command = command(ffmpeg, path, &filters((rate, probe.matrix), options.short_side_px), options);
    let (read, exit) = child::run(&mut command, limits, |out| read_frames(out, &bounds, on_frame))
        .map_err(|source| VideoError::NoFfmpeg { program: ffmpeg.program().to_owned(), source })?;
    let seen = match read {
        Ended::Eof(seen) => seen,
        Ended::Rejected(reject) => return Ok(Verdict::Rejected(reject)),
        Ended::Stopped => return Ok(Verdict::Stopped),
    };
    Ok(match judge(&seen, &exit, expected, limits) {
        Err(reject) => Verdict::Rejected(reject),
        Ok(notes) => {
            let decoded = Decoded {
                num_frames: seen.num_frames,
                frames_per_sec: rate.get(),
                source_frames_per_sec: source_rate.get(),
                width_px: seen.width_px,
                height_px: seen.height_px,
            };
            Verdict::Whole(decoded, notes)
        }
    })
}

/// Begins a call on one input: nothing but that file is opened, and a hostile header cannot ask for any size.
fn open_input(ffmpeg: &Ffmpeg, path: &Path, limits: &DecodeLimits) -> Command {
    let mut command = ffmpeg.command();
    command.args(["-nostats", "-protocol_whitelist", "file", "-max_alloc", &limits.memory_bytes.to_string()]);
    command.args(["-max_pixels", &limits.source_px.to_string(), "-threads", "1", "-i"]).arg(probe::input(path));
    command
}

/// Decodes the first video stream to pictures that carry their size: no guess of what rotation, sample aspect and
/// rounding come to. They are stored as they come: nothing is converted to RGB and back, and a fourteenth of its bytes go
/// through the pipe.
fn command(ffmpeg: &Ffmpeg, path: &Path, filters: &str, options: &DecodeOptions) -> Command {
    let mut command = open_input(ffmpeg, path, &options.limits);
    command.args(["-v", "level+warning", "-map", "0:V:0", "-fps_mode", "passthrough", "-filter_threads", "1", "-vf"]);
    command.arg(filters);
    command.args(["-c:v", "mjpeg", "-q:v", JPEG_SCALE, "-huffman", "default", "-pix_fmt", "yuvj420p"]);
    command.args(["-threads", "1", "-f", "image2pipe", "pipe:1"]);
    command
}

/// Constant rate, then the display aspect with the given short side and an even long one, then JPEG's colours: full range
/// and BT.601, which the scaler does not convert to by itself.
fn filters((rate, matrix): (Rate, Matrix), short_px: u32) -> String {
    let long = |over: &str, under: &str| format!("2*max(1,round({short_px}*{over}/({under})/2))");
    let width = format!("if(lt(iw*sar,ih),{short_px},{})", long("iw*sar", "ih"));
    let height = format!("if(lt(iw*sar,ih),{},{short_px})", long("ih", "iw*sar"));
    let space = match matrix {
        Matrix::Bt601 => None,
        Matrix::Bt709 => Some("bt709"),
        Matrix::Bt2020 => Some("bt2020ncl"),
    };
    // Only the matrix is to change, so primaries and transfer are said to be the same before and after.
    let same = "iprimaries=bt709:primaries=bt709:itrc=bt709:trc=bt709:irange=pc:range=pc";
    let colours = space
        .map(|space| format!(",format=yuv420p,colorspace=ispace={space}:space=smpte170m:{same}"))
        .unwrap_or_default();
    let Rate { num, den } = rate;
    format!("fps={num}/{den},scale=w='{width}':h='{height}':flags=bicubic:out_range=full{colours},setsar=1")
}

/// What ffmpeg warned of, if the file is whole.
fn judge(seen: &Seen, exit: &child::Exit, expected: u64, limits: &DecodeLimits) -> Result<Option<Notes>, Reject> {
    if exit.timed_out {
        return Err(Reject::TimeLimit { limit_secs: limits.time.as_secs() });
    }
    let said = Messages::read(&exit.stderr);
    if let Some(first) = said.first_error {
        return Err(Reject::DecoderErrors { num: said.num_errors, first });
    }
    if !exit.status.success() {
        return Err(Reject::Failed { how: exit.status.to_string() });
    }
    if seen.num_frames < 2 {
        return Err(if seen.num_frames == 0 { Reject::NoFrames } else { Reject::SingleFrame });
    }
    let decoded = u64::from(seen.num_frames);
    if decoded + (expected / 50).max(2) < expected {
        return Err(Reject::FewerFrames { decoded, expected });
    }
    Ok(said.notes)
}
