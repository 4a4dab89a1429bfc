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
    /// The stages of a residual have more than 2^32 codes between them, so that a code would not fit a u32.
    #[error(
        "{stages} stages of {codebook_size} codes make more than 2^32; a code must fit 32 bits: take fewer stages or codes"
    )]
    TooManyStageCodes {
        /// Number of stages.
        stages: i64,
        /// Codes per stage.
        codebook_size: i64,
    },
    /// A setting is out of range.
    #[error("{key} = {value} is out of range: it must be {want}")]
    Setting {
        /// Its name in the preset.
        key: &'static str,
        /// What was given.
        value: f64,
        /// What is allowed.
        want: &'static str,
    },
    /// A residual of something that leaves no residual to quantize.
    #[error("a residual cannot be made {reason}")]
    Residual {
        /// Of what, and what to write instead.
        reason: &'static str,
    },
    /// Levels were asked of codes that are entries of a learned codebook, or of the stages of a residual.
    #[error(
        "codes of a learned codebook or of a residual have no levels channel by channel: only those of fsq and lfq do"
    )]
    NoLevelsOfCodes,
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
    /// Vectors and codes do not belong together.
    #[error("codes of shape {codes:?} are not those of vectors of shape {vectors:?}: give the codes of the same batch")]
    Batch {
        /// Shape of the codes.
        codes: Vec<i64>,
        /// Shape of the vectors.
        vectors: Vec<i64>,
    },
    /// A share is not one of those there are.
    #[error("share {index} of {of} does not exist: index runs from 0 to of - 1")]
    Share {
        /// The index given.
        index: i64,
        /// The number of shares given.
        of: i64,
    },
    /// k-means was to start from a batch without vectors.
    #[error("a codebook cannot start from an empty batch: hand over at least one vector")]
    NoVectors,
    /// Statistics are of codebooks of another size or number.
    #[error("statistics have tensors of shapes {got:?}, expected {want:?}: they were made by another quantizer")]
    OtherStatistics {
        /// Shapes given.
        got: Vec<Vec<i64>>,
        /// Shapes of this quantizer's.
        want: Vec<Vec<i64>>,
    },
    /// Codebook tables are not those of these settings.
    #[error("codebook tables have shape {got:?}, but these settings need {want:?}")]
    Tables {
        /// Shape given.
        got: Vec<i64>,
        /// Stages, codes per stage, channels.
        want: [i64; 3],
    },
    /// Counts are not one int64 per code.
    #[error("counts hold {got:?} of shape {shape:?}, expected Int64 of shape [codes]")]
    Counts {
        /// The element type given.
        got: Kind,
        /// The shape given.
        shape: Vec<i64>,
    },
    /// One count per code would take too much memory.
    #[error("{codebook_size} codes are too many to count one by one (at most 2^24): use `usage` of one batch instead")]
    TooManyToCount {
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
