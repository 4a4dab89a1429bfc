use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;

use super::{DecodeLimits, MIN_SIDE_PX, Reject, child, open_input};
use crate::{Ffmpeg, VideoError};

/// Readers of ffmpeg that turn text, still pictures or lists of other files into "video".
const NOT_VIDEO: [&str; 6] = ["tty", "image2", "concat", "hls", "dash", "ffmetadata"];

/// ffmpeg's flag of packets that are decoded and not shown (`AV_PKT_FLAG_DISCARD`).
const DISCARD: u32 = 4;

/// What the container says about a file's first video stream, from its packets and without decoding.
#[derive(Debug)]
pub(super) struct Probe {
    /// Packets of the video stream, one per frame.
    pub(super) num_packets: u64,
    /// Average rate from the first frame to the last.
    pub(super) frames_per_sec: f64,
    pub(super) matrix: Matrix,
}

/// How luma and chroma stand for red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Matrix {
    /// JPEG's own, and what is meant where nothing is said.
    Bt601,
    /// High definition.
    Bt709,
    /// Ultra high definition.
    Bt2020,
}

impl Matrix {
    /// From a stream's line, such as `... yuv420p(tv, bt709, progressive), 1280x720 ...`; `matrix/primaries/transfer` where
    /// they differ.
    fn of(line: &str) -> Self {
        let words = line.split(['(', ')', ',', ' ']).map(|word| word.split('/').next().unwrap_or_default());
        let known = |word| match word {
            "bt709" => Some(Matrix::Bt709),
            "bt2020nc" | "bt2020ncl" => Some(Matrix::Bt2020),
            _ => None,
        };
        words.into_iter().find_map(known).unwrap_or(Matrix::Bt601)
    }
}

/// One mapped stream as its packets show it.
#[derive(Clone, Default)]
struct Stream {
    secs_per_tick: f64,
    num_packets: u64,
    /// When the first and the last packet are shown.
    shown_ticks: Option<(i64, i64)>,
    end_tick: i64,
}

/// Lists the packets of the file's streams; [`Reject`] when that is already enough to refuse it.
pub(super) fn probe(ffmpeg: &Ffmpeg, path: &Path, limits: &DecodeLimits) -> Result<Result<Probe, Reject>, VideoError> {
    if std::fs::metadata(path).is_ok_and(|file| file.len() == 0) {
        return Ok(Err(Reject::NotMedia { said: "the file is empty".to_owned() }));
    }
    let mut command = open_input(ffmpeg, path, limits);
    command.args(["-map", "0:V:0", "-map", "0:a?", "-c", "copy", "-f", "framecrc", "pipe:1"]);
    let (streams, exit) = child::run(&mut command, limits, read_packets)
        .map_err(|source| VideoError::NoFfmpeg { program: ffmpeg.program().to_owned(), source })?;
    if exit.timed_out {
        return Ok(Err(Reject::TimeLimit { limit_secs: limits.time.as_secs() }));
    }
    if let Some(signal) = exit.status.signal() {
        return Ok(Err(Reject::Failed { how: format!("signal {signal}") }));
    }
    if let Some((width_px, height_px)) = exit.stderr.lines().find_map(oversize) {
        return Ok(Err(Reject::TooManyPixels { width_px, height_px, limit_px: limits.source_px }));
    }
    Ok(judge(&exit.stderr, &streams))
}

/// A path as ffmpeg takes it literally: never a URL, an option or a pattern.
pub(super) fn input(path: &Path) -> OsString {
    let mut input = OsString::from("file:");
    input.push(path);
    input
}

/// Reads `#tb STREAM: NUM/DEN` and `STREAM, DTS, PTS, DURATION, ...` lines.
fn read_packets(out: &mut child::Output<'_>) -> Vec<Stream> {
    let mut streams: Vec<Stream> = Vec::new();
    for line in BufReader::new(out).lines().map_while(Result::ok) {
        if let Some((index, secs_per_tick)) = line.strip_prefix("#tb ").and_then(time_base) {
            streams.resize(streams.len().max(index + 1), Stream::default());
            streams[index].secs_per_tick = secs_per_tick;
        } else if !line.starts_with('#') {
            add_packet(&mut streams, &line);
        }
    }
    streams
}

fn time_base(text: &str) -> Option<(usize, f64)> {
    let (index, ratio) = text.split_once(": ")?;
    let (num, den) = ratio.split_once('/')?;
    let index = index.parse().ok().filter(|index| *index < 1000)?;
    Some((index, num.trim().parse::<f64>().ok()? / den.trim().parse::<f64>().ok()?))
}

fn add_packet(streams: &mut [Stream], line: &str) {
    let mut fields = line.split(',').map(|field| field.trim().parse::<i64>());
    let (Some(Ok(index)), Some(dts), Some(pts), Some(ticks)) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return;
    };
    // Packets outside the edit list are decoded and not shown; their flags are listed as F=0x4 or F=0x5.
    let flags =
        line.split(", F=0x").nth(1).and_then(|rest| u32::from_str_radix(rest.split(',').next()?.trim(), 16).ok());
    if flags.is_some_and(|flags| flags & DISCARD != 0) {
        return;
    }
    let Some(stream) = usize::try_from(index).ok().and_then(|index| streams.get_mut(index)) else { return };
    stream.num_packets += 1;
    // Some AVI packets have no presentation time; ffmpeg prints "NOPTS" or the smallest number.
    let known = |tick: Result<i64, _>| tick.ok().filter(|tick| *tick > i64::MIN / 2);
    if let Some(tick) = known(pts).or_else(|| known(dts)) {
        let (first, last) = stream.shown_ticks.unwrap_or((tick, tick));
        stream.shown_ticks = Some((first.min(tick), last.max(tick)));
        stream.end_tick = stream.end_tick.max(tick.saturating_add(ticks.unwrap_or(0).max(0)));
    }
}

fn judge(said: &str, streams: &[Stream]) -> Result<Probe, Reject> {
    let Some(format) = said.lines().find_map(|line| line.strip_prefix("Input #0, ")) else {
        return Err(Reject::NotMedia { said: first_line(said) });
    };
    let format = format.split_once(", from").map_or(format, |(format, _)| format);
    if NOT_VIDEO.contains(&format) || format.ends_with("_pipe") {
        return Err(Reject::NotVideo { format: format.to_owned() });
    }
    let lines =
        || said.lines().take_while(|line| !line.starts_with("Output #0")).filter(|l| l.starts_with("  Stream #"));
    let Some(line) = lines().find(|line| line.contains(": Video: ") && !line.contains("(attached pic)")) else {
        return Err(Reject::NoVideoStream);
    };
    if let Some((width_px, height_px)) = line.split(", ").find_map(size_px)
        && width_px.min(height_px) < MIN_SIDE_PX
    {
        return Err(Reject::BadSize { width_px, height_px });
    }
    let Some(video) = streams.first().filter(|stream| stream.num_packets > 0) else { return Err(Reject::NoFrames) };
    if video.num_packets == 1 {
        return Err(Reject::SingleFrame);
    }
    let (first, last) = video.shown_ticks.unwrap_or_default();
    // How long the last frame lasts does not count: cutting tools stretch it.
    let span_secs = last.saturating_sub(first) as f64 * video.secs_per_tick;
    let measured = (video.num_packets - 1) as f64 / span_secs;
    // Times in whole milliseconds blur the rate of a short file; the container may know better.
    let blur = 2e-4 + 2.0 * video.secs_per_tick / span_secs;
    let said_rate = line.split(", ").find_map(|field| field.strip_suffix(" fps")?.parse::<f64>().ok());
    let frames_per_sec = said_rate.filter(|rate| (rate / measured - 1.0).abs() < blur).unwrap_or(measured);
    if !(frames_per_sec > 0.01 && frames_per_sec <= 1000.0) {
        return Err(Reject::BadRate { frames_per_sec });
    }
    // A stream of another kind may be the one that lasts longest, so only audio and video bound the duration.
    if lines().all(|line| line.contains(": Video: ") || line.contains(": Audio: "))
        && let Some(said_secs) = said.lines().find_map(duration_secs)
    {
        let end_secs = streams.iter().map(|s| s.end_tick as f64 * s.secs_per_tick).fold(0.0, f64::max);
        if end_secs < said_secs - (2.0 / frames_per_sec).max(0.02 * said_secs) {
            return Err(Reject::EndsEarly { end_secs, said_secs });
        }
    }
    Ok(Probe { num_packets: video.num_packets, frames_per_sec, matrix: Matrix::of(line) })
}

/// What ffmpeg says of a frame above `-max_pixels`: `Picture size 12000x6000 exceeds specified max pixel count ...`.
fn oversize(line: &str) -> Option<(u32, u32)> {
    size_px(line.split_once("Picture size ")?.1).filter(|_| line.contains("exceeds specified max pixel count"))
}

/// `640x360 [SAR 1:1 DAR 16:9]` as width and height.
fn size_px(field: &str) -> Option<(u32, u32)> {
    let (width, height) = field.split_whitespace().next()?.split_once('x')?;
    width.parse().ok().zip(height.parse().ok())
}

/// `  Duration: 00:00:10.38, start: ...` in seconds.
fn duration_secs(line: &str) -> Option<f64> {
    let clock = line.strip_prefix("  Duration: ")?.split(',').next()?;
    clock.split(':').try_fold(0.0, |secs, part| Some(secs * 60.0 + part.parse::<f64>().ok()?))
}

/// The first line of error output without the decoder's address in memory, which differs from run to run.
pub(super) fn first_line(said: &str) -> String {
    let tells = |line: &&str| !line.is_empty() && !line.contains("misdetection possible");
    let line = said.lines().map(str::trim).find(tells).unwrap_or("no message");
    match line.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((_, message)) => message.to_owned(),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_times_at_which_frames_are_shown() {
        // Three packets in decoding order; presented at 0, 512 and 1024 of 1/12800 s: 25 frames per second.
        let mut streams = vec![Stream { secs_per_tick: 1.0 / 12_800.0, ..Stream::default() }];
        for line in ["0, -512, 0, 512, 9, 0xab", "0, 0, 1024, 900, 9, 0xab", "0, 512, 512, 512, 9, 0xab"] {
            add_packet(&mut streams, line);
        }
        let said = "Input #0, mov,mp4, from 'a':\n  Duration: 00:00:00.12, start: 0\n  Stream #0:0: Video: h264\n";
        let probe = judge(said, &streams).unwrap();
        assert!((probe.frames_per_sec - 25.0).abs() < 1e-9, "{probe:?}");
        let longer = said.replace("00:00:00.12", "00:01:40.00");
        assert!(matches!(judge(&longer, &streams), Err(Reject::EndsEarly { said_secs: 100.0, .. })));
        let subtitled = longer + "  Stream #0:1: Subtitle: mov_text\n";
        assert!(judge(&subtitled, &streams).is_ok(), "a long subtitle track is not a cut-off video");
    }

    #[test]
    fn packets_without_presentation_time_count_by_decoding_time() {
        let mut streams = vec![Stream { secs_per_tick: 0.1, ..Stream::default() }];
        add_packet(&mut streams, "0, 0, NOPTS, 1, 9, 0xab");
        add_packet(&mut streams, "0, 1, -9223372036854775808, 1, 9, 0xab");
        assert_eq!((streams[0].num_packets, streams[0].end_tick), (2, 2));
    }

    #[test]
    fn packets_before_the_edit_list_do_not_count() {
        let mut streams = vec![Stream { secs_per_tick: 0.1, ..Stream::default() }];
        for line in ["0, -2, -2, 1, 9, 0xab, F=0x5", "0, -1, -1, 1, 9, 0xab, F=0x4", "0, 0, 0, 1, 9, 0xab, F=0x0"] {
            add_packet(&mut streams, line);
        }
        assert_eq!((streams[0].num_packets, streams[0].shown_ticks), (1, Some((0, 0))));
    }

    #[test]
    fn a_cover_picture_is_not_a_video_stream() {
        let said =
            "Input #0, mp3, from 'a':\n  Stream #0:0: Audio: mp3\n  Stream #0:1: Video: png, 8x8 (attached pic)\n";
        assert!(matches!(judge(said, &[]), Err(Reject::NoVideoStream)));
    }

    #[test]
    fn addresses_are_left_out_of_messages() {
        assert_eq!(first_line("\n[mov,mp4 @ 0x1f89df00] moov atom not found\nx"), "moov atom not found");
        assert_eq!(first_line(""), "no message");
    }
}
