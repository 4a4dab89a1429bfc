#[cfg(test)]
mod tests;

use super::pixels::{Window, read_window};
use super::{ClipRequest, ClipSource, LoadedClip, View};
use crate::augment::{Sizes, square_along};
use crate::sample::{Instants, timeline_at};
use crate::{Flow, Part, Segment, TokenHeader, TokenStore, Tokens, Video, VideoError};

/// Reads one clip: `request.num_frames` frames of a segment's timeline from `start_frame` on, each the view's part of the
/// frame brought to the geometry's size, with the tokens of the same frames and the same part where a token store is
/// given.
///
/// # Errors
/// What [`ClipSource::check`] refuses; [`VideoError::OutOfRange`] and [`VideoError::ClipStart`] for a request that does not
/// fit; [`VideoError::OutOfRegister`] for another fixed view than the centre beside tokens; [`VideoError::Jpeg`] and HDF5's
/// errors for a damaged store.
pub fn load_clip(source: &ClipSource, request: ClipRequest) -> Result<LoadedClip, VideoError> {
    source.check()?;
    let clip = Wanted::find(source, request)?;
    let size_px = source.geometry.size_px() as u32;
    let (mut rgb, tokens) = match &source.tokens {
        None => (read_window(&source.store, clip.video, &clip.frames, (clip.window(size_px), size_px))?, None),
        Some(tokens) => {
            let (rgb, tokens) = clip.read_with(tokens)?;
            (rgb, Some(tokens))
        }
    };
    if let View::Drawn(draw) = request.view {
        source.augment.apply(&mut rgb, size_px as usize, draw);
    }
    let flow = source.with_flow.then(|| Flow::of_clip(&rgb, &source.geometry));
    Ok(LoadedClip { request, rgb, num_real: clip.num_real, tokens, flow })
}

/// A clip whose frames are known.
struct Wanted<'a> {
    source: &'a ClipSource,
    request: ClipRequest,
    video: usize,
    /// Stored frames of the video.
    frames: Vec<u32>,
    num_real: usize,
}

impl<'a> Wanted<'a> {
    /// Finds the stored frames of a clip, after checking the request.
    fn find(source: &'a ClipSource, request: ClipRequest) -> Result<Self, VideoError> {
        let out_of_range = |what: &str, index: usize, len: usize| VideoError::OutOfRange {
            what: what.to_owned(),
            index: index as u64,
            len: len as u64,
        };
        let segments = source.store.segments();
        let segment =
            segments.get(request.segment).ok_or_else(|| out_of_range("segment", request.segment, segments.len()))?;
        let (start_frame, step) = (request.start_frame, source.geometry.patch().t as usize);
        let is_cut = !start_frame.is_multiple_of(step) || !request.num_frames.is_multiple_of(step);
        if source.tokens.is_some() && is_cut {
            return Err(VideoError::ClipStart { start_frame, num_frames: request.num_frames, step });
        }
        let video = segment.video as usize;
        let timeline = timeline_of(source, (&source.store.videos()[video], segment), request.view);
        let stop = start_frame.saturating_add(request.num_frames);
        let what = format!("last frame of a clip in segment {:?}", segment.id);
        let frames = timeline.frames.get(start_frame..stop);
        let frames = frames.ok_or_else(|| out_of_range(&what, stop.saturating_sub(1), timeline.frames.len()))?.to_vec();
        let num_real = timeline.num_real_of(start_frame, request.num_frames);
        Ok(Wanted { source, request, video, frames, num_real })
    }

    /// The part of the stored frame that is shown.
    fn window(&self, clip_px: u32) -> Window {
        let Video { width_px, height_px, .. } = self.source.store.videos()[self.video];
        let sizes = Sizes { width_px, height_px, clip_px };
        match self.request.view {
            View::Fixed { crop, .. } => square_along(sizes, crop),
            View::Drawn(draw) => self.source.augment.window(sizes, draw),
        }
    }

    /// Pixels and tokens of the same whole tokens. The pixels are cut from the very square that was encoded.
    fn read_with(&self, store: &TokenStore) -> Result<(Vec<u8>, Tokens), VideoError> {
        let ClipSource { geometry, augment, .. } = self.source;
        let (header, patch, grid) = (store.header(), geometry.patch(), geometry.grid());
        let stored = header.grid();
        let clip = [grid.h as usize, grid.w as usize];
        let spare = [0, 1].map(|axis| stored[axis] - clip[axis]);
        let [top, left] = match self.request.view {
            View::CENTRE => spare.map(|spare| spare / 2),
            View::Drawn(draw) => augment.token_place(spare, draw),
            View::Fixed { .. } => {
                return Err(VideoError::OutOfRegister { setting: "the view", remedy: "take the centre" });
            }
        };
        let step = patch.t as usize;
        let (first, latent_frames) = (self.request.start_frame / step, self.frames.len() / step);
        let tokens = store.read(self.request.segment, first, latent_frames)?.cut(stored, ([top, left], clip));
        let rgb = self.read_square(header)?;
        let corner = [top * patch.h as usize, left * patch.w as usize];
        Ok((cut_square(rgb, header.size_px as usize, (corner, geometry.size_px() as usize)), tokens))
    }

    /// The centre square as the tokenizer saw it.
    fn read_square(&self, header: &TokenHeader) -> Result<Vec<u8>, VideoError> {
        let store = &self.source.store;
        let Video { width_px, height_px, .. } = store.videos()[self.video];
        let square = Window::centre_square(width_px, height_px);
        read_window(store, self.video, &self.frames, (square, header.size_px as u32))
    }
}

fn timeline_of(source: &ClipSource, (video, segment): (&Video, &Segment), view: View) -> crate::Timeline {
    let drawn = match view {
        View::Fixed { instant, .. } => return timeline_at(video, segment, &source.geometry, Instants::Part(instant)),
        View::Drawn(draw) => source.augment.instants(draw),
    };
    match drawn {
        Some(mut rng) => timeline_at(video, segment, &source.geometry, Instants::Random(&mut rng)),
        None => timeline_at(video, segment, &source.geometry, Instants::Part(Part::WHOLE)),
    }
}

/// Cuts a square out of every frame of a clip.
///
/// * `rgb` - frames `[T, side, side, 3]`
/// * `wanted` - rows above it and columns to its left, and its side
fn cut_square(rgb: Vec<u8>, side: usize, ([top, left], wanted): ([usize; 2], usize)) -> Vec<u8> {
    if wanted == side {
        return rgb;
    }
    let frames = rgb.chunks_exact(side * side * 3);
    let mut cut = Vec::with_capacity(frames.len() * wanted * wanted * 3);
    for frame in frames {
        for row in frame.chunks_exact(side * 3).skip(top).take(wanted) {
            cut.extend_from_slice(&row[left * 3..(left + wanted) * 3]);
        }
    }
    cut
}
