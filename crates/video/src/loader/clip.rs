use spec::ClipGeometry;

use super::pixels::{Window, read_window};
use super::{ClipRequest, LoadedClip};
use crate::{ClipStore, TokenStore, VideoError, timeline};

/// Reads one clip: `request.num_frames` frames of a segment's timeline from `start_frame` on, each the centre square
/// brought to the geometry's size, with the tokens of the same frames where a token store is given.
///
/// # Errors
/// [`VideoError::OutOfRange`] and [`VideoError::ClipStart`] for a request that does not fit; [`VideoError::Jpeg`]
/// and HDF5's errors for a damaged store.
pub fn load_clip(
    store: &ClipStore,
    tokens: Option<&TokenStore>,
    geometry: &ClipGeometry,
    request: ClipRequest,
) -> Result<LoadedClip, VideoError> {
    let frames = wanted_frames(store, geometry, request)?;
    let video = store.segments()[request.segment].video as usize;
    let window = Window::centre_square(store.videos()[video].width_px, store.videos()[video].height_px);
    let rgb = read_window(store, video, &frames, (window, geometry.size_px() as u32))?;
    let step = geometry.patch().t as usize;
    let tokens = tokens
        .map(|tokens| tokens.read(request.segment, request.start_frame / step, frames.len() / step))
        .transpose()?;
    Ok(LoadedClip { request, rgb, tokens })
}

/// The stored frames of a clip, after checking the request.
fn wanted_frames(store: &ClipStore, geometry: &ClipGeometry, request: ClipRequest) -> Result<Vec<u32>, VideoError> {
    let out_of_range = |what: &str, index: usize, len: usize| VideoError::OutOfRange {
        what: what.to_owned(),
        index: index as u64,
        len: len as u64,
    };
    let segments = store.segments();
    let segment =
        segments.get(request.segment).ok_or_else(|| out_of_range("segment", request.segment, segments.len()))?;
    let (start_frame, step) = (request.start_frame, geometry.patch().t as usize);
    if !start_frame.is_multiple_of(step) || !request.num_frames.is_multiple_of(step) {
        return Err(VideoError::ClipStart { start_frame, num_frames: request.num_frames, step });
    }
    let frames = timeline(&store.videos()[segment.video as usize], segment, geometry).frames;
    let stop = start_frame.saturating_add(request.num_frames);
    let what = format!("last frame of a clip in segment {:?}", segment.id);
    Ok(frames.get(start_frame..stop).ok_or_else(|| out_of_range(&what, stop.saturating_sub(1), frames.len()))?.to_vec())
}
