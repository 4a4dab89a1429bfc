use nn::{DecoderAttention, Recompute, Target};

use super::*;
use crate::model::tests::{Case, Naive, priorities};
use crate::{Order, Predicted};

fn value(losses: &Losses) -> f64 {
    losses.total.double_value(&[])
}

fn term(losses: &Losses, name: &str) -> f64 {
    losses.terms.iter().find(|(n, _)| *n == name).unwrap().1.double_value(&[])
}

/// Mean over `numbers`.
fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

/// Which tokens are predicted and how much each counts, and by which a decoder.
fn check_loss(predicted: Predicted, order: Order, attention: DecoderAttention) {
    let says = format!("{predicted:?}, {order:?}, {attention:?}");
    let case = Case::with(Target::Codes, |cfg| {
        (cfg.predicted, cfg.order, cfg.decoder_attention) = (predicted, order, attention);
    });
    let naive = Naive::of(&case);
    // Squared errors and targets of each token's place in the order: 15 predicted clusters.
    let num = case.plans[0].predicted.len();
    let (mut errors, mut weighted, mut targets) = (vec![Vec::new(); num], Vec::new(), Vec::new());
    for (b, plan) in case.plans.iter().enumerate() {
        let values = naive.predict(&case.clip.narrow(0, b as i64, 1), plan);
        let all: f64 = plan.predicted.iter().map(|token| f64::from(priorities()[*token as usize])).sum();
        for (q, token) in plan.predicted.iter().enumerate() {
            let weight = match predicted {
                Predicted::Weighted {} => f64::from(priorities()[*token as usize]) / all * num as f64,
                _ => 1.0,
            };
            for c in 0..5 {
                let target = case.codes.double_value(&[b as i64, *token, c]);
                let error = (values.double_value(&[0, q as i64, c]) - target).powi(2);
                errors[q].push(error);
                weighted.push(weight * error);
                targets.push(target);
            }
        }
    }
    let got = case.model.loss(&case.clip, &case.plans, &Targets::Codes(case.codes.shallow_clone())).unwrap();
    let mse = mean(&errors.concat());
    let var = mean(&targets.iter().map(|t| (t - mean(&targets)).powi(2)).collect::<Vec<_>>());
    let unbiased = var * targets.len() as f64 / (targets.len() - 1) as f64;
    let size = num / 15;
    for (name, want) in [
        ("mse", mse),
        ("mse_first", mean(&errors[..size].concat())),
        ("mse_last", mean(&errors[num - size..].concat())),
        ("explained", 1.0 - mse / unbiased),
    ] {
        assert!((term(&got, name) - want).abs() < 1e-5, "{says}, {name}: {} against {want}", term(&got, name));
    }
    assert!((value(&got) - mean(&weighted)).abs() < 1e-5, "{says}: {} against {}", value(&got), mean(&weighted));
}

#[test]
fn the_loss_is_the_mean_error_of_a_loop_over_clusters() {
    check_loss(Predicted::All {}, Order::Random, DecoderAttention::Cross);
    check_loss(Predicted::All {}, Order::TemporalFirst, DecoderAttention::SelfAndCross);
    check_loss(Predicted::Weighted {}, Order::Random, DecoderAttention::Cross);
    check_loss(Predicted::Top { share: 0.5 }, Order::Priority, DecoderAttention::SelfAndCross);
    check_loss(Predicted::Random { share: 0.25 }, Order::SpatialFirst, DecoderAttention::Cross);
}

#[test]
fn weights_move_the_gradient_and_not_what_is_logged() {
    let plain = Case::new(Target::Codes, Recompute::None);
    let targets = || Targets::Codes(plain.codes.shallow_clone());
    let weighted: Vec<_> = plain.plans.iter().map(|plan| plan.clone().weighted(&priorities())).collect();
    let grad_of_head = |plans: &[ClusterPlan]| {
        let losses = plain.model.loss(&plain.clip, plans, &targets()).unwrap();
        let head = plain.named().into_iter().find(|(name, _)| name == "head.weight").unwrap().1;
        let grad = Tensor::f_run_backward(&[&losses.total], &[&head], false, false).unwrap().remove(0);
        (term(&losses, "mse"), grad)
    };
    let ((mse, plain_grad), (mse_weighted, grad)) = (grad_of_head(&plain.plans), grad_of_head(&weighted));
    assert_eq!(mse, mse_weighted);
    assert!((plain_grad - grad).abs().max().double_value(&[]) > 1e-4);
    let said = plain.model.loss(&plain.clip, &[plain.plans[0].clone(), weighted[1].clone()], &targets()).unwrap_err();
    assert_eq!(said.to_string(), "weights of predicted tokens has shape [0, 60], expected [60, 60] (-1: any size)");
}

#[test]
fn the_last_clusters_pixels_are_a_target_and_never_an_input() {
    let case = Case::new(Target::Pixels, Recompute::None);
    let changed = case.inverted_from(15);
    let loss = |clip: &Tensor| case.model.loss(clip, &case.plans, &Targets::Pixels).unwrap();
    let (before, after) = (loss(&case.clip), loss(&changed));
    assert_eq!(term(&before, "mse_first"), term(&after, "mse_first"));
    assert!((term(&before, "mse_last") - term(&after, "mse_last")).abs() > 1e-3);
    assert!((value(&before) - value(&after)).abs() > 1e-4);

    let predict = |clip: &Tensor| {
        let checked = &case.model.checked;
        let cubes = Cubes::new(clip, checked.grid(), checked.patch()).unwrap();
        case.model.predictions(&cubes, &case.plans, Mode::Eval).unwrap().values_bqc
    };
    assert!(predict(&case.clip).equal(&predict(&changed)));
}

#[test]
fn the_features_are_the_encoders_tokens_without_a_gradient() {
    let case = Case::new(Target::Pixels, Recompute::None);
    let features = case.model.loss(&case.clip, &case.plans, &Targets::Pixels).unwrap().features.unwrap();
    let checked = &case.model.checked;
    let cubes = Cubes::new(&case.clip, checked.grid(), checked.patch()).unwrap();
    let encoded = case.model.predictions(&cubes, &case.plans, Mode::Eval).unwrap().features_bid;
    assert!(features.equal(&encoded) && encoded.requires_grad() && !features.requires_grad());
}

#[test]
fn a_healthy_step_has_no_finding_although_the_model_keeps_a_mask_of_minus_infinity() {
    for recompute in [Recompute::None, Recompute::EveryBlock] {
        let case = Case::new(Target::Pixels, recompute);
        let step = || case.model.loss(&case.clip, &case.plans, &Targets::Pixels).unwrap().total.f_backward().unwrap();
        let ((), found) = torch_ext::first_non_finite(&case.named(), step).unwrap();
        assert!(found.is_none(), "{found:?}");
    }
}

#[test]
fn an_overflow_is_found_at_its_layer_in_the_forward_pass_of_a_recomputed_block() {
    let case = Case::new(Target::Pixels, Recompute::EveryBlock);
    let named = case.named();
    let weight = |wanted: &str| named.iter().find(|(name, _)| name == wanted).unwrap().1.shallow_clone();
    // Finite weights whose products are not.
    tch::no_grad(|| {
        for name in ["encoder.blocks.1.mlp.fc1.weight", "encoder.blocks.1.mlp.fc2.weight"] {
            drop(weight(name).fill_(3e38));
        }
    });
    let step = || case.model.loss(&case.clip, &case.plans, &Targets::Pixels).unwrap();
    let found = torch_ext::first_non_finite(&named, step).unwrap().1.unwrap();
    let near = found.near.as_deref().unwrap();
    assert!(near.starts_with("encoder.blocks.1.mlp.fc"), "{found}");
    assert_eq!((&found.operator[..], found.pass), ("aten::addmm", torch_ext::Pass::Forward));
}

#[test]
fn targets_of_the_other_kind_are_refused() {
    let case = Case::new(Target::Codes, Recompute::None);
    let said = case.model.loss(&case.clip, &case.plans, &Targets::Pixels).unwrap_err().to_string();
    assert_eq!(said, "the preset's target is codes, but the loss was given pixels");
}

#[test]
fn codes_of_another_width_are_refused() {
    let case = Case::new(Target::Codes, Recompute::None);
    let narrow = Targets::Codes(case.codes.narrow(2, 0, 1));
    let said = case.model.loss(&case.clip, &case.plans, &narrow).unwrap_err().to_string();
    assert_eq!(said, "target has shape [2, 60, 1], expected [2, 60, 5] (-1: any size)");
}
