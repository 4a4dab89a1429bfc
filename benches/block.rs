use criterion::{BenchmarkId, Criterion, Throughput};
use nn::{Block, DropPath, StackConfig};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

/// Forward and backward of one block of ViT-S: the visible tenth of a 128-frame clip's tokens, and a whole 16-frame window.
pub(crate) fn bench(criterion: &mut Criterion) {
    let vs = VarStore::new(Device::Cpu);
    let width = 384;
    let block = Block::new(vs.root(), &StackConfig { width, depth: 1, heads: 6 });
    let weights = vs.trainable_variables();
    let mut group = criterion.benchmark_group("ViT-S block forward and backward");
    for num_tokens in [1_216, 1_568] {
        let x_bnd = Tensor::randn([1, num_tokens, width], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        group.throughput(Throughput::Elements(num_tokens as u64));
        group.bench_function(BenchmarkId::new("tokens", num_tokens), |b| {
            b.iter(|| {
                let sum = block.forward(&x_bnd, None, DropPath::OFF).sum(Kind::Float);
                let inputs: Vec<&Tensor> = weights.iter().chain([&x_bnd]).collect();
                Tensor::f_run_backward(&[sum], &inputs, false, false).expect("a gradient for each input")
            });
        });
    }
    group.finish();
}
