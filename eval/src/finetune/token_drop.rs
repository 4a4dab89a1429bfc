use serde::{Deserialize, Serialize};
use spec::{Grid, Rng, draw, share_of};

use crate::EvalError;

/// Which tokens the encoder does not see while it is fine-tuned. Tests see all.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum TokenDrop {
    /// It sees all: VideoMAE, and LVMAE at 32 and 64 frames.
    None {},
    /// The same places of every latent frame are left out.
    Tube {
        /// Places left out, as a share, rounded down. LVMAE at 128 frames: 0.2 for ViT-B, 0.25 for ViT-L.
        share: f64,
    },
}

impl TokenDrop {
    /// Checks that each frame keeps a token.
    ///
    /// # Errors
    /// [`EvalError::OutOfRange`].
    pub fn check(self) -> Result<(), EvalError> {
        match self {
            TokenDrop::Tube { share } if !(0.0..1.0).contains(&share) => {
                let rule = "at least 0 and below 1: each frame keeps a token";
                Err(EvalError::OutOfRange { key: "model.token_drop.share", value: share, rule })
            }
            _ => Ok(()),
        }
    }

    /// The tokens of one clip that are seen, ascending; equally many in each clip.
    pub fn visible(self, grid: Grid, rng: &mut Rng) -> Vec<i64> {
        let TokenDrop::Tube { share } = self else { return (0..grid.num_tokens()).collect() };
        let places = grid.tokens_per_frame();
        let dropped = draw((0..places).collect(), share_of(share, places) as usize, rng);
        (0..grid.num_tokens()).filter(|token| dropped.binary_search(&(token % places)).is_err()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use spec::{Purpose, rng_for};

    use super::*;

    #[test]
    fn a_fifth_of_196_places_is_left_out_of_each_of_64_frames() {
        let grid = Grid { t: 64, h: 14, w: 14 };
        let rng = |item| rng_for(3, 0, item, Purpose::EncoderMask);
        let visible = TokenDrop::Tube { share: 0.2 }.visible(grid, &mut rng(0));
        // int(0.2 * 196) = 39 places go, 157 stay.
        assert_eq!(visible.len(), 64 * 157);
        let places: BTreeSet<i64> = visible.iter().map(|token| token % 196).collect();
        assert_eq!(places.len(), 157, "the same places in each frame");
        assert_ne!(visible, TokenDrop::Tube { share: 0.2 }.visible(grid, &mut rng(1)));
        assert_eq!(TokenDrop::None {}.visible(grid, &mut rng(0)), (0..grid.num_tokens()).collect::<Vec<_>>());
    }

    #[test]
    fn a_drop_that_leaves_no_token_is_refused() {
        for share in [1.0, -0.1, f64::NAN] {
            let said = TokenDrop::Tube { share }.check().unwrap_err().to_string();
            assert!(said.starts_with(&format!("model.token_drop.share = {share} is out of range")), "{said}");
        }
        TokenDrop::Tube { share: 0.0 }.check().unwrap();
    }
}
