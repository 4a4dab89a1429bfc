use serde::{Deserialize, Serialize};
use spec::{Grid, Rng};

use super::{Cue, Cues, Extent, Salient, flow, random, running_cell, uniform};
use crate::LvmaeError;

/// Where the decoder is asked. Shares are of all tokens of the clip, visible ones counted.
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
    /// The hidden tokens of latent frames spread evenly over the clip.
    Uniform {
        /// Predicted tokens as a share of all; 0.15 in LVMAE's comparison.
        share: f64,
    },
    /// Part of every cell of 2 x 2 tokens, another part in the next latent frame (VideoMAE V2).
    RunningCell {
        /// Asked tokens of each cell: 0.25, 0.5 or 0.75. 1 less the published decoder mask ratio, which is 0.5.
        share: f64,
    },
    /// By the length of optical flow, and some at random. Needs [`Cue::Flow`].
    Flow(Salient),
    /// By the model's own motion (EVEREST), and some at random. Needs [`Cue::Motion`].
    Motion(Salient),
    /// By the tokenizer's priorities, and some at random (LVMAE). Needs [`Cue::Priorities`].
    Adaptive(Salient),
}

impl DecoderMask {
    /// Checks the shares.
    pub(crate) fn check(&self, grid: Grid, num_visible: i64) -> Result<(), LvmaeError> {
        let num_tokens = grid.num_tokens();
        let fail = |key, value, rule| Err(LvmaeError::Share { key, value, num_tokens, rule });
        let shares = self.shares();
        if let Some((key, value)) = shares.iter().find(|(_, value)| !(0.0..=1.0).contains(value)) {
            return fail(key, *value, "it must lie between 0 and 1");
        }
        if let DecoderMask::RunningCell { share } = *self {
            running_cell::check(share, grid)?;
        }
        let total_share = shares.iter().map(|(_, value)| value).sum();
        let num_asked = self.num_asked(grid, num_visible);
        if num_asked == 0 {
            return fail("decoder_mask", total_share, "nothing is left to predict");
        }
        if self.asks_at_visible() {
            if num_asked <= num_visible {
                let rule = "asked at no more tokens than the encoder sees, a clip could have none to predict";
                return fail("decoder_mask", total_share, rule);
            }
            if num_asked > num_tokens {
                return fail("decoder_mask", total_share, "the clip has fewer tokens");
            }
        } else if num_asked > num_tokens - num_visible {
            return fail("decoder_mask", total_share, "the encoder mask hides fewer tokens");
        }
        Ok(())
    }

    /// Settings by their names in a preset.
    fn shares(&self) -> Vec<(&'static str, f64)> {
        match *self {
            DecoderMask::None {} => Vec::new(),
            DecoderMask::Random { share } | DecoderMask::Uniform { share } | DecoderMask::RunningCell { share } => {
                vec![("decoder_mask.share", share)]
            }
            DecoderMask::Flow(salient) | DecoderMask::Motion(salient) | DecoderMask::Adaptive(salient) => vec![
                ("decoder_mask.salient_share", salient.salient_share),
                ("decoder_mask.random_share", salient.random_share),
            ],
        }
    }

    /// Whether visible tokens are among those asked.
    fn asks_at_visible(&self) -> bool {
        match self {
            DecoderMask::None {} | DecoderMask::Random { .. } | DecoderMask::Uniform { .. } => false,
            DecoderMask::RunningCell { .. } => true,
            DecoderMask::Flow(salient) | DecoderMask::Motion(salient) | DecoderMask::Adaptive(salient) => {
                salient.asks_at_visible()
            }
        }
    }

    /// Number of tokens at which the decoder is asked, the same in each clip.
    pub(crate) fn num_asked(&self, grid: Grid, num_visible: i64) -> i64 {
        match self {
            DecoderMask::None {} => grid.num_tokens() - num_visible,
            DecoderMask::Random { share } | DecoderMask::Uniform { share } => random::num_asked(*share, grid),
            DecoderMask::RunningCell { share } => running_cell::num_asked(*share, grid),
            DecoderMask::Flow(salient) | DecoderMask::Motion(salient) | DecoderMask::Adaptive(salient) => {
                let (by_value, at_random) = salient.budget(grid);
                by_value + at_random
            }
        }
    }

    /// What the mask looks at.
    pub(crate) fn cue(&self) -> Option<Cue> {
        match self {
            DecoderMask::None {}
            | DecoderMask::Random { .. }
            | DecoderMask::Uniform { .. }
            | DecoderMask::RunningCell { .. } => None,
            DecoderMask::Flow(_) => Some(Cue::Flow),
            DecoderMask::Motion(_) => Some(Cue::Motion),
            DecoderMask::Adaptive(_) => Some(Cue::Priorities),
        }
    }

    /// Tokens at which the decoder is asked, ascending.
    ///
    /// * `hidden` - tokens that the encoder does not see, ascending
    pub(crate) fn asked(
        &self,
        extent: Extent,
        hidden: Vec<i64>,
        cues: &Cues,
        rng: &mut Rng,
    ) -> Result<Vec<i64>, LvmaeError> {
        let grid = extent.grid;
        Ok(match self {
            DecoderMask::None {} => hidden,
            DecoderMask::Random { share } => random::asked(*share, grid, hidden, rng),
            DecoderMask::Uniform { share } => uniform::asked(*share, grid, &hidden, rng),
            DecoderMask::RunningCell { share } => running_cell::asked(*share, grid, rng),
            DecoderMask::Flow(salient) => {
                let lengths_n = flow::lengths(extent, cues.flow("decoder_mask flow", extent)?);
                salient.asked(grid, hidden, &lengths_n, rng)
            }
            DecoderMask::Motion(salient) => {
                let motion_n = cues.per_token("decoder_mask motion", Cue::Motion, extent)?;
                salient.asked(grid, hidden, motion_n, rng)
            }
            DecoderMask::Adaptive(salient) => {
                let priorities_n = cues.per_token("decoder_mask adaptive", Cue::Priorities, extent)?;
                salient.asked(grid, hidden, priorities_n, rng)
            }
        })
    }
}
