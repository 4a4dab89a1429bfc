use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{ClipStore, ClipStoreWriter, Done, NewVideo, Segment, Shard, StoreOptions, Video};
use crate::spool::{io_error, with_suffix};
use crate::{Decoded, VideoError};

/// What a merge made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// Id of the new store.
    pub store_id: String,
    /// Videos in it.
    pub num_videos: usize,
    /// Frames in it.
    pub num_frames: u64,
    /// Segments in it.
    pub num_segments: usize,
}

/// Writes the videos and segments of several stores into a new one, comparing every frame's bytes with their checksum on
/// the way. The shards of one import, all of them and in any order, give the very store that the undivided import gives;
/// other stores are put together in the order given. `on_video` is told how many videos are done, of how many.
///
/// An interrupted merge goes on where it stopped.
///
/// # Errors
/// [`VideoError::CannotMerge`] when stores differ in options or label spaces, when a video or segment is in two of them, or
/// shards are missing; [`VideoError::Damaged`]; [`VideoError::Interrupted`]; what opening and writing a store may meet.
pub fn merge(
    inputs: &[ClipStore],
    out: &Path,
    on_video: &mut dyn FnMut(usize, usize),
    interrupt: &AtomicBool,
) -> Result<Merged, VideoError> {
    let inputs = in_order(inputs)?;
    expect_alike(&inputs)?;
    let (Some(first), sources) = (inputs.first(), sources(&inputs)) else {
        return Err(VideoError::Option { option: "stores to merge", value: "0".to_owned(), rule: "at least 1" });
    };
    let (mut writer, _) = ClipStoreWriter::begin(out, first.options())?;
    let same = |(done, source): &(&Done, &Source<'_>)| done.is_video && source.is_done(done);
    let num_kept = writer.done().iter().zip(&sources).take_while(same).count();
    writer.keep(num_kept)?;
    for (num_done, source) in sources.iter().enumerate().skip(num_kept) {
        if interrupt.load(Ordering::Relaxed) {
            return Err(VideoError::Interrupted { num_done });
        }
        source.copy(&mut writer)?;
        on_video(num_done + 1, sources.len());
    }
    for rejected in inputs.iter().flat_map(|store| store.rejected()) {
        writer.reject(rejected.clone())?;
    }
    let segments = segments(&inputs);
    let (num_videos, num_frames) =
        (sources.len(), sources.iter().map(|source| u64::from(source.video().num_frames)).sum());
    let store_id = writer.finish(&segments, first.label_spaces())?;
    Ok(Merged { store_id, num_videos, num_frames, num_segments: segments.len() })
}

/// Adds the videos and segments of `more` to the store `path`. It stays as it was until everything is written, and is
/// then replaced in one step, so that whoever reads it, or is killed, finds one or the other. Takes the disk for both.
///
/// # Errors
/// As [`merge`]; `None` when the store holds all of `more` already.
pub fn append(
    path: &Path,
    more: Vec<ClipStore>,
    on_video: &mut dyn FnMut(usize, usize),
    interrupt: &AtomicBool,
) -> Result<Option<Merged>, VideoError> {
    let next = with_suffix(path, ".next");
    let mut inputs = vec![ClipStore::open(path)?];
    let holds = |store: &ClipStore, video: &Video| {
        store.videos().iter().any(|own| (&own.name, &own.frames_hash) == (&video.name, &video.frames_hash))
    };
    // What an append left that was killed before its last step: complete or not, its inputs may have changed since.
    if next.exists() {
        std::fs::remove_file(&next).map_err(io_error("remove", &next))?;
    }
    if more.iter().flat_map(ClipStore::videos).all(|video| holds(&inputs[0], video)) {
        return Ok(None);
    }
    inputs.extend(more);
    let merged = merge(&inputs, &next, on_video, interrupt)?;
    std::fs::rename(&next, path).map_err(io_error("rename", &next))?;
    Ok(Some(merged))
}

/// A video of one of the stores.
struct Source<'a> {
    store: &'a ClipStore,
    index: usize,
}

impl Source<'_> {
    fn video(&self) -> &Video {
        &self.store.videos()[self.index]
    }

    fn is_done(&self, done: &Done) -> bool {
        (&done.name, &done.content_hash) == (&self.video().name, &self.video().content_hash)
    }

    fn copy(&self, writer: &mut ClipStoreWriter) -> Result<(), VideoError> {
        let video = self.video();
        self.store.read_frame_bytes(self.index, &mut |ends, bytes| {
            let frame = |pair: &[u64]| &bytes[(pair[0] - ends[0]) as usize..(pair[1] - ends[0]) as usize];
            ends.windows(2).try_for_each(|pair| writer.push_frame(frame(pair)))
        })?;
        if writer.pushed_hash() != video.frames_hash {
            let (path, part) = (self.store.path().to_owned(), video.name.clone());
            return Err(VideoError::Damaged { path, part, again: super::KIND.again });
        }
        let decoded = Decoded {
            num_frames: video.num_frames,
            frames_per_sec: video.frames_per_sec,
            source_frames_per_sec: video.source_frames_per_sec,
            width_px: video.width_px,
            height_px: video.height_px,
        };
        writer.commit(NewVideo { name: &video.name, content_hash: &video.content_hash, decoded, notes: &video.notes })
    }
}

fn sources<'a>(inputs: &[&'a ClipStore]) -> Vec<Source<'a>> {
    let of_store = |store: &&'a ClipStore| {
        let store = *store;
        (0..store.videos().len()).map(move |index| Source { store, index })
    };
    inputs.iter().flat_map(of_store).collect()
}

/// Shards in their order, which must all be there; other stores as they come.
fn in_order(inputs: &[ClipStore]) -> Result<Vec<&ClipStore>, VideoError> {
    let mut inputs: Vec<&ClipStore> = inputs.iter().collect();
    let Some(count) = inputs.first().map(|store| store.shard().count()) else { return Ok(inputs) };
    if count == 1 || inputs.iter().any(|store| store.shard().count() != count) {
        return Ok(inputs);
    }
    inputs.sort_by_key(|store| store.shard());
    let have: Vec<Shard> = inputs.iter().map(|store| store.shard()).collect();
    match (0..count).find(|index| have.iter().filter(|shard| shard.index() == *index).count() != 1) {
        None => Ok(inputs),
        Some(index) => {
            let problem = format!("shard {}/{count} must be there once", index + 1);
            Err(VideoError::CannotMerge { path: inputs[0].path().to_owned(), problem })
        }
    }
}

fn expect_alike(inputs: &[&ClipStore]) -> Result<(), VideoError> {
    let Some(first) = inputs.first() else { return Ok(()) };
    let refuse = |store: &ClipStore, problem| Err(VideoError::CannotMerge { path: store.path().to_owned(), problem });
    let (mut videos, mut segments) = (BTreeMap::new(), BTreeMap::new());
    for store in inputs {
        if store.options() != first.options() {
            let (own, other) = (told(store.options()), told(first.options()));
            let problem = format!("it was made with {own}, {:?} with {other}", first.path());
            return refuse(store, problem);
        }
        if store.label_spaces() != first.label_spaces() {
            return refuse(store, format!("its classes are not those of {:?}", first.path()));
        }
        for video in store.videos() {
            if let Some(other) = videos.insert(&video.name, store.path()) {
                return refuse(store, format!("video {:?} is in {other:?} too", video.name));
            }
        }
        for segment in store.segments() {
            if let Some(other) = segments.insert(&segment.id, store.path()) {
                return refuse(store, format!("segment {:?} is in {other:?} too", segment.id));
            }
        }
    }
    Ok(())
}

fn told(options: StoreOptions) -> String {
    let rate = options.max_frames_per_sec.map_or("any frame rate".to_owned(), |cap| format!("at most {cap} frames/s"));
    format!("a short side of {} px and {rate}", options.short_side_px)
}

fn segments(inputs: &[&ClipStore]) -> Vec<Segment> {
    let mut first_video = 0;
    let mut segments = Vec::new();
    for store in inputs {
        let moved = |segment: &Segment| Segment { video: segment.video + first_video, ..segment.clone() };
        segments.extend(store.segments().iter().map(moved));
        first_video += store.videos().len() as u32;
    }
    segments
}
