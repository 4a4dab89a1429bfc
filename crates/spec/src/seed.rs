use rand::SeedableRng;

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
    fn the_same_arguments_give_the_same_numbers() {
        let draw = || rng_for(7, 3, 11, Purpose::ClipStart).next_u64();
        assert_eq!(draw(), draw());
    }
}
