//! A folder of videos, with or without annotations, to a clip store.

mod annotations;
mod folder;
mod pipeline;
mod resume;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

pub use annotations::Annotations;
pub(crate) use folder::files;
pub(crate) use resume::hash_file;
use serde::Serialize;

use crate::{
    Begin, ClipStoreWriter, DecodeLimits, DecodeOptions, Ffmpeg, Rejected, Segment, StoreOptions, Video, VideoError,
};

/// What to import, and how.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// Folder of the videos.
    pub folder: PathBuf,
    /// The clip store to write.
    pub store: PathBuf,
    /// Labels and groups; without them, where all videos lie in sub-folders, each sub-folder is a class.
    pub annotations: Option<Annotations>,
    /// Only segments of these groups; `None` takes all.
    pub groups: Option<BTreeSet<String>>,
    /// Segments of these classes are left out.
    pub exclude_labels: BTreeSet<String>,
    /// Frame size and rate.
    pub frames: StoreOptions,
    /// What one file may cost.
    pub limits: DecodeLimits,
    /// Files decoded at the same time.
    pub num_workers: usize,
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
    /// Annotated videos that are not in the folder.
    pub missing: Vec<String>,
    /// Annotated segments left out as their video was rejected or does not last that long.
    pub dropped: Vec<Dropped>,
}

/// A file to decode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// Path relative to the folder; what is not UTF-8 in it is replaced.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// A segment as annotated, before its video is decoded.
#[derive(Clone, Debug, PartialEq)]
struct Wanted {
    id: String,
    /// [`Source::name`] of its video.
    file: String,
    label: Option<usize>,
    group: String,
    span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Span {
    Whole,
    Secs(f64, f64),
    /// Frames of the source file.
    Frames(f64, f64),
}

/// Everything that is to be imported, files sorted by name.
#[derive(Debug, PartialEq)]
struct Listing {
    files: Vec<Source>,
    segments: Vec<Wanted>,
    classes: Vec<String>,
    missing: Vec<String>,
}

/// Imports a folder. Files are decoded in parallel and stored in the order of their names, so that the store depends
/// on the videos and the options alone. `on_event` runs on the calling thread.
///
/// An interrupted import goes on where it stopped: files whose name and content are unchanged are not decoded again.
///
/// # Errors
/// [`VideoError::NothingToImport`], [`VideoError::AllRejected`], [`VideoError::Annotation`], [`VideoError::Option`],
/// [`VideoError::Interrupted`] after `interrupt` was set, [`VideoError::DiskFull`], and what the disk, HDF5 and the
/// missing ffmpeg say. A bad video is no error: it is in the report.
pub fn import(
    options: &ImportOptions,
    on_event: &mut dyn FnMut(Event<'_>),
    interrupt: &AtomicBool,
) -> Result<ImportReport, VideoError> {
    check_options(options)?;
    let ffmpeg = Ffmpeg::find()?;
    let listing = list(options)?;
    let (mut writer, begin) = ClipStoreWriter::begin(&options.store, options.frames)?;
    let num_kept = resume::keep_unchanged(&mut writer, &listing.files)?;
    on_event(Event::Start { begin: &begin, num_files: listing.files.len(), num_kept });
    let decode = DecodeOptions {
        short_side_px: options.frames.short_side_px,
        max_frames_per_sec: options.frames.max_frames_per_sec,
        limits: options.limits,
    };
    let job = pipeline::Job { ffmpeg: &ffmpeg, files: &listing.files[num_kept..], decode: &decode, interrupt };
    let mut num_done = num_kept;
    let mut on_file = |name: &str, rejected: Option<&str>| {
        num_done += 1;
        on_event(Event::File { num_done, name, rejected });
    };
    if !pipeline::run(&job, options.num_workers, &mut writer, &mut on_file)? {
        return Err(VideoError::Interrupted { num_done });
    }
    if let (true, Some(first)) = (writer.videos().is_empty(), writer.rejected().first().cloned()) {
        let num_files = writer.rejected().len();
        writer.discard()?;
        let (path, name, reason) = (options.folder.clone(), first.name, first.reason);
        return Err(VideoError::AllRejected { path, num_files, name, reason });
    }
    finish(writer, listing, options.annotations.is_some())
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

/// What the folder and the annotations ask for, after the filters.
fn list(options: &ImportOptions) -> Result<Listing, VideoError> {
    let mut listing = match &options.annotations {
        None => folder::list(&options.folder)?,
        Some(annotations) => annotations.list(&options.folder)?,
    };
    expect_known("group", options.groups.iter().flatten(), listing.segments.iter().map(|s| &s.group))?;
    expect_known("excluded label", &options.exclude_labels, &listing.classes)?;
    let excluded = |s: &Wanted| s.label.is_some_and(|label| options.exclude_labels.contains(&listing.classes[label]));
    let grouped = |s: &Wanted| options.groups.as_ref().is_none_or(|groups| groups.contains(&s.group));
    listing.segments.retain(|segment| grouped(segment) && !excluded(segment));
    remove_classes(&mut listing, &options.exclude_labels);
    let wanted: BTreeSet<&str> = listing.segments.iter().map(|segment| segment.file.as_str()).collect();
    listing.files.retain(|file| wanted.contains(file.name.as_str()));
    listing.missing.retain(|name| wanted.contains(name.as_str()));
    if listing.files.is_empty() {
        let problem = match (wanted.is_empty(), options.annotations.is_some()) {
            (true, true) => "the annotations and filters leave no segment",
            (true, false) => "the filters leave no file",
            (false, _) => "none of the annotated videos is in the folder",
        };
        return Err(VideoError::NothingToImport { path: options.folder.clone(), problem });
    }
    Ok(listing)
}

/// Takes classes that have no segments any more off the list; the others move up.
fn remove_classes(listing: &mut Listing, excluded: &BTreeSet<String>) {
    let kept: Vec<usize> =
        (0..listing.classes.len()).filter(|label| !excluded.contains(&listing.classes[*label])).collect();
    for segment in &mut listing.segments {
        segment.label = segment.label.and_then(|label| kept.binary_search(&label).ok());
    }
    listing.classes.retain(|class| !excluded.contains(class));
}

/// A misspelled filter must not leave out, or keep, everything in silence.
fn expect_known<'a>(
    option: &'static str,
    given: impl IntoIterator<Item = &'a String>,
    known: impl IntoIterator<Item = &'a String>,
) -> Result<(), VideoError> {
    let known: BTreeSet<&String> = known.into_iter().collect();
    match given.into_iter().find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(name) => Err(VideoError::Option { option, value: format!("{name:?}"), rule: "one that the data have" }),
    }
}

/// Without annotations, a rejected file is told once, not as a segment again.
fn finish(writer: ClipStoreWriter, listing: Listing, annotated: bool) -> Result<ImportReport, VideoError> {
    let index: BTreeMap<&str, usize> = writer.videos().iter().enumerate().map(|(i, v)| (v.name.as_str(), i)).collect();
    let (mut segments, mut dropped) = (Vec::new(), Vec::new());
    for wanted in &listing.segments {
        let Some(&video) = index.get(wanted.file.as_str()) else {
            if annotated && listing.missing.binary_search(&wanted.file).is_err() {
                dropped.push(Dropped { segment: wanted.id.clone(), reason: "its video was rejected".to_owned() });
            }
            continue;
        };
        match segment(wanted, video, &writer.videos()[video]) {
            Ok(segment) => segments.push(segment),
            Err(reason) => dropped.push(Dropped { segment: wanted.id.clone(), reason }),
        }
    }
    let (num_videos, rejected) = (writer.videos().len(), writer.rejected().to_vec());
    let num_frames = writer.videos().iter().map(|video| u64::from(video.num_frames)).sum();
    let store_id = writer.finish(&segments, &listing.classes)?;
    let num_segments = segments.len();
    Ok(ImportReport { store_id, num_videos, num_frames, num_segments, rejected, missing: listing.missing, dropped })
}

/// Times of a segment within its video, or why there are none.
fn segment(wanted: &Wanted, index: usize, video: &Video) -> Result<Segment, String> {
    let duration_secs = video.duration_secs();
    let (start_secs, stop_secs) = match wanted.span {
        Span::Whole => (0.0, duration_secs),
        Span::Secs(start, stop) => (start, stop),
        Span::Frames(start, stop) => (start / video.source_frames_per_sec, stop / video.source_frames_per_sec),
    };
    if start_secs >= duration_secs {
        return Err(format!("it starts at {start_secs:.3} s, its video lasts {duration_secs:.3} s"));
    }
    Ok(Segment {
        id: wanted.id.clone(),
        video: index as u32,
        start_secs,
        stop_secs: stop_secs.min(duration_secs),
        label: wanted.label.map_or(-1, |label| label as i32),
        group: wanted.group.clone(),
    })
}
