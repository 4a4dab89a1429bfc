//! Random erasing: a box of the frame, the same in every frame of a clip.

use rand::RngExt as _;
use rand_distr::StandardNormal;
use spec::Rng;

use super::{Erasing, Fill, MEAN_RGB};

/// ImageNet's standard deviation, 0..=255.
const STD_RGB: [f32; 3] = [58.395, 57.12, 57.375];
/// Least width / height of a box; the largest is its inverse (VideoMAE).
const MIN_SHAPE: f64 = 0.3;
/// Draws of area and shape before a clip stays whole (VideoMAE).
const ATTEMPTS: u32 = 100;

/// What is erased from a clip.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Erased {
    pub(super) left: usize,
    pub(super) top: usize,
    pub(super) width: usize,
    /// What stands there instead, `[height, width, 3]`.
    pub(super) rgb: Vec<u8>,
}

impl Erasing {
    /// The box of one clip of `side` x `side` pixels, if it has one.
    pub(super) fn draw(self, side: usize, rng: &mut Rng) -> Option<Erased> {
        let Erasing::Box { probability, min_share, max_share, fill } = self else { return None };
        if !rng.random_bool(probability) {
            return None;
        }
        for _ in 0..ATTEMPTS {
            let area = (side * side) as f64 * rng.random_range(min_share..=max_share);
            let shape = rng.random_range(MIN_SHAPE.ln()..=-MIN_SHAPE.ln()).exp();
            let (height, width) = ((area / shape).sqrt().round() as usize, (area * shape).sqrt().round() as usize);
            if (1..side).contains(&height) && (1..side).contains(&width) {
                let (top, left) = (rng.random_range(0..=side - height), rng.random_range(0..=side - width));
                return Some(Erased { left, top, width, rgb: fill.draw(height * width, rng) });
            }
        }
        None
    }
}

impl Fill {
    fn draw(self, num_pixels: usize, rng: &mut Rng) -> Vec<u8> {
        let mut noise = |c: usize| f32::from(MEAN_RGB[c]) + STD_RGB[c] * rng.sample::<f32, _>(StandardNormal);
        match self {
            Fill::Constant => MEAN_RGB.repeat(num_pixels),
            // The cast keeps to 0..=255.
            Fill::Pixel => (0..num_pixels * 3).map(|i| noise(i % 3).round() as u8).collect(),
        }
    }
}

impl Erased {
    /// Puts the box into every frame of a clip, `[T, side, side, 3]`.
    pub(super) fn apply(&self, rgb: &mut [u8], side: usize) {
        let row_bytes = self.width * 3;
        for frame in rgb.chunks_exact_mut(side * side * 3) {
            for (y, row) in self.rgb.chunks_exact(row_bytes).enumerate() {
                let at = ((self.top + y) * side + self.left) * 3;
                frame[at..at + row_bytes].copy_from_slice(row);
            }
        }
    }
}
