use spec::{ClipSpec, Sampling, Short};

use super::*;

const SIDE: usize = 64;

fn geometry(num_frames: i64) -> ClipGeometry {
    let sampling = Sampling::Segment;
    ClipSpec { num_frames, size_px: SIDE as i64, patch: [2, 8, 8], sampling, short: Short::Hold }.check().unwrap()
}

/// A texture without period in the frame, at any place of the plane; like photographs, with more of the long waves.
fn texture(x: f32, y: f32) -> f32 {
    let waves = [
        (0.05, 0.03, 0.3),
        (-0.04, 0.09, 1.9),
        (0.13, -0.08, 4.0),
        (0.1, 0.2, 2.2),
        (-0.31, 0.12, 5.1),
        (0.2, 0.5, 3.3),
    ];
    let wave = |(a, b, phase): (f32, f32, f32)| (a * x + b * y + phase).sin() / (a.hypot(b) * 10.0).sqrt();
    128.0 + 24.0 * waves.into_iter().map(wave).sum::<f32>()
}

/// A clip whose frames show the texture at the places that `place` gives for each pixel.
fn clip(num_frames: usize, place: impl Fn(f32, f32, f32) -> [f32; 2]) -> Vec<u8> {
    let mut rgb = Vec::new();
    for frame in 0..num_frames {
        for i in 0..SIDE * SIDE {
            let [x, y] = place(frame as f32, (i % SIDE) as f32, (i / SIDE) as f32);
            rgb.extend([texture(x, y).round() as u8; 3]);
        }
    }
    rgb
}

/// Distances between the flow of a frame and what it should be, over cells at least `margin` pixels from the border.
fn errors(flow: &Flow, frame: usize, margin: f32, want: impl Fn(f32, f32) -> [f32; 2]) -> Vec<f32> {
    let per_side = SIDE / flow.cell_px;
    let pairs: &[[f32; 2]] = flow.xy.as_chunks().0;
    let mut errors = Vec::new();
    for (cell, [x, y]) in pairs[frame * per_side * per_side..][..per_side * per_side].iter().enumerate() {
        let [col, row] = [cell % per_side, cell / per_side].map(|i| (i as f32 + 0.5) * flow.cell_px as f32 - 0.5);
        let inside = |at: f32| (margin..SIDE as f32 - 1.0 - margin).contains(&at);
        if inside(col) && inside(row) {
            let [want_x, want_y] = want(col, row);
            errors.push((x - want_x).hypot(y - want_y));
        }
    }
    errors
}

fn mean_and_worst(errors: &[f32]) -> (f32, f32) {
    (errors.iter().sum::<f32>() / errors.len() as f32, errors.iter().copied().fold(0.0, f32::max))
}

#[test]
fn translations_are_found_to_a_fraction_of_a_pixel() {
    for [dx, dy] in [[0.3, -0.2], [1.0, 0.0], [0.0, -2.5], [3.4, 2.1], [-6.0, 5.0]] {
        // What is at (x, y) of frame 0 is at (x + dx, y + dy) of frame 1.
        let rgb = clip(2, |frame, x, y| [x - frame * dx, y - frame * dy]);
        let flow = Flow::of_clip(&rgb, &geometry(2));
        assert_eq!((flow.cell_px, flow.xy.len()), (2, 2 * 32 * 32 * 2));
        // Frame 0 leads to frame 1, the middle one, which leads back.
        for (frame, sign) in [(0, 1.0), (1, -1.0)] {
            let (mean, worst) = mean_and_worst(&errors(&flow, frame, 14.0, |_, _| [sign * dx, sign * dy]));
            assert!(mean < 0.06 && worst < 0.8, "({dx}, {dy}) from frame {frame}: mean error {mean}, worst {worst}");
        }
    }
}

#[test]
fn rotations_are_found_at_every_distance_from_the_axis() {
    let middle = (SIDE as f32 - 1.0) / 2.0;
    for degrees in [-2.0_f32, 1.0, 5.0] {
        let turned = |angle: f32, x: f32, y: f32| {
            let (sin, cos) = angle.sin_cos();
            let (x, y) = (x - middle, y - middle);
            [middle + cos * x - sin * y, middle + sin * x + cos * y]
        };
        let angle = degrees.to_radians();
        let rgb = clip(2, |frame, x, y| turned(-frame * angle, x, y));
        let flow = Flow::of_clip(&rgb, &geometry(2));
        let want = |x, y| {
            let [to_x, to_y] = turned(angle, x, y);
            [to_x - x, to_y - y]
        };
        let (mean, worst) = mean_and_worst(&errors(&flow, 0, 14.0, want));
        assert!(mean < 0.25 && worst < 0.8, "{degrees} degrees: mean error {mean}, worst {worst}");
    }
}

#[test]
fn each_frame_leads_towards_the_middle_one() {
    // To the right by 1 pixel per frame; the middle of 6 frames is frame 3.
    let flow = Flow::of_clip(&clip(6, |frame, x, y| [x - frame, y]), &geometry(6));
    for (frame, want) in [1.0, 1.0, 1.0, -1.0, -1.0, -1.0].into_iter().enumerate() {
        let (mean, _) = mean_and_worst(&errors(&flow, frame, 8.0, |_, _| [want, 0.0]));
        assert!(mean < 0.05, "frame {frame}: mean error {mean}");
    }
}

#[test]
fn a_still_clip_and_one_frame_have_no_flow_at_all() {
    for num_frames in [1, 4] {
        let spec = ClipSpec {
            num_frames,
            size_px: SIDE as i64,
            patch: [1, 8, 8],
            sampling: Sampling::Segment,
            short: Short::Hold,
        };
        let flow = Flow::of_clip(&clip(num_frames as usize, |_, x, y| [x, y]), &spec.check().unwrap());
        assert_eq!(flow.xy.len(), num_frames as usize * 32 * 32 * 2);
        assert!(flow.xy.iter().all(|v| *v == 0.0));
    }
}

#[test]
fn what_stands_still_beside_something_that_moves_has_little_flow() {
    // A square of 24 pixels moves down by 2 on a still ground.
    let on_square =
        |frame: f32, x: f32, y: f32| (8.0..32.0).contains(&x) && (8.0 + 2.0 * frame..32.0 + 2.0 * frame).contains(&y);
    let rgb = clip(2, |frame, x, y| if on_square(frame, x, y) { [x + 500.0, y - 2.0 * frame + 300.0] } else { [x, y] });
    let flow = Flow::of_clip(&rgb, &geometry(2));
    let at = |x: usize, y: usize| {
        let cell = (y / 2 * 32 + x / 2) * 2;
        [flow.xy[cell], flow.xy[cell + 1]]
    };
    let [inside_x, inside_y] = at(20, 20);
    assert!(inside_x.abs() < 0.1 && (inside_y - 2.0).abs() < 0.1, "{inside_x}, {inside_y}");
    for (x, y) in [(50, 20), (54, 54), (20, 52)] {
        let [still_x, still_y] = at(x, y);
        assert!(still_x.hypot(still_y) < 0.1, "({x}, {y}): {still_x}, {still_y}");
    }
}

#[test]
fn cells_are_a_quarter_of_a_patch_where_that_is_whole() {
    let cell = |h, w| cell_px(Patch { t: 2, h, w });
    assert_eq!([cell(16, 16), cell(8, 8), cell(4, 4), cell(14, 14), cell(7, 7), cell(8, 12)], [4, 2, 1, 7, 7, 1]);
}
