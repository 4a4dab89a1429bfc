//! Initial weights of the MAE family (He et al. 2022, VideoMAE): Xavier-uniform matrices, zero biases.
use std::borrow::Borrow;

use tch::Tensor;
use tch::nn::{self, Init, Path};

/// A linear layer with Xavier-uniform weights and zero bias.
pub fn linear<'a>(p: impl Borrow<Path<'a>>, num_in: i64, num_out: i64) -> nn::Linear {
    nn::linear(p, num_in, num_out, xavier(num_in, num_out))
}

/// A linear layer with Xavier-uniform weights and no bias: VideoMAE's step from encoder to decoder width.
pub fn linear_without_bias<'a>(p: impl Borrow<Path<'a>>, num_in: i64, num_out: i64) -> nn::Linear {
    nn::linear(p, num_in, num_out, nn::LinearConfig { bias: false, ..xavier(num_in, num_out) })
}

fn xavier(num_in: i64, num_out: i64) -> nn::LinearConfig {
    let bound = (6.0 / (num_in + num_out) as f64).sqrt();
    let ws_init = Init::Uniform { lo: -bound, up: bound };
    nn::LinearConfig { ws_init, bs_init: Some(Init::Const(0.0)), bias: true }
}

/// A learned vector `[1, 1, D]` that stands for a token to be predicted, drawn with standard deviation 0.02.
pub fn query_token(p: &Path, name: &str, width: i64) -> Tensor {
    p.var(name, &[1, 1, width], Init::Randn { mean: 0.0, stdev: 0.02 })
}
