use std::ptr;

use tch::Tensor;

use crate::{Error, shim};

/// SiLU of the group normalization of each frame by itself, as one operation with one backward: for channels innermost in
/// memory that takes 1/20 of the time of libtorch's two, and only the input is kept for it. Not for double backward.
///
/// * `x_btlc` - `[B, T, L, C]`: L places of T frames, in f32 or a lower precision, which the result has too
/// * `weight_c`, `bias_c` - `[C]` f32: what each normalized channel is multiplied by and raised by
/// * `num_groups` - groups of neighbouring channels, each with mean 0 and variance 1 before weight and bias; divides C
/// * `eps` - added to the variance
///
/// # Errors
/// [`Error::Torch`] for shapes that do not fit; [`Error::OutOfMemory`].
pub fn group_norm_silu(
    x_btlc: &Tensor,
    (weight_c, bias_c): (&Tensor, &Tensor),
    num_groups: i64,
    eps: f64,
) -> Result<Tensor, Error> {
    let [x, weight, bias] = [x_btlc, weight_c, bias_c].map(|tensor| tensor.as_ptr().cast_mut());
    let mut output = ptr::null_mut();
    // SAFETY: the handles are borrowed for the call; `output` is written on success.
    let status = unsafe { shim::lv_group_norm_silu(x, weight, bias, num_groups, eps, &mut output) };
    shim::take(status, output, "group normalization")
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    fn random(size: &[i64]) -> Tensor {
        Tensor::randn(size, (Kind::Float, Device::Cpu))
    }

    #[track_caller]
    fn assert_near(got: &Tensor, want: &Tensor, tolerance: f64) {
        assert_eq!(got.size(), want.size());
        let apart = (got - want).abs().max().double_value(&[]);
        assert!(apart < tolerance, "{apart:e} apart");
    }

    #[test]
    fn values_and_gradients_are_those_of_libtorchs_two_operations() {
        let _alone = crate::checkpoint::tests::generator();
        for (b, t, l, c, groups) in [(2, 3, 35, 12, 4), (1, 1, 1, 8, 2), (2, 1, 64, 6, 6), (1, 4, 9, 5, 1)] {
            // Far from zero, where a variance as the difference of two large means would be noise.
            let x = (random(&[b, t, l, c]) * 0.1 + 30.0).set_requires_grad(true);
            let (weight, bias) = (random(&[c]).set_requires_grad(true), random(&[c]).set_requires_grad(true));
            let pull = random(&[b, t, l, c]);
            let grads = |y: &Tensor| {
                let inputs = [&x, &weight, &bias];
                Tensor::f_run_backward(&[(y * &pull).sum(Kind::Float)], &inputs, false, false).unwrap()
            };
            let got = group_norm_silu(&x, (&weight, &bias), groups, 1e-6).unwrap();
            let frames = x.flatten(0, 1).transpose(1, 2).contiguous();
            let want = frames.group_norm(groups, Some(&weight), Some(&bias), 1e-6, true).silu();
            let want = want.transpose(1, 2).view([b, t, l, c]);
            assert_near(&got, &want, 1e-3);
            for (got, want) in grads(&got).iter().zip(grads(&want)) {
                assert_near(got, &want, 1e-3 * (1.0 + want.abs().max().double_value(&[])));
            }
        }
    }

    #[test]
    fn a_gradient_in_a_view_of_a_longer_video_is_read_as_it_lies() {
        let _alone = crate::checkpoint::tests::generator();
        let x = random(&[2, 3, 10, 4]).set_requires_grad(true);
        let (weight, bias) = (random(&[4]), random(&[4]));
        let pull = random(&[2, 5, 10, 4]);
        let grad = |pull: &Tensor| {
            let y = group_norm_silu(&x, (&weight, &bias), 2, 1e-6).unwrap();
            Tensor::f_run_backward(&[(y * pull).sum(Kind::Float)], &[&x], false, false).unwrap().remove(0)
        };
        assert_near(&grad(&pull.narrow(1, 2, 3)), &grad(&pull.narrow(1, 2, 3).contiguous()), 1e-6);
    }

    #[test]
    fn lower_precision_comes_back_as_it_came() {
        let _alone = crate::checkpoint::tests::generator();
        let x = random(&[1, 2, 20, 8]);
        let (weight, bias) = (random(&[8]), random(&[8]));
        let low = x.to_kind(Kind::BFloat16).set_requires_grad(true);
        let y = group_norm_silu(&low, (&weight, &bias), 4, 1e-6).unwrap();
        assert_eq!(y.kind(), Kind::BFloat16);
        let exact = group_norm_silu(&low.to_kind(Kind::Float).detach(), (&weight, &bias), 4, 1e-6).unwrap();
        assert_near(&y.to_kind(Kind::Float), &exact, 0.05);
        let grad = Tensor::f_run_backward(&[y.sum(Kind::Float)], &[&low], false, false).unwrap().remove(0);
        assert_eq!(grad.kind(), Kind::BFloat16);
    }

    #[test]
    fn groups_that_do_not_divide_are_an_error() {
        let x = random(&[1, 1, 4, 6]);
        let ones = Tensor::ones([6], (Kind::Float, Device::Cpu));
        assert!(matches!(group_norm_silu(&x, (&ones, &ones), 4, 1e-6), Err(Error::Torch { .. })));
    }
}
