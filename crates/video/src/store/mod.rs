//! The clip store: decoded videos as JPEG frames, with their segments and classes, in one HDF5 file.
//!
//! | dataset          | type            | length                | meaning                                             |
//! | ---------------- | --------------- | --------------------- | --------------------------------------------------- |
//! | `frames/blob`    | u8              | bytes of all frames   | JPEGs end to end                                     |
//! | `frames/offset`  | u64             | frames + 1            | frame `k` is `blob[offset[k]..offset[k + 1]]`        |
//! | `videos/*`       | column per field | videos               | see [`Video`]                                       |
//! | `segments/*`     | column per field | segments             | see [`Segment`]                                     |
//! | `classes/name`   | text            | classes               | class of label 0, 1, ...                             |
//! | `rejected/*`     | column per field | rejected files       | see [`Rejected`]                                    |
//!
//! Texts are variable-length UTF-8. h5py and h5dump read all of it without a plug-in.

mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use reader::ClipStore;
use serde::{Deserialize, Serialize};
pub use writer::{ClipStoreWriter, Done, NewVideo, StoreOptions};

/// The kind of this store, the end of its `format` attribute.
pub(crate) const KIND: &str = "clip store";

/// One video of a clip store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Video {
    /// Path relative to the imported folder, `/` between folders.
    pub name: String,
    /// Its first frame among all frames of the store.
    pub first_frame: u64,
    /// Number of frames.
    pub num_frames: u32,
    /// Constant rate; frame `k` is shown from `k / frames_per_sec` seconds on.
    pub frames_per_sec: f64,
    /// Average rate of the source file, which annotations in frames count by.
    pub source_frames_per_sec: f64,
    /// Height of every frame.
    pub height_px: u32,
    /// Width of every frame.
    pub width_px: u32,
    /// BLAKE3 of the source file, hex.
    pub content_hash: String,
}

impl Video {
    /// Length, seconds.
    pub fn duration_secs(&self) -> f64 {
        f64::from(self.num_frames) / self.frames_per_sec
    }
}

/// A stretch of a video that is one sample: the whole of it where there are no annotations.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Segment {
    /// Its name, unique within the store.
    pub id: String,
    /// Index of its video.
    pub video: u32,
    /// Where it starts, seconds into the video.
    pub start_secs: f64,
    /// Where it stops, seconds into the video.
    pub stop_secs: f64,
    /// Index of its class, -1 without one.
    pub label: i32,
    /// What must not be divided between training and test: the recording session, say.
    pub group: String,
}

/// A file that was not imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// Path relative to the imported folder.
    pub name: String,
    /// Why.
    pub reason: String,
    /// BLAKE3 of the file, hex.
    pub content_hash: String,
}
