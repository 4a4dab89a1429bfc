use tch::nn::VarStore;
use tch::{Device, Kind};

use super::*;
use crate::tests::{noise, tiny, wake};
use crate::{Keep, LongVideo, ScorerConfig, TokenizerConfig, TokenizerError};

const LAYOUTS: [TimeLayout; 2] = [TimeLayout::Pairs, TimeLayout::FirstFrame];

/// The cubes that presets use, each reached by strided convolutions after a stem at full resolution in time, and another
/// one whose stem takes a part of the time.
fn configs() -> Vec<(TokenizerConfig, Patch)> {
    let config = |stem_patch: [i64; 3], strides: &[[i64; 3]], scorer: [[i64; 3]; 2]| {
        let product = strides.iter().fold(stem_patch, |all, step| [0, 1, 2].map(|axis| all[axis] * step[axis]));
        let config = TokenizerConfig {
            base_channels: 8,
            channel_mult: vec![1; strides.len() + 1],
            stem_patch,
            strides: strides.to_vec(),
            scorer: ScorerConfig::Adjacent { channels: 8, strides: scorer },
            ..tiny()
        };
        (config, Patch { t: product[0], h: product[1], w: product[2] })
    };
    vec![
        config([1, 4, 4], &[[2, 2, 2], [1, 2, 2]], [[2, 4, 4], [1, 4, 4]]),
        config([1, 2, 2], &[[2, 2, 2], [1, 2, 2]], [[2, 4, 4], [1, 2, 2]]),
        config([1, 2, 2], &[[2, 2, 2], [2, 2, 2]], [[2, 4, 4], [2, 2, 2]]),
        config([1, 4, 4], &[[2, 2, 2], [2, 2, 2]], [[2, 4, 4], [2, 4, 4]]),
        config([2, 4, 4], &[[2, 4, 4]], [[4, 4, 4], [1, 4, 4]]),
    ]
}

fn model(config: TokenizerConfig, patch: Patch) -> (VarStore, Tokenizer) {
    tch::manual_seed(4);
    let vs = VarStore::new(Device::Cpu);
    let tokenizer = Tokenizer::new(&vs.root(), &config.check(patch).unwrap()).unwrap();
    wake(&vs);
    (vs, tokenizer)
}

fn random(size: &[i64]) -> Tensor {
    Tensor::randn(size, (Kind::Float, Device::Cpu)).set_requires_grad(true)
}

/// Which frames (places on axis 1) of `input` the sum of `output` depends on.
fn seen(output: &Tensor, input: &Tensor) -> Vec<bool> {
    let grad = Tensor::f_run_backward(&[output.square().sum(Kind::Float)], &[input], true, false).unwrap().remove(0);
    let largest = grad.abs().amax([0, 2, 3, 4], false);
    Vec::<f64>::try_from(largest.to_kind(Kind::Double)).unwrap().into_iter().map(|value| value != 0.0).collect()
}

#[test]
fn no_gradient_of_an_earlier_output_reaches_a_later_input() {
    for (config, patch) in configs() {
        for time in LAYOUTS {
            let (_vs, tokenizer) = model(TokenizerConfig { time, ..config.clone() }, patch);
            let frames_of = |latent_frames: i64| latent_frames * patch.t - time.lead_frames(patch);
            let frames = random(&[2, frames_of(4), 2 * patch.h, patch.w, 3]);
            let latents = tokenizer.latents(&frames, &mut Past::none()).unwrap();
            let values = random(&[2, 4, 2, 1, 4]);
            let drawn = tokenizer.frames(&values, &mut Past::none()).unwrap();
            assert_eq!((latents.size(), drawn.size()), (values.size(), frames.size()), "{patch:?} {time:?}");
            for latent in 0..4 {
                // Up to the last frame of its own cube, which it does see.
                let reach = |seen: Vec<bool>| seen.iter().rposition(|seen| *seen);
                let encoder = seen(&latents.select(1, latent), &frames);
                assert_eq!(reach(encoder), Some(frames_of(latent + 1) as usize - 1), "encoder {patch:?} {time:?}");
                for frame in frames_of(latent).max(0)..frames_of(latent + 1) {
                    let decoder = seen(&drawn.select(1, frame), &values);
                    assert_eq!(reach(decoder), Some(latent as usize), "decoder {patch:?} {time:?} frame {frame}");
                }
            }
        }
    }
}

#[test]
fn the_first_latent_frame_is_the_first_frame_alone() {
    for (config, patch) in configs() {
        let (_vs, tokenizer) = model(TokenizerConfig { time: TimeLayout::FirstFrame, ..config }, patch);
        let size = [1, 17, patch.h, 2 * patch.w, 3];
        let clip = Tensor::randint(256, size, (Kind::Uint8, Device::Cpu));
        let codes = |clip: &Tensor| tokenizer.encode_clip(clip, LongVideo::Carried).unwrap().codes.view([-1, 2]);
        let (video, image) = (codes(&clip), codes(&clip.narrow(1, 0, 1)));
        assert_eq!(video.size()[0], 1 + 16 / patch.t);
        assert_eq!(image, video.narrow(0, 0, 1), "an image is a video of one frame");
        let drawn =
            |clip: &Tensor| tokenizer.reconstruct(clip, Keep::All, LongVideo::Carried).unwrap().to_kind(Kind::Int);
        let apart = drawn(&clip.narrow(1, 0, 1)) - drawn(&clip).narrow(1, 0, 1);
        assert!(apart.abs().max().int64_value(&[]) <= 1, "but for rounding");
    }
}

#[test]
fn every_size_that_is_a_multiple_comes_back() {
    for (config, patch) in configs() {
        let (_vs, tokenizer) = model(config, patch);
        for (rows, columns) in [(1, 1), (1, 3), (3, 2), (5, 1)] {
            let clip = Tensor::randint(256, [1, 16, rows * patch.h, columns * patch.w, 3], (Kind::Uint8, Device::Cpu));
            let tokens = tokenizer.encode_clip(&clip, LongVideo::Windows).unwrap();
            assert_eq!(tokens.codes.size(), [1, 16 / patch.t * rows * columns]);
            let drawn = tokenizer.reconstruct(&clip, Keep::All, LongVideo::Windows).unwrap();
            assert_eq!(drawn.size(), clip.size());
        }
    }
}

#[test]
fn a_still_video_moves_nowhere_in_either_layout() {
    for time in LAYOUTS {
        let (_vs, tokenizer) = model(TokenizerConfig { time, ..tiny() }, Patch { t: 2, h: 8, w: 8 });
        let still = noise(1, 1).expand([1, time.window_frames(), -1, -1, -1], false);
        let priorities = tokenizer.encode_clip(&still, LongVideo::Windows).unwrap().priorities;
        assert!(priorities.max().double_value(&[]) < 1e-5, "{time:?}");
    }
}

#[test]
fn a_window_of_17_frames_trains_encoder_scorer_and_decoder() {
    let config = TokenizerConfig { time: TimeLayout::FirstFrame, ..tiny() };
    let (vs, tokenizer) = model(config, Patch { t: 2, h: 8, w: 8 });
    crate::tests::total(&tokenizer, &noise(2, 17)).f_backward().unwrap();
    for part in ["encoder", "scorer", "decoder"] {
        let mut variables: Vec<_> = vs.variables().into_iter().filter(|(name, _)| name.starts_with(part)).collect();
        variables.sort_by(|a, b| a.0.cmp(&b.0));
        let norms: Vec<f64> = variables.iter().map(|(_, v)| v.grad().norm().double_value(&[])).collect();
        assert!(norms.iter().any(|norm| *norm > 0.0) && norms.iter().all(|norm| norm.is_finite()), "{part}");
    }
}

#[test]
fn clips_that_are_no_whole_latent_frames_are_refused() {
    let (_vs, tokenizer) =
        model(TokenizerConfig { time: TimeLayout::FirstFrame, ..tiny() }, Patch { t: 2, h: 8, w: 8 });
    let said = tokenizer.encode_clip(&noise(1, 16), LongVideo::Carried).unwrap_err().to_string();
    assert_eq!(said, "a clip has 16 frames, but tokenizer.time = \"first_frame\" takes 1 and a multiple of 2 more");
    let refused = tokenizer.encode_clip(&noise(1, 33), LongVideo::Windows);
    assert!(matches!(refused, Err(TokenizerError::ClipSize { axis: "frames", size: 33, step: 17 })));
    let (_vs, tokenizer) = model(tiny(), Patch { t: 2, h: 8, w: 8 });
    let refused = tokenizer.encode_clip(&noise(1, 17), LongVideo::Carried);
    assert!(matches!(refused, Err(TokenizerError::ClipSize { axis: "frames", size: 17, step: 2 })));
}
