use std::io::Read;
use std::ops::ControlFlow;

use super::pictures::Pictures;
use super::{Frame, Reject};
use crate::jpeg::Extent;

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

/// Hands out the pictures of a stream of JPEGs one by one, as long as they keep to the bounds.
pub(super) fn read_frames(
    out: &mut impl Read,
    bounds: &Bounds,
    on_frame: &mut dyn FnMut(Frame<'_>) -> ControlFlow<()>,
) -> Ended {
    let mut seen = Seen::default();
    let mut pictures = Pictures::new(out);
    // A pipe that breaks off within a frame is judged like one that ends: by the count and what ffmpeg said.
    while let Ok(Some((Extent { width_px, height_px, .. }, jpeg))) = pictures.next() {
        if let Err(reject) = check_frame(&seen, (width_px, height_px), bounds) {
            return Ended::Rejected(reject);
        }
        (seen.width_px, seen.height_px) = (width_px, height_px);
        let start_secs = f64::from(seen.num_frames) / bounds.frames_per_sec;
        seen.num_frames += 1;
        if on_frame(Frame { width_px, height_px, start_secs, jpeg }).is_break() {
            return Ended::Stopped;
        }
    }
    Ended::Eof(seen)
}

/// Holds the next frame's size, decoded, against the bounds.
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
