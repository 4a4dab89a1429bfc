use std::ffi::c_int;
use std::ptr;

use tch::Tensor;

use crate::{Error, shim};

/// Numbers of one AdamW step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWStep {
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay (times the learning rate).
    pub weight_decay: f64,
}

/// One step of AdamW by libtorch's fused kernel, in place. All state is the caller's: moments shaped like their
/// parameters, `steps` f32 scalars counted up here. The lists correspond element by element.
///
/// # Errors
/// [`Error::Torch`] when lists or shapes do not correspond.
pub fn fused_adamw(
    params: &[Tensor],
    grads: &[Tensor],
    moments: (&[Tensor], &[Tensor]),
    steps: &[Tensor],
    by: &AdamWStep,
) -> Result<(), Error> {
    let during = "the AdamW step";
    let (exp_avgs, exp_avg_sqs) = moments;
    let lengths = [grads.len(), exp_avgs.len(), exp_avg_sqs.len(), steps.len()];
    if lengths.iter().any(|n| *n != params.len()) {
        let message = format!("{} parameters with lists of {lengths:?}", params.len());
        return Err(Error::Torch { during, message });
    }
    // The fused kernel itself trusts the sizes it is given and would write past the end.
    for (i, param) in params.iter().enumerate() {
        let size = param.size();
        if [&grads[i], &exp_avgs[i], &exp_avg_sqs[i]].iter().any(|t| t.size() != size) {
            let message = format!("gradient or moments of parameter {i} are not of its shape {size:?}");
            return Err(Error::Torch { during, message });
        }
    }
    if params.is_empty() {
        return Ok(());
    }
    let (p, g, s) = (shim::handles(params), shim::handles(grads), shim::handles(steps));
    let (m, v) = (shim::handles(exp_avgs), shim::handles(exp_avg_sqs));
    // SAFETY: five arrays of `p.len()` handles each, of tensors borrowed for the length of the call.
    let status = unsafe {
        shim::lv_fused_adamw(
            p.as_ptr(),
            g.as_ptr(),
            m.as_ptr(),
            v.as_ptr(),
            s.as_ptr(),
            p.len() as c_int,
            by.learning_rate,
            by.beta1,
            by.beta2,
            by.weight_decay,
            by.eps,
        )
    };
    shim::check(status, during)
}

/// Takes the gradients off `variables`: they have none, and the next backward pass puts its own there without adding. Their
/// memory is free once nobody else holds them.
///
/// # Errors
/// [`Error::Torch`].
pub fn drop_gradients(variables: &[Tensor]) -> Result<(), Error> {
    let list = shim::handles(variables);
    // SAFETY: `list` holds handles of tensors borrowed for the length of the call.
    let status = unsafe { shim::lv_drop_gradients(list.as_ptr(), list.len() as c_int) };
    shim::check(status, "dropping gradients")
}

/// The L2 norm over all values of all tensors together, a scalar on their device (no synchronisation).
///
/// # Errors
/// [`Error::Torch`] for an empty list.
pub fn total_norm(tensors: &[Tensor]) -> Result<Tensor, Error> {
    let list = shim::handles(tensors);
    let mut output = ptr::null_mut();
    // SAFETY: `list` holds handles of tensors borrowed for the length of the call; `output` is written on success.
    let status = unsafe { shim::lv_total_norm(list.as_ptr(), list.len() as c_int, &mut output) };
    shim::take(status, output, "the gradient norm")
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;

    /// AdamW as Loshchilov and Hutter write it, on one number.
    fn by_hand(mut x: f64, grads: &[f64], by: &AdamWStep) -> f64 {
        let (mut m, mut v) = (0.0, 0.0);
        for (i, g) in grads.iter().enumerate() {
            let t = (i + 1) as f64;
            x -= by.learning_rate * by.weight_decay * x;
            m = by.beta1 * m + (1.0 - by.beta1) * g;
            v = by.beta2 * v + (1.0 - by.beta2) * g * g;
            let (m_hat, v_hat) = (m / (1.0 - by.beta1.powf(t)), v / (1.0 - by.beta2.powf(t)));
            x -= by.learning_rate * m_hat / (v_hat.sqrt() + by.eps);
        }
        x
    }

    #[test]
    fn ten_steps_equal_the_published_formula() {
        let by = AdamWStep { learning_rate: 0.1, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.05 };
        let grads: Vec<f64> = (0..10).map(|i| (f64::from(i) - 4.0) * 0.3).collect();
        let zero = || vec![Tensor::zeros([1], (Kind::Float, Device::Cpu))];
        let x = vec![Tensor::from_slice(&[2.0f32])];
        let (m, v, steps) = (zero(), zero(), vec![Tensor::zeros([], (Kind::Float, Device::Cpu))]);
        for g in &grads {
            fused_adamw(&x, &[Tensor::from_slice(&[*g as f32])], (&m, &v), &steps, &by).unwrap();
        }
        let (got, want) = (x[0].double_value(&[0]), by_hand(2.0, &grads, &by));
        assert!((got - want).abs() < 1e-5, "{got} instead of {want}");
        assert_eq!(steps[0].double_value(&[]), 10.0);
    }

    #[test]
    fn lists_of_different_length_are_refused() {
        let one = || vec![Tensor::zeros([1], (Kind::Float, Device::Cpu))];
        let by = AdamWStep { learning_rate: 0.1, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.0 };
        assert!(fused_adamw(&one(), &[], (&one(), &one()), &one(), &by).is_err());
    }

    #[test]
    fn a_shape_that_does_not_fit_comes_back_as_an_error() {
        let sized = |n| vec![Tensor::zeros([n], (Kind::Float, Device::Cpu))];
        let by = AdamWStep { learning_rate: 0.1, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.0 };
        let steps = vec![Tensor::zeros([], (Kind::Float, Device::Cpu))];
        let err = fused_adamw(&sized(2), &sized(3), (&sized(2), &sized(2)), &steps, &by).unwrap_err();
        assert!(matches!(err, Error::Torch { .. }), "{err}");
    }

    #[test]
    fn a_dropped_gradient_is_gone_and_the_next_one_is_not_added_to_it() {
        let x = Tensor::from_slice(&[1.0f32, 2.0]).set_requires_grad(true);
        x.square().sum(Kind::Float).f_backward().unwrap();
        let held = x.grad();
        drop_gradients(&[x.shallow_clone()]).unwrap();
        assert!(!x.grad().defined());
        assert_eq!(Vec::<f32>::try_from(held).unwrap(), [2.0, 4.0]);
        x.sum(Kind::Float).f_backward().unwrap();
        assert_eq!(Vec::<f32>::try_from(x.grad()).unwrap(), [1.0, 1.0]);
    }

    #[test]
    fn the_norm_of_three_and_four_is_five() {
        let list = [Tensor::from_slice(&[3.0f32, 0.0]), Tensor::from_slice(&[-4.0f32])];
        assert!((total_norm(&list).unwrap().double_value(&[]) - 5.0).abs() < 1e-6);
    }
}
