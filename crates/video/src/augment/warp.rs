//! Rotation, shear and translation: every frame is read at other places.

use super::MEAN_RGB;

/// Where each pixel of a square frame comes from, worked out once for all frames of a clip.
#[derive(Clone, Debug)]
pub(super) struct Warp {
    side: usize,
    taps: Vec<Option<Tap>>,
}

/// Four pixels and their weights (bilinear): row starts and columns as bytes into a frame.
#[derive(Clone, Copy, Debug)]
struct Tap {
    rows: [u32; 2],
    columns: [u32; 2],
    down: f32,
    right: f32,
}

impl Warp {
    /// * `matrix` - the place that a pixel is read at, from its own: `x' = m[0] . (x, y, 1)`, `y' = m[1] . (x, y, 1)`,
    ///   in pixels from the frame's upper left corner; the middle of the first pixel is at 1/2
    /// * `side` - pixels of a row and of a column
    pub(super) fn new(matrix: [[f64; 3]; 2], side: usize) -> Self {
        let places = (0..side * side).map(|i| [(i % side) as f64 + 0.5, (i / side) as f64 + 0.5]);
        let read_at = |[x, y]: [f64; 2]| matrix.map(|row| row[0] * x + row[1] * y + row[2]);
        Warp { side, taps: places.map(|place| Tap::new(read_at(place), side)).collect() }
    }

    /// Warps every frame of a clip, `[T, side, side, 3]`; what comes from outside the frame gets ImageNet's mean colour.
    pub(super) fn apply(&self, rgb: &mut [u8]) {
        let mut source = Vec::new();
        for frame in rgb.chunks_exact_mut(self.side * self.side * 3) {
            source.clear();
            source.extend_from_slice(frame);
            for (pixel, tap) in frame.chunks_exact_mut(3).zip(&self.taps) {
                match tap {
                    Some(tap) => tap.read(&source, pixel),
                    None => pixel.copy_from_slice(&MEAN_RGB),
                }
            }
        }
    }
}

impl Tap {
    fn new([x, y]: [f64; 2], side: usize) -> Option<Self> {
        // Rounding must not turn the border's own pixels into outside.
        let inside = |at: f64| (-1e-6..side as f64 + 1e-6).contains(&at);
        if !inside(x) || !inside(y) {
            return None;
        }
        let split = |at: f64, stride: usize| {
            let at = (at - 0.5).clamp(0.0, (side - 1) as f64);
            let first = at.floor() as usize;
            let bytes = |pixel: usize| (pixel.min(side - 1) * stride) as u32;
            ([bytes(first), bytes(first + 1)], (at - first as f64) as f32)
        };
        let ((rows, down), (columns, right)) = (split(y, side * 3), split(x, 3));
        Some(Tap { rows, columns, down, right })
    }

    fn read(&self, source: &[u8], pixel: &mut [u8]) {
        let line = |from: f32, to: f32, share: f32| from + share * (to - from);
        for (c, value) in pixel.iter_mut().enumerate() {
            let at =
                |row: usize, column: usize| f32::from(source[(self.rows[row] + self.columns[column]) as usize + c]);
            let [upper, lower] = [0, 1].map(|row| line(at(row, 0), at(row, 1), self.right));
            *value = line(upper, lower, self.down).round() as u8;
        }
    }
}
