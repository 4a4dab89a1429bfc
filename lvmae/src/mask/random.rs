//! Tokens at random, all equally likely and without regard to place or time.
//!
//! The encoder sees `int((1 - hidden_share) N)` of all tokens, as ImageMAE's code counts them (arXiv:2111.06377, which has one
//! frame). The decoder is asked at `int(share N)` of the hidden ones.

use spec::{Grid, Rng, draw, share_of};

pub(super) fn num_visible(hidden_share: f64, grid: Grid) -> i64 {
    share_of(1.0 - hidden_share, grid.num_tokens())
}

/// Visible tokens, ascending.
pub(super) fn visible(hidden_share: f64, grid: Grid, rng: &mut Rng) -> Vec<i64> {
    draw((0..grid.num_tokens()).collect(), num_visible(hidden_share, grid) as usize, rng)
}

pub(super) fn num_asked(share: f64, grid: Grid) -> i64 {
    share_of(share, grid.num_tokens())
}

/// Asked tokens, ascending; the budget is at most the number of hidden ones.
pub(super) fn asked(share: f64, grid: Grid, hidden: Vec<i64>, rng: &mut Rng) -> Vec<i64> {
    draw(hidden, num_asked(share, grid) as usize, rng)
}

#[cfg(test)]
mod tests {
    use spec::{Purpose, rng_for};

    use super::*;

    #[test]
    fn a_picture_keeps_imagemaes_49_of_196_patches() {
        // int(196 * (1 - 0.75)) = 49.
        assert_eq!(num_visible(0.75, Grid { t: 1, h: 14, w: 14 }), 49);
    }

    #[test]
    fn tokens_are_equally_likely() {
        let grid = Grid { t: 2, h: 1, w: 5 };
        let (mut seen, mut decoded) = ([0u32; 10], [0u32; 10]);
        for seed in 0..10_000 {
            let mut rng = rng_for(seed, 0, 0, Purpose::EncoderMask);
            visible(0.7, grid, &mut rng).iter().for_each(|i| seen[*i as usize] += 1);
            asked(0.3, grid, (0..10).collect(), &mut rng).iter().for_each(|i| decoded[*i as usize] += 1);
        }
        // 3000 expected; the standard deviation is sqrt(10000 * 0.3 * 0.7) = 46.
        assert!(seen.iter().chain(&decoded).all(|n| n.abs_diff(3000) < 5 * 46), "{seen:?} {decoded:?}");
    }
}
