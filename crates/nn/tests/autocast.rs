//! In a process of its own with one test: the allocator is installed before the first tensor, and nobody else allocates.

use nn::{Recompute, Stack, StackConfig, additive_mask, layer_norm};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use torch_ext::{Precision, autocast, memory};

const CFG: StackConfig = StackConfig { width: 48, depth: 2, heads: 3 };

/// A training step of the stack and a norm behind it on `num_tokens` tokens: the loss, every gradient, and the peak of
/// tensor bytes on top of the weights.
fn step(vs: &VarStore, stack: &Stack, precision: Precision, num_tokens: i64) -> (Tensor, Vec<Tensor>, i64) {
    let norm = layer_norm(&VarStore::new(Device::Cpu).root(), CFG.width);
    let values = Tensor::arange(num_tokens * CFG.width, (Kind::Float, Device::Cpu));
    let x = values.sin().view([1, num_tokens, CFG.width]).set_requires_grad(true);
    // Each token sees all but itself.
    let mask = additive_mask(&Tensor::eye(num_tokens, (Kind::Float, Device::Cpu)).logical_not()).unwrap();
    let base = memory::stats(Device::Cpu).unwrap().current_bytes;
    memory::reset_peak(Device::Cpu).unwrap();
    let loss = autocast(Device::Cpu, precision, || {
        let y = stack.forward(x.shallow_clone(), Some(&mask)).unwrap().apply(&norm);
        (y * x.cos()).square().mean(Kind::Float)
    });
    let loss = loss.unwrap();
    loss.f_backward().unwrap();
    let peak = memory::stats(Device::Cpu).unwrap().peak_bytes - base;
    let mut named: Vec<_> = vs.variables().into_iter().collect();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    let grads = named.into_iter().map(|(_, mut variable)| {
        let grad = variable.grad().copy();
        variable.zero_grad();
        grad
    });
    let grads = grads.collect();
    (loss, grads, peak)
}

#[test]
fn a_step_in_bf16_is_near_that_in_f32_with_f32_gradients_and_memory_linear_in_tokens() {
    memory::install().unwrap();
    let vs = VarStore::new(Device::Cpu);
    let stack = Stack::new(vs.root(), &CFG, Recompute::None).unwrap();
    let (exact, exact_grads, _) = step(&vs, &stack, Precision::F32, 256);
    let (rounded, rounded_grads, _) = step(&vs, &stack, Precision::Bf16, 256);
    assert_eq!(rounded.kind(), Kind::Float);
    let (exact, rounded) = (exact.double_value(&[]), rounded.double_value(&[]));
    assert!(exact != rounded && (exact - rounded).abs() < 1e-2 * exact, "{rounded} instead of {exact}");
    for (exact, rounded) in exact_grads.iter().zip(&rounded_grads) {
        assert_eq!(rounded.kind(), Kind::Float);
        let apart = (exact - rounded).norm().double_value(&[]) / exact.norm().double_value(&[]);
        assert!(apart < 0.05, "{apart}");
    }
    assert!(vs.variables().values().all(|variable| variable.kind() == Kind::Float));

    let (_, plain, bytes) = step(&vs, &stack, Precision::Bf16, 512);
    let (_, _, bytes_of_4x) = step(&vs, &stack, Precision::Bf16, 2048);
    // The mask is cast, once for both blocks; the rest is linear, where a table per head would be 16 times as much.
    let mask_bytes = |n: i64| 2 * n * n;
    let growth = (bytes_of_4x - mask_bytes(2048)) as f64 / (bytes - mask_bytes(512)) as f64;
    assert!((3.0..5.0).contains(&growth), "{growth}");

    let mut other = VarStore::new(Device::Cpu);
    let again = Stack::new(other.root(), &CFG, Recompute::EveryBlock).unwrap();
    other.copy(&vs).unwrap();
    let (_, recomputed, fewer_bytes) = step(&other, &again, Precision::Bf16, 512);
    assert!(fewer_bytes < bytes);
    assert!(plain.iter().zip(&recomputed).all(|(a, b)| a.equal(b)), "gradients are bit-equal");
}
