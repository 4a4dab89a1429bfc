use nn::{During, expect_shape};
use tch::{Kind, TchError, Tensor};

use crate::EvalError;

/// Side of the window in which frames are compared, pixels.
pub const SSIM_WINDOW_PX: i64 = 11;
/// Standard deviation of the Gaussian weights inside it, pixels.
const SIGMA_PX: f64 = 1.5;
/// `(K L)^2` for `K` = 0.01 and 0.03 and the range `L` = 255 of bytes.
const C1: f64 = 0.01 * 255.0 * 0.01 * 255.0;
const C2: f64 = 0.03 * 255.0 * 0.03 * 255.0;

/// Structural similarity of two frames (Wang, Bovik, Sheikh, Simoncelli, IEEE TIP 2004): Gaussian window of 11 x 11,
/// standard deviation 1.5, `K1` 0.01, `K2` 0.03. Mean over the three colours, each by itself, and over the places where
/// the window lies inside the frame; the original compares luma alone.
///
/// * `a_hwc`, `b_hwc` - `[H, W, 3]` u8
///
/// Returns a number in `[-1, 1]`, 1 for equal frames.
///
/// # Errors
/// [`EvalError::OutOfRange`] for frames smaller than the window, [`EvalError::Nn`] for frames of different shapes.
pub fn ssim(a_hwc: &Tensor, b_hwc: &Tensor) -> Result<f64, EvalError> {
    expect_shape("frame", a_hwc, &[-1, -1, 3])?;
    expect_shape("other frame", b_hwc, &a_hwc.size())?;
    let side = a_hwc.size()[0].min(a_hwc.size()[1]);
    if side < SSIM_WINDOW_PX {
        let rule = "at least 11 pixels, the window of SSIM";
        return Err(EvalError::OutOfRange { key: "side of a frame", value: side as f64, rule });
    }
    Ok(similarity(a_hwc, b_hwc).during("comparing frames")?)
}

fn similarity(a_hwc: &Tensor, b_hwc: &Tensor) -> Result<f64, TchError> {
    // `[3, 1, H, W]`, shifted to the middle so that little is lost in the difference of two large squares.
    let shifted = |x: &Tensor| x.f_permute([2, 0, 1])?.f_unsqueeze(1)?.f_to_kind(Kind::Double)?.f_sub_scalar(128.0);
    let (a, b) = (shifted(a_hwc)?, shifted(b_hwc)?);
    let blurred = blur(&Tensor::f_cat(&[&a, &b, &(&a * &a), &(&b * &b), &(&a * &b)], 0)?)?;
    let part = |i: i64| blurred.f_narrow(0, 3 * i, 3);
    let (mean_a, mean_b) = (part(0)?, part(1)?);
    let var_a = part(2)? - &mean_a * &mean_a;
    let var_b = part(3)? - &mean_b * &mean_b;
    let covariance = part(4)? - &mean_a * &mean_b;
    let (mean_a, mean_b) = (mean_a + 128.0, mean_b + 128.0);
    let above = (&mean_a * &mean_b * 2.0 + C1) * (covariance * 2.0 + C2);
    let below = (&mean_a * &mean_a + &mean_b * &mean_b + C1) * (var_a + var_b + C2);
    f64::try_from((above / below).f_mean(Kind::Double)?)
}

/// Weighted means of the windows that lie inside `[N, 1, H, W]`, rows and columns one after the other.
fn blur(x: &Tensor) -> Result<Tensor, TchError> {
    let centre = (SSIM_WINDOW_PX - 1) as f64 / 2.0;
    let weight = |i: i64| (-(i as f64 - centre).powi(2) / (2.0 * SIGMA_PX * SIGMA_PX)).exp();
    let weights: Vec<f64> = (0..SSIM_WINDOW_PX).map(weight).collect();
    let sum: f64 = weights.iter().sum();
    let line = Tensor::f_from_slice(&weights)?.f_div_scalar(sum)?.f_to_device(x.device())?;
    let (column, row) = (line.f_view([1, 1, -1, 1])?, line.f_view([1, 1, 1, -1])?);
    let convolve = |x: &Tensor, weights: &Tensor| x.f_conv2d(weights, None::<Tensor>, [1, 1], [0, 0], [1, 1], 1);
    convolve(&convolve(x, &column)?, &row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    #[test]
    fn scikit_images_numbers_come_out() {
        for name in ["noise", "gradient", "shifted"] {
            let tensor = |part: &str| golden::tensor(&format!("ssim.{name}.{part}"));
            let got = ssim(&tensor("a"), &tensor("b")).unwrap();
            let want = tensor("value").double_value(&[]);
            assert!((got - want).abs() < 1e-9, "{name}: {got} is not {want}");
        }
    }
}
