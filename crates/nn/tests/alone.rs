//! In a process of their own, one after the other: libtorch's allocator and generator belong to one test at a time.
#![allow(clippy::unwrap_used)]

use std::sync::{Mutex, MutexGuard, PoisonError};

use nn::{BlockCausal, Blocks, Mode, Recompute, Stack, StackConfig, layer_norm};
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
    let reach = BlockCausal::new(Blocks { count: num_tokens, queries: 1, keys: 1 }, Device::Cpu).unwrap();
    let base = memory::stats(Device::Cpu).unwrap().current_bytes;
    memory::reset_peak(Device::Cpu).unwrap();
    let loss = autocast(Device::Cpu, precision, || {
        let y = stack.forward(x.shallow_clone(), Some(&reach), Mode::Train).unwrap().apply(&norm);
        (y * x.cos()).square().mean(Kind::Float)
    });
    let loss = loss.unwrap();
    loss.f_backward().unwrap();
    let peak = memory::stats(Device::Cpu).unwrap().peak_bytes - base;
    (loss, sorted_grads(vs), peak)
}

/// Gradients of all variables in the order of their names, which are set to zero.
fn sorted_grads(vs: &VarStore) -> Vec<Tensor> {
    let mut named: Vec<_> = vs.variables().into_iter().collect();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    let take = |(_, mut variable): (String, Tensor)| {
        let grad = variable.grad().copy();
        variable.zero_grad();
        grad
    };
    named.into_iter().map(take).collect()
}

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    memory::install().unwrap();
    alone
}

#[test]
fn a_step_in_bf16_is_near_that_in_f32_with_f32_gradients_and_memory_linear_in_tokens() {
    let _alone = alone();
    let vs = VarStore::new(Device::Cpu);
    let stack = Stack::new(vs.root(), &CFG, Recompute::None, 0.0).unwrap();
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
    // All is linear, the mask's cast copy too, where a table of all pairs would be 16 times as much.
    let growth = bytes_of_4x as f64 / bytes as f64;
    assert!((3.0..5.0).contains(&growth), "{growth}");

    let mut other = VarStore::new(Device::Cpu);
    let again = Stack::new(other.root(), &CFG, Recompute::EveryBlock, 0.0).unwrap();
    other.copy(&vs).unwrap();
    let (_, recomputed, fewer_bytes) = step(&other, &again, Precision::Bf16, 512);
    assert!(fewer_bytes < bytes);
    assert!(plain.iter().zip(&recomputed).all(|(a, b)| a.equal(b)), "gradients are bit-equal");
}

#[test]
fn a_recomputed_part_drops_the_same_branches_again() {
    let _alone = alone();
    let cfg = StackConfig { depth: 5, ..CFG };
    let x = Tensor::arange(8 * 4 * CFG.width, (Kind::Float, Device::Cpu)).sin().view([8, 4, CFG.width]);
    let first = VarStore::new(Device::Cpu);
    let plain = Stack::new(first.root(), &cfg, Recompute::None, 0.5).unwrap();
    let grads = |vs: &VarStore, stack: &Stack, seed: i64| {
        let x = x.copy().set_requires_grad(true);
        tch::manual_seed(seed);
        stack.forward(x, None, Mode::Train).unwrap().square().mean(Kind::Float).f_backward().unwrap();
        sorted_grads(vs)
    };
    let want = grads(&first, &plain, 1);
    assert!(grads(&first, &plain, 2).iter().zip(&want).any(|(a, b)| !a.equal(b)), "nothing was drawn");
    for recompute in [Recompute::EveryBlock, Recompute::Every(2), Recompute::Every(3)] {
        let mut vs = VarStore::new(Device::Cpu);
        let stack = Stack::new(vs.root(), &cfg, recompute, 0.5).unwrap();
        vs.copy(&first).unwrap();
        assert!(grads(&vs, &stack, 1).iter().zip(&want).all(|(a, b)| a.equal(b)), "{recompute:?}");
    }
}
