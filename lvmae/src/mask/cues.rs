//! What masks look at in a clip.

use std::fmt;

use super::Extent;
use crate::LvmaeError;

/// Something that a mask may look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cue {
    /// The frozen tokenizer's priorities.
    Priorities,
    /// Optical flow.
    Flow,
    /// How far the model's own patch embeddings move.
    Motion,
}

impl Cue {
    /// What a mask asks for, in the words of an error.
    fn wanted(self) -> &'static str {
        match self {
            Cue::Priorities => "one priority per token",
            Cue::Flow => "the optical flow of every cell, two numbers each",
            Cue::Motion => "one motion per token",
        }
    }

    /// Where it comes from.
    pub(crate) fn remedy(self) -> &'static str {
        match self {
            Cue::Priorities => "give the token store with --tokens",
            Cue::Flow => "have it estimated with the clip (ClipSource::with_flow)",
            Cue::Motion => "take it from Lvmae::motion",
        }
    }
}

impl fmt::Display for Cue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.wanted())
    }
}

/// The cues of one clip, as far as there are any: plain slices, borrowed for a call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cues<'a> {
    /// The tokenizer's priority of each token, `[N]`, higher is more salient.
    pub priorities_n: Option<&'a [f32]>,
    /// Optical flow between neighbouring frames.
    pub flow: Option<FlowCue<'a>>,
    /// Motion of each token, `[N]`, as [`crate::Lvmae::motion`] measures it.
    pub motion_n: Option<&'a [f32]>,
}

/// Optical flow on square cells, each a whole part of a token.
#[derive(Clone, Copy, Debug)]
pub struct FlowCue<'a> {
    /// Side of a cell, pixels; divides both sides of a patch.
    pub cell_px: i64,
    /// `[frames, rows, columns, 2]`: from each frame to its neighbour on the side of the clip's middle frame
    /// (`frames / 2`), pixels to the right and down. The middle frame's own flow leads to the frame before it.
    pub xy: &'a [f32],
}

impl<'a> Cues<'a> {
    /// A value per token.
    ///
    /// * `mask` - who asks, in the preset's words
    pub(super) fn per_token(&self, mask: &'static str, cue: Cue, extent: Extent) -> Result<&'a [f32], LvmaeError> {
        let values_n = match cue {
            Cue::Priorities => self.priorities_n,
            Cue::Motion => self.motion_n,
            Cue::Flow => None,
        };
        let (want, values_n) = (extent.grid.num_tokens() as usize, values_n.unwrap_or_default());
        match values_n.len() == want {
            true => Ok(values_n),
            false => Err(LvmaeError::Cue { mask, cue, want, got: values_n.len() }),
        }
    }

    /// The flow, of the clip's size.
    pub(super) fn flow(&self, mask: &'static str, extent: Extent) -> Result<FlowField<'a>, LvmaeError> {
        let Extent { grid, patch } = extent;
        let cell_px = self.flow.map_or(patch.h, |flow| flow.cell_px).max(1);
        if patch.h % cell_px != 0 || patch.w % cell_px != 0 {
            return Err(LvmaeError::Cell { mask, cell_px, patch: [patch.h, patch.w] });
        }
        let per_token = [(patch.h / cell_px) as usize, (patch.w / cell_px) as usize];
        let [rows, cols] = [grid.h as usize * per_token[0], grid.w as usize * per_token[1]];
        let xy = self.flow.map_or(&[][..], |flow| flow.xy);
        let want = (grid.t * patch.t) as usize * rows * cols * 2;
        match xy.len() == want {
            true => Ok(FlowField { cell_px, rows, cols, per_token, xy }),
            false => Err(LvmaeError::Cue { mask, cue: Cue::Flow, want, got: xy.len() }),
        }
    }
}

/// A [`FlowCue`] that fits its clip.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlowField<'a> {
    pub(super) cell_px: i64,
    /// Cells along the height of a frame.
    pub(super) rows: usize,
    /// Cells along its width.
    pub(super) cols: usize,
    /// Cells along the height and width of a token.
    per_token: [usize; 2],
    xy: &'a [f32],
}

impl FlowField<'_> {
    /// The flow of a frame, `[rows * columns]` pairs.
    pub(super) fn frame(&self, frame: usize) -> &[[f32; 2]] {
        let cells = self.rows * self.cols;
        &self.xy.as_chunks().0[frame * cells..][..cells]
    }

    /// The token of one latent frame, `0..H W`, in which a cell lies.
    pub(super) fn place_of(&self, cell: usize) -> usize {
        let [per_row, per_col] = self.per_token;
        let (row, col) = (cell / self.cols, cell % self.cols);
        row / per_row * (self.cols / per_col) + col / per_col
    }
}
