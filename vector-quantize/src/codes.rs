//! Codes as numbers: checking them, and digits in mixed radix.

use tch::{Kind, TchError, Tensor};

use crate::VqError;

/// Most codes a quantizer may have, so that a code fits a u32.
pub(crate) const MAX_CODES: i64 = 1 << 32;

/// Wraps libtorch's failure during `what`.
pub(crate) fn during(what: &'static str) -> impl FnOnce(TchError) -> VqError {
    move |source| VqError::Torch { during: what, source }
}

/// Checks that codes are int64 in `0..codebook_size`.
pub(crate) fn expect_codes(codes: &Tensor, codebook_size: i64) -> Result<(), VqError> {
    if codes.kind() != Kind::Int64 {
        return Err(VqError::CodeKind { got: codes.kind() });
    }
    if codes.numel() == 0 {
        return Ok(());
    }
    let ends = || Ok([i64::try_from(codes.f_min()?)?, i64::try_from(codes.f_max()?)?]);
    match ends().map_err(during("checking codes"))?.into_iter().find(|code| !(0..codebook_size).contains(code)) {
        Some(code) => Err(VqError::CodeRange { code, codebook_size }),
        None => Ok(()),
    }
}

/// Checks that the last axis of `z` has one value per channel.
pub(crate) fn expect_width(z: &Tensor, num_channels: i64) -> Result<(), VqError> {
    if z.size().last() != Some(&num_channels) {
        return Err(VqError::Width { got: z.size(), want: num_channels });
    }
    Ok(())
}

/// Checks that there is one code per vector of `z`.
pub(crate) fn expect_codes_of(codes: &Tensor, z: &Tensor) -> Result<(), VqError> {
    if z.size()[..z.dim() - 1] != codes.size() {
        return Err(VqError::Batch { codes: codes.size(), vectors: z.size() });
    }
    Ok(())
}

/// `hard` with the gradient of `soft`. Exactly `hard` in value, since `soft` minus itself is exactly 0.
///
/// * `hard`, `soft` - of one shape, f32
pub(crate) fn pass_gradient(hard: &Tensor, soft: &Tensor) -> Result<Tensor, TchError> {
    hard.f_detach()?.f_add(&soft.f_sub(&soft.f_detach()?)?)
}

/// Mean over all elements, 0 for none, scalar f32.
pub(crate) fn mean(values: &Tensor) -> Result<Tensor, TchError> {
    values.f_sum(Kind::Float)?.f_div_scalar(values.numel().max(1) as f64)
}

/// Mean squared distance of `z` from `hard` per element, with a gradient to `z` only: the commitment loss of VQ-VAE
/// (arXiv:1711.00937, equation 3) without its weight.
pub(crate) fn commitment(z: &Tensor, hard: &Tensor) -> Result<Tensor, TchError> {
    mean(&z.f_sub(&hard.f_detach()?)?.f_square()?)
}

/// The number whose digits, lowest first, are given on the last axis.
///
/// * `digits` - `[.., D]` int64, digit i in `0..radices[i]`
///
/// Returns `[..]` int64.
pub(crate) fn from_digits(digits: &Tensor, radices: &[i64]) -> Result<Tensor, TchError> {
    digits.f_mul(&places(radices, digits)?)?.f_sum_dim_intlist(-1, false, Kind::Int64)
}

/// Inverse of [`from_digits`]: `[..]` int64 to `[.., D]` int64.
pub(crate) fn to_digits(codes: &Tensor, radices: &[i64]) -> Result<Tensor, TchError> {
    let radix = Tensor::f_from_slice(radices)?.f_to(codes.device())?;
    codes.f_unsqueeze(-1)?.f_divide_tensor_mode(&places(radices, codes)?, "floor")?.f_remainder_tensor(&radix)
}

/// Weight of each digit, `[D]`: 1, r_0, r_0 r_1, ...
fn places(radices: &[i64], like: &Tensor) -> Result<Tensor, TchError> {
    let row: Vec<i64> = radices.iter().scan(1, |next, r| Some(std::mem::replace(next, *next * r))).collect();
    Tensor::f_from_slice(&row)?.f_to(like.device())
}
