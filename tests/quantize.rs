//! Quantizers inside mixed precision: vector-quantize knows no autocast, and torch-ext no quantizer.

use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use torch_ext::{Precision, autocast};
use vector_quantize::{Bound, Gradient, LfqConfig, Quantizer, QuantizerConfig, VqConfig};

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
            let statistics = quantizer.statistics(&z, &codes, vector_quantize::Share::WHOLE).unwrap().unwrap();
            quantizer.update(&statistics).unwrap();
        };
        autocast(Device::Cpu, precision, learn).unwrap();
        quantizer.codebook_tables().unwrap()
    });
    assert_eq!(in_bf16, in_f32);
    assert_ne!(in_f32, tables);
}
