use nn::{During, NnError};
use tch::nn::{Init, Path};
use tch::{Kind, TchError, Tensor};

use crate::config::WINDOW_FRAMES;
use crate::{Downsample, GanConfig};

const KERNEL: i64 = 3;
/// Slope of the activation below zero.
const LEAK: f64 = 0.2;

/// MAGVIT's discriminator, StyleGAN's in three dimensions: a convolution, residual blocks that halve every axis, a
/// convolution, two dense layers, one logit per window. Nothing is normalized, so no clip hears of another.
#[derive(Debug)]
pub(crate) struct Discriminator {
    stem: Conv,
    blocks: Vec<Block>,
    tail: Conv,
    dense: Conv,
    head: Conv,
    downsample: Downsample,
}

#[derive(Debug)]
struct Block {
    /// At the size that came in.
    fine: Conv,
    /// After halving.
    coarse: Conv,
    skip: Conv,
}

impl Discriminator {
    /// * `size_px` - side of the frames: the dense layers see all places of the last grid
    pub(crate) fn new(path: &Path, config: &GanConfig, size_px: i64) -> Result<Self, NnError> {
        let base = config.base_channels;
        let (mut channels, mut blocks, mut grid) = (base, Vec::new(), [WINDOW_FRAMES, size_px, size_px]);
        for (i, mult) in config.channel_mult.iter().enumerate() {
            blocks.push(Block::new(&(path / "blocks" / i), channels, mult * base)?);
            (channels, grid) = (mult * base, grid.map(|size| (size + 1) / 2));
        }
        let places: i64 = grid.into_iter().product();
        Ok(Discriminator {
            stem: Conv::new(&(path / "stem"), [3, base], KERNEL)?,
            blocks,
            tail: Conv::new(&(path / "tail"), [channels, channels], KERNEL)?,
            dense: Conv::new(&(path / "dense"), [channels * places, channels], 1)?,
            head: Conv::new(&(path / "head"), [channels, 1], 1)?,
            downsample: config.downsample,
        })
    }

    /// The same function of its input, sharing weights that get no gradient.
    pub(crate) fn detached(&self) -> Result<Self, TchError> {
        let block = |block: &Block| {
            let [fine, coarse, skip] = [&block.fine, &block.coarse, &block.skip].map(Conv::detached);
            Ok(Block { fine: fine?, coarse: coarse?, skip: skip? })
        };
        Ok(Discriminator {
            stem: self.stem.detached()?,
            blocks: self.blocks.iter().map(block).collect::<Result<_, TchError>>()?,
            tail: self.tail.detached()?,
            dense: self.dense.detached()?,
            head: self.head.detached()?,
            downsample: self.downsample,
        })
    }

    /// `frames_bthwc` `[B, 16, S, S, 3]` f32 in `[-1, 1]` to logits `[B]` f32, high for frames as they were filmed.
    pub(crate) fn logits(&self, frames_bthwc: &Tensor) -> Result<Tensor, TchError> {
        // Frames lie in memory as channels-last already, and convolutions keep that.
        let mut x = leaky(&self.stem.forward(&frames_bthwc.f_permute([0, 4, 1, 2, 3])?)?)?;
        for Block { fine, coarse, skip } in &self.blocks {
            let inner = halved(&leaky(&fine.forward(&x)?)?, self.downsample)?;
            let inner = leaky(&coarse.forward(&inner)?)?;
            let outer = skip.forward(&halved(&x, self.downsample)?)?;
            x = inner.f_add(&outer)?.f_mul_scalar(std::f64::consts::FRAC_1_SQRT_2)?;
        }
        let x = leaky(&self.tail.forward(&x)?)?;
        // A dense layer is a convolution at a grid of one place.
        let x = x.f_flatten(1, -1)?.f_view([x.size()[0], -1, 1, 1, 1])?;
        let x = self.head.forward(&leaky(&self.dense.forward(&x)?)?)?;
        x.f_flatten(0, -1)?.f_to_kind(Kind::Float)
    }
}

impl Block {
    fn new(path: &Path, c_in: i64, c_out: i64) -> Result<Self, NnError> {
        Ok(Block {
            fine: Conv::new(&(path / "fine"), [c_in, c_in], KERNEL)?,
            coarse: Conv::new(&(path / "coarse"), [c_in, c_out], KERNEL)?,
            skip: Conv::without_bias(&(path / "skip"), [c_in, c_out], 1)?,
        })
    }
}

/// A convolution that keeps the size, zeros around, Xavier-uniform weights.
#[derive(Debug)]
struct Conv {
    weight: Tensor,
    bias: Option<Tensor>,
    pad: i64,
}

impl Conv {
    fn new(path: &Path, channels: [i64; 2], kernel: i64) -> Result<Self, NnError> {
        let bias = path.f_zeros("bias", &[channels[1]]).during("making the discriminator")?;
        Ok(Conv { bias: Some(bias), ..Conv::without_bias(path, channels, kernel)? })
    }

    fn without_bias(path: &Path, [c_in, c_out]: [i64; 2], kernel: i64) -> Result<Self, NnError> {
        let bound = (6.0 / ((c_in + c_out) * kernel.pow(3)) as f64).sqrt();
        let init = Init::Uniform { lo: -bound, up: bound };
        let weight = path.f_var("weight", &[c_out, c_in, kernel, kernel, kernel], init);
        Ok(Conv { weight: weight.during("making the discriminator")?, bias: None, pad: kernel / 2 })
    }

    fn detached(&self) -> Result<Self, TchError> {
        let bias = self.bias.as_ref().map(Tensor::f_detach).transpose()?;
        Ok(Conv { weight: self.weight.f_detach()?, bias, pad: self.pad })
    }

    fn forward(&self, x_bcthw: &Tensor) -> Result<Tensor, TchError> {
        x_bcthw.f_conv3d(&self.weight, self.bias.as_ref(), 1, self.pad, 1, 1)
    }
}

/// tch's own leaky ReLU has no slope to set.
fn leaky(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_maximum(&x.f_mul_scalar(LEAK)?)
}

/// Every axis of `[B, C, T, H, W]` halved, rounded up; an axis of one place stays.
fn halved(x_bcthw: &Tensor, by: Downsample) -> Result<Tensor, TchError> {
    let size = x_bcthw.size();
    let kernel: Vec<i64> = size[2..].iter().map(|size| 2.min(*size)).collect();
    let mean = |x: &Tensor, stride: &[i64]| x.f_avg_pool3d(&kernel[..], stride, 0, true, false, None);
    match by {
        Downsample::Average => mean(x_bcthw, &kernel),
        Downsample::Blur => {
            // 1 3 3 1 is 1 1 three times in a row, of which the last one steps.
            let around: Vec<i64> = kernel.iter().rev().flat_map(|k| [k - 1, k - 1]).collect();
            let padded = x_bcthw.f_replication_pad3d(&around[..])?;
            mean(&mean(&mean(&padded, &[1, 1, 1])?, &[1, 1, 1])?, &kernel)
        }
    }
}

#[cfg(test)]
mod tests;
