//! The clip store: decoded videos as JPEG frames, with their segments and labels, in one HDF5 file.
//!
//! | dataset          | type            | length                | meaning                                             |
//! | ---------------- | --------------- | --------------------- | --------------------------------------------------- |
//! | `frames/blob`    | u8              | bytes of all frames   | JPEGs end to end                                     |
//! | `frames/offset`  | u64             | frames + 1            | frame `k` is `blob[offset[k]..offset[k + 1]]`        |
//! | `videos/*`       | column per field | videos               | see [`Video`]                                       |
//! | `segments/*`     | column per field | segments             | see [`Segment`]                                     |
//! | `classes/SPACE`  | text            | classes of the space  | class of label 0, 1, ...; see [`LabelSpace`]         |
//! | `labels/SPACE`   | i32             | segments              | label of each segment, -1 without one                |
//! | `rejected/*`     | column per field | rejected files       | see [`Rejected`]                                    |
//!
//! The root attribute `label_spaces` names the spaces in their order, separated by commas; it is empty without any. Texts
//! are variable-length UTF-8. h5py and h5dump read all of it without a plug-in.

mod merge;
mod reader;
mod shard;
mod tables;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

use std::collections::BTreeSet;

pub use merge::{Merged, append, merge};
pub use reader::ClipStore;
use serde::{Deserialize, Serialize};
pub use shard::Shard;
pub use verify::Damaged;
pub use writer::{ClipStoreWriter, Done, NewVideo, StoreOptions};

use crate::h5::Kind;

/// The kind of this store. Version 1 had one unnamed label space and no subjects.
pub(crate) const KIND: Kind = Kind { name: "clip store", version: 2, again: "import it again" };

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
    /// BLAKE3 of the stored frames, JPEG bytes end to end, hex.
    pub frames_hash: String,
    /// What ffmpeg warned of while it was decoded: how often, and the first time; empty for most.
    pub notes: String,
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
    /// Index of its class in each label space of the store, in their order; -1 without one.
    pub labels: Vec<i32>,
    /// What must not be divided between training and test: the recording session, say.
    pub group: String,
    /// Who is filmed or films; empty where unknown.
    pub subject: String,
}

/// What segments are told apart by: one label of each space belongs to every segment. Diving48 has one space (`class`),
/// EPIC-KITCHENS-100 has two (`verb`, `noun`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LabelSpace {
    /// Lower-case letters and `_`.
    pub name: String,
    /// Names of the classes, by label.
    pub classes: Vec<String>,
}

impl LabelSpace {
    /// The name of the space of data sets that have only one.
    pub const CLASS: &str = "class";

    /// The space `class` with sorted classes.
    pub(crate) fn of_classes(classes: BTreeSet<String>) -> Self {
        LabelSpace { name: LabelSpace::CLASS.to_owned(), classes: classes.into_iter().collect() }
    }

    /// Whether the labels are one for each space, each a class of it or -1.
    pub(crate) fn fit(spaces: &[LabelSpace], labels: &[i32]) -> bool {
        let fits = |(space, label): (&LabelSpace, &i32)| (-1..space.classes.len() as i64).contains(&i64::from(*label));
        spaces.len() == labels.len() && spaces.iter().zip(labels).all(fits)
    }

    /// Names of several spaces, as errors list them.
    pub(crate) fn names(spaces: &[LabelSpace]) -> String {
        spaces.iter().map(|space| space.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Whether a space may be called so.
    pub(crate) fn is_name(name: &str) -> bool {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    }
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
