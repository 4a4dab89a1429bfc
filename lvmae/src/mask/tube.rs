//! Tube mask (VideoMAE, arXiv:2203.12602): one choice of places, hidden in every latent frame. `int(hidden_share * H W)`
//! places are hidden, as in the published generator: 176 of 196 at 0.9, so that 20 are visible in each frame.

use spec::{Grid, Rng, draw, share_of};

pub(super) fn num_visible(hidden_share: f64, grid: Grid) -> i64 {
    (grid.tokens_per_frame() - share_of(hidden_share, grid.tokens_per_frame())) * grid.t
}

/// Visible tokens, ascending.
pub(super) fn visible(hidden_share: f64, grid: Grid, rng: &mut Rng) -> Vec<i64> {
    let places = grid.tokens_per_frame();
    let hidden = draw((0..places).collect(), share_of(hidden_share, places) as usize, rng);
    (0..grid.num_tokens()).filter(|token| hidden.binary_search(&(token % places)).is_err()).collect()
}

#[cfg(test)]
mod tests {
    use spec::{Purpose, rng_for};

    use super::*;

    #[test]
    fn the_same_20_of_196_places_are_visible_in_each_of_8_frames() {
        let grid = Grid { t: 8, h: 14, w: 14 };
        let visible = visible(0.9, grid, &mut rng_for(1, 0, 0, Purpose::EncoderMask));
        // VideoMAE's generator: one frame's places, tiled over the frames.
        let first: Vec<i64> = visible.iter().copied().filter(|token| *token < 196).collect();
        assert_eq!(first.len(), 20);
        let tiled: Vec<i64> = (0..8).flat_map(|t| first.iter().map(move |place| t * 196 + place)).collect();
        assert_eq!((visible, num_visible(0.9, grid)), (tiled, 160));
    }
}
