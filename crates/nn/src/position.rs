use serde::{Deserialize, Serialize};
use spec::Grid;
use tch::{Kind, Tensor};

/// Fixed sine-cosine position codes. Computed, never learned, so that any frame count works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    /// One code over the flattened token index (VideoMAE's).
    Flat,
    /// A third of the width for each of time, row and column (our default for long clips; not published for LVMAE).
    Separable,
}

/// Position codes of chosen tokens: `[B, I, D]` float, on the device of `index_bi`.
///
/// * `index_bi` - token indices `[B, I]` int64
/// * `width` - D, even
pub fn position_codes(kind: Position, grid: Grid, index_bi: &Tensor, width: i64) -> Tensor {
    match kind {
        Position::Flat => interleaved(index_bi, width),
        Position::Separable => {
            // Even thirds; what is left over goes to time.
            let side = width / 6 * 2;
            let row = index_bi.divide_scalar_mode(grid.w, "floor").remainder(grid.h);
            let axes = [
                (index_bi.divide_scalar_mode(grid.tokens_per_frame(), "floor"), width - 2 * side),
                (row, side),
                (index_bi.remainder(grid.w), side),
            ];
            Tensor::cat(&axes.map(|(place, part)| interleaved(&place, part)), -1)
        }
    }
}

/// `sin(p / 10000^(2i/D))` at 2i and the cosine at 2i + 1 (Vaswani et al. 2017), in double precision like VideoMAE's table.
fn interleaved(place_bi: &Tensor, width: i64) -> Tensor {
    let pair = Tensor::arange(width / 2, (Kind::Double, place_bi.device()));
    let frequency = (pair * (-2.0 * 10_000f64.ln() / width as f64)).exp();
    let angle = place_bi.unsqueeze(-1).to_kind(Kind::Double) * frequency;
    Tensor::stack(&[angle.sin(), angle.cos()], -1).flatten(-2, -1).to_kind(Kind::Float)
}

#[cfg(test)]
mod tests {
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
}
