use criterion::{BenchmarkId, Criterion, Throughput};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use vector_quantize::{Bound, Gradient, LfqConfig, Quantizer, QuantizerConfig, VqConfig};

/// One of each: FSQ and LFQ of 18 bits, as in LVMAE and MAGVIT-v2, a codebook of MAGVIT's size, and stages of it.
fn every_kind() -> [(&'static str, QuantizerConfig); 4] {
    let lfq = LfqConfig {
        bits: 18,
        entropy_weight: 0.1,
        diversity: 1.0,
        inv_temperature: 100.0,
        group_bits: 1,
        commitment_weight: 0.25,
    };
    let vq = QuantizerConfig::Vq(VqConfig {
        codes: 1024,
        width: 256,
        decay: 0.99,
        commitment_weight: 0.25,
        dead_below: 1.0,
        gradient: Gradient::StraightThrough,
        kmeans_iterations: 10,
    });
    [
        ("fsq", QuantizerConfig::Fsq { levels: vec![8; 6], bound: Bound::Official }),
        ("lfq", QuantizerConfig::Lfq(lfq)),
        ("vq", vq.clone()),
        ("residual vq", QuantizerConfig::Residual { stages: 3, of: Box::new(vq) }),
    ]
}

/// Quantizing with the gradient that training needs: tokens of one 16-frame window and of a 128-frame clip.
pub(crate) fn bench(criterion: &mut Criterion) {
    for (name, config) in every_kind() {
        let checked = config.check().expect("settings in range");
        let quantizer = Quantizer::new(&VarStore::new(Device::Cpu).root(), &checked).expect("memory for a codebook");
        let mut group = criterion.benchmark_group(format!("{name} quantize"));
        for num_tokens in [1_568, 12_544] {
            let size = [num_tokens, checked.num_channels()];
            let z_nd = Tensor::randn(size, (Kind::Float, Device::Cpu)).set_requires_grad(true);
            group.throughput(Throughput::Elements(num_tokens as u64));
            group.bench_function(BenchmarkId::new("tokens", num_tokens), |b| {
                b.iter(|| quantizer.quantize(&z_nd).expect("finite values of the right width"));
            });
        }
        group.finish();
    }
}
