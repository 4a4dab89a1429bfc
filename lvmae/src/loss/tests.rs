use nn::{FinalNorm, PixelNorm, Position, Recompute, StackConfig, Target, VitConfig};
use spec::{Grid, Patch};
use tch::{Device, Kind, nn::VarStore};
use torch_ext::{Precision, autocast, first_non_finite};

use super::*;
use crate::{CheckedLvmae, Choice, Cues, DecoderMask, EncoderMask, LvmaeConfig, Pool, Salient};

const GRID: Grid = Grid { t: 4, h: 4, w: 4 };
const PATCH: Patch = Patch { t: 2, h: 4, w: 4 };

fn checked(decoder_mask: DecoderMask, target: Target) -> CheckedLvmae {
    let encoder = VitConfig {
        width: 24,
        depth: 2,
        heads: 3,
        position: Position::Separable,
        recompute: Recompute::None,
        drop_path: 0.0,
        final_norm: FinalNorm::Tokens,
    };
    LvmaeConfig {
        encoder,
        decoder: StackConfig { width: 18, depth: 2, heads: 3 },
        encoder_mask: EncoderMask::Tube { hidden_share: 0.75 },
        decoder_mask,
        target,
    }
    .check(GRID, PATCH)
    .unwrap()
}

struct Case {
    model: Lvmae,
    clip: Tensor,
    codes: Tensor,
    masks: Vec<ClipMask>,
    vs: VarStore,
}

/// Two clips of noise, codes of width 5, an adaptive budget of 16 + 6 of 64 tokens.
fn case(target: Target) -> Case {
    let (choice, pool) = (Choice::Top, Pool::Hidden);
    let adaptive = DecoderMask::Adaptive(Salient { salient_share: 0.25, random_share: 0.1, choice, pool });
    let checked = checked(adaptive, target);
    tch::manual_seed(4);
    let vs = VarStore::new(Device::Cpu);
    let width = if target == Target::Codes { 5 } else { PATCH.num_pixels() * 3 };
    let model = Lvmae::new(vs.root(), &checked, width).unwrap();
    let clip = Tensor::randint(256, [2, 8, 16, 16, 3], (Kind::Int64, Device::Cpu)).to_kind(Kind::Uint8);
    let codes = Tensor::rand([2, 64, 5], (Kind::Float, Device::Cpu)) * 2 - 1;
    let priorities: Vec<f32> = (0..64).map(|i| ((i * 29) % 64) as f32).collect();
    let cues = Cues { priorities_n: Some(&priorities), ..Cues::default() };
    let masks = (0..2).map(|item| checked.mask(&cues, (1, 0, item)).unwrap()).collect();
    Case { model, clip, codes, masks, vs }
}

/// Overwrites the pixels of the tokens for which `pick` holds, in both clips.
fn with_changed_tokens(clip: &Tensor, pick: impl Fn(usize, i64) -> bool) -> Tensor {
    let changed = clip.copy();
    for clip_index in 0..2 {
        for token in (0..64).filter(|token| pick(clip_index, *token)) {
            let (t, h, w) = GRID.place(token);
            let cube = changed.get(clip_index as i64).narrow(0, t * 2, 2).narrow(1, h * 4, 4).narrow(2, w * 4, 4);
            cube.shallow_clone().copy_(&(255 - &cube));
        }
    }
    assert!(!changed.equal(clip));
    changed
}

fn value(losses: &Losses) -> f64 {
    losses.total.double_value(&[])
}

#[test]
fn a_hidden_pixel_reaches_no_prediction() {
    let Case { model, clip, masks, .. } = case(Target::Codes);
    let predict = |clip: &Tensor| {
        let cubes = Cubes::new(clip, GRID, PATCH).unwrap();
        let (visible, decoded) = model.indices(&cubes, &masks).unwrap();
        model.forward(&cubes, &visible, &decoded, Mode::Eval).unwrap().values_bqc
    };
    let hidden = with_changed_tokens(&clip, |b, token| !masks[b].visible.contains(&token));
    assert!(predict(&clip).equal(&predict(&hidden)), "bit for bit");
    let seen = with_changed_tokens(&clip, |b, token| token == masks[b].visible[3]);
    assert!(!predict(&clip).equal(&predict(&seen)));
}

#[test]
fn only_decoded_tokens_are_compared() {
    let Case { model, clip, codes, masks, .. } = case(Target::Codes);
    let loss = |codes: &Tensor| value(&model.loss(&clip, &masks, &Targets::Codes(codes.shallow_clone())).unwrap());
    let base = loss(&codes);
    for (b, mask) in masks.iter().enumerate() {
        for token in 0..64 {
            let changed = codes.copy();
            drop(changed.get(b as i64).get(token).fill_(3.0));
            assert_eq!(loss(&changed) != base, mask.decoded.contains(&token), "clip {b}, token {token}");
        }
    }
}

#[test]
fn the_loss_is_the_mean_over_decoded_tokens() {
    for target in [Target::Codes, Target::Pixels] {
        let Case { model, clip, codes, masks, .. } = case(target);
        let cubes = Cubes::new(&clip, GRID, PATCH).unwrap();
        let (visible, decoded) = model.indices(&cubes, &masks).unwrap();
        let predicted = model.forward(&cubes, &visible, &decoded, Mode::Eval).unwrap().values_bqc;
        let all = Tensor::arange(64, (Kind::Int64, Device::Cpu)).expand([2, -1], false);
        let targets =
            if target == Target::Codes { codes.copy() } else { cubes.targets(&all, PixelNorm::Colours).unwrap() };
        let (mut sum, mut n) = (0.0, 0.0);
        for (b, mask) in masks.iter().enumerate() {
            for (q, token) in mask.decoded.iter().enumerate() {
                for c in 0..targets.size()[2] {
                    let at = |t: &Tensor, i: i64| t.double_value(&[b as i64, i, c]);
                    sum += (at(&predicted, q as i64) - at(&targets, *token)).powi(2);
                    n += 1.0;
                }
            }
        }
        let given = if target == Target::Codes { Targets::Codes(codes) } else { Targets::Pixels };
        let got = value(&model.loss(&clip, &masks, &given).unwrap());
        assert!((got - sum / n).abs() < 1e-5 * got, "{got} against {}", sum / n);
    }
}

#[test]
fn the_features_are_the_encoders_tokens_at_the_visible_places_without_a_gradient() {
    let Case { model, clip, codes, masks, .. } = case(Target::Codes);
    let features = model.loss(&clip, &masks, &Targets::Codes(codes.shallow_clone())).unwrap().features.unwrap();
    let cubes = Cubes::new(&clip, GRID, PATCH).unwrap();
    let (visible, _) = model.indices(&cubes, &masks).unwrap();
    let encoded = model.encoder().encode(&cubes, &visible, None, Mode::Eval).unwrap();
    assert!(features.equal(&encoded) && encoded.requires_grad() && !features.requires_grad());
}

#[test]
fn a_step_in_bf16_has_finite_f32_gradients_and_nearly_the_loss_of_f32() {
    let Case { model, clip, codes, masks, vs } = case(Target::Codes);
    let named: Vec<(String, Tensor)> = vs.variables().into_iter().collect();
    let step = |precision| {
        let run = || {
            let loss = || model.loss(&clip, &masks, &Targets::Codes(codes.shallow_clone())).unwrap().total;
            let loss = autocast(Device::Cpu, precision, loss).unwrap();
            loss.f_backward().unwrap();
            loss
        };
        let (loss, found) = first_non_finite(&named, run).unwrap();
        assert!(found.is_none(), "{found:?}");
        assert_eq!(loss.kind(), Kind::Float);
        loss.double_value(&[])
    };
    let (exact, rounded) = (step(Precision::F32), step(Precision::Bf16));
    assert!(exact != rounded && (exact - rounded).abs() < 0.01 * exact, "{rounded} instead of {exact}");
    assert!(named.iter().all(|(_, variable)| variable.grad().kind() == Kind::Float));
}

#[test]
fn the_order_of_the_queries_does_not_matter() {
    let Case { model, clip, masks, .. } = case(Target::Codes);
    let cubes = Cubes::new(&clip, GRID, PATCH).unwrap();
    let (visible, decoded) = model.indices(&cubes, &masks).unwrap();
    let straight = model.forward(&cubes, &visible, &decoded, Mode::Eval).unwrap().values_bqc;
    let turned = model.forward(&cubes, &visible, &decoded.flip([1]), Mode::Eval).unwrap().values_bqc.flip([1]);
    let worst = (straight - turned).abs().max().double_value(&[]);
    assert!(worst < 1e-5, "{worst:e}");
}

#[test]
fn targets_of_the_other_kind_are_refused() {
    let Case { model, clip, masks, .. } = case(Target::Codes);
    let said = model.loss(&clip, &masks, &Targets::Pixels).unwrap_err().to_string();
    assert_eq!(said, "the preset's target is codes, but the loss was given pixels");
}

#[test]
fn masks_of_uneven_count_are_refused() {
    let Case { model, clip, codes, mut masks, .. } = case(Target::Codes);
    masks[1].decoded.pop();
    assert!(matches!(
        model.loss(&clip, &masks, &Targets::Codes(codes.shallow_clone())),
        Err(LvmaeError::Nn(NnError::Shape { .. }))
    ));
}

#[test]
fn asked_tokens_that_are_visible_count_for_nothing_and_each_decoded_one_as_much() {
    let Case { model, clip, codes, mut masks, .. } = case(Target::Codes);
    // The second clip is asked at three of its visible tokens instead of as many hidden ones.
    let visible = masks[1].visible.clone();
    let num_left = masks[1].decoded.len() - 3;
    masks[1].decoded.truncate(num_left);
    masks[1].unscored = visible[..3].to_vec();
    let cubes = Cubes::new(&clip, GRID, PATCH).unwrap();
    let (visible, asked) = model.indices(&cubes, &masks).unwrap();
    let predicted = model.forward(&cubes, &visible, &asked, Mode::Eval).unwrap().values_bqc;
    let (mut sum, mut n) = (0.0, 0.0);
    for (b, mask) in masks.iter().enumerate() {
        for (q, token) in mask.decoded.iter().enumerate() {
            for c in 0..5 {
                let (got, want) =
                    (predicted.double_value(&[b as i64, q as i64, c]), codes.double_value(&[b as i64, *token, c]));
                sum += (got - want).powi(2);
                n += 1.0;
            }
        }
    }
    let loss = |codes: &Tensor| value(&model.loss(&clip, &masks, &Targets::Codes(codes.shallow_clone())).unwrap());
    assert!((loss(&codes) - sum / n).abs() < 1e-5 * sum / n);
    let changed = codes.copy();
    drop(changed.get(1).get(masks[1].unscored[0]).fill_(3.0));
    assert_eq!(loss(&changed), loss(&codes));
}
