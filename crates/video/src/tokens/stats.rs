use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde::Serialize;

use super::TokenStore;
use crate::VideoError;

/// Share of the tokens that [`PriorityStats`] calls the top.
const TOP_SHARE: f64 = 0.1;

/// What the tokens of a whole store are like.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TokenStats {
    /// How the codes are used.
    pub codes: CodeStats,
    /// How priorities are distributed; `None` without a finite one.
    pub priorities: Option<PriorityStats>,
    /// Priorities that are NaN or infinite.
    pub num_not_finite: u64,
}

/// How the codes of a codebook are used.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CodeStats {
    /// Codes that occur.
    pub num_used: u64,
    /// Codes that do not.
    pub num_dead: u64,
    /// Exponential of the entropy (natural) of the codes' frequencies: as many codes, each used alike, say as much.
    pub perplexity: f64,
}

/// How priorities are distributed. Quantiles are the lower ends of buckets less than 1 % wide.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PriorityStats {
    /// Lowest.
    pub min: f32,
    /// Highest.
    pub max: f32,
    /// Mean.
    pub mean: f64,
    /// Median.
    pub median: f32,
    /// Where the tenth of the tokens with the highest priority begins.
    pub top_tenth_from: f32,
    /// Share of the sum of all priorities that this tenth holds; 0.1 where all are alike.
    pub top_tenth_share: f64,
}

impl TokenStore {
    /// Reads all tokens once; memory holds a piece of them and a number for each code that occurs. `on_segment` is told how
    /// many segments are done and may stop, which gives the statistics of those.
    ///
    /// # Errors
    /// [`VideoError::UnknownCode`], and what HDF5 says.
    pub fn stats(&self, on_segment: &mut dyn FnMut(usize) -> ControlFlow<()>) -> Result<TokenStats, VideoError> {
        let (mut counts, mut priorities) = (BTreeMap::new(), Histogram::new());
        for segment in 0..self.num_segments() {
            for tokens in self.pieces(segment)? {
                let tokens = tokens?;
                count(&mut counts, tokens.codes);
                tokens.priorities.into_iter().for_each(|priority| priorities.add(priority));
            }
            if on_segment(segment + 1).is_break() {
                break;
            }
        }
        let codes = CodeStats::of(counts.values().copied(), self.header().codebook_size);
        Ok(TokenStats { codes, num_not_finite: priorities.num_not_finite, priorities: priorities.stats() })
    }
}

/// Adds codes to their counts, sorted first: the map is asked once per code, not once per token.
fn count(counts: &mut BTreeMap<u32, u64>, mut codes: Vec<u32>) {
    codes.sort_unstable();
    for equal in codes.chunk_by(|a, b| a == b) {
        *counts.entry(equal[0]).or_insert(0) += equal.len() as u64;
    }
}

impl CodeStats {
    /// * `counts` - of the codes that occur
    fn of(counts: impl Iterator<Item = u64> + Clone, codebook_size: u64) -> Self {
        let total: u64 = counts.clone().sum();
        let term = |count: u64| {
            let share = count as f64 / total as f64;
            -share * share.ln()
        };
        let num_used = counts.clone().count() as u64;
        let entropy = counts.map(term).fold(0.0, |sum, term| sum + term);
        CodeStats { num_used, num_dead: codebook_size.saturating_sub(num_used), perplexity: entropy.exp() }
    }
}

/// Counts and sums of numbers whose first 16 bits are equal (sign, exponent, 7 bits of the mantissa), in rising order.
struct Histogram {
    counts: Vec<u64>,
    sums: Vec<f64>,
    range: Option<(f32, f32)>,
    num_not_finite: u64,
}

impl Histogram {
    fn new() -> Self {
        let num_buckets = 1 << 16;
        Histogram { counts: vec![0; num_buckets], sums: vec![0.0; num_buckets], range: None, num_not_finite: 0 }
    }

    fn add(&mut self, value: f32) {
        if !value.is_finite() {
            self.num_not_finite += 1;
            return;
        }
        let bucket = bucket(value);
        self.counts[bucket] += 1;
        self.sums[bucket] += f64::from(value);
        let (low, high) = self.range.unwrap_or((value, value));
        self.range = Some((low.min(value), high.max(value)));
    }

    fn stats(&self) -> Option<PriorityStats> {
        let (min, max) = self.range?;
        let (num, sum): (u64, f64) = (self.counts.iter().sum(), self.sums.iter().sum());
        let (median, _) = self.top((num as f64 * 0.5).ceil() as u64);
        let (top_tenth_from, top_sum) = self.top((num as f64 * TOP_SHARE).ceil() as u64);
        let share = if sum == 0.0 { TOP_SHARE } else { top_sum / sum };
        let inside = |value: f32| value.clamp(min, max);
        Some(PriorityStats {
            min,
            max,
            mean: sum / num as f64,
            median: inside(median),
            top_tenth_from: inside(top_tenth_from),
            top_tenth_share: share,
        })
    }

    /// The smallest of the `num_wanted` largest values, and their sum; a bucket that is taken in part counts by its mean.
    fn top(&self, num_wanted: u64) -> (f32, f64) {
        let (mut num_left, mut sum) = (num_wanted, 0.0);
        for bucket in (0..self.counts.len()).rev().filter(|bucket| self.counts[*bucket] > 0) {
            let count = self.counts[bucket];
            let taken = count.min(num_left);
            sum += self.sums[bucket] * taken as f64 / count as f64;
            num_left -= taken;
            if num_left == 0 {
                return (lower_end(bucket), sum);
            }
        }
        (f32::MIN, sum)
    }
}

/// A float's first 16 bits, so that buckets rise with the values: of negative ones all bits are turned over.
fn bucket(value: f32) -> usize {
    let bits = value.to_bits();
    (if value.is_sign_negative() { !bits } else { bits | 1 << 31 } >> 16) as usize
}

/// The inverse of [`bucket`], for a value of it with the smallest magnitude.
fn lower_end(bucket: usize) -> f32 {
    let bits = (bucket as u32) << 16;
    f32::from_bits(if bucket & 1 << 15 == 0 { !bits & 0xffff_0000 } else { bits & !(1 << 31) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perplexity_is_the_number_of_codes_that_are_used_alike() {
        let CodeStats { num_used, num_dead, perplexity } = CodeStats::of([5, 5, 5, 5].into_iter(), 10);
        assert_eq!((num_used, num_dead), (4, 6));
        assert!((perplexity - 4.0).abs() < 1e-12);
        // 3/4 and 1/4: entropy 0.5623, its exponential 1.7548.
        assert!((CodeStats::of([3, 1].into_iter(), 2).perplexity - 1.754_765).abs() < 1e-6);
    }

    #[test]
    fn quantiles_of_priorities_are_those_of_the_sorted_numbers() {
        let mut histogram = Histogram::new();
        (1..=1000).for_each(|k| histogram.add(k as f32));
        histogram.add(f32::NAN);
        let stats = histogram.stats().unwrap();
        assert_eq!((stats.min, stats.max, histogram.num_not_finite), (1.0, 1000.0, 1));
        assert!((stats.mean - 500.5).abs() < 1e-9);
        // Exactly 501 and 901; buckets are a 128th of a power of two wide.
        assert!((stats.median - 501.0).abs() <= 4.0, "{stats:?}");
        assert!((stats.top_tenth_from - 901.0).abs() <= 8.0, "{stats:?}");
        // 901 to 1000 add up to 95050 of 500500.
        assert!((stats.top_tenth_share - 0.1899).abs() < 1e-3, "{stats:?}");
    }

    #[test]
    fn negative_and_equal_priorities_are_told() {
        let mut histogram = Histogram::new();
        [-2.0, -1.0, 0.0, 1.0, 2.0].into_iter().for_each(|value| histogram.add(value));
        let stats = histogram.stats().unwrap();
        assert_eq!((stats.min, stats.median, stats.max), (-2.0, 0.0, 2.0));
        let mut equal = Histogram::new();
        (0..40).for_each(|_| equal.add(0.3));
        let stats = equal.stats().unwrap();
        assert_eq!((stats.min, stats.median, stats.top_tenth_from), (0.3, 0.3, 0.3));
        assert!((stats.top_tenth_share - 0.1).abs() < 1e-9);
    }
}
