//! Which tokens the encoder sees and which the decoder predicts. Plain index lists, no tensors; every list ascends.

mod decoder;
mod encoder;

pub use decoder::DecoderMask;
pub use encoder::EncoderMask;

/// The masks of one clip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClipMask {
    /// Tokens that the encoder sees, ascending.
    pub visible: Vec<i64>,
    /// Tokens that the decoder predicts, ascending; none is visible.
    pub decoded: Vec<i64>,
}

#[cfg(test)]
mod tests;
