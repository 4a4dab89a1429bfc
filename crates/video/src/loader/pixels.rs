use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use crate::jpeg::{self, Picture};
use crate::{ClipStore, VideoError};

/// A part of a stored frame, the same for every frame of a clip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Columns to its left.
    pub left_px: u32,
    /// Rows above it.
    pub top_px: u32,
    /// Columns.
    pub width_px: u32,
    /// Rows.
    pub height_px: u32,
}

impl Window {
    /// The square in the middle of a frame, as large as fits.
    pub fn centre_square(width_px: u32, height_px: u32) -> Self {
        let side = width_px.min(height_px);
        Window { left_px: (width_px - side) / 2, top_px: (height_px - side) / 2, width_px: side, height_px: side }
    }
}

/// Reads `frames` of a video, each cut to the window and brought to a square of `size_px` (bilinear, with area averaging
/// where it shrinks): `[frames, size_px, size_px, 3]`. A frame that repeats its predecessor is decoded once.
pub(super) fn read_window(
    store: &ClipStore,
    video: usize,
    frames: &[u32],
    (window, size_px): (Window, u32),
) -> Result<Vec<u8>, VideoError> {
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
            append_window(&mut rgb, &jpeg::decode(jpeg)?, (window, size_px), &mut resizer)?;
            shown = Some(frame);
        }
    }
    Ok(rgb)
}

/// Appends the window of a picture, brought to a square of `size_px`.
fn append_window(
    rgb: &mut Vec<u8>,
    picture: &Picture,
    (window, size_px): (Window, u32),
    resizer: &mut Resizer,
) -> Result<(), VideoError> {
    let Window { left_px, top_px, width_px, height_px } = window;
    let failed =
        |problem: String| VideoError::Picture { width_px: picture.width_px, height_px: picture.height_px, problem };
    let fits = |start: u32, len: u32, whole: u32| len > 0 && start.checked_add(len).is_some_and(|stop| stop <= whole);
    if !fits(left_px, width_px, picture.width_px) || !fits(top_px, height_px, picture.height_px) {
        return Err(failed(format!("it does not hold {window:?}")));
    }
    if (width_px, height_px) == (size_px, size_px) {
        let row_bytes = picture.width_px as usize * 3;
        for row in picture.rgb.chunks_exact(row_bytes).skip(top_px as usize).take(size_px as usize) {
            rgb.extend_from_slice(&row[left_px as usize * 3..(left_px + size_px) as usize * 3]);
        }
        return Ok(());
    }
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)).crop(
        left_px.into(),
        top_px.into(),
        width_px.into(),
        height_px.into(),
    );
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
        let window = Window::centre_square(picture.width_px, picture.height_px);
        append_window(&mut rgb, picture, (window, size_px), &mut Resizer::new()).unwrap();
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

    #[test]
    fn a_window_outside_the_frame_is_refused() {
        let window = Window { left_px: 5, top_px: 0, width_px: 3, height_px: 3 };
        let refused = append_window(&mut Vec::new(), &picture(7, 3), (window, 3), &mut Resizer::new());
        assert!(matches!(refused, Err(VideoError::Picture { .. })));
    }
}
