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

#[cfg(test)]
mod tests {
    use spec::{Grid, Patch};

    use super::super::{Cues, FlowCue};
    use super::*;

    #[test]
    fn a_value_is_the_mean_length_over_the_cells_and_frames_of_a_cube() {
        // Two frames under one row of two tokens, 2 x 2 cells of 2 pixels each: rows of 4 cells, left token first.
        let extent = Extent { grid: Grid { t: 1, h: 1, w: 2 }, patch: Patch { t: 2, h: 4, w: 4 } };
        let mut xy = vec![0.0; 2 * 2 * 4 * 2];
        // Frame 0, row 0, column 1: (3, -1). Frame 1, row 1, column 0: (0, 4). Frame 1, row 0, column 3: (-8, 0).
        for (cell, value) in [(1, [3.0, -1.0]), (8 + 4, [0.0, 4.0]), (8 + 3, [-8.0, 0.0])] {
            xy[cell * 2..][..2].copy_from_slice(&value);
        }
        let cues = Cues { flow: Some(FlowCue { cell_px: 2, xy: &xy }), ..Cues::default() };
        // (|3| + |-1| + |4|) / 8 and |-8| / 8.
        assert_eq!(lengths(extent, cues.flow("a test", extent).unwrap()), [1.0, 1.0]);
    }
}
