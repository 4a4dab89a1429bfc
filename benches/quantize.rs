use criterion::{BenchmarkId, Criterion, Throughput};
use tch::{Device, Kind, Tensor};
use vector_quantize::Fsq;

/// FSQ of 18 bits, as in LVMAE, with the straight-through gradient: tokens of one 16-frame window and of a 128-frame clip.
pub(crate) fn bench(criterion: &mut Criterion) {
    let fsq = Fsq::new(&[8; 6]).expect("levels in range");
    let mut group = criterion.benchmark_group("fsq quantize");
    for num_tokens in [1_568, 12_544] {
        let z_nd = Tensor::randn([num_tokens, fsq.num_channels()], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        group.throughput(Throughput::Elements(num_tokens as u64));
        group.bench_function(BenchmarkId::new("tokens", num_tokens), |b| {
            b.iter(|| fsq.quantize(&z_nd).expect("finite values of the right width"));
        });
    }
    group.finish();
}
