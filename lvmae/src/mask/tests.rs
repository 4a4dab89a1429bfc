use std::collections::BTreeSet;

use proptest::prelude::*;
use spec::{Grid, Purpose, Rng, rng_for, share_of};

use super::*;

fn rng(seed: u64) -> Rng {
    rng_for(seed, 0, 0, Purpose::EncoderMask)
}

const TUBE: EncoderMask = EncoderMask::Tube { hidden_share: 0.9 };
const ADAPTIVE: DecoderMask = DecoderMask::Adaptive { salient_share: 0.10, random_share: 0.05 };

/// The paper's sizes: 128 frames at 224 pixels.
const PAPER: Grid = Grid { t: 64, h: 14, w: 14 };

#[test]
fn the_papers_grid_gives_the_papers_counts() {
    let (visible, hidden) = TUBE.split(PAPER, &mut rng(1));
    // VideoMAE: int(0.9 * 196) = 176 hidden places, 20 visible, in each of 64 latent frames.
    assert_eq!((visible.len(), hidden.len()), (64 * 20, 64 * 176));
    let priorities: Vec<f32> = (0..PAPER.num_tokens()).map(|i| (i * 7919 % 12_544) as f32).collect();
    let decoded = ADAPTIVE.choose(PAPER, &hidden, Some(&priorities), &mut rng(2)).unwrap();
    // floor(1254.4) by priority and floor(627.2) at random: 15 % of 12,544.
    assert_eq!(decoded.len(), 1254 + 627);
    let all = DecoderMask::None {}.choose(PAPER, &hidden, None, &mut rng(2)).unwrap();
    assert_eq!(all, hidden);
}

#[test]
fn the_most_salient_hidden_tokens_are_decoded() {
    let grid = Grid { t: 2, h: 2, w: 5 };
    let hidden = [1, 3, 4, 6, 8, 11, 13, 14, 16, 18];
    let mut priorities = vec![0.0; 20];
    // Token 5 is the most salient of all, but visible; 4 and 16 tie behind 13.
    for (token, value) in [(5, 9.0), (13, 8.0), (4, 7.0), (16, 7.0), (18, 1.0)] {
        priorities[token] = value;
    }
    let take = |salient_share| DecoderMask::Adaptive { salient_share, random_share: 0.0 };
    let choose = |m: DecoderMask| m.choose(grid, &hidden, Some(&priorities), &mut rng(0)).unwrap();
    assert_eq!(choose(take(0.10)), [4, 13]);
    assert_eq!(choose(take(0.15)), [4, 13, 16]);
}

#[test]
fn random_tokens_are_equally_likely() {
    let grid = Grid { t: 1, h: 1, w: 10 };
    let hidden: Vec<i64> = (0..10).collect();
    let mut hits = [0u32; 10];
    for seed in 0..10_000 {
        let chosen = DecoderMask::Random { share: 0.3 }.choose(grid, &hidden, None, &mut rng(seed)).unwrap();
        chosen.iter().for_each(|i| hits[*i as usize] += 1);
    }
    // 3000 expected; the standard deviation is sqrt(10000 * 0.3 * 0.7) = 46.
    assert!(hits.iter().all(|n| n.abs_diff(3000) < 5 * 46), "{hits:?}");
}

#[test]
fn an_adaptive_mask_without_priorities_is_refused() {
    let grid = Grid { t: 2, h: 2, w: 5 };
    let said = ADAPTIVE.choose(grid, &[1, 2], None, &mut rng(0)).unwrap_err().to_string();
    assert!(said.contains("one priority per token (20), got 0"), "{said}");
}

#[test]
fn shares_that_cannot_be_met_are_refused() {
    let grid = Grid { t: 2, h: 4, w: 4 };
    let check = |m: DecoderMask| m.check(grid, 28).map_err(|e| e.to_string());
    assert!(check(DecoderMask::Random { share: 0.95 }).unwrap_err().contains("hides fewer tokens"));
    assert!(check(DecoderMask::Random { share: 0.0 }).unwrap_err().contains("nothing is left to predict"));
    assert!(check(DecoderMask::Random { share: -0.1 }).unwrap_err().contains("between 0 and 1"));
    assert!(check(DecoderMask::Random { share: 0.5 }).is_ok());
    for hidden_share in [0.0, 0.01, 1.0, f64::NAN] {
        let kept = EncoderMask::Tube { hidden_share }.check(Grid { t: 2, h: 2, w: 2 });
        assert!(matches!(kept, Err(LvmaeError::Share { .. })), "{hidden_share}");
    }
}

use crate::LvmaeError;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_tube_mask_keeps_the_same_places_in_every_frame(
        t in 1i64..8, h in 2i64..7, w in 1i64..7, share in 0.05f64..0.99, seed: u64,
    ) {
        let grid = Grid { t, h, w };
        let mask = EncoderMask::Tube { hidden_share: share };
        if let Ok(num_hidden) = mask.check(grid) {
            let (visible, hidden) = mask.split(grid, &mut rng(seed));
            prop_assert_eq!(hidden.len() as i64, num_hidden);
            let places = |frame: i64| -> BTreeSet<i64> {
                hidden.iter().filter(|i| **i / (h * w) == frame).map(|i| i % (h * w)).collect()
            };
            prop_assert!((0..t).all(|frame| places(frame) == places(0)));
            let all: BTreeSet<i64> = visible.iter().chain(&hidden).copied().collect();
            prop_assert_eq!(all, (0..grid.num_tokens()).collect::<BTreeSet<_>>());
            prop_assert!(visible.is_sorted() && hidden.is_sorted());
        }
    }

    #[test]
    fn an_adaptive_budget_is_exact_and_hidden(
        t in 1i64..6, side in 3i64..7, salient in 0.0f64..0.3, random in 0.01f64..0.3, seed: u64,
    ) {
        let grid = Grid { t, h: side, w: side };
        let mask = DecoderMask::Adaptive { salient_share: salient, random_share: random };
        let (_, hidden) = TUBE.split(grid, &mut rng(seed));
        if mask.check(grid, hidden.len() as i64).is_ok() {
            let n = grid.num_tokens();
            let priorities: Vec<f32> = (0..n).map(|i| ((i * 37 + seed as i64 % 97) % 11) as f32).collect();
            let decoded = mask.choose(grid, &hidden, Some(&priorities), &mut rng(seed)).unwrap();
            prop_assert_eq!(decoded.len() as i64, share_of(salient, n) + share_of(random, n));
            prop_assert!(decoded.windows(2).all(|pair| pair[0] < pair[1]), "ascending, none twice");
            prop_assert!(decoded.iter().all(|i| hidden.contains(i)));
            // Naive reference of the salient part: everything strictly above the k-th priority is in.
            let mut ranked: Vec<f32> = hidden.iter().map(|i| priorities[*i as usize]).collect();
            ranked.sort_by(|a, b| b.total_cmp(a));
            let k = share_of(salient, n) as usize;
            if k > 0 {
                let above = |i: &&i64| priorities[**i as usize] > ranked[k - 1];
                prop_assert!(hidden.iter().filter(above).all(|i| decoded.contains(i)));
            }
        }
    }
}
