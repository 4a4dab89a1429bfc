use std::path::PathBuf;

/// What can be wrong with a run folder, or with the sizes of a picture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ReportError {
    /// The folder lacks the file that every run starts with, and results of `eval score` where these will do.
    #[error(
        "{path:?} is not a run folder: it has no run.json; give the folder that `tokenizer train`, `pretrain` or `eval finetune` \
         wrote, or for a page that of `eval score` (score_*.json). `study` and `bench memory` leave their own .md and .svg"
    )]
    NotARun {
        /// The folder as given.
        path: PathBuf,
    },
    /// A file of the run folder is there but cannot be read.
    #[error("cannot read {path:?}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A JSON file of the run folder is damaged or lacks a field.
    #[error("{path:?} is damaged or of another version")]
    Json {
        /// The file.
        path: PathBuf,
        /// The parser's message, with line and column.
        source: serde_json::Error,
    },
    /// `resolved.toml` does not parse.
    #[error("{path:?} is damaged")]
    Toml {
        /// The file.
        path: PathBuf,
        /// The parser's message, with line and column.
        source: Box<toml::de::Error>,
    },
    /// How the run ended cannot be read.
    #[error(transparent)]
    State(#[from] train::TrainError),
    /// A picture's side is zero or too long to be written.
    #[error("a picture of {width} x {height} pixels cannot be made: each side must be between 1 and {max}")]
    PictureSize {
        /// Pixels, horizontal.
        width: usize,
        /// Pixels, vertical.
        height: usize,
        /// The longest side that is written.
        max: usize,
    },
    /// A pixel buffer does not hold what its shape says.
    #[error("shape {shape:?} needs {expected} bytes of pixels, got {found}")]
    PixelCount {
        /// The shape that was given.
        shape: Vec<usize>,
        /// Its product.
        expected: usize,
        /// Length of the buffer.
        found: usize,
    },
    /// Frames come with a channel count other than 3.
    #[error("frames must be [T, H, W, 3] with T at least 1, got {shape:?}")]
    NotFrames {
        /// The shape that was given.
        shape: [usize; 4],
    },
    /// The patches do not tile the picture.
    #[error("{rows} x {cols} patches do not tile a picture of {width} x {height} pixels")]
    NotTiled {
        /// Patch rows.
        rows: usize,
        /// Patch columns.
        cols: usize,
        /// Pixels, horizontal.
        width: usize,
        /// Pixels, vertical.
        height: usize,
    },
    /// There is not one value per patch.
    #[error("{rows} x {cols} patches need {} values, got {found}", rows * cols)]
    PatchCount {
        /// Patch rows.
        rows: usize,
        /// Patch columns.
        cols: usize,
        /// Values that were given.
        found: usize,
    },
    /// A heat value is NaN or outside `[0, 1]`.
    #[error("heat value {value} at patch {index} is outside [0, 1]")]
    HeatRange {
        /// Index of the patch, row-major.
        index: usize,
        /// The value.
        value: f32,
    },
    /// A code is not of the quantizer whose levels were given.
    #[error("code {code} is outside 0..{num_codes}: was it made with other levels?")]
    CodeRange {
        /// The first such code.
        code: u32,
        /// The product of the levels.
        num_codes: i64,
    },
    /// Pictures that must share a size do not.
    #[error("picture {index} is {found:?} pixels (width, height) where the first is {first:?}")]
    SizesDiffer {
        /// Position of the odd one.
        index: usize,
        /// Size of the first picture.
        first: (usize, usize),
        /// Size of the odd one.
        found: (usize, usize),
    },
    /// A sheet of no pictures, or of zero columns.
    #[error("a contact sheet needs at least one picture and one column, got {pictures} and {columns}")]
    EmptySheet {
        /// Pictures that were given.
        pictures: usize,
        /// Columns that were asked for.
        columns: usize,
    },
}
