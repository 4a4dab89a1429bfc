use serde::{Deserialize, Serialize};
use spec::{Grid, Rng};

use super::{Cue, Cues, Extent, motion, motion_guided, random, tube};
use crate::LvmaeError;

/// Which tokens are hidden from the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum EncoderMask {
    /// The same places in every latent frame (VideoMAE): a token cannot be copied from the frame before.
    Tube {
        /// Hidden places of each frame, as a share; 0.9 in VideoMAE and LVMAE.
        hidden_share: f64,
    },
    /// Any tokens, all equally likely (ImageMAE).
    Random {
        /// Hidden tokens as a share; 0.75 in ImageMAE.
        hidden_share: f64,
    },
    /// Places that move along with what they show (MGMAE). Needs [`Cue::Flow`].
    MotionGuided {
        /// Hidden places of each frame, as a share; 0.9 in MGMAE.
        hidden_share: f64,
    },
    /// Some of the tokens that move most (EVEREST). Needs [`Cue::Motion`].
    Motion {
        /// Tokens that move most, of which the visible ones are drawn, as a share of all; 0.3 in EVEREST.
        kept_share: f64,
        /// Visible tokens as a share of all; 0.1 in EVEREST.
        visible_share: f64,
    },
}

impl EncoderMask {
    /// Checks the shares.
    pub(crate) fn check(&self, grid: Grid) -> Result<(), LvmaeError> {
        let fail = |key, value, rule| Err(LvmaeError::Share { key, value, num_tokens: grid.num_tokens(), rule });
        match *self {
            EncoderMask::Tube { hidden_share } | EncoderMask::MotionGuided { hidden_share } => {
                let visible = self.num_visible(grid);
                if !(0.0..1.0).contains(&hidden_share) || visible < grid.t || visible >= grid.num_tokens() {
                    let rule = "each frame must keep at least one visible and one hidden token";
                    return fail("encoder_mask.hidden_share", hidden_share, rule);
                }
            }
            EncoderMask::Random { hidden_share } => {
                let visible = self.num_visible(grid);
                if !(0.0..1.0).contains(&hidden_share) || visible < 1 || visible >= grid.num_tokens() {
                    let rule = "the clip must keep at least one visible and one hidden token";
                    return fail("encoder_mask.hidden_share", hidden_share, rule);
                }
            }
            EncoderMask::Motion { kept_share, visible_share } => {
                if !(0.0..=1.0).contains(&kept_share) {
                    return fail("encoder_mask.kept_share", kept_share, "it must lie between 0 and 1");
                }
                let visible = self.num_visible(grid);
                if !(0.0..=kept_share).contains(&visible_share) || visible < 1 || visible >= grid.num_tokens() {
                    let rule = "it must lie above 0, below 1 and not above kept_share";
                    return fail("encoder_mask.visible_share", visible_share, rule);
                }
            }
        }
        Ok(())
    }

    /// Number of visible tokens, the same in each clip.
    pub(crate) fn num_visible(&self, grid: Grid) -> i64 {
        match *self {
            EncoderMask::Tube { hidden_share } => tube::num_visible(hidden_share, grid),
            EncoderMask::Random { hidden_share } => random::num_visible(hidden_share, grid),
            EncoderMask::MotionGuided { hidden_share } => motion_guided::num_visible(hidden_share, grid),
            EncoderMask::Motion { visible_share, .. } => motion::num_visible(visible_share, grid),
        }
    }

    /// What the mask looks at.
    pub(crate) fn cue(&self) -> Option<Cue> {
        match self {
            EncoderMask::Tube { .. } | EncoderMask::Random { .. } => None,
            EncoderMask::MotionGuided { .. } => Some(Cue::Flow),
            EncoderMask::Motion { .. } => Some(Cue::Motion),
        }
    }

    /// Visible tokens, ascending.
    pub(crate) fn visible(&self, extent: Extent, cues: &Cues, rng: &mut Rng) -> Result<Vec<i64>, LvmaeError> {
        let grid = extent.grid;
        Ok(match *self {
            EncoderMask::Tube { hidden_share } => tube::visible(hidden_share, grid, rng),
            EncoderMask::Random { hidden_share } => random::visible(hidden_share, grid, rng),
            EncoderMask::MotionGuided { hidden_share } => {
                let flow = cues.flow("encoder_mask motion_guided", extent)?;
                motion_guided::visible(hidden_share, extent, flow, rng)
            }
            EncoderMask::Motion { kept_share, .. } => {
                let motion_n = cues.per_token("encoder_mask motion", Cue::Motion, extent)?;
                motion::visible((kept_share, self.num_visible(grid)), grid, motion_n, rng)
            }
        })
    }
}
