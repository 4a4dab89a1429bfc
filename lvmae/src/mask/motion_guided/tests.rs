use spec::{Patch, Purpose, rng_for};

use super::super::{Cues, FlowCue};
use super::*;

const EXTENT: Extent = Extent { grid: Grid { t: 6, h: 8, w: 8 }, patch: Patch { t: 2, h: 4, w: 4 } };
const NUM_FRAMES: usize = 12;
const MIDDLE: usize = 6;

/// The same flow at every cell (one pixel) of each frame.
fn constant(of_frame: impl Fn(usize) -> [f32; 2]) -> Vec<f32> {
    (0..NUM_FRAMES).flat_map(|frame| std::iter::repeat_n(of_frame(frame), 32 * 32)).flatten().collect()
}

fn mask(xy: &[f32], hidden_share: f64) -> Vec<i64> {
    let cues = Cues { flow: Some(FlowCue { cell_px: 1, xy }), ..Cues::default() };
    let flow = cues.flow("a test", EXTENT).unwrap();
    visible(hidden_share, EXTENT, flow, &mut rng_for(5, 0, 0, Purpose::EncoderMask))
}

/// `(row, column)` of the tokens of one latent frame.
fn places(visible: &[i64], t: i64) -> Vec<(i64, i64)> {
    let places = visible.iter().map(|token| EXTENT.grid.place(*token));
    places.filter(|place| place.0 == t).map(|(_, h, w)| (h, w)).collect()
}

#[test]
fn a_still_clip_has_a_tube_mask() {
    let visible = mask(&constant(|_| [0.0, 0.0]), 0.9);
    assert_eq!(visible.len(), 6 * 6);
    assert!((1..6).all(|t| places(&visible, t) == places(&visible, 0)));
}

#[test]
fn visible_places_move_with_the_picture() {
    // The picture moves right by 2 pixels per frame: one patch per latent frame. Frames before the middle find their
    // neighbour's content 2 pixels to the right, those after it 2 to the left.
    let xy = constant(|frame| if frame < MIDDLE { [2.0, 0.0] } else { [-2.0, 0.0] });
    let centres = |t: i64| warped_peak(&xy, 4 * 8 + 4, t);
    // The bump sits on row 4, column 4 of the middle latent frame 3 and arrives there from column 1.
    assert_eq!((0..6).map(centres).collect::<Vec<_>>(), [(4, 1), (4, 2), (4, 3), (4, 4), (4, 5), (4, 6)]);
}

/// The token with the largest sum in a latent frame for one bump.
fn warped_peak(xy: &[f32], centre: i64, t: i64) -> (i64, i64) {
    let cues = Cues { flow: Some(FlowCue { cell_px: 1, xy }), ..Cues::default() };
    let flow = cues.flow("a test", EXTENT).unwrap();
    let sums_n = warped_sums(&start_map(&[centre], EXTENT, flow), EXTENT, flow);
    let first = EXTENT.grid.index(t, 0, 0);
    let (_, h, w) = EXTENT.grid.place(ranked((first..first + 64).collect(), &sums_n)[0]);
    (h, w)
}

#[test]
fn the_start_map_is_the_largest_of_the_bumps() {
    let flow = constant(|_| [0.0, 0.0]);
    let cues = Cues { flow: Some(FlowCue { cell_px: 1, xy: &flow }), ..Cues::default() };
    let map = start_map(&[0, 63], EXTENT, cues.flow("a test", EXTENT).unwrap());
    // Patch 0 has its centre at the corner of cells (1, 1) and (2, 2): the four around it are the peak, divided by itself.
    for cell in [32 + 1, 32 + 2, 64 + 1, 64 + 2] {
        assert_eq!(map[cell], 1.0);
    }
    // Cell (1, 6) is 0.125 patches above and 1.125 to the right of it; the peak 0.125 from it both ways.
    let want = (-(0.125_f32.powi(2) + 1.125_f32.powi(2)) + 2.0 * 0.125_f32.powi(2)).exp();
    assert!((map[32 + 6] - want).abs() < 1e-6, "{} instead of {want}", map[32 + 6]);
}

#[test]
fn what_comes_from_outside_the_frame_has_the_start_map() {
    let flow = constant(|_| [40.0, 0.0]);
    let cues = Cues { flow: Some(FlowCue { cell_px: 1, xy: &flow }), ..Cues::default() };
    let flow = cues.flow("a test", EXTENT).unwrap();
    let start = start_map(&[20], EXTENT, flow);
    assert_eq!(warp(&vec![7.0; 32 * 32], &start, flow, 0), start);
}
