use std::path::Path;

use crate::VideoError;

use super::output::write_whole;

/// Largest side that is read, pixels: above what is ever rendered.
const MAX_SIDE_PX: usize = 1 << 13;

/// One bit for each pixel of each frame of a video: whether it belongs to what is asked for, such as the diver.
///
/// As a file: raw PBM pictures (netpbm's `P4`: `P4\n96 96\n`, then rows of bits, the first in the highest bit, each row
/// filled up to a whole byte; 1 is the diver), one for each frame, end to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaskVideo {
    width_px: usize,
    height_px: usize,
    /// Rows of bits of all frames, each row in whole bytes.
    bits: Vec<u8>,
}

impl MaskVideo {
    /// * `frames` - `[height, width]` each, row by row
    pub(super) fn of(size_px: [u32; 2], frames: impl Iterator<Item = Vec<bool>>) -> Self {
        let [width_px, height_px] = size_px.map(|side| side as usize);
        let mut bits = Vec::new();
        for frame in frames {
            for row in frame.chunks(width_px) {
                let byte = |eight: &[bool]| (0..eight.len()).fold(0, |byte, i| byte | u8::from(eight[i]) << (7 - i));
                bits.extend(row.chunks(8).map(byte));
            }
        }
        MaskVideo { width_px, height_px, bits }
    }

    /// Writes the file, whole or not at all.
    pub(super) fn write(&self, path: &Path) -> Result<(), VideoError> {
        let head = format!("P4\n{} {}\n", self.width_px, self.height_px);
        let pictures = self.bits.chunks_exact(self.frame_bytes());
        let file: Vec<u8> = pictures.flat_map(|picture| [head.as_bytes(), picture].concat()).collect();
        write_whole(path, &file)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`VideoError::Io`]; [`VideoError::Mask`] when it is no row of PBM pictures of one size.
    pub fn read(path: &Path) -> Result<Self, VideoError> {
        let io = |source| VideoError::Io { action: "read", path: path.to_owned(), source };
        Self::parse(path, &std::fs::read(path).map_err(io)?)
    }

    /// The same from bytes; `path` is for the error.
    ///
    /// # Errors
    /// [`VideoError::Mask`].
    pub fn parse(path: &Path, file: &[u8]) -> Result<Self, VideoError> {
        let refuse = |problem: String| VideoError::Mask { path: path.to_owned(), problem };
        let (width_px, height_px, head_bytes) =
            head(file).ok_or_else(|| refuse("it does not begin like a PBM picture (P4)".to_owned()))?;
        let mut mask = MaskVideo { width_px, height_px, bits: Vec::new() };
        for (frame, picture) in file.chunks(head_bytes + mask.frame_bytes()).enumerate() {
            let (head, bits) = picture.split_at(head_bytes.min(picture.len()));
            if head != &file[..head_bytes] || bits.len() != mask.frame_bytes() {
                return Err(refuse(format!("picture {frame} is cut short, or not of {width_px} x {height_px} pixels")));
            }
            mask.bits.extend_from_slice(bits);
        }
        Ok(mask)
    }

    /// Width and height, pixels.
    pub fn size_px(&self) -> [usize; 2] {
        [self.width_px, self.height_px]
    }

    /// Number of frames.
    pub fn num_frames(&self) -> usize {
        self.bits.len() / self.frame_bytes()
    }

    /// Share of each patch of a frame that the mask covers, `0..=1`, row by row. Patches divide the square in the
    /// middle of the frame, as large as fits: what an unvaried clip shows, whatever its size.
    ///
    /// * `frame` - below [`MaskVideo::num_frames`]
    /// * `grid` - rows and columns of patches
    ///
    /// # Panics
    /// For a frame that is not there.
    pub fn cover(&self, frame: usize, grid: [usize; 2]) -> Vec<f64> {
        let side = self.width_px.min(self.height_px);
        let (top, left) = ((self.height_px - side) / 2, (self.width_px - side) / 2);
        let [rows, columns] = grid.map(|parts| overlaps(side, parts));
        let patch_px = (side * side) as f64 / (grid[0] * grid[1]) as f64;
        let mut cover = Vec::with_capacity(rows.len() * columns.len());
        for row in &rows {
            for column in &columns {
                let pixels = row.iter().flat_map(|y| column.iter().map(move |x| (y, x)));
                let covered = pixels.filter(|(y, x)| self.is_set(frame, top + y.0, left + x.0));
                cover.push(covered.map(|(y, x)| y.1 * x.1).sum::<f64>() / patch_px);
            }
        }
        cover
    }

    fn is_set(&self, frame: usize, y: usize, x: usize) -> bool {
        let byte = self.bits[frame * self.frame_bytes() + y * self.row_bytes() + x / 8];
        byte & (0x80 >> (x % 8)) != 0
    }

    fn row_bytes(&self) -> usize {
        self.width_px.div_ceil(8)
    }

    fn frame_bytes(&self) -> usize {
        self.row_bytes() * self.height_px
    }
}

/// Width, height and length of `P4\nWIDTH HEIGHT\n`.
fn head(file: &[u8]) -> Option<(usize, usize, usize)> {
    let size = file.strip_prefix(b"P4\n")?;
    let end = size.iter().take(16).position(|byte| *byte == b'\n')?;
    let (width, height) = std::str::from_utf8(&size[..end]).ok()?.split_once(' ')?;
    let side = |text: &str| text.parse().ok().filter(|side| (1..=MAX_SIDE_PX).contains(side));
    Some((side(width)?, side(height)?, 3 + end + 1))
}

/// For each of `parts` equal stretches of `len` pixels, the pixels that it touches and how much of each.
fn overlaps(len: usize, parts: usize) -> Vec<Vec<(usize, f64)>> {
    let step = len as f64 / parts as f64;
    let stretch = |part: usize| {
        let (start, stop) = (part as f64 * step, (part + 1) as f64 * step);
        let pixels = start.floor() as usize..(stop.ceil() as usize).min(len);
        pixels.map(|x| (x, (stop.min((x + 1) as f64) - start.max(x as f64)).max(0.0))).collect()
    };
    (0..parts).map(stretch).collect()
}

#[cfg(test)]
mod tests;
