use serde::Deserialize;
use tch::Device;

use super::*;
use crate::golden::{Arrays, assert_close, peer, rows};

/// One case of `golden/fsq.json`; written by `golden/gen_fsq.py`.
#[derive(Deserialize)]
struct Golden {
    levels: Vec<i64>,
    bound: Bound,
    z: Vec<f32>,
    values: Vec<f32>,
    codes: Vec<i64>,
    grad: Vec<f32>,
}

fn golden() -> Vec<Golden> {
    serde_json::from_str(include_str!("../golden/fsq.json")).unwrap()
}

#[test]
fn a_code_worked_by_hand() {
    // Official bound, levels (4, 3), z = (0.3, -0.9).
    // Channel 0, even: half = 3 * 0.999 / 2 = 1.4985, offset = 0.5, shift = tan(0.5 / 1.4985) = tan(0.333667) = 0.346641;
    //   tanh(0.646641) = 0.569444; * 1.4985 - 0.5 = 0.353312, which rounds to 0: level 0 + 2 = 2 of 0..4.
    // Channel 1, odd: half = 2 * 0.999 / 2 = 0.999, offset = shift = 0;
    //   tanh(-0.9) = -0.716298; * 0.999 = -0.715582, which rounds to -1: level -1 + 1 = 0 of 0..3.
    // Values (0 / 2, -1 / 1) = (0, -1); code = 2 * 1 + 0 * 4 = 2.
    let quantized = Fsq::new(&[4, 3]).unwrap().quantize(&Tensor::from_slice(&[0.3f32, -0.9]).view([1, 2])).unwrap();
    assert_eq!(Vec::<f32>::try_from(quantized.values.view(-1)).unwrap(), [0.0, -1.0]);
    assert_eq!(Vec::<i64>::try_from(quantized.codes).unwrap(), [2]);
}

#[test]
fn values_and_codes_agree_with_the_published_formula() {
    for case in golden() {
        let fsq = Fsq::with_bound(&case.levels, case.bound).unwrap();
        let d = fsq.num_channels();
        let quantized = fsq.quantize(&rows(&case.z, d)).unwrap();
        assert_eq!(Vec::<i64>::try_from(&quantized.codes).unwrap(), case.codes, "{:?} {:?}", case.levels, case.bound);
        assert_close(&quantized.values, &rows(&case.values, d), 1e-7);
    }
}

#[test]
fn the_gradient_is_that_of_the_bound_without_its_rounding() {
    for case in golden() {
        let fsq = Fsq::with_bound(&case.levels, case.bound).unwrap();
        let z = rows(&case.z, fsq.num_channels()).set_requires_grad(true);
        fsq.quantize(&z).unwrap().values.sum(Kind::Float).f_backward().unwrap();
        assert_close(&z.grad(), &rows(&case.grad, fsq.num_channels()), 1e-5);
    }
}

#[test]
fn every_code_is_reached_and_decodes_to_its_own_value() {
    for bound in [Bound::Official, Bound::Exact] {
        for levels in [vec![8, 6, 5], vec![2, 2, 3, 16], vec![1000]] {
            let fsq = Fsq::with_bound(&levels, bound).unwrap();
            let codes = Tensor::arange(fsq.codebook_size(), (Kind::Int64, Device::Cpu));
            let values = fsq.values_from_codes(&codes).unwrap();
            // The inverse of the bound at each level's centre is an input that must come back as that code.
            let inverse: Vec<Tensor> =
                levels.iter().enumerate().map(|(i, &l)| unbound(&values, i as i64, l, bound)).collect();
            let quantized = fsq.quantize(&Tensor::stack(&inverse, -1)).unwrap();
            assert_eq!(quantized.codes, codes, "{levels:?} {bound:?}");
            assert_eq!(quantized.values, values, "{levels:?} {bound:?}");
        }
    }
}

/// A case of `peer.json`, from the peer's FSQ or its residual one.
#[derive(Deserialize)]
struct Peer {
    levels: Vec<i64>,
    #[serde(default)]
    stages: i64,
    #[serde(default)]
    clamped: Vec<i64>,
    #[serde(flatten)]
    arrays: Arrays,
}

#[test]
fn the_exact_bound_is_the_peers() {
    for case in peer::<Peer>("fsq") {
        let fsq = Fsq::with_bound(&case.levels, Bound::Exact).unwrap();
        let z = case.arrays.z(fsq.num_channels());
        let quantized = fsq.quantize(&z).unwrap();
        case.arrays.assert_values_and_loss(&z, &quantized);
        case.arrays.assert_grad(&z, &quantized);
        assert_eq!(Vec::<i64>::try_from(&quantized.codes).unwrap(), case.arrays.codes);
    }
}

#[test]
fn the_symmetric_bound_is_the_peers_residual_fsq_of_one_stage() {
    let case = peer::<Peer>("residual_fsq").into_iter().find(|case| case.stages == 1).unwrap();
    let fsq = Fsq::with_bound(&case.levels, Bound::Symmetric).unwrap();
    let z = case.arrays.z(fsq.num_channels());
    let quantized = fsq.quantize(&z).unwrap();
    case.arrays.assert_values_and_loss(&z, &quantized);
    assert_eq!(Vec::<i64>::try_from(&quantized.codes).unwrap(), case.arrays.codes);
    // The peer's hard clamp cuts the gradient of the outermost half intervals; here it stays that of the soft clamp.
    let cut = Tensor::from_slice(&case.clamped).view_as(&z).to_kind(Kind::Bool);
    let grad = case.arrays.grad(&z, &quantized);
    assert!(bool::try_from(grad.masked_select(&cut).abs().gt(0.0).all()).unwrap());
    assert_close(&grad.masked_fill(&cut, 0.0), &rows(&case.arrays.grad, fsq.num_channels()), 2e-6);
}

#[test]
fn the_symmetric_bound_has_intervals_of_one_width_and_both_ends() {
    for levels in [2, 5, 8] {
        let fsq = Fsq::with_bound(&[levels], Bound::Symmetric).unwrap();
        let c = levels as f64 / (levels - 1) as f64;
        for k in 0..levels {
            // Interval k of L equal ones of (-c, c), a hair inside both edges, through the inverse of the soft clamp.
            for inside in [1e-3, 0.5, 1.0 - 1e-3] {
                let bounded = c * (2.0 * (k as f64 + inside) / levels as f64 - 1.0);
                let z = Tensor::from_slice(&[(c * (bounded / c).atanh()) as f32]).view([1, 1]);
                let quantized = fsq.quantize(&z).unwrap();
                assert_eq!(quantized.codes.int64_value(&[0]), k, "{levels} levels, {bounded}");
                let value = (2.0 * k as f64 / (levels - 1) as f64 - 1.0) as f32;
                assert!((quantized.values.double_value(&[0, 0]) as f32 - value).abs() < 1e-6);
            }
        }
    }
}

/// An input that the bound sends to channel `i` of `values`, `[K, D]`; outermost levels get a large one.
fn unbound(values: &Tensor, i: i64, levels: i64, bound: Bound) -> Tensor {
    let slack = if bound == Bound::Official { 0.999 } else { 1.001 };
    let half = (levels - 1) as f64 * slack / 2.0;
    let offset = if levels % 2 == 0 { 0.5 } else { 0.0 };
    let shift = if bound == Bound::Official { (offset / half).tan() } else { (offset / half).atanh() };
    let centre = values.select(-1, i) * (levels / 2) as f64;
    ((centre + offset) / half).clamp(-1.0, 1.0).atanh().clamp(-20.0, 20.0) - shift
}

#[test]
fn zero_is_the_centre_code_for_odd_and_even_levels() {
    for bound in [Bound::Official, Bound::Exact] {
        let fsq = Fsq::with_bound(&[8, 5, 2, 16], bound).unwrap();
        let quantized = fsq.quantize(&Tensor::zeros([1, 4], (Kind::Float, Device::Cpu))).unwrap();
        assert_eq!(Vec::<f32>::try_from(quantized.values.view(-1)).unwrap(), [0.0; 4], "{bound:?}");
        // Level L / 2 in each channel: 4 + 2 * 8 + 1 * 40 + 8 * 80 = 700.
        assert_eq!(quantized.codes.int64_value(&[0]), 700, "{bound:?}");
    }
}

#[test]
fn half_precision_input_is_quantized_in_f32() {
    let fsq = Fsq::new(&[8, 8, 8]).unwrap();
    let z = (Tensor::arange(300, (Kind::Float, Device::Cpu)).view([100, 3]) / 50.0 - 3.0).to_kind(Kind::BFloat16);
    let quantized = fsq.quantize(&z).unwrap();
    assert_eq!(quantized.values.kind(), Kind::Float);
    assert_eq!(quantized.codes, fsq.quantize(&z.to_kind(Kind::Float)).unwrap().codes);
}

#[test]
fn an_empty_batch_works() {
    let fsq = Fsq::new(&[8, 5]).unwrap();
    let quantized = fsq.quantize(&Tensor::zeros([0, 7, 2], (Kind::Float, Device::Cpu))).unwrap();
    assert_eq!((quantized.values.size(), quantized.codes.size()), (vec![0, 7, 2], vec![0, 7]));
    assert_eq!(fsq.values_from_codes(&quantized.codes).unwrap().size(), [0, 7, 2]);
}

#[test]
fn a_wrong_width_and_foreign_codes_are_refused() {
    let fsq = Fsq::new(&[8, 5]).unwrap();
    let wide = Tensor::zeros([4, 3], (Kind::Float, Device::Cpu));
    assert!(matches!(fsq.quantize(&wide), Err(VqError::Width { want: 2, .. })));
    assert!(matches!(fsq.quantize(&Tensor::from(1.0f32)), Err(VqError::Width { .. })));
    assert!(matches!(fsq.values_from_codes(&wide), Err(VqError::CodeKind { got: Kind::Float })));
    let foreign = Tensor::from_slice(&[3i64, 40]);
    assert!(matches!(fsq.values_from_codes(&foreign), Err(VqError::CodeRange { code: 40, codebook_size: 40 })));
}

#[test]
fn impossible_levels_are_refused() {
    assert!(matches!(Fsq::new(&[]), Err(VqError::NoLevels)));
    assert!(matches!(Fsq::new(&[8, 1]), Err(VqError::Levels { channel: 1, levels: 1, .. })));
    assert!(matches!(Fsq::new(&[1001]), Err(VqError::Levels { channel: 0, .. })));
    assert_eq!(Fsq::new(&[16; 8]).unwrap().codebook_size(), 1 << 32);
    assert!(matches!(Fsq::new(&[16, 16, 16, 16, 16, 16, 16, 17]), Err(VqError::TooManyCodes { .. })));
}
