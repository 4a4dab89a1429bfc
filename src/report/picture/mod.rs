//! Small pictures from plain bytes: frames, contact sheets, and what is shown on top of patches.

mod codes;
mod patches;

use super::ReportError;
pub(crate) use patches::PatchGrid;

/// The longest side that is made: beyond it, programs that show PNG give up.
const MAX_SIDE: usize = 1 << 15;

/// Between pictures of a sheet: reads as a gap on white and on dark.
const GAP_COLOUR: [u8; 3] = [128, 128, 128];

/// An RGB picture. Its buffer always holds `width * height * 3` bytes, row-major, 0..=255.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Picture {
    /// Takes a buffer `[height, width, 3]`, row-major.
    ///
    /// # Errors
    /// [`ReportError::PictureSize`], [`ReportError::PixelCount`].
    pub(crate) fn new(width: usize, height: usize, rgb: Vec<u8>) -> Result<Self, ReportError> {
        check_size(width, height)?;
        if rgb.len() != width * height * 3 {
            let shape = vec![height, width, 3];
            return Err(ReportError::PixelCount { shape, expected: width * height * 3, found: rgb.len() });
        }
        Ok(Picture { width, height, rgb })
    }

    /// One picture per frame of a clip `[T, H, W, 3]`, row-major.
    ///
    /// # Errors
    /// [`ReportError::NotFrames`], [`ReportError::PictureSize`], [`ReportError::PixelCount`].
    pub(crate) fn from_frames_u8(frames_thwc: &[u8], shape: [usize; 4]) -> Result<Vec<Self>, ReportError> {
        let [num_frames, height, width, channels] = shape;
        if channels != 3 || num_frames == 0 {
            return Err(ReportError::NotFrames { shape });
        }
        check_size(width, height)?;
        let frame_bytes = width * height * 3;
        let expected = num_frames.saturating_mul(frame_bytes);
        if frames_thwc.len() != expected {
            return Err(ReportError::PixelCount { shape: shape.to_vec(), expected, found: frames_thwc.len() });
        }
        frames_thwc.chunks_exact(frame_bytes).map(|rgb| Self::new(width, height, rgb.to_vec())).collect()
    }

    /// A picture of one colour.
    fn filled(width: usize, height: usize, colour: [u8; 3]) -> Result<Self, ReportError> {
        check_size(width, height)?;
        Ok(Picture { width, height, rgb: colour.repeat(width * height) })
    }

    /// Pixels, horizontal.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Pixels, vertical.
    pub(crate) fn height(&self) -> usize {
        self.height
    }

    /// The picture as a PNG file.
    pub(crate) fn png(&self) -> Vec<u8> {
        let mut file = Vec::new();
        // Sides are within 1..=MAX_SIDE and the buffer fits them: see `new`.
        let mut encoder = png::Encoder::new(&mut file, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().expect("memory takes a header of a checked size");
        writer.write_image_data(&self.rgb).expect("memory takes a buffer of a checked size");
        drop(writer);
        file
    }

    /// Each pixel as `k` x `k` pixels.
    ///
    /// # Errors
    /// [`ReportError::PictureSize`] when `k` is 0 or the result is too large.
    pub(crate) fn upscale(&self, k: usize) -> Result<Self, ReportError> {
        let (width, height) = (self.width.saturating_mul(k), self.height.saturating_mul(k));
        check_size(width, height)?;
        let mut rgb = Vec::with_capacity(width * height * 3);
        for y in 0..height {
            for x in 0..width {
                rgb.extend(self.at(x / k, y / k));
            }
        }
        Ok(Picture { width, height, rgb })
    }

    /// Pictures of one size in rows of `columns`, `gap` pixels apart; a last row that is not full ends in grey.
    ///
    /// # Errors
    /// [`ReportError::EmptySheet`], [`ReportError::SizesDiffer`], [`ReportError::PictureSize`].
    pub(crate) fn contact_sheet(frames: &[Picture], columns: usize, gap: usize) -> Result<Self, ReportError> {
        let (Some(first), 1..) = (frames.first(), columns) else {
            return Err(ReportError::EmptySheet { pictures: frames.len(), columns });
        };
        let size = (first.width, first.height);
        if let Some(index) = frames.iter().position(|f| (f.width, f.height) != size) {
            let found = (frames[index].width, frames[index].height);
            return Err(ReportError::SizesDiffer { index, first: size, found });
        }
        let columns = columns.min(frames.len());
        let extent = |count: usize, side: usize| (side.saturating_add(gap)).saturating_mul(count).saturating_sub(gap);
        let (width, height) = (extent(columns, size.0), extent(frames.len().div_ceil(columns), size.1));
        let mut sheet = Self::filled(width, height, GAP_COLOUR)?;
        for (i, frame) in frames.iter().enumerate() {
            sheet.paste(frame, i % columns * (size.0 + gap), i / columns * (size.1 + gap));
        }
        Ok(sheet)
    }

    /// Copies `other` to where it lies fully inside.
    fn paste(&mut self, other: &Picture, left: usize, top: usize) {
        for y in 0..other.height {
            let from = y * other.width * 3;
            let to = ((top + y) * self.width + left) * 3;
            self.rgb[to..to + other.width * 3].copy_from_slice(&other.rgb[from..from + other.width * 3]);
        }
    }

    fn at(&self, x: usize, y: usize) -> [u8; 3] {
        let i = (y * self.width + x) * 3;
        [self.rgb[i], self.rgb[i + 1], self.rgb[i + 2]]
    }

    fn set(&mut self, x: usize, y: usize, colour: [u8; 3]) {
        let i = (y * self.width + x) * 3;
        self.rgb[i..i + 3].copy_from_slice(&colour);
    }
}

fn check_size(width: usize, height: usize) -> Result<(), ReportError> {
    if (1..=MAX_SIDE).contains(&width) && (1..=MAX_SIDE).contains(&height) {
        return Ok(());
    }
    Err(ReportError::PictureSize { width, height, max: MAX_SIDE })
}

#[cfg(test)]
mod tests;
