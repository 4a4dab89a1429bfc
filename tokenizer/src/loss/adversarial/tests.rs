use std::collections::BTreeMap;

use tch::Device;
use tch::nn::VarStore;

use super::*;
use crate::tests::{PATCH, tiny};
use crate::{AdversarialConfig, Beside, Critics, Downsample, LossConfig, Place, Tokenizer, TokenizerConfig};

const SIZE_PX: i64 = 16;

/// A discriminator of few channels.
pub(crate) fn gan() -> GanConfig {
    GanConfig {
        loss: GanLoss::NonSaturating,
        weight: 0.4,
        adaptive: AdaptiveConfig::None {},
        start_step: 1,
        penalty: PenaltyConfig::None {},
        base_channels: 4,
        channel_mult: vec![2, 2],
        downsample: Downsample::Average,
        learning_rate_scale: 1.0,
        clip_grad_norm: 0.0,
    }
}

/// A tokenizer and its critics with the same weights for every config.
fn made(gan: &GanConfig) -> (VarStore, Tokenizer, Beside) {
    let loss = LossConfig { adversarial: AdversarialConfig::Gan(gan.clone()), ..tiny().loss };
    let checked = TokenizerConfig { loss: loss.clone(), ..tiny() }.check(PATCH).unwrap();
    let vs = VarStore::new(Device::Cpu);
    let tokenizer = Tokenizer::new(&vs.root(), &checked).unwrap();
    let critics = Critics::new(&vs.root(), &loss, SIZE_PX, &BTreeMap::new()).unwrap();
    // Not drawn: tests run side by side and share libtorch's generator.
    for (i, (_, mut weight)) in BTreeMap::from_iter(vs.variables()).into_iter().enumerate() {
        let (size, count) = (weight.size(), weight.numel() as i64);
        if size.len() == 5 {
            let wave = (Tensor::arange(count, (Kind::Float, Device::Cpu)) * 0.7 + i as f64).sin();
            let fan_in = (count / size[0]) as f64;
            tch::no_grad(|| weight.copy_(&(wave.view(&size[..]) * (2.0 / fan_in).sqrt())));
        }
    }
    (vs, tokenizer, Beside { critics, watch: None })
}

/// `[B, 16, 16, 16, 3]` u8, the same for the same number of clips.
fn clips(num_clips: i64) -> Tensor {
    let size = [num_clips, 16, SIZE_PX, SIZE_PX, 3];
    let count: i64 = size.iter().product();
    (Tensor::arange(count, (Kind::Int64, Device::Cpu)) * 7919).remainder(251).view(size).to_kind(Kind::Uint8)
}

/// Gradients by name, of one side or of both.
fn grads(vs: &VarStore, of_discriminator: bool) -> BTreeMap<String, Tensor> {
    let all: BTreeMap<String, Tensor> = vs.variables().into_iter().collect();
    let side = all.into_iter().filter(|(name, _)| name.starts_with(Critics::PREFIX) == of_discriminator);
    side.filter(|(_, variable)| variable.requires_grad()).map(|(name, variable)| (name, variable.grad())).collect()
}

/// Gradients of the whole loss in one backward pass: the tokenizer's, the discriminator's.
fn grads_of_both(gan: &GanConfig) -> [BTreeMap<String, Tensor>; 2] {
    let (vs, tokenizer, mut beside) = made(gan);
    tokenizer.loss(&clips(2), &mut beside, Place::of_step(1)).unwrap().total.f_backward().unwrap();
    [grads(&vs, false), grads(&vs, true)]
}

#[track_caller]
fn assert_near(got: &BTreeMap<String, Tensor>, want: &BTreeMap<String, Tensor>) {
    assert!(got.keys().eq(want.keys()) && !got.is_empty());
    for (name, want) in want {
        let apart = (&got[name] - want).abs().max().double_value(&[]);
        let largest = want.abs().max().double_value(&[]);
        assert!(apart <= 1e-4 * largest.max(1e-3), "{name}: {apart} apart, the largest is {largest}");
    }
    assert!(want.values().any(|grad| grad.abs().max().double_value(&[]) > 1e-4));
}

#[test]
fn neither_side_receives_the_others_gradient() {
    let [of_tokenizer, of_discriminator] = grads_of_both(&gan());

    // The tokenizer's own loss, backward to its own weights alone.
    let (vs, tokenizer, mut beside) = made(&gan());
    let frames = crate::model::normalized(&clips(2)).unwrap();
    let forward = tokenizer.forward(&clips(2)).unwrap();
    let adversary = beside.critics.adversary.as_mut().unwrap();
    let logits = |clip: &Tensor| adversary.discriminator.logits(clip).unwrap();
    let softplus = |x: Tensor| (x.exp() + 1.0).log().mean(Kind::Float);
    let recon = (&forward.output - &frames).square().mean(Kind::Float);
    let g_total = recon + softplus(-logits(&forward.output)) * 0.4;
    let own = grads(&vs, false);
    let variables: BTreeMap<String, Tensor> = vs.variables().into_iter().collect();
    let inputs: Vec<&Tensor> = own.keys().map(|name| &variables[name]).collect();
    let alone = Tensor::f_run_backward(&[g_total], &inputs, true, false).unwrap();
    assert_near(&of_tokenizer, &own.keys().cloned().zip(alone).collect());

    // And the discriminator's.
    let d_total = softplus(-logits(&frames)) + softplus(logits(&forward.output.detach()));
    d_total.f_backward().unwrap();
    assert_near(&of_discriminator, &grads(&vs, true));
    assert!(grads(&vs, false).values().all(|grad| !grad.defined()));
}

#[test]
fn what_weighs_on_one_side_alone_leaves_the_other_ones_gradient_as_it_is_bit_for_bit() {
    let [tokenizers, discriminators] = grads_of_both(&gan());
    let heavier = grads_of_both(&GanConfig { weight: 40.0, ..gan() });
    assert_ne!(heavier[0], tokenizers);
    assert_eq!(heavier[1], discriminators);
    for penalty in [PenaltyConfig::R1 { weight: 10.0, every: 1 }, PenaltyConfig::Lecam { weight: 10.0, decay: 0.9 }] {
        let penalized = grads_of_both(&GanConfig { penalty, ..gan() });
        assert_eq!(penalized[0], tokenizers, "{penalty:?}");
        assert_ne!(penalized[1], discriminators, "{penalty:?}");
    }
}

#[test]
fn before_its_first_step_the_discriminator_neither_acts_nor_learns() {
    let late = GanConfig { start_step: 5, ..gan() };
    let (vs, tokenizer, mut beside) = made(&late);
    let losses = tokenizer.loss(&clips(2), &mut beside, Place::of_step(4)).unwrap();
    losses.total.f_backward().unwrap();
    assert!(losses.terms.iter().all(|(name, _)| *name != "d_loss"));
    assert!(grads(&vs, true).values().all(|grad| !grad.defined()));
    let plain = tokenizer.loss(&clips(2), &mut Beside::none(), Place::of_step(4)).unwrap().total;
    assert_eq!(losses.total, plain);
    let from_then_on = tokenizer.loss(&clips(2), &mut beside, Place::of_step(5)).unwrap();
    assert!(from_then_on.terms.iter().any(|(name, _)| *name == "d_loss"));
}

#[test]
fn both_losses_of_four_logits_worked_by_hand() {
    let (real, fake) = (Tensor::from_slice(&[2.0f32, 0.0]), Tensor::from_slice(&[-3.0f32, 0.5]));
    let value = |loss: Result<Tensor, TchError>| loss.unwrap().double_value(&[]);
    // (relu(-1) + relu(1)) / 2 + (relu(-2) + relu(1.5)) / 2, and -(-3 + 0.5) / 2.
    assert_eq!(value(GanLoss::Hinge.of_discriminator(&real, &fake)), 1.25);
    assert_eq!(value(GanLoss::Hinge.of_tokenizer(&fake)), 1.25);
    // softplus(x) = ln(1 + e^x).
    let softplus = |x: f64| (1.0 + x.exp()).ln();
    let want = (softplus(-2.0) + softplus(0.0) + softplus(-3.0) + softplus(0.5)) / 2.0;
    assert!((value(GanLoss::NonSaturating.of_discriminator(&real, &fake)) - want).abs() < 1e-6);
    let want = (softplus(3.0) + softplus(-0.5)) / 2.0;
    assert!((value(GanLoss::NonSaturating.of_tokenizer(&fake)) - want).abs() < 1e-6);
}

#[test]
fn r1_of_a_linear_discriminator_is_the_squared_length_of_its_weights() {
    // D(x) = w x: dD/dx = w for every clip, so the penalty is |w|^2 and its gradient 2 w.
    let w = Tensor::from_slice(&[1.0f32, -2.0, 0.5]).set_requires_grad(true);
    let clips = Tensor::rand([4, 3], (Kind::Float, Device::Cpu));
    let penalty = gradient_penalty(&clips, |x| x.f_matmul(&w)).unwrap();
    assert!((penalty.double_value(&[]) - 5.25).abs() < 1e-6);
    penalty.f_backward().unwrap();
    assert!((w.grad() - &w * 2.0).abs().max().double_value(&[]) < 1e-6);
}

#[test]
fn the_gradient_of_r1_through_every_layer_is_that_of_finite_differences() {
    for downsample in [Downsample::Average, Downsample::Blur] {
        let (vs, _, beside) = made(&GanConfig { downsample, ..gan() });
        let discriminator = &beside.critics.adversary.as_ref().unwrap().discriminator;
        let frames = crate::model::normalized(&clips(2)).unwrap();
        let penalty = |frames: &Tensor| gradient_penalty(frames, |x| discriminator.logits(x)).unwrap();
        penalty(&frames).f_backward().unwrap();
        // Differences need more digits than f32 has; with f64, libtorch convolves by other kernels as well.
        let exact = grads(&vs, true);
        let mut vs = vs;
        vs.double();
        let frames = frames.to_kind(Kind::Double);
        for (name, variable) in BTreeMap::from_iter(vs.variables()) {
            if !name.ends_with(".weight") || !name.starts_with(Critics::PREFIX) {
                continue;
            }
            let at = |by: f64| {
                let flat = variable.detach().view(-1);
                drop(flat.get(0).f_add_scalar_(by).unwrap());
            };
            let step = 1e-7;
            at(step);
            let above = penalty(&frames).double_value(&[]);
            at(-2.0 * step);
            let below = penalty(&frames).double_value(&[]);
            at(step);
            let want = (above - below) / (2.0 * step);
            let got = exact[&name].view(-1).double_value(&[0]);
            assert!((got - want).abs() < 1e-3 * want.abs().max(1e-3), "{name}: {got} instead of {want}");
        }
    }
}

#[test]
fn lecam_worked_by_hand() {
    let scalar = |value: f32| Tensor::from(value);
    let state = State { adaptive_weight: scalar(0.0), mean_real: scalar(1.0), mean_fake: scalar(-0.5) };
    // relu(2.5, 0)^2 = (6.25, 0) and relu(1 + 1, 1 - 3)^2 = (4, 0), each with its mean over two clips.
    let (real, fake) = (Tensor::from_slice(&[2.0f32, -1.0]), Tensor::from_slice(&[-1.0f32, 3.0]));
    assert_eq!(state.distance(&real, &fake).unwrap().double_value(&[]), 6.25 / 2.0 + 2.0);
}

#[test]
fn the_state_moves_by_sums_over_all_clips_of_a_step() {
    let penalty = PenaltyConfig::Lecam { weight: 0.1, decay: 0.75 };
    let config = GanConfig { penalty, adaptive: AdaptiveConfig::LastLayer { max: 4.0 }, ..gan() };
    let (_vs, _, mut beside) = made(&config);
    let adversary = beside.critics.adversary.as_mut().unwrap();
    // Two clips: mean logits 1.5 and -1, mean gradients (3, 4) and (0, 2), of lengths 5 and 2.
    let floats = |values: &[f32]| Tensor::from_slice(values);
    let counts = || Tensor::from_slice(&[2.0f64, 3.0, -2.0]);
    adversary.collected = vec![counts(), floats(&[6.0, 8.0]), floats(&[0.0, 4.0])];
    adversary.after_step(&Group::alone()).unwrap();
    let read = |adversary: &Adversary| {
        let State { adaptive_weight, mean_real, mean_fake } = &adversary.state;
        [adaptive_weight, mean_real, mean_fake].map(|scalar| scalar.double_value(&[]))
    };
    let [weight, real, fake] = read(adversary);
    assert!((weight - 5.0 / 2.0001).abs() < 1e-5, "{weight}");
    assert_eq!([real, fake], [0.375, -0.25]);
    // Where the adversarial term has no gradient the weight stays at its bound.
    adversary.collected = vec![counts(), floats(&[6.0, 8.0]), floats(&[0.0, 0.0])];
    adversary.after_step(&Group::alone()).unwrap();
    assert_eq!(read(adversary), [4.0, 0.375 * 0.75 + 0.375, -0.25 * 0.75 - 0.25]);
    // A step in which the discriminator took no part, or that was not taken, moves nothing.
    adversary.collected = vec![counts(), floats(&[1.0, 1.0]), floats(&[1.0, 1.0])];
    beside.critics.drop_collected();
    beside.critics.after_step(&Group::alone()).unwrap();
    assert_eq!(read(beside.critics.adversary.as_ref().unwrap())[0], 4.0);
}

#[test]
fn gradients_and_state_do_not_depend_on_how_a_step_is_split() {
    let penalty = PenaltyConfig::Lecam { weight: 0.1, decay: 0.75 };
    let config = GanConfig { penalty, adaptive: AdaptiveConfig::LastLayer { max: 1e4 }, ..gan() };
    let step = |parts: i64| {
        let (vs, tokenizer, mut beside) = made(&config);
        for step in 1..=2 {
            for part in clips(4).chunk(parts, 0) {
                let total = tokenizer.loss(&part, &mut beside, Place::of_step(step)).unwrap().total;
                (total / parts as f64).f_backward().unwrap();
            }
            beside.critics.after_step(&Group::alone()).unwrap();
        }
        let state = vs.variables().into_iter().filter(|(name, _)| {
            ["adaptive_weight", "mean_real", "mean_fake"].iter().any(|state| name.ends_with(state))
        });
        let all = grads(&vs, false).into_iter().chain(grads(&vs, true)).chain(state);
        all.collect::<BTreeMap<String, Tensor>>()
    };
    let (whole, parts) = (step(1), step(2));
    assert!(whole["discriminator.adaptive_weight"].double_value(&[]) > 0.0);
    assert!(whole["discriminator.mean_real"].double_value(&[]) != 0.0);
    for (name, whole) in &whole {
        let apart = (&parts[name] - whole).abs().max().double_value(&[]);
        let largest = whole.abs().max().double_value(&[]);
        assert!(apart <= 1e-4 * largest.max(1e-3), "{name}: {apart} apart, the largest is {largest}");
    }
}
