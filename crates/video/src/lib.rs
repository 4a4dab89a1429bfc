//! Video as data: decoding, stores, sampling and loading. No tensors.
//!
//! ```text
//! folder of videos --import--> ClipStore (.h5) --timeline, Loader--> clips as u8 frames
//!                                   tokenizer --TokenWriter--> TokenStore (.h5) --Loader--> codes, priorities
//! ```
//!
//! | word     | meaning                                                                          |
//! | -------- | -------------------------------------------------------------------------------- |
//! | video    | one decoded file: frames at a constant rate                                      |
//! | segment  | a stretch of a video in seconds, with label and group: one sample                |
//! | timeline | the frames of a segment sampled by time, whole tokenizer windows                 |
//! | clip     | `num_frames` consecutive frames of a timeline, centre square                      |
//!
//! A file either is whole or is rejected with a reason; nothing is replaced by another clip in silence.

mod check;
mod decode;
mod error;
mod ffmpeg;
mod h5;
mod import;
pub mod jpeg;
mod loader;
mod lock;
mod sample;
mod spool;
mod store;
pub mod synth;
mod tokens;

pub use check::{
    Change, ChangeKind, CheckOptions, CheckReport, CheckStep, Evidence, Manifest, ManifestRow, Outcome, Overlap, Place,
    RowKind, Shape, SharedGroup, check,
};
pub use decode::{DecodeLimits, DecodeOptions, Decoded, Frame, Notes, Reject, Verdict, decode};
pub use error::VideoError;
pub use ffmpeg::Ffmpeg;
pub use h5::hdf5_version;
pub use import::{Annotations, Dropped, Event, ImportOptions, ImportReport, import};
pub use loader::{Batch, ClipRequest, ClipSource, LoadedClip, Loader, LoaderOptions, Plan, Window, load_clip};
pub use sample::{Timeline, WINDOW_FRAMES, timeline};
pub use spool::{Begin, free_bytes};
pub use store::{ClipStore, ClipStoreWriter, Done, NewVideo, Rejected, Segment, StoreOptions, Video};
pub use tokens::{TokenHeader, TokenStore, TokenWriter, Tokens};
