use tch::{Device, Kind};

use super::*;
use crate::checkpoint;
use crate::checkpoint::tests::generator;

const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);

/// Two layers on fixed numbers: 7 x 5, then 5 x 3.
struct Net {
    fc1: Tensor,
    fc2: Tensor,
}

fn numbers(rows: i64, cols: i64) -> Tensor {
    (Tensor::arange(rows * cols, FLOAT).view([rows, cols]) / 50.0 - 0.3).detach()
}

impl Net {
    fn new() -> Self {
        Net { fc1: numbers(5, 7).set_requires_grad(true), fc2: numbers(3, 5).set_requires_grad(true) }
    }

    fn named(&self) -> Vec<(String, Tensor)> {
        vec![("fc1.weight".into(), self.fc1.shallow_clone()), ("fc2.weight".into(), self.fc2.shallow_clone())]
    }

    /// `between` stands after the first layer.
    fn forward(&self, x: &Tensor, between: impl Fn(&Tensor) -> Tensor) -> Tensor {
        between(&x.linear(&self.fc1, None::<Tensor>)).linear(&self.fc2, None::<Tensor>)
    }
}

fn look<T>(named: &[(String, Tensor)], run: impl FnOnce() -> T) -> Option<NonFinite> {
    first_non_finite(named, run).unwrap().1
}

#[track_caller]
fn expect(found: Option<NonFinite>, said: &str) -> NonFinite {
    let found = found.expect("something is not finite");
    assert_eq!(found.to_string(), said);
    found
}

#[test]
fn an_infinite_weight_is_named_although_it_is_read_transposed() {
    let net = Net::new();
    tch::no_grad(|| drop(net.fc2.get(1).get(2).fill_(f64::INFINITY)));
    let found = look(&net.named(), || net.forward(&numbers(4, 7), Tensor::relu));
    let found = expect(found, "fc2.weight is itself not finite: it holds inf");
    assert_eq!((found.cause, found.near.as_deref()), (Cause::Variable, Some("fc2.weight")));
}

#[test]
fn the_logarithm_of_a_negative_number_is_found_between_two_layers() {
    let net = Net::new();
    let found = look(&net.named(), || net.forward(&numbers(4, 7), Tensor::log));
    let found = expect(found, "first not finite in aten::log, which gives NaN, at fc1.weight");
    assert_eq!((found.cause, found.pass), (Cause::Operator, Pass::Forward));
}

#[test]
fn the_logarithm_of_zero_is_found_although_a_mask_of_minus_infinity_is_not() {
    let found = look(&[], || numbers(2, 2).relu().log() + 1.0);
    expect(found, "first not finite in aten::log, which gives -inf");
}

#[test]
fn a_batch_with_a_nan_is_named_or_called_an_input() {
    let net = Net::new();
    let x = numbers(4, 7);
    drop(x.get(3).get(6).fill_(f64::NAN));
    let run = || net.forward(&x, Tensor::relu);
    let found = expect(
        look(&net.named(), run),
        "a tensor made before the computation holds NaN: an input of aten::linear, at fc1.weight",
    );
    assert_eq!(found.cause, Cause::Input);
    let mut named = net.named();
    named.push(("clip".into(), x.shallow_clone()));
    expect(look(&named, run), "clip is itself not finite: it holds NaN");
}

#[test]
fn the_root_of_zero_is_found_in_its_backward_pass() {
    let net = Net::new();
    let found = look(&net.named(), || {
        // relu makes zeros of the negative values.
        net.forward(&numbers(4, 7), |x| x.relu().sqrt()).sum(Kind::Float).f_backward().unwrap();
    });
    let found = expect(
        found,
        "first not finite in aten::div, which gives -inf, at fc1.weight, in the backward pass (SqrtBackward0)",
    );
    assert_eq!(found.pass, Pass::Backward { node: "SqrtBackward0".into() });
}

#[test]
fn a_backward_pass_inside_a_checkpointed_part_is_seen() {
    let _alone = generator();
    let net = Net::new();
    let x = numbers(4, 7).set_requires_grad(true);
    let found = look(&net.named(), || {
        let (fc1, fc2) = (net.fc1.shallow_clone(), net.fc2.shallow_clone());
        let y = checkpoint(&[&x], move |x| {
            Net { fc1: fc1.shallow_clone(), fc2: fc2.shallow_clone() }.forward(&x[0], |x| x.relu().sqrt())
        });
        y.unwrap().sum(Kind::Float).f_backward().unwrap();
    });
    expect(
        found,
        "first not finite in aten::div, which gives -inf, at fc1.weight, in the backward pass (SqrtBackward0)",
    );
}

#[test]
fn a_recomputed_part_is_told_from_the_first_forward() {
    let _alone = generator();
    let x = numbers(2, 2).set_requires_grad(true);
    let shift = Tensor::from(1.0f32);
    let kept = shift.shallow_clone();
    let y = checkpoint(&[&x], move |x| (&x[0] + &kept).log()).unwrap().sum(Kind::Float);
    // All is well in the forward pass, which nobody watches; then the part changes.
    drop(shift.shallow_clone().fill_(-9.0));
    let found = look(&[("shift".into(), shift)], || y.f_backward().unwrap());
    expect(found, "first not finite in aten::log, which gives NaN, at shift, when recomputed for the backward pass");
}

/// Attention over six tokens of which each sees itself and those before, forward and backward.
fn masked_attention(mask: &Tensor, fused: bool) {
    let qkv = (Tensor::arange(2 * 6 * 4, FLOAT).view([1, 2, 6, 4]) / 20.0).set_requires_grad(true);
    let mixed = if fused {
        Tensor::scaled_dot_product_attention(&qkv, &qkv, &qkv, Some(mask), 0.0, false, None, false)
    } else {
        (qkv.matmul(&qkv.transpose(2, 3)) + mask).softmax(-1, Kind::Float).matmul(&qkv)
    };
    mixed.square().sum(Kind::Float).f_backward().unwrap();
    assert!(qkv.grad().isfinite().all().int64_value(&[]) == 1);
}

fn causal() -> Tensor {
    let hidden = Tensor::ones([6, 6], (Kind::Bool, Device::Cpu)).tril(0).logical_not();
    Tensor::zeros([6, 6], FLOAT).masked_fill(&hidden, f64::NEG_INFINITY)
}

#[test]
fn a_mask_of_minus_infinity_is_no_finding_however_it_was_made() {
    let before = causal();
    let chosen = || {
        let sees = Tensor::ones([6, 6], (Kind::Bool, Device::Cpu)).tril(0);
        Tensor::zeros([6, 6], FLOAT).where_self(&sees, &Tensor::full([6, 6], f64::NEG_INFINITY, FLOAT))
    };
    for fused in [true, false] {
        let made: [&dyn Fn() -> Tensor; 3] = [&|| before.shallow_clone(), &causal, &chosen];
        for made in made {
            let found = look(&[], || masked_attention(&made(), fused));
            assert!(found.is_none(), "{found:?}");
        }
    }
}

#[test]
fn a_row_that_is_masked_throughout_is_found_in_its_softmax() {
    let found = look(&[], || (numbers(2, 3) + f64::NEG_INFINITY).softmax(-1, Kind::Float));
    expect(found, "first not finite in aten::_softmax, which gives NaN");
}

#[test]
fn half_precision_that_overflows_is_found() {
    for (kind, size) in [(Kind::Half, 300.0), (Kind::BFloat16, 1e30)] {
        let w = Tensor::full([8, 8], size, (kind, Device::Cpu));
        let found = look(&[("w".into(), w.shallow_clone())], || w.matmul(&w));
        expect(found, "first not finite in aten::mm, which gives inf, at w");
    }
    let found = look(&[], || (numbers(2, 2) * 1e6).to_kind(Kind::Half));
    expect(found, "first not finite in aten::copy_, which gives -inf");
}

#[test]
fn a_healthy_training_step_has_no_finding_and_its_own_result() {
    let net = Net::new();
    let (loss, found) = first_non_finite(&net.named(), || {
        let loss = net.forward(&numbers(4, 7), |x| x.gelu("none")).square().mean(Kind::Float);
        loss.f_backward().unwrap();
        loss
    })
    .unwrap();
    assert!(found.is_none(), "{found:?}");
    assert!(loss.double_value(&[]) > 0.0 && net.fc1.grad().defined());
}

#[test]
fn the_watch_ends_with_a_panic() {
    let caught = std::panic::catch_unwind(|| first_non_finite(&[], || panic!("a bug")).map(|((), _)| ()));
    assert!(caught.is_err());
    // What comes later is judged by a watch of its own, and no other is left over it.
    let later = look(&[], || numbers(2, 2) + 1.0);
    assert!(later.is_none());
}
