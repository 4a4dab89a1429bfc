use std::collections::BTreeMap;

use nn::Past;
use spec::Patch;
use tch::nn::{Adam, OptimizerConfig, VarStore};
use tch::{Device, Kind, Tensor};
use torch_ext::{Precision, autocast, first_non_finite};
use vector_quantize::{Bound, QuantizerConfig};

use crate::{
    AdversarialConfig, Beside, Keep, KeepShare, LongVideo, LossConfig, PerceptualConfig, Place, Recon, ScorerConfig,
    Selection, TimeLayout, Tokenizer, TokenizerConfig, TokenizerError, TopKConfig, TopKGradient, WINDOW_FRAMES,
};

pub(crate) const PATCH: Patch = Patch { t: 2, h: 8, w: 8 };

pub(crate) fn tiny() -> TokenizerConfig {
    TokenizerConfig {
        time: TimeLayout::Pairs,
        quantizer: fsq(&[8, 8, 8, 8]),
        base_channels: 16,
        channel_mult: vec![1, 2],
        stem_patch: [2, 4, 4],
        strides: vec![[1, 2, 2]],
        res_blocks: 1,
        norm_groups: 4,
        scorer: ScorerConfig::Adjacent { channels: 8, strides: [[2, 4, 4], [1, 2, 2]] },
        top_k: keep(0.5),
        loss: without_critics(Recon::L2, 0.0),
    }
}

fn fsq(levels: &[i64]) -> QuantizerConfig {
    QuantizerConfig::Fsq { levels: levels.to_vec(), bound: Bound::Official }
}

fn keep(share: f64) -> TopKConfig {
    TopKConfig { keep: KeepShare::Fixed { share }, gradient: TopKGradient::StraightThrough { temperature: 0.5 } }
}

pub(crate) fn without_critics(recon: Recon, frame_diff_weight: f64) -> LossConfig {
    let (perceptual, adversarial) = (PerceptualConfig::None {}, AdversarialConfig::None {});
    LossConfig { recon, frame_diff_weight, spread_weight: 0.0, perceptual, adversarial }
}

/// The loss without a critic.
pub(crate) fn total(tokenizer: &Tokenizer, clip_bthwc: &Tensor) -> Tensor {
    tokenizer.loss(clip_bthwc, &mut Beside::none(), Place::of_step(1)).unwrap().total
}

fn untrained() -> (VarStore, Tokenizer) {
    tch::manual_seed(3);
    let vs = VarStore::new(Device::Cpu);
    let tokenizer = Tokenizer::new(&vs.root(), &tiny().check(PATCH).unwrap()).unwrap();
    (vs, tokenizer)
}

/// With the layers that start at zero made random, since they hide everything behind them.
pub(crate) fn tokenizer() -> (VarStore, Tokenizer) {
    let (vs, tokenizer) = untrained();
    wake(&vs);
    (vs, tokenizer)
}

pub(crate) fn wake(vs: &VarStore) {
    for (_, mut weight) in BTreeMap::from_iter(vs.variables()) {
        if weight.abs().max().double_value(&[]) == 0.0 {
            let random = Tensor::randn_like(&weight) * 0.05;
            tch::no_grad(|| weight.copy_(&random));
        }
    }
}

/// A bright 12-pixel square that walks over a still gradient: `[1, F, 32, 32, 3]` u8.
fn walking_square(num_frames: i64) -> Tensor {
    let side = Tensor::arange(32, (Kind::Float, Device::Cpu));
    let still =
        (side.view([32, 1, 1]) * 3 + side.view([1, 32, 1]) * 2 + Tensor::from_slice(&[0.0f32, 20.0, 40.0])) + 20;
    let frames: Vec<Tensor> = (0..num_frames)
        .map(|t| {
            let frame = still.copy();
            let _square = frame.narrow(0, 4 + t % 16, 12).narrow(1, 18 - t % 16, 12).fill_(240.0);
            frame
        })
        .collect();
    Tensor::stack(&frames, 0).to_kind(Kind::Uint8).unsqueeze(0)
}

pub(crate) fn noise(num_clips: i64, num_frames: i64) -> Tensor {
    Tensor::randint(256, [num_clips, num_frames, 16, 24, 3], (Kind::Uint8, Device::Cpu))
}

fn grad_norm(vs: &VarStore, part: &str) -> f64 {
    let mut sum = 0.0;
    for (name, weight) in BTreeMap::from_iter(vs.variables()) {
        if name.starts_with(part) && weight.grad().defined() {
            sum += weight.grad().square().sum(Kind::Double).double_value(&[]);
        }
    }
    sum
}

#[test]
fn scores_run_through_the_borders_of_windows() {
    let (_vs, tokenizer) = tokenizer();
    let clip = noise(2, 3 * WINDOW_FRAMES);
    let priorities = tokenizer.encode_clip(&clip, LongVideo::Windows).unwrap().priorities.view([2, 24, 2, 3]);

    // The long clip in one piece, by the definition: distances of features, the first copied.
    let whole = tch::no_grad(|| {
        let latents = Tensor::zeros([2, 24, 2, 3, 4], (Kind::Float, Device::Cpu));
        let c = tokenizer.scorer.clues(&(clip.to_kind(Kind::Float) / 127.5 - 1.0), &latents).unwrap();
        let moved = (c.narrow(1, 1, 23) - c.narrow(1, 0, 23)).square().sum_dim_intlist(-1, false, Kind::Float).sqrt();
        Tensor::cat(&[moved.narrow(1, 0, 1), moved], 1)
    });
    assert!((&priorities - &whole).abs().max().double_value(&[]) < 1e-5);

    // A window alone cannot know what came before it: only its first latent frame differs.
    let second = tokenizer.encode_clip(&clip.narrow(1, WINDOW_FRAMES, WINDOW_FRAMES), LongVideo::Windows).unwrap();
    let gap = (second.priorities.view([2, 8, 2, 3]) - priorities.narrow(1, 8, 8)).abs().amax([0, 2, 3], false);
    assert!(gap.double_value(&[0]) > 1e-2);
    assert!(gap.narrow(0, 1, 7).max().double_value(&[]) < 1e-5);
}

#[test]
fn codes_of_a_window_do_not_depend_on_its_neighbours() {
    let (_vs, tokenizer) = tokenizer();
    let clip = noise(2, 3 * WINDOW_FRAMES);
    let codes = tokenizer.encode_clip(&clip, LongVideo::Windows).unwrap().codes.view([2, 3, -1]);
    for i in 0..3 {
        let alone =
            tokenizer.encode_clip(&clip.narrow(1, i * WINDOW_FRAMES, WINDOW_FRAMES), LongVideo::Windows).unwrap().codes;
        assert_eq!(codes.select(1, i), alone, "window {i}");
    }
}

#[test]
fn codes_are_all_that_a_full_reconstruction_needs() {
    let (_vs, tokenizer) = tokenizer();
    let clip = noise(2, WINDOW_FRAMES);
    let codes = tokenizer.encode_clip(&clip, LongVideo::Windows).unwrap().codes;
    let values = tokenizer.values_from_codes(&codes).unwrap().view([2, 8, 2, 3, 4]);
    let drawn = tch::no_grad(|| tokenizer.decoder.forward(&values, &mut Past::none()).unwrap()).clamp(-1.0, 1.0);
    let drawn = ((drawn + 1.0) * 127.5).round().to_kind(Kind::Uint8);
    assert_eq!(drawn, tokenizer.reconstruct(&clip, Keep::All, LongVideo::Windows).unwrap());
}

#[test]
fn later_frames_change_no_earlier_code() {
    let (_vs, tokenizer) = tokenizer();
    let (a, b) = (noise(1, WINDOW_FRAMES), noise(1, WINDOW_FRAMES));
    let mixed = Tensor::cat(&[a.narrow(1, 0, 8), b.narrow(1, 8, 8)], 1);
    let codes = |clip: &Tensor| tokenizer.encode_clip(clip, LongVideo::Windows).unwrap().codes.view([8, 2, 3]);
    assert_eq!(codes(&a).narrow(0, 0, 4), codes(&mixed).narrow(0, 0, 4));
    assert_ne!(codes(&a).narrow(0, 4, 4), codes(&mixed).narrow(0, 4, 4));
}

/// MQ-VAE's scorer, by its formula from the latents; its priorities need no frame before.
#[test]
fn importance_is_a_sigmoid_of_normalized_latents() {
    let config = TokenizerConfig {
        scorer: ScorerConfig::Importance { channels: 8 },
        top_k: TopKConfig { keep: KeepShare::Fixed { share: 0.5 }, gradient: TopKGradient::Product {} },
        ..tiny()
    };
    let vs = VarStore::new(Device::Cpu);
    let tokenizer = Tokenizer::new(&vs.root(), &config.check(PATCH).unwrap()).unwrap();
    wake(&vs);
    let clip = noise(1, 2 * WINDOW_FRAMES);
    let priorities = tokenizer.encode_clip(&clip, LongVideo::Windows).unwrap().priorities.view([16, 2, 3]);

    let weights = vs.variables();
    let z = tch::no_grad(|| {
        tokenizer
            .encoder
            .forward(&(clip.narrow(1, 0, 16).to_kind(Kind::Float) / 127.5 - 1.0), &mut Past::none())
            .unwrap()
    });
    let z = z.squeeze_dim(0).permute([0, 3, 1, 2]);
    let centred = &z - z.mean_dim(1, true, Kind::Float);
    let normed = &centred / (centred.square().mean_dim(1, true, Kind::Float) + 1e-5).sqrt();
    let conv = |x: &Tensor, i: usize, pad: i64| {
        let weight = weights[&format!("scorer.{i}.weight")].squeeze_dim(2);
        x.conv2d(&weight, Some(&weights[&format!("scorer.{i}.bias")]), 1, pad, 1, 1)
    };
    let want = conv(&conv(&normed, 0, 1).relu(), 1, 0).sigmoid().squeeze_dim(1);
    assert!((priorities.narrow(0, 0, 8) - &want).abs().max().double_value(&[]) < 1e-5);

    total(&tokenizer, &noise(2, WINDOW_FRAMES)).f_backward().unwrap();
    assert!(grad_norm(&vs, "scorer") > 0.0);
}

#[test]
fn the_scorer_learns_through_the_mask_and_nothing_else() {
    let (vs, tokenizer) = tokenizer();
    let clip = noise(2, WINDOW_FRAMES);
    total(&tokenizer, &clip).f_backward().unwrap();
    assert!(grad_norm(&vs, "scorer") > 0.0);

    // The same step with every token kept: a mask without choice has no gradient, so the scorer hears nothing.
    let all = TokenizerConfig { top_k: keep(1.0), ..tiny() };
    let vs = VarStore::new(Device::Cpu);
    let tokenizer = Tokenizer::new(&vs.root(), &all.check(PATCH).unwrap()).unwrap();
    wake(&vs);
    total(&tokenizer, &clip).f_backward().unwrap();
    assert_eq!(grad_norm(&vs, "scorer"), 0.0);
    assert!(grad_norm(&vs, "encoder") > 0.0);
}

#[test]
fn a_step_in_bf16_has_finite_f32_gradients_and_nearly_the_loss_of_f32() {
    let (vs, tokenizer) = tokenizer();
    let clip = noise(2, WINDOW_FRAMES);
    let named: Vec<(String, Tensor)> = vs.variables().into_iter().collect();
    let step = |precision| {
        let run = || {
            let loss = autocast(Device::Cpu, precision, || total(&tokenizer, &clip)).unwrap();
            loss.f_backward().unwrap();
            loss
        };
        let (loss, found) = first_non_finite(&named, run).unwrap();
        assert!(found.is_none(), "{found:?}");
        assert_eq!(loss.kind(), Kind::Float);
        loss.double_value(&[])
    };
    let (exact, rounded) = (step(Precision::F32), step(Precision::Bf16));
    assert!(exact != rounded && (exact - rounded).abs() < 0.05 * exact, "{rounded} instead of {exact}");
    assert!(named.iter().all(|(_, variable)| variable.grad().kind() == Kind::Float));
}

#[test]
fn a_short_training_beats_the_best_constant_colour_by_far() {
    let (vs, tokenizer) = untrained();
    let clip = walking_square(WINDOW_FRAMES);
    let batch = Tensor::cat(&[&clip, &clip.flip([3])], 0);
    let mut adam = Adam::default().build(&vs, 4e-3).unwrap();
    for _ in 0..100 {
        adam.zero_grad();
        total(&tokenizer, &batch).f_backward().unwrap();
        adam.step();
    }
    let frames = batch.to_kind(Kind::Float);
    let psnr_db = |mse: f64| 10.0 * (255.0_f64.powi(2) / mse).log10();
    let drawn = tokenizer
        .reconstruct(&batch, Keep::Share { share: 0.5, by: Selection::Adaptive }, LongVideo::Windows)
        .unwrap()
        .to_kind(Kind::Float);
    let trained = psnr_db((drawn - &frames).square().mean(Kind::Float).double_value(&[]));
    // The best constant's mean squared error is the variance: 13.2 dB. Measured after 100 steps: 20.7 dB.
    let constant = psnr_db(frames.var(false).double_value(&[]));
    assert!(trained > constant + 5.0, "constant {constant:.1} dB, trained {trained:.1} dB");

    // The square passes through the middle of the picture, the lower left corner stands still.
    let priorities = tokenizer.encode_clip(&clip, LongVideo::Windows).unwrap().priorities.view([8, 4, 4]);
    let (moving, still) = (priorities.double_value(&[4, 1, 1]), priorities.double_value(&[4, 3, 0]));
    assert!(moving > 2.0 * still, "moving {moving}, still {still}");
}

#[test]
fn strides_that_miss_the_patch_are_refused_by_name() {
    let said = TokenizerConfig { stem_patch: [1, 4, 4], ..tiny() }.check(PATCH).unwrap_err().to_string();
    assert_eq!(
        said,
        "tokenizer.stem_patch and tokenizer.strides make a cube of [1, 8, 8], but clip.patch is [2, 8, 8]: their product \
         must equal it on every axis"
    );
    let scorer = ScorerConfig::Adjacent { channels: 8, strides: [[2, 4, 4], [1, 4, 4]] };
    let said = TokenizerConfig { scorer, ..tiny() }.check(PATCH).unwrap_err().to_string();
    assert!(said.starts_with("tokenizer.scorer.strides make a cube of [2, 16, 16]"), "{said}");
}

#[test]
fn numbers_out_of_range_are_refused_by_key() {
    let refused = |config: TokenizerConfig, key: &str| {
        let said = config.check(PATCH).unwrap_err().to_string();
        assert!(said.starts_with(key), "{said}");
    };
    refused(TokenizerConfig { base_channels: 0, ..tiny() }, "tokenizer.base_channels = 0");
    refused(TokenizerConfig { channel_mult: vec![], ..tiny() }, "tokenizer.channel_mult = 0");
    refused(TokenizerConfig { strides: vec![], ..tiny() }, "tokenizer.strides = []");
    refused(TokenizerConfig { norm_groups: 5, ..tiny() }, "tokenizer.norm_groups = 5");
    refused(TokenizerConfig { quantizer: fsq(&[8, 1]), ..tiny() }, "levels[1] = 1");
    refused(TokenizerConfig { top_k: keep(0.0), ..tiny() }, "tokenizer.top_k.keep.share = 0");
    let top_k = |keep, gradient| TokenizerConfig { top_k: TopKConfig { keep, gradient }, ..tiny() };
    let soft = keep(0.5).gradient;
    refused(top_k(KeepShare::Drawn { min: 0.5, max: 0.5 }, soft), "tokenizer.top_k.keep = 0.5 to 0.5");
    let share = KeepShare::Fixed { share: 0.5 };
    refused(
        top_k(share, TopKGradient::StraightThrough { temperature: 0.0 }),
        "tokenizer.top_k.gradient.temperature = 0",
    );
    refused(top_k(share, TopKGradient::Perturbed { samples: 0, sigma: 0.1 }), "tokenizer.top_k.gradient.samples = 0");
    refused(top_k(share, TopKGradient::Product {}), "tokenizer.top_k.gradient.kind = product");
    let loss = without_critics(Recon::L1, f64::NAN);
    refused(TokenizerConfig { loss, ..tiny() }, "tokenizer.loss.frame_diff_weight = NaN");
    let loss = LossConfig { spread_weight: 0.1, ..tiny().loss };
    let quantizer = QuantizerConfig::Residual { stages: 2, of: Box::new(fsq(&[4, 4])) };
    refused(TokenizerConfig { loss, quantizer, ..tiny() }, "tokenizer.loss.spread_weight = 0.1");
    let whole = tiny().check(Patch { t: 16, h: 8, w: 8 }).unwrap_err().to_string();
    assert!(whole.starts_with("clip.patch[0] = 16"), "{whole}");
}

#[test]
fn clips_of_other_sizes_are_refused() {
    let (_vs, tokenizer) = tokenizer();
    let u8s = |size: &[i64]| Tensor::zeros(size, (Kind::Uint8, Device::Cpu));
    let refused = tokenizer.encode_clip(&u8s(&[1, 24, 16, 16, 3]), LongVideo::Windows);
    assert!(matches!(refused, Err(TokenizerError::ClipSize { axis: "frames", size: 24, step: 16 })));
    let refused = tokenizer.reconstruct(&u8s(&[1, 16, 16, 12, 3]), Keep::All, LongVideo::Windows);
    assert!(matches!(refused, Err(TokenizerError::ClipSize { axis: "width", size: 12, step: 8 })));
    let two = tokenizer.loss(&u8s(&[1, 32, 16, 16, 3]), &mut Beside::none(), Place::of_step(1));
    assert!(matches!(two, Err(TokenizerError::Nn(nn::NnError::Shape { .. }))));
    let floats = u8s(&[1, 16, 16, 16, 3]).to_kind(Kind::Float);
    assert!(matches!(
        tokenizer.encode_clip(&floats, LongVideo::Windows),
        Err(TokenizerError::Nn(nn::NnError::Kind { .. }))
    ));
}

#[test]
fn a_reconstruction_has_the_shape_of_its_clip_whatever_is_kept() {
    let (_vs, tokenizer) = tokenizer();
    let clip = noise(2, 2 * WINDOW_FRAMES);
    let all = tokenizer.reconstruct(&clip, Keep::All, LongVideo::Windows).unwrap();
    assert_eq!((all.size(), all.kind()), (clip.size(), Kind::Uint8));
    assert_eq!(
        tokenizer.reconstruct(&clip, Keep::Share { share: 1.0, by: Selection::Adaptive }, LongVideo::Windows).unwrap(),
        all
    );
    let none =
        tokenizer.reconstruct(&clip, Keep::Share { share: 0.0, by: Selection::Adaptive }, LongVideo::Windows).unwrap();
    // Without the later tokens, later frames can only repeat what the first latent frame says.
    assert_ne!(none, all);
    assert_eq!(none.narrow(1, 0, 2), all.narrow(1, 0, 2));
}

#[test]
fn one_clip_is_learned_by_heart_to_35_db() {
    let config = TokenizerConfig { base_channels: 32, quantizer: fsq(&[8; 6]), top_k: keep(1.0), ..tiny() };
    tch::manual_seed(3);
    let vs = VarStore::new(Device::Cpu);
    let tokenizer = Tokenizer::new(&vs.root(), &config.check(PATCH).unwrap()).unwrap();
    let clip = walking_square(WINDOW_FRAMES);
    let mut adam = Adam::default().beta2(0.95).build(&vs, 0.0).unwrap();
    let num_steps = 150;
    for step in 1..=num_steps {
        // Twenty steps up, then down to zero in a straight line.
        adam.set_lr(4e-3 * f64::min(f64::from(step) / 20.0, f64::from(num_steps - step) / f64::from(num_steps - 20)));
        adam.zero_grad();
        total(&tokenizer, &clip).f_backward().unwrap();
        adam.clip_grad_norm(1.0);
        adam.step();
    }
    let drawn = tokenizer.reconstruct(&clip, Keep::All, LongVideo::Windows).unwrap().to_kind(Kind::Float);
    let mse = (drawn - clip.to_kind(Kind::Float)).square().mean(Kind::Float).double_value(&[]);
    let psnr_db = 10.0 * (255.0_f64.powi(2) / mse).log10();
    assert!(psnr_db > 35.0, "{psnr_db:.1} dB");
}
