use std::collections::BTreeSet;

use nn::{NnError, Past};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use super::*;
use crate::model::normalized;
use crate::tests::{PATCH, noise, tokenizer};
use crate::topk::training_mask;
use crate::{Keep, KeepShare, LongVideo, TopKGradient, WINDOW_FRAMES};

const ALL: [Selection; 4] =
    [Selection::Adaptive, Selection::Random { seed: 1, clip: 0 }, Selection::Uniform, Selection::Motion];

/// Two clips of three windows of 8 x 2 x 3 tokens.
fn clips() -> Tensor {
    noise(2, 3 * WINDOW_FRAMES)
}

/// The mask of all windows of [`clips`], `[6, 8, 2, 3]`.
fn mask(share: f64, by: Selection) -> Tensor {
    let (_vs, tokenizer): (VarStore, Tokenizer) = tokenizer();
    let bytes = &clips().view([6, WINDOW_FRAMES, 16, 24, 3]);
    let windows = Windows { bytes, scores: &scores(&tokenizer, bytes), first: 0, per_clip: 3 };
    tch::no_grad(|| tokenizer.chosen(&windows, (share, by)).unwrap())
}

/// Places of the ones of one window.
fn kept(mask: &Tensor, window: i64) -> Vec<i64> {
    let flat = Vec::<f64>::try_from(mask.select(0, window).flatten(0, -1).to_kind(Kind::Double)).unwrap();
    assert!(flat.iter().all(|m| *m == 0.0 || *m == 1.0));
    (0..flat.len() as i64).filter(|place| flat[*place as usize] == 1.0).collect()
}

/// What the scorer says of windows.
fn scores(tokenizer: &Tokenizer, bytes: &Tensor) -> Tensor {
    tch::no_grad(|| {
        let frames = &normalized(bytes).unwrap();
        let latents = tokenizer.encoder.forward(frames, &mut Past::none()).unwrap();
        tokenizer.scorer.scores(&tokenizer.scorer.clues(frames, &latents).unwrap()).unwrap()
    })
}

#[test]
fn every_selection_keeps_the_first_latent_frame_and_exactly_the_budget() {
    tch::manual_seed(4);
    // 42 tokens after the first 6: 0.15 of them is 6.3, 0.3 is 12.6.
    for (share, num) in [(0.0, 6), (0.15, 12), (0.3, 19), (1.0, 48), (-1.0, 6), (2.0, 48)] {
        assert_eq!(num_kept(share, [8, 2, 3]), num);
        for by in ALL {
            let mask = mask(share, by);
            for window in 0..6 {
                let kept = kept(&mask, window);
                assert_eq!((kept.len() as i64, &kept[..6]), (num, &[0, 1, 2, 3, 4, 5][..]), "{by:?} at {share}");
            }
        }
    }
}

#[test]
fn the_adaptive_selection_is_that_of_training() {
    let (_vs, tokenizer) = tokenizer();
    let bytes = &clips().view([6, WINDOW_FRAMES, 16, 24, 3]);
    let scores = &scores(&tokenizer, bytes);
    let windows = Windows { bytes, scores, first: 0, per_clip: 3 };
    for share in [0.1, 0.42, 0.56] {
        let chosen = tokenizer.chosen(&windows, (share, Selection::Adaptive)).unwrap();
        let keep = KeepShare::Fixed { share };
        let gradient = TopKGradient::StraightThrough { temperature: 0.5 };
        assert_eq!(chosen, training_mask(scores, keep, gradient).unwrap());
    }
}

#[test]
fn motion_is_the_mean_change_of_a_cube() {
    tch::manual_seed(5);
    let clip = clips();
    let bytes = Vec::<u8>::try_from(clip.flatten(0, -1)).unwrap();
    let pixel =
        |b: usize, f: usize, y: usize, x: usize, c: usize| i64::from(bytes[(((b * 48 + f) * 16 + y) * 24 + x) * 3 + c]);
    let got = pixel_motion(&clip, PATCH).unwrap();
    assert_eq!(got.size(), [2, 24, 2, 3]);
    for (b, t, h, w) in [(0, 1, 0, 0), (0, 8, 1, 2), (1, 23, 0, 1), (1, 0, 1, 1)] {
        // The first latent frame copies the second.
        let at = t.max(1);
        let mut sum = 0;
        for f in 2 * at..2 * at + 2 {
            for (y, x) in (8 * h..8 * h + 8).flat_map(|y| (8 * w..8 * w + 8).map(move |x| (y, x))) {
                sum += (0..3).map(|c| (pixel(b, f, y, x, c) - pixel(b, f - 2, y, x, c)).abs()).sum::<i64>();
            }
        }
        let want = sum as f64 / f64::from(2 * 8 * 8 * 3);
        assert!((got.double_value(&[b as i64, t as i64, h as i64, w as i64]) - want).abs() < 1e-3);
    }
}

#[test]
fn the_motion_of_a_long_clip_is_measured_in_parts() {
    let (_vs, tokenizer) = tokenizer();
    // 48 frames in 24 latent frames: two parts.
    let clips = clips();
    assert_eq!(tokenizer.motion(&clips).unwrap(), pixel_motion(&clips, PATCH).unwrap());
}

#[test]
fn motion_keeps_the_cubes_that_moved_most() {
    tch::manual_seed(6);
    let (_vs, tokenizer) = tokenizer();
    let bytes = &clips().view([6, WINDOW_FRAMES, 16, 24, 3]);
    let motion =
        Vec::<f64>::try_from(pixel_motion(bytes, PATCH).unwrap().flatten(0, -1).to_kind(Kind::Double)).unwrap();
    let windows = Windows { bytes, scores: &scores(&tokenizer, bytes), first: 0, per_clip: 3 };
    let mask = tokenizer.chosen(&windows, (0.3, Selection::Motion)).unwrap();
    for (window, motion) in motion.chunks_exact(48).enumerate() {
        let kept = kept(&mask, window as i64);
        let lowest = kept[6..].iter().map(|place| motion[*place as usize]).fold(f64::MAX, f64::min);
        let left_out = (6..48).filter(|place| !kept.contains(place)).map(|place| motion[place as usize]);
        assert!(left_out.fold(0.0, f64::max) <= lowest);
    }
}

#[test]
fn a_random_choice_is_anothers_in_each_window_clip_and_seed_and_does_not_depend_on_the_batch() {
    tch::manual_seed(7);
    let of = |seed, clip| mask(0.3, Selection::Random { seed, clip });
    let first = of(1, 0);
    assert_eq!(first, of(1, 0));
    let mut seen: BTreeSet<Vec<i64>> = (0..6).map(|window| kept(&first, window)).collect();
    seen.extend((0..6).map(|window| kept(&of(2, 0), window)));
    // 42 over 13 is 2.5e10: no two are alike.
    assert_eq!(seen.len(), 12);
    // Clip 1 is the second of a batch from 0 on, and the first of one from 1 on.
    assert_eq!(first.narrow(0, 3, 3), of(1, 1).narrow(0, 0, 3));

    let hits: Tensor = (0..200).map(|seed| of(seed, 0).sum_dim_intlist(0, false, Kind::Float)).sum();
    // 1200 windows keep 13 of 42: 371 expected, standard deviation sqrt(1200 * 0.31 * 0.69) = 16.
    let rest = hits.narrow(0, 1, 7);
    assert!((rest - 371.4).abs().max().double_value(&[]) < 5.0 * 16.0);
}

#[test]
fn uniform_keeps_whole_latent_frames_spread_over_time() {
    // 7 latent frames of 4 tokens. 12 tokens: three frames, the middles of three equal parts of 7: 1, 3 and 5.
    assert_eq!(
        uniform([8, 2, 2], 12).into_iter().map(|p| p / 4).collect::<Vec<_>>(),
        [1, 1, 1, 1, 3, 3, 3, 3, 5, 5, 5, 5]
    );
    // One frame of seven, LVMAE's own budget: the middle one.
    assert_eq!(uniform([8, 2, 2], 4).into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([12, 13, 14, 15]));
    assert_eq!(uniform([8, 2, 2], 28).into_iter().collect::<BTreeSet<_>>(), (0..28).collect());
    assert!(uniform([8, 2, 2], 0).is_empty());
    // 6 tokens: a whole frame and half a frame, in the middles of two equal parts of 7: 1 and 5.
    assert_eq!(uniform([8, 2, 2], 6).into_iter().map(|p| p / 4).collect::<Vec<_>>(), [1, 1, 1, 1, 5, 5]);
}

#[test]
fn what_is_left_over_is_spread_over_rows_and_columns() {
    for (h, w) in [(4, 4), (8, 8), (14, 14)] {
        let count = h * w / 4;
        let places = evenly_in_space(h, w, count as usize);
        assert_eq!(places.iter().collect::<BTreeSet<_>>().len(), count as usize);
        // Each row and each column has a quarter of its places, give or take one and a half.
        for of in [|p: i64, w: i64| p / w, |p: i64, w: i64| p % w] {
            for line in 0..h {
                let here = places.iter().filter(|p| of(**p, w) == line).count() as f64;
                assert!((here - w as f64 / 4.0).abs() <= 1.5, "{h}x{w}, line {line}: {here}");
            }
        }
    }
}

#[test]
fn a_selection_changes_what_is_drawn_and_no_frame_that_comes_before() {
    tch::manual_seed(8);
    let (_vs, tokenizer) = tokenizer();
    let clip = clips();
    let drawn = ALL.map(|by| tokenizer.reconstruct(&clip, Keep::Share { share: 0.3, by }, LongVideo::Windows).unwrap());
    let all = tokenizer.reconstruct(&clip, Keep::All, LongVideo::Windows).unwrap();
    for (i, one) in drawn.iter().enumerate() {
        assert!(drawn[..i].iter().all(|other| other != one), "{:?}", ALL[i]);
        assert_eq!(one.narrow(1, 0, 2), all.narrow(1, 0, 2));
    }
    let keeps = ALL.map(|by| Keep::Share { share: 0.3, by });
    assert_eq!(tokenizer.reconstruct_each(&clip, &keeps, LongVideo::Windows).unwrap(), drawn);
}

#[test]
fn clips_that_are_no_bytes_are_refused() {
    let floats = Tensor::zeros([1, 16, 16, 16, 3], (Kind::Float, Device::Cpu));
    assert!(matches!(pixel_motion(&floats, PATCH), Err(TokenizerError::Nn(NnError::Kind { .. }))));
}
