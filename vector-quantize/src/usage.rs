use tch::{Kind, TchError, Tensor};

use crate::VqError;
use crate::fsq::expect_codes;

/// How evenly a batch of codes spreads over the codebook.
#[derive(Debug)]
pub struct Usage {
    /// Share of the codebook that occurs in the batch, scalar f32 in `0..=1`.
    pub used_share: Tensor,
    /// `exp(-sum p ln p)` over the batch's code frequencies p, scalar f32 in `1..=K`: the number of codes that, used
    /// evenly, would be as unpredictable.
    pub perplexity: Tensor,
}

/// Measures how a batch uses the codebook. An empty batch has share 0 and perplexity 1.
///
/// * `codes` - `[..]` int64 in `0..K`
/// * `codebook_size` - K
///
/// # Errors
/// [`VqError::CodeKind`], [`VqError::CodeRange`], [`VqError::Torch`].
pub fn usage(codes: &Tensor, codebook_size: i64) -> Result<Usage, VqError> {
    expect_codes(codes, codebook_size)?;
    count(codes, codebook_size).map_err(|source| VqError::Torch { during: "counting codes", source })
}

fn count(codes: &Tensor, codebook_size: i64) -> Result<Usage, TchError> {
    // Counts of the codes that occur, so that a large codebook costs nothing.
    let (_, _, counts) = codes.f_flatten(0, -1)?.f_internal_unique2(true, false, true)?;
    let used_share = Tensor::from(counts.numel() as f32 / codebook_size as f32);
    let p = counts.f_to_kind(Kind::Float)?.f_div_scalar(codes.numel().max(1) as f64)?;
    let perplexity = p.f_log()?.f_mul(&p)?.f_sum(Kind::Float)?.f_neg()?.f_exp()?;
    Ok(Usage { used_share, perplexity })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(codes: &[i64], codebook_size: i64) -> (f64, f64) {
        let usage = usage(&Tensor::from_slice(codes), codebook_size).unwrap();
        (usage.used_share.double_value(&[]), usage.perplexity.double_value(&[]))
    }

    #[track_caller]
    fn assert_near(got: f64, want: f64) {
        assert!((got - want).abs() < 1e-5, "{got} is not {want}");
    }

    #[test]
    fn five_codes_used_evenly_have_perplexity_5() {
        let (share, perplexity) = measured(&[3, 1, 4, 9, 7, 7, 9, 4, 1, 3], 20);
        assert_near(share, 0.25);
        assert_near(perplexity, 5.0);
    }

    #[test]
    fn uneven_use_lowers_the_perplexity() {
        // p = (1/2, 1/4, 1/4): entropy = 1/2 ln 2 + 2 * 1/4 ln 4 = 1.5 ln 2, perplexity = 2^1.5.
        assert_near(measured(&[0, 0, 1, 2], 3).1, 2.0_f64.powf(1.5));
        assert_near(measured(&[6, 6, 6], 8).1, 1.0);
    }

    #[test]
    fn an_empty_batch_uses_nothing() {
        assert_eq!(measured(&[], 8), (0.0, 1.0));
    }

    #[test]
    fn a_code_outside_the_codebook_is_refused() {
        let refused = usage(&Tensor::from_slice(&[0i64, 8]), 8);
        assert!(matches!(refused, Err(VqError::CodeRange { code: 8, codebook_size: 8 })));
    }
}
