//! Quantizers inside mixed precision (vector-quantize knows no autocast, and torch-ext no quantizer) and over ranks.

use std::sync::{Barrier, Mutex};

use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use torch_ext::{Precision, autocast};
use vector_quantize::{Bound, Gradient, LfqConfig, Quantizer, QuantizerConfig, Share, Vq, VqConfig, VqError};

fn every_kind() -> [QuantizerConfig; 4] {
    let lfq = LfqConfig {
        bits: 8,
        entropy_weight: 0.1,
        diversity: 1.0,
        inv_temperature: 1.0,
        group_bits: 4,
        commitment_weight: 0.25,
    };
    let vq = VqConfig {
        codes: 500,
        width: 8,
        decay: 0.9,
        commitment_weight: 0.25,
        dead_below: 0.0,
        gradient: Gradient::Rotation,
        kmeans_iterations: 2,
    };
    let of = Box::new(QuantizerConfig::Vq(VqConfig { codes: 60, ..vq.clone() }));
    [
        QuantizerConfig::Fsq { levels: vec![8; 8], bound: Bound::Official },
        QuantizerConfig::Lfq(lfq),
        QuantizerConfig::Vq(vq),
        QuantizerConfig::Residual { stages: 3, of },
    ]
}

#[test]
fn under_autocast_codes_values_losses_and_gradients_are_those_of_f32() {
    let z = Tensor::randn([4000, 8], (Kind::Float, Device::Cpu));
    for config in every_kind() {
        let checked = config.check().unwrap();
        let quantizer = Quantizer::new(&VarStore::new(Device::Cpu).root(), &checked).unwrap();
        quantizer.start(&z).unwrap();
        let [in_f32, in_bf16] = [Precision::F32, Precision::Bf16].map(|precision| {
            let leaf = z.copy().set_requires_grad(true);
            let quantized = autocast(Device::Cpu, precision, || {
                let product = leaf.matmul(&leaf.tr()).kind();
                assert_eq!(product == Kind::BFloat16, precision == Precision::Bf16, "autocast is on");
                quantizer.quantize(&leaf).unwrap()
            });
            let quantized = quantized.unwrap();
            let loss = quantized.loss.unwrap_or_else(|| Tensor::from(0.0f32));
            (&loss + quantized.values.square().sum(Kind::Float)).f_backward().unwrap();
            [quantized.codes, quantized.values.detach(), loss.detach(), leaf.grad()]
        });
        for (got, want) in in_bf16.iter().zip(&in_f32) {
            assert_eq!((got.kind(), got), (want.kind(), want), "{config:?}");
        }
    }
}

#[test]
fn under_autocast_a_codebook_learns_as_in_f32() {
    let z = Tensor::randn([3000, 8], (Kind::Float, Device::Cpu));
    let checked = every_kind()[2].check().unwrap();
    let tables = Tensor::randn([1, 500, 8], (Kind::Float, Device::Cpu));
    let [in_f32, in_bf16] = [Precision::F32, Precision::Bf16].map(|precision| {
        let quantizer = Quantizer::frozen(&checked, &tables).unwrap();
        let learn = || {
            let codes = quantizer.quantize(&z).unwrap().codes;
            let statistics = quantizer.statistics(&z, &codes, Share::WHOLE).unwrap().unwrap();
            quantizer.update(&statistics).unwrap();
        };
        autocast(Device::Cpu, precision, learn).unwrap();
        quantizer.codebook_tables().unwrap()
    });
    assert_eq!(in_bf16, in_f32);
    assert_ne!(in_f32, tables);
}

#[test]
fn k_means_over_two_ranks_ends_at_the_means_of_all_vectors() {
    let config = VqConfig {
        codes: 6,
        width: 2,
        decay: 0.9,
        commitment_weight: 0.25,
        dead_below: 0.0,
        gradient: Gradient::StraightThrough,
        kmeans_iterations: 60,
    };
    let z = [70, 50].map(|num_vectors| Tensor::randn([num_vectors, 2], (Kind::Float, Device::Cpu)));
    // What each rank handed over in this exchange; both add the other's.
    let (table, meeting) = (Mutex::new([None, None]), Barrier::new(2));
    let run = |rank: usize, z: &Tensor| {
        let vq = Vq::new(&VarStore::new(Device::Cpu).root(), &config).unwrap();
        let sum = |tensor: &Tensor| {
            table.lock().unwrap()[rank] = Some(tensor.copy());
            meeting.wait();
            let other = table.lock().unwrap()[1 - rank].as_ref().unwrap().copy();
            meeting.wait();
            _ = tensor.shallow_clone().f_add_(&other).unwrap();
            Ok::<(), VqError>(())
        };
        vq.start_over_ranks(z, Share { index: rank as i64, of: 2 }, sum).unwrap();
        vq
    };
    let [first, second] = std::thread::scope(|scope| {
        let ranks = [0, 1].map(|rank| {
            let (run, z) = (&run, z[rank].shallow_clone());
            scope.spawn(move || run(rank, &z))
        });
        ranks.map(|rank| rank.join().unwrap())
    });
    assert_eq!(first.codebook(), second.codebook());

    // Every entry is the mean of the vectors of both ranks that are nearest to it.
    let z = Tensor::cat(&z, 0);
    let squares = (z.unsqueeze(1) - first.codebook().unsqueeze(0)).square().sum_dim_intlist(-1, false, Kind::Float);
    let codes = squares.argmin(-1, false);
    for k in 0..6 {
        let own = z.index_select(0, &codes.eq(k).nonzero().squeeze_dim(-1));
        if own.size()[0] == 0 {
            continue;
        }
        let off = (own.mean_dim(0, false, Kind::Float) - first.codebook().get(k)).abs().max();
        assert!(off.double_value(&[]) < 1e-4, "entry {k}");
    }
}
