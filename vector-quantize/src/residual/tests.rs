use serde::Deserialize;
use tch::Device;
use tch::nn::VarStore;

use super::*;
use crate::golden::{Arrays, assert_close, draws, peer, rows, term};
use crate::{Bound, Gradient, LfqConfig, VqConfig};

fn vq_config(codes: i64) -> QuantizerConfig {
    QuantizerConfig::Vq(VqConfig {
        codes,
        width: 4,
        decay: 0.8,
        commitment_weight: 0.25,
        dead_below: 0.0,
        gradient: Gradient::StraightThrough,
        kmeans_iterations: 10,
    })
}

fn symmetric(levels: &[i64]) -> QuantizerConfig {
    QuantizerConfig::Fsq { levels: levels.to_vec(), bound: Bound::Symmetric }
}

fn residual(stages: i64, of: &QuantizerConfig) -> Residual {
    Residual::new(&VarStore::new(Device::Cpu).root(), stages, of).unwrap()
}

/// Codes of all stages, side by side, as one number each, the first stage's the lowest digit.
fn in_one(codes: &[i64], stages: usize, codebook_size: i64) -> Vec<i64> {
    codes.chunks(stages).map(|row| row.iter().rev().fold(0, |sum, code| sum * codebook_size + code)).collect()
}

#[test]
fn learned_codebooks_quantize_as_the_peers() {
    #[derive(Deserialize)]
    struct Peer {
        tables: Vec<f32>,
        #[serde(flatten)]
        arrays: Arrays,
    }
    for case in peer::<Peer>("residual_vq") {
        let checked = QuantizerConfig::Residual { stages: 3, of: Box::new(vq_config(8)) }.check().unwrap();
        let tables = Tensor::from_slice(&case.tables).view([3, 8, 4]);
        let quantizer = Quantizer::frozen(&checked, &tables).unwrap();
        let z = case.arrays.z(4);
        let quantized = quantizer.quantize(&z).unwrap();
        case.arrays.assert_values_and_loss(&z, &quantized);
        assert_eq!(Vec::<i64>::try_from(&quantized.codes).unwrap(), in_one(&case.arrays.codes, 3, 8));
        // The peer passes the straight-through gradient once per stage.
        let grad = case.arrays.grad(&z, &quantized);
        assert_close(&grad, &rows(&case.arrays.weights, 4), 0.0);
        assert_close(&(grad * 3.0), &rows(&case.arrays.grad, 4), 2e-6);
    }
}

#[test]
fn fsq_quantizes_as_the_peer() {
    #[derive(Deserialize)]
    struct Peer {
        levels: Vec<i64>,
        stages: i64,
        clamped: Vec<i64>,
        #[serde(flatten)]
        arrays: Arrays,
    }
    for case in peer::<Peer>("residual_fsq").into_iter().filter(|case| case.stages > 1) {
        let quantizer = residual(case.stages, &symmetric(&case.levels));
        let z = case.arrays.z(quantizer.num_channels());
        let quantized = quantizer.quantize(&z).unwrap();
        case.arrays.assert_values_and_loss(&z, &quantized);
        let codes = in_one(&case.arrays.codes, case.stages as usize, quantizer.stage_codes()[0]);
        assert_eq!(Vec::<i64>::try_from(&quantized.codes).unwrap(), codes);
        // The peer passes the soft clamp's gradient once per stage, but for stages that its hard clamp cuts.
        let cut = Tensor::from_slice(&case.clamped).view_as(&z).to_kind(Kind::Bool);
        let grad = case.arrays.grad(&z, &quantized) * case.stages;
        let want = rows(&case.arrays.grad, quantizer.num_channels());
        assert_close(&grad.masked_fill(&cut, 0.0), &want.masked_fill(&cut, 0.0), 2e-6);
    }
}

#[test]
fn lfq_quantizes_as_the_peer() {
    #[derive(Deserialize)]
    struct Peer {
        bits: i64,
        stages: i64,
        z: Vec<f32>,
        values: Vec<f32>,
        codes: Vec<i64>,
    }
    for case in peer::<Peer>("residual_lfq") {
        let quantizer = residual(case.stages, &lfq_config(case.bits));
        let quantized = quantizer.quantize(&rows(&case.z, case.bits)).unwrap();
        assert_close(&quantized.values, &rows(&case.values, case.bits), 1e-6);
        // The peer's channel 0 is the highest bit of each stage.
        let reversed = |code: &i64| (0..case.bits).fold(0, |sum, i| sum | (code >> i & 1) << (case.bits - 1 - i));
        let codes: Vec<i64> = case.codes.iter().map(reversed).collect();
        let codes = in_one(&codes, case.stages as usize, 1 << case.bits);
        assert_eq!(Vec::<i64>::try_from(&quantized.codes).unwrap(), codes);
    }
}

fn lfq_config(bits: i64) -> QuantizerConfig {
    QuantizerConfig::Lfq(LfqConfig {
        bits,
        entropy_weight: 0.1,
        diversity: 1.0,
        inv_temperature: 100.0,
        group_bits: 1,
        commitment_weight: 0.25,
    })
}

#[test]
fn stages_of_fsq_cut_each_channel_into_equal_intervals() {
    // 3 stages of 5 levels: 125 intervals of the soft clamp's range (-c, c), c = 5/4, each with its middle as value.
    let quantizer = residual(3, &symmetric(&[5]));
    for k in 0..125 {
        let middle = 1.25 * (2.0 * (k as f64 + 0.5) / 125.0 - 1.0);
        let z = Tensor::from_slice(&[(1.25 * (middle / 1.25).atanh()) as f32]).view([1, 1]);
        let quantized = quantizer.quantize(&z).unwrap();
        assert!((quantized.values.double_value(&[0, 0]) - middle).abs() < 1e-5, "interval {k}");
        // The coarsest stage is the lowest digit.
        assert_eq!(quantized.codes.int64_value(&[0]), k / 25 + 5 * (k / 5 % 5) + 25 * (k % 5));
    }
}

#[test]
fn more_stages_of_a_learned_codebook_leave_less() {
    let z = draws(1, 600, 4);
    let error = |stages| {
        let quantizer = Quantizer::Residual(residual(stages, &vq_config(16)));
        assert!(!quantizer.is_started().unwrap());
        quantizer.start(&z).unwrap();
        assert!(quantizer.is_started().unwrap());
        (quantizer.quantize(&z).unwrap().values - &z).square().mean(Kind::Float).double_value(&[])
    };
    let (two, four) = (error(2), error(4));
    // Each stage of 16 codes in 4 dimensions is one bit per channel: it leaves well under half of the variance.
    assert!(two < 0.5 * 0.5 && four < 0.5 * two, "{two}, {four}");
}

#[test]
fn statistics_of_a_stage_are_of_what_the_ones_before_it_left() {
    let z = draws(2, 50, 4);
    let quantizer = residual(2, &vq_config(8));
    quantizer.start_over_ranks(&z, Share::WHOLE, |_| Ok::<(), VqError>(())).unwrap();
    let quantized = quantizer.quantize(&z).unwrap();
    let statistics = quantizer.statistics(&z, &quantized.codes, Share::WHOLE).unwrap().unwrap();
    let tables: Vec<Tensor> = quantizer.codebooks().into_iter().map(Vq::codebook).collect();
    let (mut counts, sums) = (vec![0.0; 8], Tensor::zeros([8, 4], (Kind::Float, Device::Cpu)));
    for n in 0..50 {
        let code = quantized.codes.int64_value(&[n]);
        counts[(code / 8) as usize] += 1.0f32;
        let left = z.get(n) - tables[0].get(code % 8);
        _ = sums.get(code / 8).g_add_(&left);
    }
    assert_eq!(Vec::<f32>::try_from(statistics.counts()[1]).unwrap(), counts);
    assert_close(statistics.tensors().nth(5).unwrap(), &sums, 1e-5);

    let before = tables[1].copy();
    quantizer.update(&statistics).unwrap();
    assert_ne!(quantizer.codebooks()[1].codebook(), before);
    let other = residual(3, &vq_config(8));
    assert!(matches!(other.update(&statistics), Err(VqError::OtherStatistics { .. })));
}

#[test]
fn losses_and_terms_of_the_stages_are_summed() {
    let z = Tensor::from_slice(&[0.7f32, -0.2]).view([1, 2]);
    let quantized = residual(2, &lfq_config(2)).quantize(&z).unwrap();
    // Stage 0: (0.7, -0.2) -> (1, -1): mean square (0.09 + 0.64) / 2. Stage 1 on its scale of 1/2: (-0.6, 1.6) -> (-1, 1):
    // (0.16 + 0.36) / 2.
    assert!((term(&quantized, "commitment") - (0.365 + 0.26)).abs() < 1e-6);
}

#[test]
fn a_residual_that_makes_no_sense_is_refused() {
    let check = |stages, of| QuantizerConfig::Residual { stages, of: Box::new(of) }.check();
    let official = QuantizerConfig::Fsq { levels: vec![8], bound: Bound::Official };
    assert!(matches!(check(2, official), Err(VqError::Residual { .. })));
    let nested = QuantizerConfig::Residual { stages: 2, of: Box::new(vq_config(8)) };
    assert!(matches!(check(2, nested), Err(VqError::Residual { .. })));
    assert!(matches!(check(1, vq_config(8)), Err(VqError::Setting { key: "stages", .. })));
    assert_eq!(check(4, vq_config(256)).unwrap().codebook_size(), 1 << 32);
    assert!(matches!(check(4, vq_config(257)), Err(VqError::TooManyStageCodes { stages: 4, codebook_size: 257 })));
}
