use serde::Deserialize;
use tch::Device;
use tch::nn::VarStore;

use super::*;
use crate::golden::{Arrays, assert_close, draws, peer, rows};

fn config(codes: i64, width: i64) -> VqConfig {
    VqConfig {
        codes,
        width,
        decay: 0.8,
        commitment_weight: 0.25,
        dead_below: 0.0,
        gradient: Gradient::StraightThrough,
        kmeans_iterations: 50,
    }
}

fn vq(config: &VqConfig) -> Vq {
    Vq::new(&VarStore::new(Device::Cpu).root(), config).unwrap()
}

fn as_rows(tensor: &Tensor) -> Vec<Vec<f32>> {
    Vec::<Vec<f32>>::try_from(tensor).unwrap()
}

/// The nearest entry by a loop, the first of several, in f64.
fn naive_nearest(z: &[f32], codebook: &[Vec<f32>]) -> i64 {
    let distance = |e: &[f32]| z.iter().zip(e).map(|(&z, &e)| (z as f64 - e as f64).powi(2)).sum::<f64>();
    let best = (0..codebook.len()).min_by(|&a, &b| distance(&codebook[a]).total_cmp(&distance(&codebook[b])));
    best.unwrap() as i64
}

#[test]
fn one_step_of_training_is_the_peers() {
    #[derive(Deserialize)]
    struct State {
        codebook: Vec<f32>,
        counts: Vec<f32>,
        sums: Vec<f32>,
    }
    #[derive(Deserialize)]
    struct Peer {
        gradient: Gradient,
        dead_below: f64,
        before: State,
        after: State,
        #[serde(flatten)]
        arrays: Arrays,
    }
    for case in peer::<Peer>("vq") {
        let vq = vq(&VqConfig { gradient: case.gradient, dead_below: case.dead_below, ..config(8, 4) });
        let State { codebook, counts, sums } = &case.before;
        vq.store(&rows(codebook, 4), &Tensor::from_slice(counts), &rows(sums, 4)).unwrap();
        let z = case.arrays.z(4);
        let quantized = vq.quantize(&z).unwrap();
        case.arrays.assert_values_and_loss(&z, &quantized);
        case.arrays.assert_grad(&z, &quantized);
        assert_eq!(Vec::<i64>::try_from(&quantized.codes).unwrap(), case.arrays.codes);

        vq.update(&vq.statistics(&z, &quantized.codes, Share::WHOLE).unwrap()).unwrap();
        let want = [rows(&case.after.codebook, 4), rows(&case.after.sums, 4)];
        assert_close(&vq.counts, &Tensor::from_slice(&case.after.counts), 1e-5);
        // Which vectors take the place of dead codes is drawn: those codes are left out.
        let dead = vq.counts.eq(case.dead_below).unsqueeze(-1);
        assert_eq!(case.dead_below > 0.0, bool::try_from(dead.any()).unwrap());
        for (got, want) in [&vq.codebook, &vq.sums].into_iter().zip(want) {
            assert_close(&got.masked_fill(&dead, 0.0), &want.masked_fill(&dead, 0.0), 2e-5);
        }
    }
}

#[test]
fn codes_are_the_nearest_entries_over_several_chunks() {
    let (z, codebook) = (draws(1, 4200, 2), draws(2, 4096, 2));
    let codes = Vec::<i64>::try_from(nearest(&z, &codebook).unwrap()).unwrap();
    const { assert!(CHUNK_ELEMENTS / 4096 < 4200, "more than one chunk") };
    let (z, codebook) = (as_rows(&z), as_rows(&codebook));
    let square = |n: usize, code: i64| -> f64 {
        z[n].iter().zip(&codebook[code as usize]).map(|(&z, &e)| (z as f64 - e as f64).powi(2)).sum()
    };
    for n in (0..4200).step_by(7) {
        // Within f32: |z|^2 + |e|^2 - 2 z.e of numbers up to 20 or so.
        let (got, want) = (square(n, codes[n]), square(n, naive_nearest(&z[n], &codebook)));
        assert!(got - want < 1e-5, "vector {n}: {got} is not {want}");
    }
}

#[test]
fn a_loop_over_vectors_gives_the_same_update() {
    let vq = vq(&config(6, 3));
    let z = draws(3, 40, 3);
    vq.start(&z.narrow(0, 0, 10)).unwrap();
    let [mut counts, mut sums] = [&vq.counts.unsqueeze(-1), &vq.sums].map(as_rows);
    let codes = vq.quantize(&z).unwrap().codes;
    for k in 0..6 {
        counts[k][0] *= 0.8;
        sums[k].iter_mut().for_each(|sum| *sum *= 0.8);
    }
    for (row, code) in as_rows(&z).iter().zip(Vec::<i64>::try_from(&codes).unwrap()) {
        counts[code as usize][0] += 0.2;
        sums[code as usize].iter_mut().zip(row).for_each(|(sum, z)| *sum += 0.2 * z);
    }
    let total: f32 = counts.iter().map(|count| count[0]).sum();
    vq.update(&vq.statistics(&z, &codes, Share::WHOLE).unwrap()).unwrap();
    for (k, entry) in as_rows(&vq.codebook).iter().enumerate() {
        let smoothed = (counts[k][0] + 1e-5) / (total + 6e-5) * total;
        for (got, sum) in entry.iter().zip(&sums[k]) {
            assert!((got - sum / smoothed).abs() < 1e-5);
        }
    }
}

#[test]
fn statistics_of_micro_batches_add_up_to_those_of_the_batch() {
    let vq = vq(&config(7, 3));
    let z = draws(4, 30, 3);
    let codes = vq.quantize(&z).unwrap().codes;
    let whole = vq.statistics(&z, &codes, Share::WHOLE).unwrap();
    let part = |index: i64| {
        let (z, codes) = (z.narrow(0, 10 * index, 10), codes.narrow(0, 10 * index, 10));
        vq.statistics(&z, &codes, Share { index, of: 3 }).unwrap()
    };
    let mut sum = part(0);
    sum.add(&part(1)).unwrap();
    sum.add(&part(2)).unwrap();
    let [sum, whole] = [&sum.stages[0], &whole.stages[0]];
    assert_eq!(sum.counts, whole.counts);
    assert_close(&sum.sums, &whole.sums, 1e-5);
    // Every slot is filled once, with a vector of the share that it belongs to.
    assert_eq!(Vec::<f32>::try_from(&sum.filled).unwrap(), [1.0; 7]);
    let z = as_rows(&z);
    for (slot, candidate) in as_rows(&sum.candidates).iter().enumerate() {
        let share = 10 * (slot % 3);
        assert!(z[share..share + 10].contains(candidate), "slot {slot}");
    }
}

#[test]
fn ranks_with_the_same_sum_have_the_same_codebook_and_dead_codes_take_vectors() {
    let config = VqConfig { dead_below: 0.5, decay: 0.5, ..config(5, 2) };
    // Entry 0 is nearest to everything, so that the others die.
    let codebook = Tensor::from_slice(&[0f32, 0., 90., 90., 91., 91., 92., 92., 93., 93.]).view([5, 2]);
    let ranks = [vq(&config), vq(&config)];
    let z = [draws(5, 6, 2), draws(6, 6, 2)];
    for _ in 0..2 {
        ranks.iter().for_each(|vq| vq.store(&codebook, &vq.counts, &(&codebook * vq.counts.unsqueeze(-1))).unwrap());
        let of_rank = |rank: usize| {
            let codes = ranks[rank].quantize(&z[rank]).unwrap().codes;
            ranks[rank].statistics(&z[rank], &codes, Share { index: rank as i64, of: 2 }).unwrap()
        };
        let mut sum = of_rank(0);
        sum.add(&of_rank(1)).unwrap();
        ranks.iter().for_each(|vq| vq.update(&sum).unwrap());
    }
    assert_eq!(ranks[0].codebook, ranks[1].codebook);
    assert_eq!(ranks[0].sums, ranks[1].sums);
    // After two updates n_k = 1/4 < 1/2.
    let vectors = [as_rows(&z[0]), as_rows(&z[1])];
    for (k, entry) in as_rows(&ranks[0].codebook).iter().enumerate().skip(1) {
        assert!(vectors[k % 2].contains(entry), "code {k}");
    }
    assert_eq!(Vec::<f32>::try_from(ranks[0].counts.narrow(0, 1, 4)).unwrap(), [0.5; 4]);
}

/// Checks that every entry is the mean of the vectors nearest to it.
#[track_caller]
fn assert_settled(codebook: &Tensor, z: &Tensor) {
    let (entries, z) = (as_rows(codebook), as_rows(z));
    let codes: Vec<i64> = z.iter().map(|z| naive_nearest(z, &entries)).collect();
    for (k, entry) in entries.iter().enumerate() {
        let own: Vec<&Vec<f32>> = z.iter().zip(&codes).filter(|&(_, &code)| code == k as i64).map(|(z, _)| z).collect();
        for (i, value) in entry.iter().enumerate().filter(|_| !own.is_empty()) {
            let mean = own.iter().map(|z| z[i]).sum::<f32>() / own.len() as f32;
            assert!((value - mean).abs() < 1e-4, "entry {k}: {value} is not {mean}");
        }
    }
}

#[test]
fn k_means_ends_at_the_means_of_its_clusters() {
    let vq = vq(&config(6, 2));
    let z = draws(7, 120, 2);
    assert!(!vq.is_started().unwrap());
    vq.start(&z).unwrap();
    assert!(vq.is_started().unwrap());
    assert_settled(&vq.codebook, &z);
    // The averages are those of the codebook, so that an update moves it no further than the batch says.
    assert_close(&(&vq.sums / vq.counts.unsqueeze(-1)), &vq.codebook, 1e-6);
    assert_eq!(vq.counts.sum(Kind::Float).double_value(&[]), 120.0);
}

#[test]
fn three_vectors_start_eight_codes_apart_from_each_other() {
    let vq = vq(&VqConfig { kmeans_iterations: 1, ..config(8, 4) });
    let z = draws(10, 3, 4) * 10.0;
    vq.start(&z).unwrap();
    let (entries, z) = (as_rows(&vq.codebook), as_rows(&z));
    for (k, entry) in entries.iter().enumerate() {
        let near = z.iter().any(|z| z.iter().zip(entry).all(|(z, e)| (z - e).abs() < 0.05));
        assert!(near, "entry {k} is far from every vector");
        assert!(!entries[..k].contains(entry), "entry {k} is a copy");
    }
    let empty = Tensor::zeros([0, 4], (Kind::Float, Device::Cpu));
    assert!(matches!(vq.start(&empty), Err(VqError::NoVectors)));
}

#[test]
fn the_rotation_keeps_the_angle_between_gradient_and_entry() {
    let vq = vq(&VqConfig { gradient: Gradient::Rotation, ..config(9, 5) });
    vq.start(&draws(11, 200, 5)).unwrap();
    let z = draws(12, 30, 5).set_requires_grad(true);
    let quantized = vq.quantize(&z).unwrap();
    assert_eq!(quantized.values, vq.values_from_codes(&quantized.codes).unwrap());
    let at_entry = draws(13, 30, 5);
    (&quantized.values * &at_entry).sum(Kind::Float).f_backward().unwrap();
    let length = |rows: &Tensor| rows.square().sum_dim_intlist(-1, false, Kind::Float).sqrt();
    let cos = |a: &Tensor, b: &Tensor| (a * b).sum_dim_intlist(-1, false, Kind::Float) / (length(a) * length(b));
    let entries = quantized.values.detach();
    assert_close(&cos(&z.grad(), &z.detach()), &cos(&at_entry, &entries), 1e-5);
    let stretch = length(&entries) / length(&z.detach());
    assert_close(&length(&z.grad()), &(length(&at_entry) * stretch), 1e-4);
}

#[test]
fn what_is_learned_is_saved_with_the_rest_and_not_trained() {
    let [mut from, mut to] = [(); 2].map(|()| VarStore::new(Device::Cpu));
    let [source, target] = [&mut from, &mut to].map(|store| Vq::new(&store.root(), &config(4, 2)).unwrap());
    assert!(from.trainable_variables().is_empty());
    source.start(&draws(14, 20, 2)).unwrap();
    to.copy(&from).unwrap();
    assert!(target.is_started().unwrap());
    for (source, target) in [(&source.codebook, &target.codebook), (&source.sums, &target.sums)] {
        assert_eq!(source, target);
    }
    assert_eq!(source.counts, target.counts);
}

#[test]
fn codes_of_another_batch_and_a_share_that_does_not_exist_are_refused() {
    let vq = vq(&config(4, 2));
    let (z, codes) = (draws(15, 3, 2), Tensor::zeros([3], (Kind::Int64, Device::Cpu)));
    assert!(matches!(vq.statistics(&z.narrow(0, 0, 2), &codes, Share::WHOLE), Err(VqError::Batch { .. })));
    let share = Share { index: 2, of: 2 };
    assert!(matches!(vq.statistics(&z, &codes, share), Err(VqError::Share { index: 2, of: 2 })));
    let mut statistics = vq.statistics(&z, &codes, Share::WHOLE).unwrap();
    let other = self::vq(&config(5, 2)).statistics(&z, &codes, Share::WHOLE).unwrap();
    assert!(matches!(statistics.add(&other), Err(VqError::OtherStatistics { .. })));
    assert!(matches!(vq.update(&other), Err(VqError::OtherStatistics { .. })));
}
