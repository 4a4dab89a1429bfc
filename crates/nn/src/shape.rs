use tch::{Kind, Tensor};

use crate::NnError;

/// Checks a tensor's shape at a public entrance; `-1` in `want` accepts any size.
///
/// # Errors
/// [`NnError::Shape`] with both shapes.
pub fn expect_shape(name: &'static str, tensor: &Tensor, want: &[i64]) -> Result<(), NnError> {
    let got = tensor.size();
    let fits = got.len() == want.len() && got.iter().zip(want).all(|(g, w)| *w == -1 || g == w);
    if fits { Ok(()) } else { Err(NnError::Shape { name, got, want: want.to_vec() }) }
}

/// Checks a tensor's element type at a public entrance.
///
/// # Errors
/// [`NnError::Kind`] with both types.
pub fn expect_kind(name: &'static str, tensor: &Tensor, want: Kind) -> Result<(), NnError> {
    let got = tensor.kind();
    if got == want { Ok(()) } else { Err(NnError::Kind { name, got, want }) }
}
