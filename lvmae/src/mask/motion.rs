//! EVEREST's mask (arXiv:2211.10636, and its code). A token's motion is the distance of its patch embedding, the model's own
//! and without gradient, from that of the same place one latent frame earlier; the first latent frame has the second's. Of
//! the 30 % of all tokens that move most, shuffled, the first 10 % of all tokens are visible and the other 20 % predicted;
//! everything else is left out.
//!
//! The visible ones are chosen here. The predicted ones are [`DecoderMask::Motion`](super::DecoderMask::Motion) with a
//! `salient_share` of 0.20: the hidden tokens that move most are just those left of the 30 % (each count is rounded down, so
//! one of them may be left out).

use spec::{Grid, Rng, draw, share_of};

use super::ranked;

pub(super) fn num_visible(visible_share: f64, grid: Grid) -> i64 {
    share_of(visible_share, grid.num_tokens())
}

/// Visible tokens, ascending.
pub(super) fn visible((kept_share, num_visible): (f64, i64), grid: Grid, motion_n: &[f32], rng: &mut Rng) -> Vec<i64> {
    let mut kept = ranked((0..grid.num_tokens()).collect(), motion_n);
    kept.truncate(share_of(kept_share, grid.num_tokens()) as usize);
    draw(kept, num_visible as usize, rng)
}
