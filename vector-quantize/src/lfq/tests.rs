use serde::Deserialize;
use tch::Device;

use super::*;
use crate::golden::{Arrays, draws, peer, term};

/// A case of `golden/peer.json`.
#[derive(Deserialize)]
struct Peer {
    bits: i64,
    inv_temperature: f64,
    diversity: f64,
    commitment_weight: f64,
    per_sample_entropy: f64,
    batch_entropy: f64,
    commitment: f64,
    #[serde(flatten)]
    arrays: Arrays,
}

fn config(bits: i64, group_bits: i64) -> LfqConfig {
    LfqConfig { bits, entropy_weight: 0.1, diversity: 1.0, inv_temperature: 1.0, group_bits, commitment_weight: 0.25 }
}

fn lfq(bits: i64, group_bits: i64) -> Lfq {
    Lfq::new(&config(bits, group_bits)).unwrap()
}

#[track_caller]
fn assert_near(got: f64, want: f64) {
    assert!((got - want).abs() < 2e-5, "{got} is not {want}");
}

/// Mean entropy of each vector's softmax over all codes of `2 z . c`, and entropy of the mean softmax, by a loop over codes.
fn brute_force(z: &[Vec<f64>]) -> (f64, f64) {
    let bits = z[0].len();
    let entropy = |p: &[f64]| -p.iter().filter(|&&p| p > 0.0).map(|p| p * p.ln()).sum::<f64>();
    let mut per_sample = 0.0;
    let mut mean = vec![0.0; 1 << bits];
    for row in z {
        let sign = |code: usize, i: usize| if code >> i & 1 == 1 { 1.0 } else { -1.0 };
        let weight = |code| (0..bits).map(|i| 2.0 * row[i] * sign(code, i)).sum::<f64>().exp();
        let weights: Vec<f64> = (0..1 << bits).map(weight).collect();
        let total: f64 = weights.iter().sum();
        let p: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
        per_sample += entropy(&p) / z.len() as f64;
        mean.iter_mut().zip(&p).for_each(|(mean, p)| *mean += p / z.len() as f64);
    }
    (per_sample, entropy(&mean))
}

fn as_rows(z: &Tensor) -> Vec<Vec<f64>> {
    Vec::<Vec<f64>>::try_from(z.to_kind(Kind::Double)).unwrap()
}

#[test]
fn values_codes_losses_and_gradients_are_the_peers() {
    for case in peer::<Peer>("lfq") {
        let Peer { bits, inv_temperature, diversity, commitment_weight, .. } = case;
        let lfq = Lfq::new(&LfqConfig { inv_temperature, diversity, commitment_weight, ..config(bits, bits) }).unwrap();
        let z = case.arrays.z(bits);
        let quantized = lfq.quantize(&z).unwrap();
        case.arrays.assert_values_and_loss(&z, &quantized);
        case.arrays.assert_grad(&z, &quantized);
        // The peer's channel 0 is the highest bit.
        let reversed = |code: &i64| (0..bits).fold(0, |sum, i| sum | (code >> i & 1) << (bits - 1 - i));
        let codes: Vec<i64> = case.arrays.codes.iter().map(reversed).collect();
        assert_eq!(Vec::<i64>::try_from(&quantized.codes).unwrap(), codes);
        assert_near(term(&quantized, "per_sample_entropy"), case.per_sample_entropy);
        assert_near(term(&quantized, "batch_entropy"), case.batch_entropy);
        if commitment_weight > 0.0 {
            assert_near(term(&quantized, "commitment"), case.commitment);
        }
    }
}

#[test]
fn entropies_equal_the_sum_over_all_codes() {
    let z = draws(1, 40, 5) * 0.3;
    let (per_sample, batch) = brute_force(&as_rows(&z));
    for group_bits in [1, 2, 5] {
        let quantized = lfq(5, group_bits).quantize(&z).unwrap();
        assert_near(term(&quantized, "per_sample_entropy"), per_sample);
        let groups: Vec<(i64, i64)> =
            (0..5).step_by(group_bits as usize).map(|at| (at, group_bits.min(5 - at))).collect();
        let of_groups = groups.iter().map(|&(at, len)| brute_force(&as_rows(&z.narrow(1, at, len))).1).sum();
        assert_near(term(&quantized, "batch_entropy"), of_groups);
        assert!(of_groups >= batch - 1e-9, "an upper bound");
    }
    assert_near(term(&lfq(5, 5).quantize(&z).unwrap(), "batch_entropy"), batch);
}

#[test]
fn bits_that_agree_are_noticed_within_a_group_only() {
    // Half of the vectors are far positive in both channels, half far negative: two codes, entropy ln 2.
    let z = Tensor::from_slice(&[9.0f32, 9.0, -9.0, -9.0]).view([2, 2]);
    let ln_2 = std::f64::consts::LN_2;
    assert_near(term(&lfq(2, 2).quantize(&z).unwrap(), "batch_entropy"), ln_2);
    assert_near(term(&lfq(2, 1).quantize(&z).unwrap(), "batch_entropy"), 2.0 * ln_2);
    assert_near(term(&lfq(2, 1).quantize(&z).unwrap(), "per_sample_entropy"), 0.0);
}

#[test]
fn the_gradient_of_the_entropies_is_that_of_a_difference() {
    let z = (draws(2, 6, 3) * 0.3).to_kind(Kind::Double);
    let loss = |z: &Tensor| {
        let (per_sample, batch) = brute_force(&as_rows(z));
        0.1 * (per_sample - batch)
    };
    let config = LfqConfig { commitment_weight: 0.0, ..config(3, 3) };
    let leaf = z.to_kind(Kind::Float).set_requires_grad(true);
    Lfq::new(&config).unwrap().quantize(&leaf).unwrap().loss.unwrap().f_backward().unwrap();
    for (row, channel) in [(0, 0), (2, 1), (5, 2)] {
        let moved = |by: f64| {
            let moved = z.copy();
            _ = moved.get(row).get(channel).g_add_scalar_(by);
            loss(&moved)
        };
        let difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
        assert_near(leaf.grad().double_value(&[row, channel]), difference);
    }
}

#[test]
fn eighteen_bits_at_a_low_temperature_have_finite_gradients() {
    let lfq = Lfq::new(&LfqConfig { inv_temperature: 100.0, ..config(18, 9) }).unwrap();
    let z = (draws(3, 50, 18) * 3.0).set_requires_grad(true);
    lfq.quantize(&z).unwrap().loss.unwrap().f_backward().unwrap();
    assert!(bool::try_from(z.grad().isfinite().all()).unwrap());
}

#[test]
fn channel_i_is_bit_i_and_zero_is_minus_one() {
    let z = Tensor::from_slice(&[0.1f32, 0.0, -0.3, 2.0]).view([1, 4]);
    let quantized = lfq(4, 1).quantize(&z).unwrap();
    assert_eq!(Vec::<f32>::try_from(quantized.values.view(-1)).unwrap(), [1.0, -1.0, -1.0, 1.0]);
    assert_eq!(quantized.codes.int64_value(&[0]), 0b1001);
    let all = lfq(32, 1).quantize(&Tensor::ones([1, 32], (Kind::Float, Device::Cpu))).unwrap();
    assert_eq!(all.codes.int64_value(&[0]), i64::from(u32::MAX));
}

#[test]
fn without_weights_there_are_terms_but_no_loss() {
    let config = LfqConfig { entropy_weight: 0.0, commitment_weight: 0.0, ..config(3, 1) };
    let quantized = Lfq::new(&config).unwrap().quantize(&draws(4, 4, 3)).unwrap();
    assert!(quantized.loss.is_none());
    assert!(term(&quantized, "commitment") > 0.0);
}
