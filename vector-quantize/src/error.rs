use tch::{Kind, TchError};

/// What can be wrong with a quantizer or its input.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VqError {
    /// No channel at all was asked for.
    #[error("levels is empty: give one number of levels per channel, for example [8, 5, 5, 5]")]
    NoLevels,
    /// A channel has too few levels to tell anything apart, or so many that the bound's eps swallows the outermost.
    #[error("levels[{channel}] = {levels} is out of range: it must be between 2 and {max}")]
    Levels {
        /// Which channel, from 0.
        channel: usize,
        /// Its number of levels.
        levels: i64,
        /// The largest number allowed.
        max: i64,
    },
    /// The product of the levels exceeds 2^32, so that a code would not fit a u32.
    #[error("levels {levels:?} make more than 2^32 codes; a code must fit 32 bits: take fewer channels or levels")]
    TooManyCodes {
        /// The levels asked for.
        levels: Vec<i64>,
    },
    /// The last axis of the input is not one value per channel.
    #[error("the input has shape {got:?}; its last axis must be {want}, one value per channel")]
    Width {
        /// Shape of the input.
        got: Vec<i64>,
        /// Number of channels.
        want: i64,
    },
    /// Codes are not int64.
    #[error("codes hold {got:?}, expected Int64")]
    CodeKind {
        /// The element type given.
        got: Kind,
    },
    /// A code lies outside the codebook: it was made with other levels.
    #[error("code {code} is outside 0..{codebook_size}: was it made with other levels?")]
    CodeRange {
        /// The smallest or largest code given.
        code: i64,
        /// Number of codes.
        codebook_size: i64,
    },
    /// A C++ exception, out of memory included.
    #[error("libtorch failed during {during}")]
    Torch {
        /// What was being computed.
        during: &'static str,
        /// libtorch's words.
        source: TchError,
    },
}
