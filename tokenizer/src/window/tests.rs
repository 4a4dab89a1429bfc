use nn::Past;
use spec::Patch;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use super::*;
use crate::tests::{noise, tiny, wake};
use crate::{ScorerConfig, TimeLayout, TokenizerConfig};

/// Two strided convolutions in time, so that chunks are cut inside what their kernels reach.
fn model(time: TimeLayout) -> (VarStore, Tokenizer) {
    tch::manual_seed(5);
    let config = TokenizerConfig {
        time,
        channel_mult: vec![1, 1, 2],
        stem_patch: [1, 2, 2],
        strides: vec![[2, 2, 2], [2, 2, 2]],
        scorer: ScorerConfig { strides: [[2, 4, 4], [2, 2, 2]], ..tiny().scorer },
        ..tiny()
    };
    let vs = VarStore::new(Device::Cpu);
    let model = Tokenizer::new(&vs.root(), &config.check(Patch { t: 4, h: 8, w: 8 }).unwrap()).unwrap();
    wake(&vs);
    (vs, model)
}

/// Chunks of so many latent frames of two clips of 16 x 24 pixels.
fn carried(latent_frames: i64) -> Chunking {
    Chunking { long: LongVideo::Carried, pixels: latent_frames * 4 * 2 * 16 * 24 }
}

fn furthest(a: &Tensor, b: &Tensor) -> f64 {
    (a.to_kind(Kind::Float) - b.to_kind(Kind::Float)).abs().max().double_value(&[])
}

#[test]
fn carried_chunks_equal_the_whole_clip_at_once() {
    for (time, num_frames) in [(TimeLayout::Pairs, 40), (TimeLayout::FirstFrame, 37)] {
        let (_vs, model) = model(time);
        let clip = noise(2, num_frames);
        let frames = normalized(&clip).unwrap();
        let (latents, drawn, features) = tch::no_grad(|| {
            let latents = model.latents(&frames, &mut Past::none()).unwrap();
            let drawn = model.frames(&latents, &mut Past::none()).unwrap();
            (latents, drawn, model.features(&frames, &mut Past::none()).unwrap())
        });
        let scores = crate::scorer::adjacent_distance(&features).unwrap();
        let whole = model.reconstruct_in(&clip, Keep::Share(0.5), carried(10)).unwrap();
        for latent_frames in [1, 2, 3, 7, 10] {
            tch::no_grad(|| {
                let mut pass = Pass::new(&model, LongVideo::Carried);
                let (mut latents_of, mut drawn_of) = (Vec::new(), Vec::new());
                for chunk in pass.chunks(&clip, carried(latent_frames).pixels).unwrap() {
                    let latents = pass.latents(&normalized(&chunk).unwrap()).unwrap();
                    drawn_of.push(pass.frames(&latents).unwrap());
                    latents_of.push(latents);
                }
                assert_eq!(latents_of.len() as i64, (9 + latent_frames) / latent_frames);
                let (got, got_drawn) = (joined(&latents_of, 1).unwrap(), joined(&drawn_of, 1).unwrap());
                assert!(furthest(&got, &latents) < 1e-4, "{time:?}, encoder by {latent_frames}");
                assert!(furthest(&got_drawn, &drawn) < 1e-4, "{time:?}, decoder by {latent_frames}");
            });
            let tokens = model.encode_in(&clip, carried(latent_frames)).unwrap();
            assert!(furthest(&tokens.priorities, &scores.flatten(1, -1)) < 1e-5, "{time:?} by {latent_frames}");
            // A value that rounding moves over the border between two codes changes a patch of the picture: there is none.
            let got = model.reconstruct_in(&clip, Keep::Share(0.5), carried(latent_frames)).unwrap();
            assert!(furthest(&got, &whole) <= 1.0, "{time:?}, pictures by {latent_frames}");
        }
    }
}

#[test]
fn a_carried_clip_is_not_cut_into_windows() {
    let (_vs, model) = model(TimeLayout::Pairs);
    let clip = noise(1, 32);
    let codes = |long| model.encode_clip(&clip, long).unwrap().codes.view([8, 2, 3]);
    let (windows, carried) = (codes(LongVideo::Windows), codes(LongVideo::Carried));
    assert_eq!(windows.narrow(0, 0, 4), carried.narrow(0, 0, 4));
    assert_ne!(windows.select(0, 4), carried.select(0, 4));
}

#[test]
fn the_number_of_windows_at_once_changes_nothing() {
    for (time, num_frames) in [(TimeLayout::Pairs, 48), (TimeLayout::FirstFrame, 51)] {
        let (_vs, model) = model(time);
        let clip = noise(3, num_frames);
        let few = Chunking { long: LongVideo::Windows, pixels: 1 };
        let (one, all) = (model.encode_in(&clip, few).unwrap(), model.encode_clip(&clip, LongVideo::Windows).unwrap());
        assert_eq!(one.codes, all.codes);
        assert!(furthest(&one.priorities, &all.priorities) < 1e-5);
        for keep in [Keep::All, Keep::Share(0.3)] {
            let one = model.reconstruct_in(&clip, keep, few).unwrap();
            assert!(furthest(&one, &model.reconstruct(&clip, keep, LongVideo::Windows).unwrap()) <= 1.0);
        }
    }
}

#[test]
fn a_share_is_kept_of_each_window_and_of_a_carried_clip_as_a_whole() {
    let (_vs, model) = model(TimeLayout::FirstFrame);
    let clip = noise(2, 34);
    let kept = |clip: &Tensor, long| {
        let mask = tch::no_grad(|| model.clip_mask(clip, 0.5, Chunking::usual(long)).unwrap());
        Vec::<f64>::try_from(mask.sum_dim_intlist([2i64, 3].as_slice(), false, Kind::Double).select(0, 0)).unwrap()
    };
    // 2 x 3 tokens a frame; of the 4 frames after the first of each window 12 tokens, of the 8 after a clip's first 24.
    let windows = kept(&clip, LongVideo::Windows);
    assert_eq!((windows[0], windows[5]), (6.0, 6.0));
    assert_eq!([&windows[1..5], &windows[6..]].map(|rest| rest.iter().sum::<f64>()), [12.0, 12.0]);
    let whole = kept(&clip.narrow(1, 0, 33), LongVideo::Carried);
    assert_eq!((whole[0], whole[1..].iter().sum::<f64>()), (6.0, 24.0));
    assert_eq!(kept(&clip.narrow(1, 0, 1), LongVideo::Carried), [6.0]);
    let image = model.encode_clip(&clip.narrow(1, 0, 1), LongVideo::Carried).unwrap();
    assert_eq!(image.priorities, Tensor::zeros([2, 6], (Kind::Float, Device::Cpu)));
}
