use std::io::Read;
use std::ops::ControlFlow;

use super::{Frame, Reject};

/// Longest side over shortest beyond which a picture is no scene but a strip.
const MAX_ASPECT: u32 = 16;

/// What the frames are held against.
pub(super) struct Bounds {
    pub(super) short_side_px: u32,
    /// Frames that the container promises.
    pub(super) expected: u64,
    /// Constant rate of the frames.
    pub(super) frames_per_sec: f64,
    /// Most bytes of all frames together.
    pub(super) limit_bytes: u64,
}

/// What came through the pipe.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) num_frames: u32,
    pub(super) width_px: u32,
    pub(super) height_px: u32,
}

/// How reading ended.
pub(super) enum Ended {
    Eof(Seen),
    Rejected(Reject),
    Stopped,
}

/// Hands out the pictures of a stream of PPM files one by one, as long as they keep to the bounds.
pub(super) fn read_frames(
    out: &mut impl Read,
    bounds: &Bounds,
    on_frame: &mut dyn FnMut(Frame<'_>) -> ControlFlow<()>,
) -> Ended {
    let mut seen = Seen::default();
    let mut rgb = Vec::new();
    // A pipe that breaks off within a frame is judged like one that ends: by the count and what ffmpeg said.
    while let Ok(Some((width_px, height_px))) = read_header(out) {
        if let Err(reject) = check_frame(&seen, (width_px, height_px), bounds) {
            return Ended::Rejected(reject);
        }
        (seen.width_px, seen.height_px) = (width_px, height_px);
        rgb.resize(width_px as usize * height_px as usize * 3, 0);
        if out.read_exact(&mut rgb).is_err() {
            break;
        }
        let start_secs = f64::from(seen.num_frames) / bounds.frames_per_sec;
        seen.num_frames += 1;
        if on_frame(Frame { width_px, height_px, start_secs, rgb: &rgb }).is_break() {
            return Ended::Stopped;
        }
    }
    Ended::Eof(seen)
}

/// Looks at the next frame's size before there is room made for it.
fn check_frame(seen: &Seen, (width_px, height_px): (u32, u32), bounds: &Bounds) -> Result<(), Reject> {
    if width_px.max(height_px) > MAX_ASPECT * bounds.short_side_px {
        return Err(Reject::BadSize { width_px, height_px });
    }
    if seen.num_frames > 0 && (width_px, height_px) != (seen.width_px, seen.height_px) {
        let from = format!("{}x{}", seen.width_px, seen.height_px);
        return Err(Reject::SizeChanges { from, to: format!("{width_px}x{height_px}") });
    }
    let num_frames = bounds.expected.max(u64::from(seen.num_frames) + 1);
    let decoded_bytes = (u64::from(width_px) * u64::from(height_px) * 3).saturating_mul(num_frames);
    if decoded_bytes > bounds.limit_bytes {
        return Err(Reject::TooManyBytes { decoded_bytes, limit_bytes: bounds.limit_bytes });
    }
    Ok(())
}

/// Reads `P6\nWIDTH HEIGHT\n255\n`; `None` at the end of the stream or on anything else.
fn read_header(out: &mut impl Read) -> std::io::Result<Option<(u32, u32)>> {
    let mut header = Vec::with_capacity(16);
    let mut byte = [0];
    while header.iter().filter(|b| **b == b'\n').count() < 3 && header.len() < 40 {
        if out.read(&mut byte)? == 0 {
            return Ok(None);
        }
        header.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&header);
    let mut words = text.split_ascii_whitespace();
    let (magic, width, height) = (words.next(), words.next(), words.next());
    let sizes = width.and_then(|w| w.parse().ok()).zip(height.and_then(|h| h.parse().ok()));
    Ok(sizes.filter(|_| magic == Some("P6")))
}
