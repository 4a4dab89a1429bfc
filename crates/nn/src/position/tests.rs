use super::*;

#[test]
fn a_flat_code_is_vaswanis_formula() {
    let code = position_codes(Position::Flat, Grid { t: 4, h: 5, w: 6 }, &Tensor::from_slice2(&[[0i64, 77]]), 8);
    for (i, n) in [0.0f64, 77.0].iter().enumerate() {
        for j in 0..8 {
            let angle = n / 10_000f64.powf((j / 2 * 2) as f64 / 8.0);
            let want = if j % 2 == 0 { angle.sin() } else { angle.cos() };
            assert!((code.double_value(&[0, i as i64, j]) - want).abs() < 1e-6);
        }
    }
}

#[test]
fn separable_codes_share_the_axis_they_share() {
    let grid = Grid { t: 4, h: 5, w: 6 };
    // (1, 2, 3), (3, 2, 3), (1, 2, 5)
    let index = Tensor::from_slice2(&[[grid.index(1, 2, 3), grid.index(3, 2, 3), grid.index(1, 2, 5)]]);
    let code = position_codes(Position::Separable, grid, &index, 16).get(0);
    // Width 16: 4 for the row, 4 for the column, 8 for time.
    let part = |i: i64, from: i64, len: i64| code.get(i).narrow(0, from, len);
    assert!(part(0, 8, 8).equal(&part(1, 8, 8)) && !part(0, 0, 8).equal(&part(1, 0, 8)));
    assert!(part(0, 0, 12).equal(&part(2, 0, 12)) && !part(0, 12, 4).equal(&part(2, 12, 4)));
}

fn all(grid: Grid) -> Tensor {
    Tensor::arange(grid.num_tokens(), (Kind::Int64, tch::Device::Cpu)).unsqueeze(0)
}

const LEARNED: Grid = Grid { t: 2, h: 3, w: 2 };

#[test]
fn on_the_grid_they_were_learned_on_resampled_codes_are_the_plain_ones() {
    for kind in [Position::Flat, Position::Separable] {
        let plain = position_codes(kind, LEARNED, &all(LEARNED), 16);
        assert!(plain.equal(&position_codes(kind.learned_on(LEARNED), LEARNED, &all(LEARNED), 16)), "{kind:?}");
    }
    // The interpolation itself, which that short cut leaves out.
    let by_weights = resampled([2, 3, 2], LEARNED, &all(LEARNED), 16);
    assert!(by_weights.equal(&position_codes(Position::Flat, LEARNED, &all(LEARNED), 16)));
}

#[test]
fn flat_codes_of_a_longer_clip_lie_between_those_of_the_shorter() {
    // 2 latent frames to 4, without corners aligned: at -1/4 (held at 0), 1/4, 3/4 and 5/4 (held at 1).
    let longer = Grid { t: 4, ..LEARNED };
    let got = position_codes(Position::Flat.learned_on(LEARNED), longer, &all(longer), 16).get(0);
    let table = position_codes(Position::Flat, LEARNED, &all(LEARNED), 16).get(0);
    for (t, second) in [0.0, 0.25, 0.75, 1.0].into_iter().enumerate() {
        for place in 0..6 {
            let want = table.get(place) * (1.0 - second) + table.get(6 + place) * second;
            let apart = (got.get(t as i64 * 6 + place) - want).abs().max().double_value(&[]);
            assert!(apart < 1e-6, "latent frame {t}, place {place}: {apart:e}");
        }
    }
}

#[test]
fn flat_codes_of_another_picture_are_what_libtorch_interpolates() {
    let other = Grid { t: 3, h: 2, w: 5 };
    let got = position_codes(Position::Flat.learned_on(LEARNED), other, &all(other), 12).get(0);
    let table = position_codes(Position::Flat, LEARNED, &all(LEARNED), 12);
    let volume = table.view([1, 2, 3, 2, 12]).permute([0, 4, 1, 2, 3]).contiguous();
    let want = volume.upsample_trilinear3d([3, 2, 5], false, None, None, None);
    let want = want.permute([0, 2, 3, 4, 1]).reshape([30, 12]);
    let apart = (got - want).abs().max().double_value(&[]);
    assert!(apart < 1e-6, "{apart:e}");
}

#[test]
fn separable_codes_of_another_grid_are_the_formula_at_scaled_places() {
    let other = Grid { t: 8, ..LEARNED };
    // Latent frame 5 of 8 is at (5 + 0.5) * 2 / 8 - 0.5 = 0.875 of 2; row 2 and column 1 stay.
    let index = Tensor::from_slice2(&[[other.index(5, 2, 1)]]);
    let code = position_codes(Position::Separable.learned_on(LEARNED), other, &index, 18);
    for (axis, place) in [0.875f64, 2.0, 1.0].into_iter().enumerate() {
        for j in 0..6 {
            let angle = place / 10_000f64.powf((j / 2 * 2) as f64 / 6.0);
            let want = if j % 2 == 0 { angle.sin() } else { angle.cos() };
            assert!((code.double_value(&[0, 0, axis as i64 * 6 + j]) - want).abs() < 1e-6, "axis {axis}, {j}");
        }
    }
}

#[test]
fn a_grid_without_tokens_is_refused() {
    let said = Position::FlatOf([8, 0, 14]).check().unwrap_err().to_string();
    assert!(said.contains("[8, 0, 14]") && said.contains("at least one token"), "{said}");
}
