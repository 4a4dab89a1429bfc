use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use spec::Sampling;

use super::fingerprint::{Fingerprint, Sampler, sample_secs};
use super::manifest::{ManifestRow, Outcome, RowKind, Shape};
use super::{Checked, Context, Place};
use crate::{
    Augment, ClipRequest, ClipSource, ClipStore, Segment, Timeline, Video, VideoError, View, jpeg, load_clip, timeline,
};

/// Stored pictures in memory at a time, while a fingerprint is taken.
const PIECE_FRAMES: usize = 64;

/// Reads every segment of one stored video as training would; `None` when it was interrupted.
pub(super) fn check_video(
    context: &Context<'_>,
    store: &Arc<ClipStore>,
    source: &str,
    index: usize,
) -> Result<Option<Checked>, VideoError> {
    let video = &store.videos()[index];
    let (mut rows, mut groups) = (Vec::new(), BTreeSet::new());
    let changed = store.damage(index);
    for (number, segment) in store.segments().iter().enumerate().filter(|(_, s)| s.video as usize == index) {
        if context.interrupt.load(Ordering::Relaxed) {
            return Ok(None);
        }
        groups.insert(segment.group.clone());
        let (mut verdict, mut detail) = check_segment(context, store, number);
        // A changed byte may still decode, to another picture.
        if let (false, Some(changed)) = (verdict == Outcome::Damaged, &changed) {
            (verdict, detail) = (Outcome::Damaged, changed.clone());
        }
        rows.push(ManifestRow {
            kind: RowKind::Segment,
            source: source.to_owned(),
            name: segment.id.clone(),
            content_hash: video.content_hash.clone(),
            bytes: None,
            shape: Some(shape(video, segment, &timeline(video, segment, &context.options.geometry))),
            verdict,
            reason: String::new(),
            detail,
        });
    }
    Ok(Some(Checked {
        place: Place { source: source.to_owned(), name: video.name.clone() },
        content_hash: Some(video.content_hash.clone()),
        // What is damaged has been told by then, and cannot be compared.
        fingerprint: fingerprint(store, index).ok(),
        groups,
        rows,
    }))
}

/// Loads the whole timeline in clips: what training and encoding would read, read now.
fn check_segment(context: &Context<'_>, store: &Arc<ClipStore>, number: usize) -> (Outcome, String) {
    let geometry = &context.options.geometry;
    let segment = &store.segments()[number];
    let timeline = timeline(&store.videos()[segment.video as usize], segment, geometry);
    let (clip, step) = (geometry.num_frames() as usize, geometry.patch().t as usize);
    let source = ClipSource {
        store: store.clone(),
        tokens: None,
        geometry: *geometry,
        augment: Augment::default(),
        with_flow: false,
    };
    for start_frame in (0..timeline.frames.len()).step_by(clip) {
        let num_frames = clip.min(timeline.frames.len() - start_frame) / step * step;
        let request = ClipRequest { segment: number, start_frame, num_frames, view: View::CENTRE };
        if let Err(err) = load_clip(&source, request) {
            let frames = &timeline.frames[start_frame..start_frame + num_frames];
            let which = damaged_frame(store, segment.video as usize, frames);
            let place = which.map(|frame| format!("frame {frame}: ")).unwrap_or_default();
            return (Outcome::Damaged, format!("{place}{err}"));
        }
    }
    let num_real = num_real(&timeline, geometry.sampling());
    if num_real < clip {
        return (Outcome::TooShort, format!("{num_real} real frames of the clip's {clip}"));
    }
    (Outcome::Ok, String::new())
}

/// Frames that are not repeats of one before.
fn num_real(timeline: &Timeline, sampling: Sampling) -> usize {
    match sampling {
        Sampling::Rate { .. } => timeline.num_real,
        // As many as the clip has whatever the segment's length, so repeats tell.
        Sampling::Segment => timeline.frames.iter().collect::<BTreeSet<_>>().len(),
    }
}

/// The first of the frames that cannot be read alone.
fn damaged_frame(store: &ClipStore, video: usize, frames: &[u32]) -> Option<u32> {
    let is_whole = |frame: u32| {
        store.read_jpegs(video, &[frame]).is_ok_and(|jpegs| jpegs.iter().all(|jpeg| jpeg::decode(jpeg).is_ok()))
    };
    frames.iter().copied().find(|frame| !is_whole(*frame))
}

fn shape(video: &Video, segment: &Segment, timeline: &Timeline) -> Shape {
    Shape {
        num_frames: timeline.num_real as u32,
        frames_per_sec: video.frames_per_sec,
        width_px: video.width_px,
        height_px: video.height_px,
        duration_secs: segment.stop_secs - segment.start_secs,
    }
}

fn fingerprint(store: &ClipStore, index: usize) -> Result<Fingerprint, VideoError> {
    let video = &store.videos()[index];
    // A time that rounding puts a hair before the change of frames belongs to the later frame.
    let shown = |k: usize| (sample_secs(k) * video.frames_per_sec + 1e-6) as u32;
    let mut wanted: Vec<u32> = (0..).map(shown).take_while(|frame| *frame < video.num_frames).collect();
    wanted.dedup();
    let mut sampler = Sampler::default();
    for piece in wanted.chunks(PIECE_FRAMES) {
        for (frame, bytes) in piece.iter().zip(store.read_jpegs(index, piece)?) {
            let picture = jpeg::decode(&bytes)?;
            sampler.push(&picture, f64::from(*frame) / video.frames_per_sec);
        }
    }
    Ok(sampler.finish(video.duration_secs()))
}
