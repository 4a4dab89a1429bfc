//! Length of optical flow as a token's value: LVMAE's baseline "Flow". The mean of `|x| + |y|` over the cells and frames of
//! each cube, in pixels per frame. LVMAE took RAFT's flow; here it is the `video` crate's estimate.

use super::Extent;
use super::cues::FlowField;

/// One value per token.
pub(super) fn lengths(extent: Extent, flow: FlowField) -> Vec<f32> {
    let Extent { grid, patch } = extent;
    let places = grid.tokens_per_frame() as usize;
    let cells_per_cube = (patch.num_pixels() / (flow.cell_px * flow.cell_px)) as f32;
    let mut lengths_n = vec![0.0; grid.num_tokens() as usize];
    for frame in 0..(grid.t * patch.t) as usize {
        let first = frame / patch.t as usize * places;
        for (cell, [x, y]) in flow.frame(frame).iter().enumerate() {
            lengths_n[first + flow.place_of(cell)] += (x.abs() + y.abs()) / cells_per_cube;
        }
    }
    lengths_n
}
