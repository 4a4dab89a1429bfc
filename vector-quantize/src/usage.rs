use tch::{Kind, TchError, Tensor};

use crate::VqError;
use crate::codes::{during, expect_codes};

/// How evenly a batch of codes spreads over the codebook.
#[derive(Debug)]
pub struct Usage {
    /// Share of the codebook that occurs in the batch, scalar f32 in `0..=1`.
    pub used_share: Tensor,
    /// `exp(-sum p ln p)` over the batch's code frequencies p, scalar f32 in `1..=K`: the number of codes that, used
    /// evenly, would be as unpredictable.
    pub perplexity: Tensor,
    /// Number of codes that do not occur, scalar int64.
    pub dead_codes: Tensor,
}

/// Largest codebook of which [`counts`] keeps one count per code: 2^24, 128 MiB.
pub const MAX_COUNTED_CODES: i64 = 1 << 24;

/// Measures how a batch uses the codebook. An empty batch has share 0 and perplexity 1.
///
/// * `codes` - `[..]` int64 in `0..K`
/// * `codebook_size` - K
///
/// # Errors
/// [`VqError::CodeKind`], [`VqError::CodeRange`], [`VqError::Torch`].
pub fn usage(codes: &Tensor, codebook_size: i64) -> Result<Usage, VqError> {
    expect_codes(codes, codebook_size)?;
    // Counts of the codes that occur, so that a large codebook costs nothing.
    let occurring = || Ok(codes.f_flatten(0, -1)?.f_internal_unique2(true, false, true)?.2);
    occurring().and_then(|counts| spread(&counts, codebook_size)).map_err(during("counting codes"))
}

/// How often each code occurs, `[K]` int64: to be added up over batches, micro-batches and ranks. A code is dead if its
/// count in the sum is 0.
///
/// * `codes` - `[..]` int64 in `0..K`
/// * `codebook_size` - K, at most [`MAX_COUNTED_CODES`]
///
/// # Errors
/// [`VqError::TooManyToCount`]; [`VqError::CodeKind`], [`VqError::CodeRange`], [`VqError::Torch`].
pub fn counts(codes: &Tensor, codebook_size: i64) -> Result<Tensor, VqError> {
    if codebook_size > MAX_COUNTED_CODES {
        return Err(VqError::TooManyToCount { codebook_size });
    }
    expect_codes(codes, codebook_size)?;
    codes
        .f_flatten(0, -1)
        .and_then(|flat| flat.f_bincount(None::<Tensor>, codebook_size))
        .map_err(during("counting codes"))
}

/// [`usage`] of all batches whose [`counts`] were added up.
///
/// * `counts` - `[K]` int64
///
/// # Errors
/// [`VqError::Counts`] for another element type or shape; [`VqError::Torch`].
pub fn usage_of_counts(counts: &Tensor) -> Result<Usage, VqError> {
    match counts.size()[..] {
        [codebook_size] if counts.kind() == Kind::Int64 => {
            let used = counts.f_gt(0).and_then(|used| counts.f_masked_select(&used));
            used.and_then(|used| spread(&used, codebook_size)).map_err(during("measuring the use of codes"))
        }
        _ => Err(VqError::Counts { got: counts.kind(), shape: counts.size() }),
    }
}

/// * `counts` - of the codes that occur, all above 0
fn spread(counts: &Tensor, codebook_size: i64) -> Result<Usage, TchError> {
    let num_used = counts.numel() as i64;
    let used_share = Tensor::from((num_used as f64 / codebook_size as f64) as f32);
    let total = counts.f_sum(Kind::Int64)?.f_clamp_min(1)?;
    let p = counts.f_to_kind(Kind::Float)?.f_div(&total)?;
    let perplexity = p.f_log()?.f_mul(&p)?.f_sum(Kind::Float)?.f_neg()?.f_exp()?;
    Ok(Usage { used_share, perplexity, dead_codes: Tensor::from(codebook_size - num_used) })
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
