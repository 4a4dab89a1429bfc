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
mod tests;
