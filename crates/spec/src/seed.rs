use rand::{RngExt as _, SeedableRng as _};

/// The generator that every random choice draws from.
pub type Rng = rand_pcg::Pcg64;

/// What a random choice is for. Two purposes never share a stream, so adding a draw to one leaves the others alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Order of the clips within an epoch.
    Shuffle = 1,
    /// Where in a video a clip starts.
    ClipStart = 2,
    /// Tokens hidden from the encoder.
    EncoderMask = 3,
    /// Tokens that the decoder predicts.
    DecoderMask = 4,
    /// Order of the clusters (ARVideo).
    ClusterOrder = 5,
    /// Tokens dropped inside a cluster (ARVideo).
    ClusterDrop = 6,
    /// Synthetic video.
    Synth = 7,
    /// Splits and resampling in evaluation.
    Eval = 8,
    /// Initial weights.
    Init = 9,
    /// libtorch's own generator: dropout, drop path.
    Torch = 10,
    /// Where in its share of time each frame of a timeline is taken.
    Instant = 11,
    /// Which part of the frame a clip shows.
    Crop = 12,
    /// Whether a clip is mirrored.
    Flip = 13,
    /// Brightness, contrast and saturation.
    Colour = 14,
    /// RandAugment's operations.
    RandAugment = 15,
    /// The box that is erased.
    Erasing = 16,
    /// Mixup and cutmix.
    Mix = 17,
    /// Tokens that pass when they are chosen at random.
    KeptTokens = 18,
    /// Tokens of a cluster that are predicted (ARVideo).
    ClusterPredicted = 19,
}

/// The random stream for one choice: a pure function of its arguments, so that the number of workers, a resume and the
/// order of arrival change nothing.
///
/// * `item` - clip, video or sample number, whatever the choice is about
pub fn rng_for(run_seed: u64, epoch: u64, item: u64, purpose: Purpose) -> Rng {
    let mut state = 0;
    for word in [run_seed, epoch, item, purpose as u64] {
        state = split_mix(state ^ word);
    }
    Rng::seed_from_u64(state)
}

/// `k` of `pool` at random, all choices equally likely, ascending (partial Fisher-Yates). `k` is at most the pool's size.
pub fn draw(mut pool: Vec<i64>, k: usize, rng: &mut Rng) -> Vec<i64> {
    for i in 0..k {
        let j = rng.random_range(i..pool.len());
        pool.swap(i, j);
    }
    pool.truncate(k);
    pool.sort_unstable();
    pool
}

/// `share` of `total`, rounded down as the published codes do; a margin absorbs `0.1 * 30 = 2.9999...`.
pub fn share_of(share: f64, total: i64) -> i64 {
    (share * total as f64 + 1e-6).floor() as i64
}

/// One SplitMix64 step: a bijection that scatters neighbouring inputs (Steele et al., OOPSLA 2014).
fn split_mix(x: u64) -> u64 {
    let mut z = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::Rng as _;

    use super::*;

    #[test]
    fn each_argument_selects_its_own_stream() {
        let mut seen = BTreeSet::new();
        for seed in 0..4 {
            for epoch in 0..4 {
                for item in 0..4 {
                    for purpose in [Purpose::Shuffle, Purpose::EncoderMask, Purpose::DecoderMask] {
                        seen.insert(rng_for(seed, epoch, item, purpose).next_u64());
                    }
                }
            }
        }
        assert_eq!(seen.len(), 4 * 4 * 4 * 3);
    }

    #[test]
    fn a_share_is_rounded_down_but_not_by_floating_point() {
        // VideoMAE's int(0.9 * 196) = 176; 0.1 * 30 is 3 though its double is below.
        assert_eq!((share_of(0.9, 196), share_of(0.1, 30), share_of(0.05, 12_544)), (176, 3, 627));
    }

    #[test]
    fn every_member_is_drawn_equally_often() {
        let mut hits = [0u32; 10];
        let mut rng = rng_for(0, 0, 0, Purpose::Eval);
        for _ in 0..10_000 {
            let drawn = draw((0..10).collect(), 3, &mut rng);
            assert!(drawn.len() == 3 && drawn.windows(2).all(|pair| pair[0] < pair[1]));
            drawn.iter().for_each(|i| hits[*i as usize] += 1);
        }
        // 3000 expected; the standard deviation is sqrt(10000 * 0.3 * 0.7) = 46.
        assert!(hits.iter().all(|n| n.abs_diff(3000) < 5 * 46), "{hits:?}");
    }

    #[test]
    fn the_same_arguments_give_the_same_numbers() {
        let draw = || rng_for(7, 3, 11, Purpose::ClipStart).next_u64();
        assert_eq!(draw(), draw());
    }
}
