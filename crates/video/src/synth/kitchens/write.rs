use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use serde::Serialize;

use crate::VideoError;

use super::super::output::{Footage, Reel, SynthReport, claim, render_all};
use super::KitchenOptions;
use super::annotations::write_annotations;
use super::film::{Film, Shot};

/// Raise it when a change makes the same options render other frames, so that no folder mixes both.
const RENDERER_VERSION: u32 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Split {
    Train,
    Validation,
    Test,
}

/// One video to make.
pub(super) struct Video {
    pub(super) split: Split,
    pub(super) video_id: String,
    pub(super) film: Film,
    pub(super) footage: Footage,
}

impl Video {
    pub(super) fn participant_id(&self) -> String {
        participant_id(self.film.shot.participant)
    }
}

impl Reel for Video {
    fn footage(&self) -> &Footage {
        &self.footage
    }

    fn frames(&self) -> Box<dyn Iterator<Item = Vec<u8>> + '_> {
        Box::new((0..self.film.num_frames()).map(|frame| self.film.frame(frame, self.footage.size_px)))
    }
}

#[derive(Serialize)]
struct Stamp<'a> {
    kitchens_version: u32,
    #[serde(flatten)]
    options: &'a KitchenOptions,
}

/// Renders a set of kitchen videos in the form of EPIC-KITCHENS-100, in parallel over videos. Files appear under their
/// name only when finished and the annotations last, so an interrupted call can be repeated: finished videos are kept.
/// The same options give the same bytes, with any number of threads.
///
/// * `progress` - called with (videos done, videos in all) after each video, from several threads
/// * `interrupt` - when it becomes true, videos under way are finished and no more are begun
///
/// # Errors
/// [`VideoError::Option`], [`VideoError::NoFfmpeg`], [`VideoError::Encode`], [`VideoError::Io`],
/// [`VideoError::CannotResume`] when the folder was begun with other options, [`VideoError::Interrupted`].
pub fn synth_kitchens(
    options: &KitchenOptions,
    progress: &(dyn Fn(usize, usize) + Sync),
    interrupt: &AtomicBool,
) -> Result<SynthReport, VideoError> {
    options.check()?;
    let videos = plan(options);
    claim(&options.out, &Stamp { kitchens_version: RENDERER_VERSION, options }, &videos)?;
    let report = render_all(&videos, progress, interrupt)?;
    write_annotations(&options.out, &videos)?;
    Ok(report)
}

/// All videos, split by split. Each split draws from items of its own, so that its size leaves the others as they are.
fn plan(options: &KitchenOptions) -> Vec<Video> {
    let (seen, unseen) = (options.num_participants as u64, options.num_unseen as u64);
    let first = |count: u64, participants: std::ops::RangeInclusive<u64>| -> Vec<u64> {
        (count + 1..=count + unseen).chain(participants).collect()
    };
    let splits = [
        (Split::Train, options.num_train_videos, (1..=seen).collect()),
        (Split::Validation, options.num_val_videos, first(seen, 1..=seen)),
        (Split::Test, options.num_test_videos, first(seen + unseen, 1..=seen)),
    ];
    let mut num_videos: BTreeMap<u64, usize> = BTreeMap::new();
    let mut videos = Vec::new();
    for (split, count, participants) in splits {
        for i in 0..count {
            let participant = participants[i % participants.len()];
            let number = num_videos.entry(participant).or_insert(0);
            *number += 1;
            let item = ((split as u64) << 31) + i as u64;
            let film = Film::draw(options, Shot { participant, item, frames_per_sec: rate(options, i) });
            let owner = participant_id(participant);
            let video_id = format!("{owner}_{number:02}");
            let footage = Footage {
                path: options.out.join(owner).join("videos").join(format!("{video_id}.MP4")),
                size_px: options.picture_px(),
                frames_per_sec: film.shot.frames_per_sec,
                num_frames: film.num_frames(),
            };
            videos.push(Video { split, video_id, film, footage });
        }
    }
    videos
}

/// One video in each four has the other rate, every time another of the four, so that it is not always one participant's.
fn rate(options: &KitchenOptions, i: usize) -> f64 {
    options.frames_per_sec[usize::from((i + i / 4) % 4 == 3)]
}

fn participant_id(participant: u64) -> String {
    format!("P{participant:02}")
}
