use serde::{Deserialize, Serialize};
use spec::{Grid, Rng, draw, share_of};

use crate::LvmaeError;

/// Which hidden tokens the decoder predicts. Shares are of all tokens of the clip, visible ones counted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum DecoderMask {
    /// No decoder mask: every hidden token (VideoMAE).
    None {},
    /// Hidden tokens at random, all equally likely.
    Random {
        /// Predicted tokens as a share of all.
        share: f64,
    },
    /// The highest priorities and some of the others at random (LVMAE). Equal priorities go to the lower index.
    Adaptive {
        /// By priority, as a share of all tokens; 0.10 in the paper.
        salient_share: f64,
        /// At random among the rest, as a share of all tokens; 0.05 in the paper.
        random_share: f64,
    },
}

impl DecoderMask {
    /// Number of tokens by priority and at random.
    fn budget(&self, grid: Grid, num_hidden: i64) -> (i64, i64) {
        let n = grid.num_tokens();
        match *self {
            DecoderMask::None {} => (0, num_hidden),
            DecoderMask::Random { share } => (0, share_of(share, n)),
            DecoderMask::Adaptive { salient_share, random_share } => {
                (share_of(salient_share, n), share_of(random_share, n))
            }
        }
    }

    /// Number of tokens at which the decoder is asked, the same in each clip.
    pub(crate) fn num_asked(&self, grid: Grid, num_visible: i64) -> i64 {
        let (salient, random) = self.budget(grid, grid.num_tokens() - num_visible);
        salient + random
    }

    pub(crate) fn check(&self, grid: Grid, num_hidden: i64) -> Result<(), LvmaeError> {
        let fail = |key, value, rule| Err(LvmaeError::Share { key, value, num_tokens: grid.num_tokens(), rule });
        let shares: &[(&'static str, f64)] = match *self {
            DecoderMask::None {} => &[],
            DecoderMask::Random { share } => &[("decoder_mask.share", share)],
            DecoderMask::Adaptive { salient_share, random_share } => {
                &[("decoder_mask.salient_share", salient_share), ("decoder_mask.random_share", random_share)]
            }
        };
        for (key, value) in shares {
            if !(0.0..=1.0).contains(value) {
                return fail(key, *value, "it must lie between 0 and 1");
            }
        }
        let (salient, random) = self.budget(grid, num_hidden);
        let total_share = shares.iter().map(|(_, value)| value).sum();
        match salient + random {
            0 => fail("decoder_mask", total_share, "nothing is left to predict"),
            total if total > num_hidden => fail("decoder_mask", total_share, "the encoder mask hides fewer tokens"),
            _ => Ok(()),
        }
    }

    /// Chosen tokens among `hidden`, ascending.
    pub(crate) fn choose(
        &self,
        grid: Grid,
        hidden: &[i64],
        priorities_n: Option<&[f32]>,
        rng: &mut Rng,
    ) -> Result<Vec<i64>, LvmaeError> {
        let (salient, random) = self.budget(grid, hidden.len() as i64);
        if let DecoderMask::Adaptive { .. } = self {
            let want = grid.num_tokens() as usize;
            let priorities_n = priorities_n.unwrap_or_default();
            if priorities_n.len() != want {
                return Err(LvmaeError::Priorities { want, got: priorities_n.len() });
            }
            let mut ranked = hidden.to_vec();
            // total_cmp: a NaN priority ranks by its bits instead of breaking the order.
            ranked.sort_by(|a, b| priorities_n[*b as usize].total_cmp(&priorities_n[*a as usize]).then(a.cmp(b)));
            let rest = ranked.split_off(salient as usize);
            ranked.extend(draw(rest, random as usize, rng));
            ranked.sort_unstable();
            return Ok(ranked);
        }
        Ok(draw(hidden.to_vec(), random as usize, rng))
    }
}
