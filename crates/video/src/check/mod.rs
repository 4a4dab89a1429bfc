//! Whether data are fit for training: every file and every stored segment decoded as training would, and a search for
//! videos that are there twice.
//!
//! Two videos are the same when their files are equal, or when they show the same pictures: a copy that was encoded anew,
//! scaled, cropped by a few per cent or cut shorter. For that each video leaves a fingerprint of 96 bytes for each eighth
//! of a second. A pair is reported when, at one shift in time,
//!
//! * they last beside each other for at least half of the shorter one, and look alike for 85 % of that time (12 of the 64
//!   bits of an average hash may differ); and
//! * at least 40 % of what changes in either, cell by cell and moment by moment, changes in both, and the changes correlate
//!   by at least 0.7.
//!
//! The second condition tells a copy from another take in the same room. All numbers are our choice. Tried on 172 real clips
//! (at most 12 s of each): of copies cut by 0.25 s, cropped by 4 %, scaled and encoded anew 171 were found; of copies cut by
//! 0.33 s, cropped by 8 % off the middle and badly encoded, 147. Of 11 175 pairs of different takes of one kind of scene two
//! were taken for copies, each a movement that one person began alike.
//!
//! Videos of one store that share a group are not compared: no split by group divides them.
//!
//! What is not seen: copies that are mirrored, turned, played at another speed, cropped by more than about a tenth, put in
//! a frame or beside other pictures; videos shorter than 1.5 seconds; videos in which hardly anything moves; a common part
//! shorter than half of the shorter video. Equal files are always seen. Damage that leaves a stored picture readable is not
//! seen either. What is wrongly seen, now and then: takes of one movement at the same pace in the same place, or under the
//! same pan of the camera.
//!
//! Time grows with the square of the number of videos: each pair costs at most 64 times the samples of the longer one,
//! unless the two look alike.

mod files;
mod fingerprint;
mod manifest;
mod overlap;
mod segments;
#[cfg(test)]
mod tests;
mod workers;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub use manifest::{Change, ChangeKind, Manifest, ManifestRow, Outcome, RowKind, Shape};
use serde::Serialize;
use spec::ClipGeometry;

use self::fingerprint::Fingerprint;
use crate::import::{self, Source};
use crate::spool::io_error;
use crate::{ClipStore, DecodeOptions, Ffmpeg, VideoError};

/// What to check, and how.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    /// Folders of videos and clip stores (`.h5`).
    pub paths: Vec<PathBuf>,
    /// How files are decoded.
    pub decode: DecodeOptions,
    /// How segments of stores are read.
    pub geometry: ClipGeometry,
    /// Files or stored videos looked at at the same time.
    pub num_workers: usize,
}

/// Where a check is.
#[derive(Clone, Copy, Debug)]
pub struct CheckStep<'a> {
    /// Pieces of work done.
    pub done: usize,
    /// All of them: each file or stored video is decoded once and compared once.
    pub total: usize,
    /// The video just done.
    pub name: &'a str,
}

/// A video among the paths checked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The folder or store, as it was given.
    pub source: String,
    /// The video's path within the folder, or its name in the store.
    pub name: String,
}

/// Why two videos count as one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Evidence {
    /// Equal files.
    SameBytes,
    /// The same pictures, see the module's page.
    SamePictures {
        /// Share of the common time in which they look alike, `0..=1`.
        share: f64,
        /// Correlation of what changes in each part of the picture from half second to half second, `-1..=1`.
        correlation: f64,
        /// How much later the pictures come in the second video, seconds.
        shift_secs: f64,
    },
}

/// Two videos that count as one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overlap {
    /// One of them.
    pub first: Place,
    /// The other; of more than two equal files each is paired with the first.
    pub second: Place,
    /// Why.
    pub evidence: Evidence,
}

/// A group that several stores have, so that they must not be divided between training and test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SharedGroup {
    /// The group.
    pub group: String,
    /// The stores.
    pub sources: Vec<String>,
}

/// What a check found.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// A verdict on every file and segment, in the order of the paths and of the names.
    pub manifest: Manifest,
    /// Videos that are there twice.
    pub overlaps: Vec<Overlap>,
    /// Groups that several stores have.
    pub shared_groups: Vec<SharedGroup>,
}

/// What every piece of work needs to know.
struct Context<'a> {
    ffmpeg: &'a Ffmpeg,
    options: &'a CheckOptions,
    interrupt: &'a AtomicBool,
}

/// One of the paths, opened.
enum Opened {
    Folder(Vec<Source>),
    Store(Arc<ClipStore>),
    Damaged(ManifestRow),
}

/// What is known of one video after it was decoded.
struct Checked {
    place: Place,
    /// `None` for a rejected file, which overlaps with nothing.
    content_hash: Option<String>,
    /// Groups of a stored video's segments.
    groups: BTreeSet<String>,
    rows: Vec<ManifestRow>,
    fingerprint: Option<Fingerprint>,
}

/// Checks folders and stores and compares all videos in them. `on_step` runs on the calling thread. `None` when
/// `interrupt` was set meanwhile. Memory holds a frame or a clip per worker, and all fingerprints (under 1 KB per second
/// of video).
///
/// # Errors
/// [`VideoError::Option`] for a path that is given twice, [`VideoError::NothingToImport`] for an empty folder, what
/// [`ClipStore::open`] says of a path that is no store, [`VideoError::NoFfmpeg`]. Bad files and damaged stores are no
/// errors: they are in the report.
pub fn check(
    options: &CheckOptions,
    on_step: &mut dyn FnMut(CheckStep<'_>),
    interrupt: &AtomicBool,
) -> Result<Option<CheckReport>, VideoError> {
    let ffmpeg = Ffmpeg::find()?;
    expect_distinct(&options.paths)?;
    let opened: Vec<(String, Opened)> = options.paths.iter().map(|path| open(path)).collect::<Result<_, _>>()?;
    let context = Context { ffmpeg: &ffmpeg, options, interrupt };
    let items: Vec<(usize, usize)> =
        opened.iter().enumerate().flat_map(|(k, (_, source))| (0..source.num_videos()).map(move |i| (k, i))).collect();
    let total = 2 * items.len();
    let mut done = 0;
    let mut step = |name: &str| {
        done += 1;
        on_step(CheckStep { done, total, name });
    };
    let work = |item: usize| {
        let (k, i) = items[item];
        let (source, opened) = &opened[k];
        match opened {
            Opened::Folder(list) => files::check_file(&context, source, &list[i]),
            Opened::Store(store) => segments::check_video(&context, store, source, i),
            Opened::Damaged(row) => Ok(Some(Checked {
                place: Place { source: source.clone(), name: String::new() },
                content_hash: None,
                groups: BTreeSet::new(),
                rows: vec![row.clone()],
                fingerprint: None,
            })),
        }
    };
    let name = |item: usize| match &opened[items[item].0].1 {
        Opened::Folder(list) => list[items[item].1].name.as_str(),
        Opened::Store(store) => store.videos()[items[item].1].name.as_str(),
        Opened::Damaged(row) => row.source.as_str(),
    };
    let size = (items.len(), options.num_workers);
    let checked = workers::map(size, interrupt, work, &mut |item| step(name(item)))?;
    let Some(mut checked) = checked else { return Ok(None) };
    let compare = |item: usize| Ok(Some(overlap::with_later(&checked, item)));
    let Some(overlaps) = workers::map(size, interrupt, compare, &mut |item| step(name(item)))? else { return Ok(None) };
    let rows = checked.iter_mut().flat_map(|video| std::mem::take(&mut video.rows)).collect();
    let overlaps = overlaps.into_iter().flatten().collect();
    Ok(Some(CheckReport { manifest: Manifest { rows }, overlaps, shared_groups: shared_groups(&opened) }))
}

impl Opened {
    fn num_videos(&self) -> usize {
        match self {
            Opened::Folder(list) => list.len(),
            Opened::Store(store) => store.videos().len(),
            Opened::Damaged(_) => 1,
        }
    }
}

/// A folder or store under two names would overlap with itself.
fn expect_distinct(paths: &[PathBuf]) -> Result<(), VideoError> {
    let mut seen = BTreeSet::new();
    for path in paths {
        if !seen.insert(path.canonicalize().map_err(io_error("read", path))?) {
            let value = path.display().to_string();
            return Err(VideoError::Option { option: "PATH", value, rule: "given once" });
        }
    }
    Ok(())
}

fn open(path: &Path) -> Result<(String, Opened), VideoError> {
    let source = path.display().to_string();
    if path.is_dir() {
        return Ok((source, Opened::Folder(import::files(path)?)));
    }
    let opened = match ClipStore::open(path) {
        Ok(store) => Opened::Store(Arc::new(store)),
        // Another file than a store is a mistake in what was typed.
        Err(VideoError::NotAStore { problem, .. }) if path.extension() == Some(OsStr::new("h5")) => {
            Opened::Damaged(ManifestRow::damaged_store(&source, problem))
        }
        Err(err) => return Err(err),
    };
    Ok((source, opened))
}

fn shared_groups(opened: &[(String, Opened)]) -> Vec<SharedGroup> {
    let mut stores_of: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (source, opened) in opened {
        if let Opened::Store(store) = opened {
            for segment in store.segments() {
                stores_of.entry(&segment.group).or_default().insert(source);
            }
        }
    }
    let shared = stores_of.into_iter().filter(|(_, sources)| sources.len() > 1);
    let owned = |sources: BTreeSet<&str>| sources.into_iter().map(str::to_owned).collect();
    shared.map(|(group, sources)| SharedGroup { group: group.to_owned(), sources: owned(sources) }).collect()
}
