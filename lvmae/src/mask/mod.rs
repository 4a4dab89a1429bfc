//! Which tokens the encoder sees and which the decoder predicts. Plain index lists, no tensors; every list ascends.

mod decoder;
mod encoder;

pub use decoder::DecoderMask;
pub use encoder::EncoderMask;

/// The masks of one clip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClipMask {
    /// Tokens that the encoder sees, ascending.
    pub visible: Vec<i64>,
    /// Tokens that the decoder predicts, ascending; none is visible.
    pub decoded: Vec<i64>,
}

/// `share` of `total`, rounded down as the published codes do; the margin absorbs `0.1 * 30 = 2.9999...`.
fn count(share: f64, total: i64) -> i64 {
    (share * total as f64 + 1e-6).floor() as i64
}

/// `k` of `pool` at random, ascending (partial Fisher-Yates).
fn draw(mut pool: Vec<i64>, k: usize, rng: &mut spec::Rng) -> Vec<i64> {
    use rand::RngExt as _;
    for i in 0..k {
        let j = rng.random_range(i..pool.len());
        pool.swap(i, j);
    }
    pool.truncate(k);
    pool.sort_unstable();
    pool
}

#[cfg(test)]
mod tests;
