#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use serde::Serialize;

use crate::VideoError;
use crate::spool::{io_error, with_suffix};

/// The verdicts of a check, as a table.
///
/// As a file it is UTF-8 CSV (RFC 4180) below the line `# longvid manifest 1`, one row per file, segment or damaged store:
///
/// | column | meaning |
/// | --- | --- |
/// | `kind` | `file`, `segment` or `store` |
/// | `source` | the folder or store as it was given |
/// | `name` | path within the folder, or id of the segment; unique within the source |
/// | `content_hash` | BLAKE3 of the video file, 64 hexadecimal digits; empty when it cannot be read |
/// | `bytes` | size of the file; empty for segments |
/// | `frames` | frames decoded, or real frames of the segment's timeline |
/// | `frames_per_sec` | rate of the decoded video |
/// | `width_px`, `height_px` | size of its frames as decoded |
/// | `duration_secs` | length of the video or segment, seconds |
/// | `verdict` | `ok`, `ok with notes`, `too short`, `damaged` or `rejected` |
/// | `reason` | why it was rejected, in a few words that are the same for every file |
/// | `detail` | the whole reason, the notes, or which frame is damaged |
///
/// `frames` to `duration_secs` are empty together, for what could not be decoded.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Manifest {
    /// Its rows.
    pub rows: Vec<ManifestRow>,
}

/// The verdict on one file, segment or store.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ManifestRow {
    /// What it is about.
    pub kind: RowKind,
    /// The folder or store as it was given.
    pub source: String,
    /// Path within the folder, or id of the segment.
    pub name: String,
    /// BLAKE3 of the video file, 64 hexadecimal digits; empty when it cannot be read.
    pub content_hash: String,
    /// Size of the file; `None` for a segment.
    pub bytes: Option<u64>,
    /// `None` for what could not be decoded.
    pub shape: Option<Shape>,
    /// How it is.
    pub verdict: Outcome,
    /// Why it was rejected, in words that are the same for every file; empty otherwise.
    pub reason: String,
    /// The whole reason, the notes, or which frame is damaged.
    pub detail: String,
}

/// Measures of a decoded video or of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Shape {
    /// Frames decoded, or real frames of the segment's timeline.
    pub num_frames: u32,
    /// Rate of the decoded video.
    pub frames_per_sec: f64,
    /// Width of its frames.
    pub width_px: u32,
    /// Height of its frames.
    pub height_px: u32,
    /// Length of the video or segment.
    pub duration_secs: f64,
}

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RowKind {
    /// A file of a folder.
    File,
    /// A segment of a clip store.
    Segment,
    /// A clip store that cannot be opened.
    Store,
}

/// How a file or segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Outcome {
    /// Decoded without a complaint.
    #[serde(rename = "ok")]
    Ok,
    /// Decoded; ffmpeg warned of something.
    #[serde(rename = "ok with notes")]
    OkWithNotes,
    /// A segment whose clips must repeat its last frame.
    #[serde(rename = "too short")]
    TooShort,
    /// A stored frame cannot be read, or the store cannot.
    #[serde(rename = "damaged")]
    Damaged,
    /// A file that an import would not take.
    #[serde(rename = "rejected")]
    Rejected,
}

/// How a manifest differs from an earlier one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What the row is about.
    pub kind: RowKind,
    /// The folder or store.
    pub source: String,
    /// The file or segment.
    pub name: String,
    /// What has changed.
    pub change: ChangeKind,
}

/// What has changed about a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ChangeKind {
    /// It was there and is no more.
    Gone,
    /// It was not there.
    New,
    /// Another content hash, size, rate or number of frames.
    Content,
    /// The same content, another verdict.
    Verdict {
        /// Earlier.
        from: Outcome,
        /// Now.
        to: Outcome,
    },
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// [`VideoError::Io`], and those of [`Manifest::parse`].
    pub fn read(path: &Path) -> Result<Self, VideoError> {
        Self::parse(path, &std::fs::read(path).map_err(io_error("read", path))?)
    }

    /// Writes a manifest beside `path` and renames it, so that a reader finds all or nothing.
    ///
    /// # Errors
    /// [`VideoError::Io`] or [`VideoError::DiskFull`].
    pub fn write(&self, path: &Path) -> Result<(), VideoError> {
        let partial = with_suffix(path, ".tmp");
        let write = || {
            let mut file = std::fs::File::create(&partial)?;
            file.write_all(self.to_csv().as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&partial, path)
        };
        write().map_err(|err| {
            std::fs::remove_file(&partial).ok();
            io_error("write", path)(err)
        })
    }

    /// What differs from an earlier manifest, in this one's order; what is gone comes last. Rows are the same when kind,
    /// source and name are.
    pub fn changes_since(&self, old: &Manifest) -> Vec<Change> {
        fn key(row: &ManifestRow) -> (RowKind, &str, &str) {
            (row.kind, &row.source, &row.name)
        }
        let change = |row: &ManifestRow, change| {
            let (source, name) = (row.source.clone(), row.name.clone());
            Change { kind: row.kind, source, name, change }
        };
        let mut before: BTreeMap<_, &ManifestRow> = old.rows.iter().map(|row| (key(row), row)).collect();
        let mut changes = Vec::new();
        for row in &self.rows {
            match before.remove(&key(row)) {
                None => changes.push(change(row, ChangeKind::New)),
                Some(old) if (&old.content_hash, old.bytes, old.shape) != (&row.content_hash, row.bytes, row.shape) => {
                    changes.push(change(row, ChangeKind::Content));
                }
                Some(old) if old.verdict != row.verdict => {
                    changes.push(change(row, ChangeKind::Verdict { from: old.verdict, to: row.verdict }));
                }
                Some(_) => {}
            }
        }
        changes.extend(before.values().map(|row| change(row, ChangeKind::Gone)));
        changes
    }
}

impl ManifestRow {
    /// The row of a store that cannot be opened.
    pub(super) fn damaged_store(source: &str, problem: String) -> Self {
        ManifestRow {
            kind: RowKind::Store,
            source: source.to_owned(),
            name: String::new(),
            content_hash: String::new(),
            bytes: None,
            shape: None,
            verdict: Outcome::Damaged,
            reason: String::new(),
            detail: problem,
        }
    }
}
