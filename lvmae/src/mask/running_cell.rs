//! Running cells (VideoMAE V2, arXiv:2303.16727, and its code): the frame is tiled with cells of 2 x 2 tokens, and in each
//! the decoder is asked at the same part. A cell's four tokens read a queue of zeros (asked) behind ones (left out), cyclically
//! and one step further in each latent frame: token `i` of latent frame `t` reads entry `(i + phase + t + 1) mod 4`. The phase,
//! one of four, is drawn for each clip. At a share of 0.5 the queue is 1 1 0 0.
//!
//! Visible tokens are asked as hidden ones are, and the other queries attend to them, but their answers count for nothing:
//! the published loss is that of the hidden ones alone. How many of those a clip has follows from where its cells and its
//! visible places meet; under a tube mask each place is asked equally often in any four latent frames, so that the number
//! is the same in each clip if their number is a multiple of four.

use rand::RngExt as _;
use spec::{Grid, Rng};

use crate::LvmaeError;

pub(super) fn check(share: f64, grid: Grid) -> Result<(), LvmaeError> {
    let fail =
        |rule| Err(LvmaeError::Share { key: "decoder_mask.share", value: share, num_tokens: grid.num_tokens(), rule });
    match ([0.25, 0.5, 0.75].contains(&share), grid.h % 2 == 0 && grid.w % 2 == 0) {
        (false, _) => fail("running cells have 4 tokens: 0.25, 0.5 or 0.75"),
        (_, false) => fail("running cells of 2 x 2 tokens need an even number of rows and columns"),
        _ => Ok(()),
    }
}

pub(super) fn num_asked(share: f64, grid: Grid) -> i64 {
    asked_per_cell(share) * grid.num_tokens() / 4
}

/// Asked tokens, ascending, visible ones among them.
pub(super) fn asked(share: f64, grid: Grid, rng: &mut Rng) -> Vec<i64> {
    in_phase(share, grid, rng.random_range(0..4))
}

fn in_phase(share: f64, grid: Grid, phase: i64) -> Vec<i64> {
    let num_left_out = 4 - asked_per_cell(share);
    let is_asked = |token: &i64| {
        let (t, h, w) = grid.place(*token);
        let in_cell = h % 2 * 2 + w % 2;
        (in_cell + phase + t + 1) % 4 >= num_left_out
    };
    (0..grid.num_tokens()).filter(is_asked).collect()
}

fn asked_per_cell(share: f64) -> i64 {
    (4.0 * share) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// VideoMAE V2's generator step by step: a queue with a pointer that advances once before each frame, the cell tiled
    /// over the frame; 0 means asked.
    fn published(share: f64, grid: Grid, phase: usize) -> Vec<i64> {
        let num_masks = (4.0 * (1.0 - share)) as usize;
        let queue: Vec<u8> = [vec![1; num_masks], vec![0; 4 - num_masks]].concat();
        let mut masked = Vec::new();
        for pointer in phase + 1..=phase + grid.t as usize {
            let cell: Vec<u8> = (0..4).map(|i| queue[(i + pointer) % 4]).collect();
            for _ in 0..grid.h / 2 {
                for half in cell.chunks(2) {
                    masked.extend(half.repeat(grid.w as usize / 2));
                }
            }
        }
        masked.iter().zip(0..).filter(|(masked, _)| **masked == 0).map(|(_, token)| token).collect()
    }

    #[test]
    fn all_phases_of_all_ratios_are_those_of_the_published_generator() {
        let grid = Grid { t: 6, h: 4, w: 6 };
        for share in [0.25, 0.5, 0.75] {
            for phase in 0..4 {
                let asked = in_phase(share, grid, phase);
                assert_eq!(asked, published(share, grid, phase as usize), "share {share}, phase {phase}");
                assert_eq!(asked.len() as i64, num_asked(share, grid));
            }
        }
    }

    #[test]
    fn a_cell_of_half_the_tokens_turns_by_one_place_per_frame() {
        // One cell, queue 1 1 0 0. Frame 0 of phase 0 reads entries 1 2 3 0: 1 0 0 1, so tokens 1 and 2 are asked.
        let asked = in_phase(0.5, Grid { t: 4, h: 2, w: 2 }, 0);
        assert_eq!(asked, [1, 2, 4, 5, 8, 11, 14, 15]);
    }

    #[test]
    fn other_ratios_and_odd_grids_are_refused() {
        let check = |share, h| check(share, Grid { t: 2, h, w: 4 }).map_err(|err| err.to_string());
        assert!(check(0.5, 4).is_ok());
        assert!(check(0.3, 4).unwrap_err().contains("0.25, 0.5 or 0.75"));
        assert!(check(0.5, 3).unwrap_err().contains("even number of rows"));
    }
}
