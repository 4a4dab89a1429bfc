use spec::Patch;
use tch::Device;
use tch::nn::VarStore;

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
        scorer: ScorerConfig::Adjacent { channels: 8, strides: [[2, 4, 4], [2, 2, 2]] },
        ..tiny()
    };
    let vs = VarStore::new(Device::Cpu);
    let model = Tokenizer::new(&vs.root(), &config.check(Patch { t: 4, h: 8, w: 8 }).unwrap()).unwrap();
    wake(&vs);
    (vs, model)
}

/// Chunks of so many latent frames of a clip of 16 x 24 pixels.
fn carried(latent_frames: i64) -> Passage {
    Passage { long: LongVideo::Carried, pixels: latent_frames * 4 * 16 * 24 }
}

const HALF: Keep = Keep::Share { share: 0.5, by: Selection::Adaptive };

fn furthest(a: &Tensor, b: &Tensor) -> f64 {
    (a.to_kind(Kind::Float) - b.to_kind(Kind::Float)).abs().max().double_value(&[])
}

#[test]
fn carried_chunks_equal_the_whole_clip_at_once() {
    for (time, num_frames) in [(TimeLayout::Pairs, 40), (TimeLayout::FirstFrame, 37)] {
        let (_vs, model) = model(time);
        let clip = noise(1, num_frames);
        let frames = normalized(&clip).unwrap();
        let (latents, drawn, scores) = tch::no_grad(|| {
            let latents = model.latents(&frames, &mut Past::none()).unwrap();
            let drawn = model.frames(&latents, &mut Past::none()).unwrap();
            let scores = model.scorer.scores(&model.clues((&frames, &latents), true).unwrap()).unwrap();
            (latents, drawn, scores)
        });
        let kept = model.redraw(&clip, HALF, carried(10)).unwrap();
        for latent_frames in [1, 2, 3, 7, 10] {
            let passage = carried(latent_frames);
            let (got, got_drawn) = tch::no_grad(|| {
                let chunks = model.chunks(&clip, passage).unwrap();
                assert_eq!(chunks.len() as i64, (9 + latent_frames) / latent_frames);
                let mut past = Past::of_chunks();
                let draw = |part: &Tensor| model.frames(part, &mut past).unwrap();
                let drawn: Vec<Tensor> = latents.split(latent_frames, 1).iter().map(draw).collect();
                (model.seen(&clip, passage).unwrap().0, joined(&drawn, 1).unwrap())
            });
            assert!(furthest(&got, &latents) < 1e-4, "{time:?}, encoder by {latent_frames}");
            assert!(furthest(&got_drawn, &drawn) < 1e-4, "{time:?}, decoder by {latent_frames}");
            let tokens = model.encode(&clip, passage).unwrap();
            assert!(furthest(&tokens.priorities, &scores.flatten(1, -1)) < 1e-5, "{time:?} by {latent_frames}");
            let got = model.redraw(&clip, HALF, passage).unwrap();
            assert!(furthest(&got, &kept) <= 1.0, "{time:?}, pictures by {latent_frames}");
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
fn the_number_of_windows_or_clips_at_once_changes_nothing() {
    let cases = [
        (TimeLayout::Pairs, LongVideo::Windows, 48),
        (TimeLayout::FirstFrame, LongVideo::Windows, 51),
        (TimeLayout::FirstFrame, LongVideo::Carried, 33),
    ];
    for (time, long, num_frames) in cases {
        let (_vs, model) = model(time);
        let clip = noise(3, num_frames);
        let few = Passage { long, pixels: 1 };
        let (one, all) = (model.encode(&clip, few).unwrap(), model.encode_clip(&clip, long).unwrap());
        assert_eq!(one.codes, all.codes);
        assert!(furthest(&one.priorities, &all.priorities) < 1e-5);
        let random = Keep::Share { share: 0.3, by: Selection::Random { seed: 1, clip: 0 } };
        for keep in [Keep::All, HALF, random, Keep::Share { share: 0.3, by: Selection::Motion }] {
            let one = model.redraw(&clip, keep, few).unwrap();
            assert!(furthest(&one, &model.reconstruct(&clip, keep, long).unwrap()) <= 1.0, "{time:?} {keep:?}");
        }
    }
}

#[test]
fn an_image_and_a_clip_that_is_a_view_pass_too() {
    let (_vs, model) = model(TimeLayout::FirstFrame);
    let clip = noise(2, 34);
    let image = clip.narrow(1, 3, 1);
    let tokens = model.encode_clip(&image, LongVideo::Carried).unwrap();
    assert_eq!(tokens.priorities, Tensor::zeros([2, 6], (Kind::Float, Device::Cpu)));
    for by in [Selection::Adaptive, Selection::Motion, Selection::Uniform] {
        let drawn = model.reconstruct(&image, Keep::Share { share: 0.3, by }, LongVideo::Carried).unwrap();
        assert_eq!(drawn, model.reconstruct(&image.contiguous(), Keep::All, LongVideo::Carried).unwrap());
    }
    let part = clip.narrow(1, 5, 17);
    let drawn = model.reconstruct(&part, HALF, LongVideo::Windows).unwrap();
    assert_eq!(drawn, model.reconstruct(&part.contiguous(), HALF, LongVideo::Windows).unwrap());
}
