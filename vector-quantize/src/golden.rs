//! What published code makes of given inputs (`golden/peer.json`, written by `golden/gen_peer.py`), and how to compare.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tch::{Kind, Tensor};

use crate::Quantized;

/// Numbers of mean 0 and variance 1, near enough to normal, that follow from `seed` alone: libtorch's generator is shared
/// by all tests that run at once.
pub(crate) fn draws(seed: u64, num_vectors: i64, width: i64) -> Tensor {
    let mut state = seed;
    let mut uniform = || {
        // splitmix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 40) as f32 / (1u64 << 24) as f32
    };
    let flat: Vec<f32> = (0..num_vectors * width).map(|_| (0..12).map(|_| uniform()).sum::<f32>() - 6.0).collect();
    rows(&flat, width)
}

/// One batch and what became of it. Codes of several stages lie side by side.
#[derive(Deserialize)]
pub(crate) struct Arrays {
    z: Vec<f32>,
    pub(crate) weights: Vec<f32>,
    values: Vec<f32>,
    pub(crate) codes: Vec<i64>,
    /// Gradient of `sum(values * weights)`.
    pub(crate) grad: Vec<f32>,
    #[serde(default)]
    loss: f64,
    #[serde(default)]
    grad_loss: Vec<f32>,
}

/// All cases of one kind.
pub(crate) fn peer<Case: DeserializeOwned>(kind: &str) -> Vec<Case> {
    let mut file: serde_json::Value = serde_json::from_str(include_str!("golden/peer.json")).unwrap();
    serde_json::from_value(file[kind].take()).unwrap()
}

pub(crate) fn rows(flat: &[f32], width: i64) -> Tensor {
    Tensor::from_slice(flat).view([-1, width])
}

#[track_caller]
pub(crate) fn assert_close(got: &Tensor, want: &Tensor, tolerance: f64) {
    assert_eq!(got.size(), want.size());
    let worst = (got - want).abs().max().double_value(&[]);
    assert!(worst <= tolerance, "off by {worst:e}");
}

/// The term of this name.
pub(crate) fn term(quantized: &Quantized, name: &str) -> f64 {
    let (_, term) = quantized.terms.iter().find(|(known, _)| *known == name).unwrap();
    assert!(!term.requires_grad());
    term.double_value(&[])
}

impl Arrays {
    pub(crate) fn z(&self, width: i64) -> Tensor {
        rows(&self.z, width).set_requires_grad(true)
    }

    /// Compares values, loss and the loss's gradient.
    #[track_caller]
    pub(crate) fn assert_values_and_loss(&self, z: &Tensor, quantized: &Quantized) {
        let width = z.size()[1];
        assert_close(&quantized.values, &rows(&self.values, width), 2e-6);
        let Some(loss) = &quantized.loss else {
            return assert_eq!(self.loss, 0.0);
        };
        assert!((loss.double_value(&[]) - self.loss).abs() < 1e-6, "loss {loss:?} is not {}", self.loss);
        let grad_loss = &Tensor::run_backward(&[loss], &[z], true, false)[0];
        assert_close(grad_loss, &rows(&self.grad_loss, width), 2e-6);
    }

    /// The gradient of `sum(values * weights)` here.
    pub(crate) fn grad(&self, z: &Tensor, quantized: &Quantized) -> Tensor {
        let sum = (&quantized.values * rows(&self.weights, z.size()[1])).sum(Kind::Float);
        Tensor::run_backward(&[sum], &[z], true, false).remove(0)
    }

    #[track_caller]
    pub(crate) fn assert_grad(&self, z: &Tensor, quantized: &Quantized) {
        assert_close(&self.grad(z, quantized), &rows(&self.grad, z.size()[1]), 2e-6);
    }
}
