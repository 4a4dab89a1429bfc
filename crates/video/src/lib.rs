//! Video as data: decoding, stores, sampling and loading. No tensors.
//!
//! ```text
//! videos, annotations --import--> ClipStore (.h5) --timeline, Loader--> clips as u8 frames
//!                                     tokenizer --TokenWriter--> TokenStore (.h5) --Loader--> codes, priorities
//! ```
//!
//! | word     | meaning                                                                          |
//! | -------- | -------------------------------------------------------------------------------- |
//! | video    | one decoded file: frames at a constant rate                                      |
//! | segment  | a stretch of a video in seconds, with labels, group and subject: one sample      |
//! | timeline | the frames of a segment sampled by time, whole tokenizer windows                 |
//! | clip     | `num_frames` consecutive frames of a timeline, a part of each as its view says    |
//! | view     | how a clip is seen: a fixed part of time and frame, or drawn by [`Augment`]       |
//!
//! A file either is whole or is rejected with a reason; nothing is replaced by another clip in silence.

pub mod annotations;
mod augment;
mod check;
mod decode;
mod error;
mod ffmpeg;
mod flow;
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

pub use augment::{Augment, AugmentConfig, Colour, Crop, Erasing, Fill, Flip, InstantChoice, OpSet, RandAugment};
pub use check::{
    Change, ChangeKind, CheckOptions, CheckReport, CheckStep, Evidence, Manifest, ManifestRow, Outcome, Overlap, Place,
    RowKind, Shape, SharedGroup, check,
};
pub use decode::{DecodeLimits, DecodeOptions, Decoded, Frame, Notes, Reject, Verdict, decode};
pub use error::VideoError;
pub use ffmpeg::Ffmpeg;
pub use flow::Flow;
pub use h5::hdf5_version;
pub use import::{
    Annotations, Dropped, EpicFiles, Event, ImportOptions, ImportPlan, ImportReport, Source, import, plan_import,
};
pub use loader::{
    Batch, ClipDraw, ClipRequest, ClipSource, LoadedClip, Loader, LoaderOptions, Plan, View, Window, load_clip,
};
pub use sample::{Instants, Part, Timeline, Views, WINDOW_FRAMES, timeline, timeline_at};
pub use spool::{Begin, free_bytes};
pub use store::{
    ClipStore, ClipStoreWriter, Damaged, Done, LabelSpace, Merged, NewVideo, Rejected, Segment, Shard, StoreOptions,
    Video, append, merge,
};
pub use tokens::{
    CodeStats, Codebook, EncodedCrop, EncodedLayout, EncodedSegment, LongVideos, MergedTokens, PriorityStats,
    TokenHeader, TokenStats, TokenStore, TokenWriter, Tokens, merge_tokens,
};
