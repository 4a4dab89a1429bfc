use std::collections::BTreeMap;

use nn::During;
use tch::{Device, Kind, TchError, Tensor};

use crate::config::WINDOW_FRAMES;
use crate::{PerceptualConfig, TokenizerError};

/// Convolutions of VGG16's five stages by their place in torchvision's `features`. The features of a stage are its last
/// activations; the maximum of 2 x 2 places follows.
const STAGES: [&[usize]; 5] = [&[0, 2], &[5, 7], &[10, 12, 14], &[17, 19, 21], &[24, 26, 28]];

/// LPIPS takes frames in `[-1, 1]` to ImageNet's mean and deviation by these.
const SHIFT: [f32; 3] = [-0.030, -0.088, -0.188];
const SCALE: [f32; 3] = [0.458, 0.448, 0.450];

/// Added to the length of features, so that those of a place where nothing is active are divided by something (LPIPS).
const LENGTH_EPS: f64 = 1e-10;

/// LPIPS: distance between normalised features of frozen networks. Its weights are the user's, and no part of a checkpoint.
#[derive(Debug)]
pub(crate) struct Perceptual {
    stages: Vec<Vec<Conv>>,
    /// Learned weights of the channels of each stage, `[1, C, 1, 1]`; `None` to count all the same.
    heads: Option<Vec<Tensor>>,
    shift: Tensor,
    scale: Tensor,
    pub(super) weight: f64,
    /// Frames of each window that are looked at.
    num_frames: i64,
}

#[derive(Debug)]
struct Conv {
    weight: Tensor,
    bias: Tensor,
}

/// What the user's file holds, on one device.
struct File<'a> {
    tensors: &'a BTreeMap<String, Tensor>,
    device: Device,
}

impl File<'_> {
    /// * `wanted` - its shape, -1 for any size
    fn take(&self, name: String, wanted: &[i64]) -> Result<Tensor, TokenizerError> {
        let Some(tensor) = self.tensors.get(&name) else { return Err(TokenizerError::PerceptualMissing { name }) };
        let found = tensor.size();
        if found.len() != wanted.len()
            || found.iter().zip(wanted).any(|(found, wanted)| *wanted != -1 && found != wanted)
        {
            return Err(TokenizerError::PerceptualShape { name, found, wanted: wanted.to_vec() });
        }
        let tensor = tensor.f_to_kind(Kind::Float).and_then(|tensor| tensor.f_to(self.device));
        Ok(tensor.during("taking in the perceptual weights")?)
    }
}

impl Perceptual {
    /// `None` where the config asks for none.
    ///
    /// * `tensors` - the file's
    pub(crate) fn new(
        config: &PerceptualConfig,
        tensors: &BTreeMap<String, Tensor>,
        device: Device,
    ) -> Result<Option<Self>, TokenizerError> {
        let &PerceptualConfig::Vgg16 { weight, frames: num_frames, .. } = config else { return Ok(None) };
        let file = File { tensors, device };
        let (mut stages, mut widths, mut c_in) = (Vec::new(), Vec::new(), 3);
        for places in STAGES {
            let mut convs = Vec::new();
            for place in places {
                let weight = file.take(format!("features.{place}.weight"), &[-1, c_in, 3, 3])?;
                c_in = weight.size()[0];
                convs.push(Conv { weight, bias: file.take(format!("features.{place}.bias"), &[c_in])? });
            }
            stages.push(convs);
            widths.push(c_in);
        }
        let head = |(i, width): (usize, &i64)| file.take(format!("lin{i}.model.1.weight"), &[1, *width, 1, 1]);
        let heads = match tensors.keys().any(|name| name.starts_with("lin")) {
            true => Some(widths.iter().enumerate().map(head).collect::<Result<_, _>>()?),
            false => None,
        };
        let colours = |values: &[f32]| {
            let colours = Tensor::f_from_slice(values)?.f_view([1, 3, 1, 1])?;
            colours.f_to(device)
        };
        let constants = || Ok((colours(&SHIFT)?, colours(&SCALE)?));
        let (shift, scale) = constants().during("taking in the perceptual weights")?;
        Ok(Some(Perceptual { stages, heads, shift, scale, weight, num_frames }))
    }

    /// Mean distance over clips and the frames that `step` looks at: evenly spread ones, others in each step.
    ///
    /// * `output_bthwc`, `frames_bthwc` - `[B, 16, H, W, 3]` f32, sides of at least 16
    ///
    /// Returns a scalar with a gradient to the first.
    pub(super) fn distance(&self, output_bthwc: &Tensor, frames_bthwc: &Tensor, step: u64) -> Result<Tensor, TchError> {
        let every = WINDOW_FRAMES / self.num_frames;
        let first = (step % every as u64) as i64;
        let chosen = |clip: &Tensor| clip.f_slice(1, first, None, every)?.f_flatten(0, 1)?.f_permute([0, 3, 1, 2]);
        let real = tch::no_grad(|| self.features(&chosen(frames_bthwc)?))?;
        let drawn = self.features(&chosen(output_bthwc)?)?;
        let mut sum = Tensor::f_zeros([], (Kind::Float, output_bthwc.device()))?;
        for (i, (drawn, real)) in drawn.iter().zip(&real).enumerate() {
            let mut apart = drawn.f_sub(real)?.f_square()?;
            if let Some(heads) = &self.heads {
                apart = apart.f_mul(&heads[i])?;
            }
            sum = sum.f_add(&apart.f_sum_dim_intlist(1, false, Kind::Float)?.f_mean(Kind::Float)?)?;
        }
        Ok(sum)
    }

    /// Features of each stage, of length 1 at each place.
    fn features(&self, frames_bchw: &Tensor) -> Result<Vec<Tensor>, TchError> {
        let mut x = frames_bchw.f_sub(&self.shift)?.f_div(&self.scale)?;
        let mut features = Vec::new();
        for (i, stage) in self.stages.iter().enumerate() {
            if i > 0 {
                x = x.f_max_pool2d(2, 2, 0, 1, false)?;
            }
            for Conv { weight, bias } in stage {
                x = x.f_conv2d(weight, Some(bias), 1, 1, 1, 1)?.f_relu()?;
            }
            let exact = x.f_to_kind(Kind::Float)?;
            let length = exact.f_norm_scalaropt_dim(2, 1, true)?.f_add_scalar(LENGTH_EPS)?;
            features.push(exact.f_div(&length)?);
        }
        Ok(features)
    }
}

#[cfg(test)]
mod tests;
