//! MGMAE's motion-guided mask (arXiv:2308.10794, and its code): visible places follow what they show, so that little of a
//! hidden place leaks from its neighbours in time.
//!
//! 1. On the middle frame (`frames / 2`), bumps `exp(-(d / patch)^2)` around the centres of random patches, as many as a tube
//!    mask would leave visible; the map is their maximum, divided by its own.
//! 2. The map is warped from frame to frame away from the middle, in both directions: each cell takes the value from where
//!    the flow to the frame before (nearer to the middle) leads. Where it leads out of the frame, the start map is put.
//! 3. The maps are summed in each cube. In every latent frame the `int((1 - hidden_share) H W)` tokens with the largest sums
//!    are visible: 19 of 196 at 0.9, one less than under a tube mask, as published.
//!
//! MGMAE takes flow from RAFT-small and keeps a map per pixel; here the maps have the cells of the `video` crate's flow, a
//! quarter of a patch wide.

use spec::{Grid, Rng, draw, share_of};

use super::cues::FlowField;
use super::{Extent, ranked, tube};

pub(super) fn num_visible(hidden_share: f64, grid: Grid) -> i64 {
    share_of(1.0 - hidden_share, grid.tokens_per_frame()) * grid.t
}

/// Visible tokens, ascending.
pub(super) fn visible(hidden_share: f64, extent: Extent, flow: FlowField, rng: &mut Rng) -> Vec<i64> {
    let grid = extent.grid;
    let num_bumps = tube::num_visible(hidden_share, grid) / grid.t;
    let centres = draw((0..grid.tokens_per_frame()).collect(), num_bumps as usize, rng);
    let sums_n = warped_sums(&start_map(&centres, extent, flow), extent, flow);
    let per_frame = num_visible(hidden_share, grid) / grid.t;
    let mut visible = Vec::with_capacity((per_frame * grid.t) as usize);
    for t in 0..grid.t {
        let mut frame = ranked((grid.index(t, 0, 0)..grid.index(t + 1, 0, 0)).collect(), &sums_n);
        frame.truncate(per_frame as usize);
        frame.sort_unstable();
        visible.extend(frame);
    }
    visible
}

/// The map of the middle frame, `[rows * columns]` in 0..1.
fn start_map(centres: &[i64], Extent { grid, patch }: Extent, flow: FlowField) -> Vec<f32> {
    let [step_y, step_x] = [patch.h, patch.w].map(|side| flow.cell_px as f32 / side as f32);
    let mut map = vec![0.0_f32; flow.rows * flow.cols];
    for centre in centres {
        let (_, h, w) = grid.place(*centre);
        for (cell, value) in map.iter_mut().enumerate() {
            // In patches from the bump's centre.
            let y = ((cell / flow.cols) as f32 + 0.5) * step_y - (h as f32 + 0.5);
            let x = ((cell % flow.cols) as f32 + 0.5) * step_x - (w as f32 + 0.5);
            *value = value.max((-(x * x + y * y)).exp());
        }
    }
    let max = map.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    map.iter_mut().for_each(|value| *value /= max);
    map
}

/// The maps of all frames, summed in each cube: one value per token.
fn warped_sums(start: &[f32], Extent { grid, patch }: Extent, flow: FlowField) -> Vec<f32> {
    let num_frames = (grid.t * patch.t) as usize;
    let middle = num_frames / 2;
    let mut sums_n = vec![0.0; grid.num_tokens() as usize];
    let mut add = |frame: usize, map: &[f32]| {
        let first = frame / patch.t as usize * grid.tokens_per_frame() as usize;
        map.iter().enumerate().for_each(|(cell, value)| sums_n[first + flow.place_of(cell)] += value);
    };
    add(middle, start);
    let mut map = start.to_vec();
    for frame in (0..middle).rev() {
        map = warp(&map, start, flow, frame);
        add(frame, &map);
    }
    map = start.to_vec();
    for frame in middle + 1..num_frames {
        map = warp(&map, start, flow, frame);
        add(frame, &map);
    }
    sums_n
}

/// A frame's map from that of its neighbour nearer to the middle (bilinear).
fn warp(near: &[f32], start: &[f32], flow: FlowField, frame: usize) -> Vec<f32> {
    let (rows, cols) = (flow.rows, flow.cols);
    let from = |(cell, [x, y]): (usize, &[f32; 2])| {
        let row = (cell / cols) as f32 + y / flow.cell_px as f32;
        let col = (cell % cols) as f32 + x / flow.cell_px as f32;
        let inside = |at: f32, len: usize| (-0.5..=len as f32 - 0.5).contains(&at);
        if !inside(row, rows) || !inside(col, cols) {
            return start[cell];
        }
        let (row, col) = (row.clamp(0.0, (rows - 1) as f32), col.clamp(0.0, (cols - 1) as f32));
        let (top, left) = (row as usize, col as usize);
        let (down, right) = (row - top as f32, col - left as f32);
        let at = |row: usize, col: usize| near[row.min(rows - 1) * cols + col.min(cols - 1)];
        let between = |row| at(row, left) * (1.0 - right) + at(row, left + 1) * right;
        between(top) * (1.0 - down) + between(top + 1) * down
    };
    flow.frame(frame).iter().enumerate().map(from).collect()
}

#[cfg(test)]
mod tests;
