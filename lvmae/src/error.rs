use crate::Cue;

/// What can go wrong in masked pre-training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LvmaeError {
    /// A share lies outside 0..1, or leaves nothing to see or to predict.
    #[error("{key} = {value} is impossible on a grid of {num_tokens} tokens: {rule}")]
    Share {
        /// The setting, in the preset's words.
        key: &'static str,
        /// What was given.
        value: f64,
        /// Tokens of the clip.
        num_tokens: i64,
        /// The condition that failed.
        rule: &'static str,
    },
    /// A mask looks at something that is missing, or that is of another clip's size.
    #[error("{mask} needs {cue} ({want}), got {got}; {}", cue.remedy())]
    Cue {
        /// The mask, in the preset's words.
        mask: &'static str,
        /// What it looks at.
        cue: Cue,
        /// Numbers that a clip of this size has.
        want: usize,
        /// Numbers that came.
        got: usize,
    },
    /// Optical flow came on cells that do not divide a token.
    #[error("{mask} got optical flow on cells of {cell_px} pixels, which do not divide a patch of {patch:?} pixels")]
    Cell {
        /// The mask, in the preset's words.
        mask: &'static str,
        /// Side of a cell.
        cell_px: i64,
        /// Height and width of a patch.
        patch: [i64; 2],
    },
    /// The network failed.
    #[error(transparent)]
    Nn(#[from] nn::NnError),
}
