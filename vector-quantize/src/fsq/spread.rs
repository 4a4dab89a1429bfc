use tch::{Kind, TchError, Tensor};

use super::{Bound, Fsq};
use crate::VqError;
use crate::codes::{during, expect_width};

impl Fsq {
    /// How far the levels of a batch are from being used evenly and independently of each other, as told by first and second
    /// moments: with values shifted and scaled so that evenly used levels have mean 0 and variance 1 in each channel, the
    /// squared means plus the squared difference of the matrix of second moments to the identity, summed and divided by the
    /// channels. 0 for evenly used codes. Not part of the paper, which reports good use after long training; this is for short
    /// training, in which latents otherwise stay near the middle of their channels.
    ///
    /// * `values` - of [`Fsq::quantize`], `[.., D]`; the gradient passes through them to its input
    ///
    /// Returns a scalar f32.
    ///
    /// # Errors
    /// [`VqError::Width`]; [`VqError::NoVectors`] for an empty batch; [`VqError::Torch`].
    pub fn spread(&self, values: &Tensor) -> Result<Tensor, VqError> {
        expect_width(values, self.num_channels())?;
        if values.numel() == 0 {
            return Err(VqError::NoVectors);
        }
        self.distance_to_even(values).map_err(during("measuring the use of levels"))
    }

    fn distance_to_even(&self, values: &Tensor) -> Result<Tensor, TchError> {
        let (means, deviations): (Vec<f32>, Vec<f32>) = self.levels.iter().map(|&l| even(l, self.bound)).unzip();
        let values_nd = values.f_reshape([-1, self.num_channels()])?;
        let to = |row: Vec<f32>| Tensor::f_from_slice(&row)?.f_to(values.device());
        let unit_nd = values_nd.f_sub(&to(means)?)?.f_div(&to(deviations)?)?;
        let mean_d = unit_nd.f_mean_dim([0i64].as_slice(), false, Kind::Float)?;
        let moments_dd = unit_nd.f_tr()?.f_matmul(&unit_nd)?.f_div_scalar(values_nd.size()[0] as f64)?;
        let identity = Tensor::f_eye(self.num_channels(), (Kind::Float, values.device()))?;
        let apart = moments_dd.f_sub(&identity)?.f_square()?.f_sum(Kind::Float)?;
        apart.f_add(&mean_d.f_square()?.f_sum(Kind::Float)?)?.f_div_scalar(self.num_channels() as f64)
    }
}

/// Mean and standard deviation of the values of `l` levels that are used evenly.
fn even(l: i64, bound: Bound) -> (f32, f32) {
    let l = l as f64;
    let (mean, step) = match bound {
        // -(L / 2) / (L / 2) up to (L - 1 - L / 2) / (L / 2), whole numbers divided.
        Bound::Official | Bound::Exact => {
            let half = (l / 2.0).floor();
            (((l - 1.0) / 2.0 - half) / half, 1.0 / half)
        }
        Bound::Symmetric => (0.0, 2.0 / (l - 1.0)),
    };
    (mean as f32, (step * ((l * l - 1.0) / 12.0).sqrt()) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evenly_used_codes_have_no_distance_whatever_the_bound() {
        for bound in [Bound::Official, Bound::Exact, Bound::Symmetric] {
            let fsq = Fsq::with_bound(&[8, 5, 2], bound).unwrap();
            let all = Tensor::arange(fsq.codebook_size(), (Kind::Int64, tch::Device::Cpu));
            let spread = fsq.spread(&fsq.values_from_codes(&all).unwrap()).unwrap().double_value(&[]);
            assert!(spread.abs() < 1e-10, "{bound:?}: {spread}");
        }
    }

    #[test]
    fn a_collapsed_and_a_correlated_batch_worked_by_hand() {
        // Five levels: values -1, -0.5, 0, 0.5, 1, mean 0, variance 0.5. All tokens in the middle: means 0, second moments 0,
        // so the identity alone is left: (1 + 1) / 2.
        let fsq = Fsq::new(&[5, 5]).unwrap();
        assert_eq!(fsq.spread(&Tensor::zeros([4, 2], (Kind::Float, tch::Device::Cpu))).unwrap().double_value(&[]), 1.0);
        // Both channels evenly used, but always alike: the two moments off the diagonal are 1 instead of 0.
        let line = Tensor::from_slice(&[-1.0f32, -0.5, 0.0, 0.5, 1.0]);
        let spread = fsq.spread(&Tensor::stack(&[&line, &line], 1)).unwrap().double_value(&[]);
        assert!((spread - 1.0).abs() < 1e-6, "{spread}");
    }

    #[test]
    fn its_gradient_drives_crowded_latents_apart() {
        let fsq = Fsq::new(&[8]).unwrap();
        let z = Tensor::from_slice(&[-0.3f32, 0.3]).view([2, 1]).set_requires_grad(true);
        fsq.spread(&fsq.quantize(&z).unwrap().values).unwrap().f_backward().unwrap();
        let gradient = Vec::<f32>::try_from(z.grad().flatten(0, 1)).unwrap();
        assert!(gradient[0] > 0.0 && gradient[1] < 0.0, "{gradient:?}");
    }
}
