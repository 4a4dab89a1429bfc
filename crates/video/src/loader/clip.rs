use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use spec::ClipGeometry;

use super::{ClipRequest, LoadedClip};
use crate::jpeg::{self, Picture};
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
    let rgb = read_square(store, video, &frames, geometry.size_px() as u32)?;
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

/// `[frames, size_px, size_px, 3]`; a frame that repeats its predecessor is decoded once.
fn read_square(store: &ClipStore, video: usize, frames: &[u32], size_px: u32) -> Result<Vec<u8>, VideoError> {
    let mut distinct = frames.to_vec();
    distinct.dedup();
    let jpegs = store.read_jpegs(video, &distinct)?;
    let frame_bytes = (size_px * size_px * 3) as usize;
    let mut rgb = Vec::with_capacity(frames.len() * frame_bytes);
    let mut resizer = Resizer::new();
    let mut next = jpegs.iter();
    let mut shown = None;
    for frame in frames {
        if shown == Some(frame) {
            rgb.extend_from_within(rgb.len() - frame_bytes..);
        } else if let Some(jpeg) = next.next() {
            append_square(&mut rgb, &jpeg::decode(jpeg)?, size_px, &mut resizer)?;
            shown = Some(frame);
        }
    }
    Ok(rgb)
}

/// Appends the centre square of a picture, brought to `size_px` (bilinear with area averaging when it shrinks).
fn append_square(rgb: &mut Vec<u8>, picture: &Picture, size_px: u32, resizer: &mut Resizer) -> Result<(), VideoError> {
    let side = picture.width_px.min(picture.height_px);
    let (left, top) = ((picture.width_px - side) / 2, (picture.height_px - side) / 2);
    if side == size_px {
        let row_bytes = picture.width_px as usize * 3;
        for row in picture.rgb.chunks_exact(row_bytes).skip(top as usize).take(side as usize) {
            rgb.extend_from_slice(&row[left as usize * 3..(left + side) as usize * 3]);
        }
        return Ok(());
    }
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)).crop(
        left.into(),
        top.into(),
        side.into(),
        side.into(),
    );
    let failed =
        |problem: String| VideoError::Picture { width_px: picture.width_px, height_px: picture.height_px, problem };
    let source = ImageRef::new(picture.width_px, picture.height_px, &picture.rgb, PixelType::U8x3)
        .map_err(|err| failed(err.to_string()))?;
    let start = rgb.len();
    rgb.resize(start + (size_px * size_px * 3) as usize, 0);
    let mut square = Image::from_slice_u8(size_px, size_px, &mut rgb[start..], PixelType::U8x3)
        .map_err(|err| failed(err.to_string()))?;
    resizer.resize(&source, &mut square, &options).map_err(|err| failed(err.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture whose red is the column, green the row, times 10.
    fn picture(width_px: u32, height_px: u32) -> Picture {
        let row = |y: u32| (0..width_px).flat_map(move |x| [x as u8 * 10, y as u8 * 10, 7]);
        Picture { width_px, height_px, rgb: (0..height_px).flat_map(row).collect() }
    }

    fn square(picture: &Picture, size_px: u32) -> Vec<u8> {
        let mut rgb = Vec::new();
        append_square(&mut rgb, picture, size_px, &mut Resizer::new()).unwrap();
        rgb
    }

    #[test]
    fn the_square_is_cut_from_the_middle() {
        // 7 wide, 3 high: columns 2, 3, 4 of each row.
        let expected: Vec<u8> = (0..3).flat_map(|y| (2..5).flat_map(move |x| [x * 10, y * 10, 7])).collect();
        assert_eq!(square(&picture(7, 3), 3), expected);
        // 2 wide, 5 high: rows 1 and 2.
        let expected: Vec<u8> = (1..3).flat_map(|y| (0..2).flat_map(move |x| [x * 10, y * 10, 7])).collect();
        assert_eq!(square(&picture(2, 5), 2), expected);
    }

    #[test]
    fn shrinking_averages_around_the_middle() {
        // 12 x 4 to 2 x 2: the square is columns 4..8; a ramp keeps its mean, (40 + 70) / 2, symmetric about it.
        let got = square(&picture(12, 4), 2);
        let red: Vec<i32> = got.iter().step_by(3).map(|v| i32::from(*v)).collect();
        assert_eq!(red[0] + red[1], 110, "{red:?}");
        assert!(red[0] < red[1] && red[0] == red[2] && red[1] == red[3], "{red:?}");
    }
}
