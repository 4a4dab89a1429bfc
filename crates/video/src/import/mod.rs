//! A folder of videos, with or without annotations, to a clip store.

mod annotations;
mod epic;
mod filter;
mod folder;
mod pipeline;
mod plan;
mod resume;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

pub use annotations::Annotations;
pub use epic::EpicFiles;
pub(crate) use folder::files;
pub use plan::{ImportPlan, Source, plan_import};
pub(crate) use resume::hash_file;
use serde::Serialize;

use crate::annotations::{Row, Span};
use crate::{
    Begin, ClipStoreWriter, DecodeLimits, DecodeOptions, Ffmpeg, Rejected, Segment, Shard, StoreOptions, Video,
    VideoError,
};

/// What to import, and how.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// Folder of the videos.
    pub folder: PathBuf,
    /// The clip store to write.
    pub store: PathBuf,
    /// Segments, labels and groups; without them each file is a segment, and where all lie in sub-folders, each
    /// sub-folder is a class.
    pub annotations: Option<Annotations>,
    /// Only segments of these groups; `None` takes all.
    pub groups: Option<BTreeSet<String>>,
    /// Segments of these classes are left out: `unclassified`, or `verb:take` where several label spaces have such a class.
    pub exclude_labels: BTreeSet<String>,
    /// Frame size and rate.
    pub frames: StoreOptions,
    /// Which part of the files, sorted by name, to import.
    pub shard: Shard,
    /// What one file may cost.
    pub limits: DecodeLimits,
    /// Files decoded at the same time.
    pub num_workers: usize,
    /// Whether a missing or rejected video, or a segment that does not fit its video, ends the import.
    pub strict: bool,
}

/// What an import tells while it runs.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// The files are listed and decoding begins.
    Start {
        /// Whether an interrupted import is continued.
        begin: &'a Begin,
        /// Files in all.
        num_files: usize,
        /// Files with a verdict from before.
        num_kept: usize,
    },
    /// A file has its verdict.
    File {
        /// Files with a verdict, this one included.
        num_done: usize,
        /// Path relative to the folder.
        name: &'a str,
        /// Why it is not used; `None` when it was imported.
        rejected: Option<&'a str>,
    },
}

/// An annotated segment that is not in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// The segment's id.
    pub segment: String,
    /// Why.
    pub reason: String,
}

/// What an import did.
#[derive(Clone, Debug, Serialize)]
pub struct ImportReport {
    /// Id of the new store.
    pub store_id: String,
    /// Videos in the store.
    pub num_videos: usize,
    /// Frames in the store.
    pub num_frames: u64,
    /// Segments in the store.
    pub num_segments: usize,
    /// Files that were not imported, with the reason.
    pub rejected: Vec<Rejected>,
    /// Annotated videos that are not in the folder, as the annotations name them.
    pub missing: Vec<String>,
    /// Annotated segments left out as their video was rejected or does not last that long.
    pub dropped: Vec<Dropped>,
}

/// Imports a folder. Files are decoded in parallel and stored in the order of their names, so that the store depends
/// on the videos and the options alone. `on_event` runs on the calling thread.
///
/// An interrupted import goes on where it stopped: files whose name and content are unchanged are not decoded again.
///
/// # Errors
/// [`VideoError::NothingToImport`], [`VideoError::AllRejected`], [`VideoError::Annotation`], [`VideoError::Option`],
/// [`VideoError::Strict`] in a strict import, which keeps what was decoded for the next try,
/// [`VideoError::Interrupted`] after `interrupt` was set, [`VideoError::DiskFull`], and what the disk, HDF5 and the
/// missing ffmpeg say. Otherwise a bad video is no error: it is in the report.
pub fn import(
    options: &ImportOptions,
    on_event: &mut dyn FnMut(Event<'_>),
    interrupt: &AtomicBool,
) -> Result<ImportReport, VideoError> {
    check_options(options)?;
    let ffmpeg = Ffmpeg::find()?;
    let plan = plan_import(options)?;
    if plan.files.is_empty() {
        let problem = "none of the annotated videos is in the folder";
        return Err(VideoError::NothingToImport { path: options.folder.clone(), problem });
    }
    let strict = Strict(options.strict);
    let (mut writer, begin) = ClipStoreWriter::begin_shard(&options.store, options.frames, options.shard)?;
    let num_kept = resume::keep_unchanged(&mut writer, &plan.files)?;
    on_event(Event::Start { begin: &begin, num_files: plan.files.len(), num_kept });
    strict.expect_none(REJECTED, writer.rejected().iter().map(|file| format!("{}: {}", file.name, file.reason)))?;
    let decode = DecodeOptions {
        short_side_px: options.frames.short_side_px,
        max_frames_per_sec: options.frames.max_frames_per_sec,
        limits: options.limits,
    };
    let job = pipeline::Job { ffmpeg: &ffmpeg, files: &plan.files[num_kept..], decode: &decode, interrupt };
    let mut num_done = num_kept;
    let mut on_file = |name: &str, rejected: Option<&str>| {
        num_done += 1;
        on_event(Event::File { num_done, name, rejected });
        strict.expect_none(REJECTED, rejected.iter().map(|reason| format!("{name}: {reason}")))
    };
    if !pipeline::run(&job, options.num_workers, &mut writer, &mut on_file)? {
        return Err(VideoError::Interrupted { num_done });
    }
    // A shard may have nothing but bad luck; the merged store then has what the others found.
    let needs_videos = options.shard == Shard::WHOLE && writer.videos().is_empty();
    if let (true, Some(first)) = (needs_videos, writer.rejected().first().cloned()) {
        let num_files = writer.rejected().len();
        writer.discard()?;
        let (path, name, reason) = (options.folder.clone(), first.name, first.reason);
        return Err(VideoError::AllRejected { path, num_files, name, reason });
    }
    finish(writer, plan, options)
}

const REJECTED: &str = "files that are no usable videos";

/// Whether a strict import was asked for.
#[derive(Clone, Copy)]
struct Strict(bool);

impl Strict {
    /// An error where a strict import would leave `what` out.
    fn expect_none(
        self,
        what: &'static str,
        left_out: impl ExactSizeIterator<Item = String>,
    ) -> Result<(), VideoError> {
        /// So many are named.
        const SHOWN: usize = 5;
        let count = left_out.len();
        if !self.0 || count == 0 {
            return Ok(());
        }
        let mut first = left_out.take(SHOWN).collect::<Vec<_>>().join(", ");
        if count > SHOWN {
            first.push_str(", ...");
        }
        Err(VideoError::Strict { what, count, first })
    }
}

fn check_options(options: &ImportOptions) -> Result<(), VideoError> {
    let refuse = |option, value: String, rule| Err(VideoError::Option { option, value, rule });
    let (side, cap) = (options.frames.short_side_px, options.frames.max_frames_per_sec);
    if !(16..=2048).contains(&side) {
        return refuse("short_side_px", side.to_string(), "between 16 and 2048");
    }
    if let Some(cap) = cap.filter(|cap| !(*cap >= 0.1 && *cap <= 1000.0)) {
        return refuse("max_frames_per_sec", cap.to_string(), "between 0.1 and 1000");
    }
    if options.num_workers == 0 {
        return refuse("num_workers", "0".to_owned(), "at least 1");
    }
    Ok(())
}

/// Without annotations, a rejected file is told once, not as a segment again.
fn finish(writer: ClipStoreWriter, plan: ImportPlan, options: &ImportOptions) -> Result<ImportReport, VideoError> {
    let index: BTreeMap<&str, usize> = writer.videos().iter().enumerate().map(|(i, v)| (v.name.as_str(), i)).collect();
    let (mut segments, mut dropped) = (Vec::new(), Vec::new());
    for row in &plan.rows {
        let Some(&video) = index.get(row.video.as_str()) else {
            if options.annotations.is_some() && plan.missing.binary_search(&row.video).is_err() {
                dropped.push(Dropped { segment: row.id.clone(), reason: "its video was rejected".to_owned() });
            }
            continue;
        };
        match segment(row, video, &writer.videos()[video]) {
            Ok(segment) => segments.push(segment),
            Err(reason) => dropped.push(Dropped { segment: row.id.clone(), reason }),
        }
    }
    let dropped_lines = dropped.iter().map(|Dropped { segment, reason }| format!("{segment}: {reason}"));
    Strict(options.strict).expect_none("annotated segments that do not fit their videos", dropped_lines)?;
    // By video, whatever the order of the annotations: shards put together are then the undivided import.
    segments.sort_by_key(|segment| segment.video);
    let (num_videos, rejected) = (writer.videos().len(), writer.rejected().to_vec());
    let num_frames = writer.videos().iter().map(|video| u64::from(video.num_frames)).sum();
    let store_id = writer.finish(&segments, &plan.label_spaces)?;
    let num_segments = segments.len();
    Ok(ImportReport { store_id, num_videos, num_frames, num_segments, rejected, missing: plan.missing, dropped })
}

/// Times of a segment within its video, or why there are none.
fn segment(row: &Row, index: usize, video: &Video) -> Result<Segment, String> {
    let duration_secs = video.duration_secs();
    let (start_secs, stop_secs) = match row.span {
        Span::Whole => (0.0, duration_secs),
        Span::Secs(start, stop) => (start, stop),
        Span::Frames(start, stop) => {
            (f64::from(start) / video.source_frames_per_sec, f64::from(stop) / video.source_frames_per_sec)
        }
    };
    if start_secs >= duration_secs {
        return Err(format!("it starts at {start_secs:.3} s, its video lasts {duration_secs:.3} s"));
    }
    Ok(Segment {
        id: row.id.clone(),
        video: index as u32,
        start_secs,
        stop_secs: stop_secs.min(duration_secs),
        labels: row.labels.iter().map(|label| label.map_or(-1, |label| label as i32)).collect(),
        group: row.group.clone(),
        subject: row.subject.clone(),
    })
}
