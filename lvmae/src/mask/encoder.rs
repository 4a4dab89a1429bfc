use serde::{Deserialize, Serialize};
use spec::{Grid, Rng, draw, share_of};

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
}

impl EncoderMask {
    /// Number of hidden tokens of a clip.
    pub(crate) fn check(&self, grid: Grid) -> Result<i64, LvmaeError> {
        let EncoderMask::Tube { hidden_share } = *self;
        let hidden = share_of(hidden_share, grid.tokens_per_frame());
        if !(0.0..1.0).contains(&hidden_share) || hidden < 1 || hidden >= grid.tokens_per_frame() {
            return Err(LvmaeError::Share {
                key: "encoder_mask.hidden_share",
                value: hidden_share,
                num_tokens: grid.num_tokens(),
                rule: "each frame must keep at least one visible and one hidden token",
            });
        }
        Ok(hidden * grid.t)
    }

    /// Visible and hidden tokens, each ascending.
    pub(crate) fn split(&self, grid: Grid, rng: &mut Rng) -> (Vec<i64>, Vec<i64>) {
        let EncoderMask::Tube { hidden_share } = *self;
        let places = grid.tokens_per_frame();
        let hidden = draw((0..places).collect(), share_of(hidden_share, places) as usize, rng);
        let tube = |chosen: &dyn Fn(i64) -> bool| {
            (0..grid.num_tokens()).filter(|token| chosen(token % places)).collect::<Vec<i64>>()
        };
        let is_hidden = |place: i64| hidden.binary_search(&place).is_ok();
        (tube(&|place| !is_hidden(place)), tube(&is_hidden))
    }
}
