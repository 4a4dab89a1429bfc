//! Which tokens the encoder sees and where the decoder is asked. Plain index lists, no tensors; every list ascends.
//!
//! Each kind of mask is one file with its definition. A mask reads nothing but its settings, the clip's grid, its own random
//! stream and, where it looks at the clip, a [`Cue`].

mod cues;
mod decoder;
mod encoder;
mod flow;
mod motion;
mod motion_guided;
mod random;
mod running_cell;
mod salient;
mod tube;
mod uniform;

pub use cues::{Cue, Cues, FlowCue};
pub use decoder::DecoderMask;
pub use encoder::EncoderMask;
pub use salient::{Choice, Pool, Salient};
use spec::{Grid, Patch};

use crate::LvmaeError;

/// The masks of one clip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClipMask {
    /// Tokens that the encoder sees, ascending.
    pub visible: Vec<i64>,
    /// Tokens that the decoder predicts, ascending; none is visible, and each counts in the loss.
    pub decoded: Vec<i64>,
    /// Visible tokens at which the decoder is asked as well, ascending. Its answers there count for nothing, but the other
    /// queries attend to these. Only [`DecoderMask::RunningCell`] and [`Pool::All`] have any.
    ///
    /// `decoded` and `unscored` are together as many in each clip of a batch; one of them alone need not be.
    pub unscored: Vec<i64>,
}

impl ClipMask {
    /// * `asked` - where the decoder is asked, ascending
    pub(crate) fn new(visible: Vec<i64>, asked: Vec<i64>) -> Self {
        let (unscored, decoded) = asked.into_iter().partition(|token| visible.binary_search(token).is_ok());
        ClipMask { visible, decoded, unscored }
    }

    /// All tokens at which the decoder is asked: first those that it predicts.
    pub fn asked(&self) -> impl Iterator<Item = i64> {
        self.decoded.iter().chain(&self.unscored).copied()
    }
}

/// Tokens of a clip, and the pixels under each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) grid: Grid,
    pub(crate) patch: Patch,
}

/// A cue as one value per token.
pub(crate) fn cue_n(cue: Cue, cues: &Cues, extent: Extent) -> Result<Vec<f32>, LvmaeError> {
    Ok(match cue {
        Cue::Priorities | Cue::Motion => cues.per_token("a picture", cue, extent)?.to_vec(),
        Cue::Flow => flow::lengths(extent, cues.flow("a picture", extent)?),
    })
}

/// A pool's tokens, highest value first; equal values go to the lower index, and a NaN ranks by its bits instead of breaking
/// the order.
fn ranked(mut pool: Vec<i64>, values_n: &[f32]) -> Vec<i64> {
    pool.sort_by(|a, b| values_n[*b as usize].total_cmp(&values_n[*a as usize]).then(a.cmp(b)));
    pool
}

/// All tokens but those of an ascending list.
pub(crate) fn others(num_tokens: i64, tokens: &[i64]) -> Vec<i64> {
    (0..num_tokens).filter(|token| tokens.binary_search(token).is_err()).collect()
}

#[cfg(test)]
mod tests;
