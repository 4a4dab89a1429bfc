use serde::{Deserialize, Serialize};
use spec::Grid;
use tch::{Kind, Tensor};

use crate::NnError;

/// Fixed sine-cosine position codes. Computed, never learned, so that any frame count works.
///
/// Weights that learned the codes of one grid are used on another by the codes of the first, resampled:
/// `{ flat_of = [8, 14, 14] }` in a preset. On the grid itself these are the plain codes, bit for bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    /// One code over the flattened token index (VideoMAE's).
    Flat,
    /// A third of the width for each of time, row and column (our default for long clips; not published for LVMAE).
    Separable,
    /// [`Position::Flat`] of a grid of these tokens (time, rows, columns), between them trilinear interpolation as
    /// `torch.nn.functional.interpolate(align_corners=False)` does it: a flat index means another place on another grid.
    FlatOf([i64; 3]),
    /// [`Position::Separable`] of a grid of these tokens: the places are scaled to it, and the sines and cosines taken there.
    /// The ends reach at most half a token beyond it.
    SeparableOf([i64; 3]),
}

impl Position {
    /// The codes for weights that learned these on the grid `learned`, wherever they are used.
    pub fn learned_on(self, learned: Grid) -> Self {
        match self {
            Position::Flat => Position::FlatOf([learned.t, learned.h, learned.w]),
            Position::Separable => Position::SeparableOf([learned.t, learned.h, learned.w]),
            resampled => resampled,
        }
    }

    /// Checks that a grid that codes are resampled from has tokens.
    ///
    /// # Errors
    /// [`NnError::Config`] with the grid.
    pub fn check(self) -> Result<(), NnError> {
        match self {
            Position::FlatOf(learned) | Position::SeparableOf(learned) if learned.iter().any(|n| *n < 1) => {
                let value = format!("{learned:?}");
                Err(NnError::Config { key: "position", value, rule: "must name at least one token on each axis" })
            }
            _ => Ok(()),
        }
    }
}

/// Position codes of chosen tokens: `[B, I, D]` float, on the device of `index_bi`.
///
/// * `index_bi` - token indices `[B, I]` int64
/// * `width` - D, even
pub fn position_codes(kind: Position, grid: Grid, index_bi: &Tensor, width: i64) -> Tensor {
    let here = [grid.t, grid.h, grid.w];
    match kind {
        Position::Flat => interleaved(index_bi, width),
        Position::FlatOf(learned) if learned == here => interleaved(index_bi, width),
        Position::FlatOf(learned) => resampled(learned, grid, index_bi, width),
        Position::Separable => separable(&places(grid, index_bi), width),
        Position::SeparableOf(learned) => {
            let places = places(grid, index_bi);
            let scaled = |axis: usize| scaled(&places[axis], learned[axis], here[axis]);
            separable(&[scaled(0), scaled(1), scaled(2)], width)
        }
    }
}

/// Time, row and column of each token.
fn places(grid: Grid, index_bi: &Tensor) -> [Tensor; 3] {
    let row = index_bi.divide_scalar_mode(grid.w, "floor").remainder(grid.h);
    [index_bi.divide_scalar_mode(grid.tokens_per_frame(), "floor"), row, index_bi.remainder(grid.w)]
}

/// A place on an axis of `here` tokens, on the same stretch divided into `learned`.
fn scaled(place_bi: &Tensor, learned: i64, here: i64) -> Tensor {
    if learned == here {
        return place_bi.shallow_clone();
    }
    (place_bi.to_kind(Kind::Double) + 0.5) * (learned as f64 / here as f64) - 0.5
}

/// A third of the width for each axis; what is left over of even thirds goes to time.
fn separable(places: &[Tensor; 3], width: i64) -> Tensor {
    let side = width / 6 * 2;
    let [t, h, w] = places;
    let axes = [(t, width - 2 * side), (h, side), (w, side)];
    Tensor::cat(&axes.map(|(place, part)| interleaved(place, part)), -1)
}

/// Flat codes of the grid `learned` at the places of `grid`: the eight around each, weighted by nearness.
fn resampled(learned: [i64; 3], grid: Grid, index_bi: &Tensor, width: i64) -> Tensor {
    let here = [grid.t, grid.h, grid.w];
    let places = places(grid, index_bi);
    // On each axis the two neighbours, each with its weight.
    let sides: [[(Tensor, Tensor); 2]; 3] = std::array::from_fn(|axis| {
        let last = (learned[axis] - 1) as f64;
        let at = scaled(&places[axis], learned[axis], here[axis]).to_kind(Kind::Double).clamp(0.0, last);
        let (low, high) = (at.floor(), at.ceil());
        let nearness = &at - &low;
        [(low, 1.0 - &nearness), (high, nearness)]
    });
    let mut code = Tensor::zeros([index_bi.size()[0], index_bi.size()[1], width], (Kind::Float, index_bi.device()));
    for (t, by_t) in &sides[0] {
        for (h, by_h) in &sides[1] {
            for (w, by_w) in &sides[2] {
                let index = (t * learned[1] as f64 + h) * learned[2] as f64 + w;
                let weight = (by_t * by_h * by_w).unsqueeze(-1).to_kind(Kind::Float);
                code += interleaved(&index, width) * weight;
            }
        }
    }
    code
}

/// `sin(p / 10000^(2i/D))` at 2i and the cosine at 2i + 1 (Vaswani et al. 2017), in double precision like VideoMAE's table.
fn interleaved(place_bi: &Tensor, width: i64) -> Tensor {
    let pair = Tensor::arange(width / 2, (Kind::Double, place_bi.device()));
    let frequency = (pair * (-2.0 * 10_000f64.ln() / width as f64)).exp();
    let angle = place_bi.unsqueeze(-1).to_kind(Kind::Double) * frequency;
    Tensor::stack(&[angle.sin(), angle.cos()], -1).flatten(-2, -1).to_kind(Kind::Float)
}

#[cfg(test)]
mod tests;
