//! Whole latent frames, spread evenly: LVMAE's baseline, there "every 7th frame, about 15 %".
//!
//! The budget is `int(share N)`, exactly, as of every other mask. Of `T` latent frames, `n` are taken, the `i`-th being
//! `(2 i + 1) T / (2 n)`, rounded down; `n` is the smallest number whose frames hide a budget of tokens. From these the budget
//! is drawn, which leaves out less than a frame. Visible tokens do not count: at 64 latent frames, 90 % of them hidden, a
//! share of 0.15 takes 11 frames, every 5.8th, and 97 % of what they hide.

use spec::{Grid, Rng, draw, share_of};

/// Asked tokens, ascending; the budget is at most the number of hidden ones.
pub(super) fn asked(share: f64, grid: Grid, hidden: &[i64], rng: &mut Rng) -> Vec<i64> {
    let budget = share_of(share, grid.num_tokens()) as usize;
    let of_frames = |num: i64| -> Vec<i64> {
        let taken: Vec<i64> = (0..num).map(|i| (2 * i + 1) * grid.t / (2 * num)).collect();
        let is_taken = |token: &i64| taken.binary_search(&(token / grid.tokens_per_frame())).is_ok();
        hidden.iter().copied().filter(is_taken).collect()
    };
    let fewest = (1..grid.t).map(of_frames).find(|tokens| tokens.len() >= budget);
    draw(fewest.unwrap_or_else(|| hidden.to_vec()), budget, rng)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use spec::{Purpose, rng_for};

    use super::*;

    fn frames_and_count(share: f64, grid: Grid, hidden: &[i64]) -> (Vec<i64>, usize) {
        let asked = asked(share, grid, hidden, &mut rng_for(3, 0, 0, Purpose::DecoderMask));
        assert!(asked.iter().all(|token| hidden.contains(token)));
        let frames: BTreeSet<i64> = asked.iter().map(|token| token / grid.tokens_per_frame()).collect();
        (frames.into_iter().collect(), asked.len())
    }

    #[test]
    fn the_budget_fills_as_few_evenly_spread_frames_as_can_hold_it() {
        let grid = Grid { t: 12, h: 2, w: 5 };
        // Places 0 and 9 are visible, so a frame hides 8.
        let hidden: Vec<i64> = (0..120).filter(|token| ![0, 9].contains(&(token % 10))).collect();
        // 24 tokens fill three frames: those in the middle of 0..4, 4..8 and 8..12.
        assert_eq!(frames_and_count(0.2, grid, &hidden), (vec![2, 6, 10], 24));
        // 25 need a fourth: the middles of 0..3, 3..6, 6..9 and 9..12.
        assert_eq!(frames_and_count(25.0 / 120.0, grid, &hidden), (vec![1, 4, 7, 10], 25));
        assert_eq!(frames_and_count(0.8, grid, &hidden), ((0..12).collect(), 96));
    }

    #[test]
    fn lvmaes_grid_takes_11_of_64_frames() {
        let grid = Grid { t: 64, h: 14, w: 14 };
        let hidden: Vec<i64> = (0..grid.num_tokens()).filter(|token| token % 196 >= 20).collect();
        let (frames, count) = frames_and_count(0.15, grid, &hidden);
        assert_eq!((frames.len(), count), (11, 1881));
        assert!(frames.windows(2).all(|pair| [5, 6].contains(&(pair[1] - pair[0]))), "{frames:?}");
    }
}
