//! Dense optical flow between neighbouring frames of a clip, for masks that follow motion.
//!
//! Lucas and Kanade's least squares (1981) at every pixel of a pyramid, from its smallest level down (Bouguet, 2001): each
//! iteration warps the second frame back by the flow so far and solves, in a window around each pixel, for the step that
//! explains the rest. A median filter closes each level. Where a window has no texture the step is held near 0, so that such
//! places keep what the coarser level says, and a still picture has a flow of exactly 0.
//!
//! MGMAE and LVMAE's flow baseline took a network's flow (RAFT). This is an estimate without weights, made in the loader's
//! threads; motion over more than about a sixth of the frame from one frame to the next is beyond it.

mod lucas_kanade;
mod plane;

use rand::RngExt as _;
use spec::{ClipGeometry, Patch, Rng};

use self::lucas_kanade::Pyramid;
use self::plane::Plane;

/// Optical flow of a clip on square cells.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    /// Side of a cell, pixels: a quarter of a patch where that is a whole number.
    pub cell_px: usize,
    /// `[frames, rows, columns, 2]`, mean of each cell: from each frame to its neighbour on the side of the clip's middle
    /// frame (`frames / 2`), pixels to the right and down. The middle frame's own flow leads to the frame before it.
    pub xy: Vec<f32>,
}

impl Flow {
    /// Estimates the flow of a clip.
    ///
    /// * `rgb` - `[frames, size_px, size_px, 3]` of the geometry's size, any number of frames
    pub fn of_clip(rgb: &[u8], geometry: &ClipGeometry) -> Self {
        let side = geometry.size_px() as usize;
        let cell_px = cell_px(geometry.patch());
        // Two working pixels along a cell are enough for its mean, and a quarter of the work.
        let work_px = if cell_px.is_multiple_of(2) { cell_px / 2 } else { cell_px };
        let pyramids: Vec<Pyramid> =
            rgb.chunks_exact(side * side * 3).map(|frame| Pyramid::new(Plane::grey(frame, side, work_px))).collect();
        let middle = pyramids.len() / 2;
        let mut xy = Vec::new();
        for (frame, pyramid) in pyramids.iter().enumerate() {
            let neighbour = if frame < middle { frame + 1 } else { frame.saturating_sub(1) };
            let [x, y] = pyramid.flow_to(&pyramids[neighbour]).map(|plane| plane.shrunk(cell_px / work_px));
            xy.extend(x.values().iter().zip(y.values()).flat_map(|(x, y)| [x, y].map(|v| v * work_px as f32)));
        }
        Flow { cell_px, xy }
    }

    /// Up to 2 pixels each way, at random: a clip that is made of noise has no flow of its own.
    pub fn noise(geometry: &ClipGeometry, rng: &mut Rng) -> Self {
        let num_values = geometry.num_frames() as usize * cells_along(geometry).pow(2) * 2;
        let xy = (0..num_values).map(|_| rng.random_range(-2.0..2.0)).collect();
        Flow { cell_px: cell_px(geometry.patch()), xy }
    }
}

/// Cells along the side of a clip.
fn cells_along(geometry: &ClipGeometry) -> usize {
    geometry.size_px() as usize / cell_px(geometry.patch())
}

/// The largest quarter, half or whole of a patch.
fn cell_px(patch: Patch) -> usize {
    let divides = |parts: &i64| patch.h % parts == 0 && patch.w % parts == 0;
    let common = gcd(patch.h, patch.w);
    let parts = [4, 2, 1].into_iter().find(divides).unwrap_or(1);
    (common / parts) as usize
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests;
