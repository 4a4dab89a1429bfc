//! `longvid data synth`: rendered videos with labels.

use std::path::Path;
use std::sync::Mutex;

use video::VideoError;
use video::synth::{Camera, DiveOptions, KitchenOptions, Place, SynthReport, synth_dives, synth_kitchens};

use super::training::say;
use crate::cli::{CameraArg, DivesArgs, KitchensArgs, PlaceArg};
use crate::progress::Progress;
use crate::report::units::Unit;
use crate::session::Session;

pub(crate) fn dives(args: &DivesArgs, session: &Session) -> anyhow::Result<()> {
    let options = DiveOptions {
        num_train: args.num_train,
        num_test: args.num_test,
        num_classes: args.num_classes,
        size_px: args.size_px,
        frames_per_sec: args.fps,
        twist_rate: args.twist_rate,
        camera: match args.camera {
            CameraArg::Follow => Camera::Follow,
            CameraArg::Still => Camera::Still,
        },
        place: match args.place {
            PlaceArg::Pool => Place::Pool,
            PlaceArg::Studio => Place::Studio,
        },
        num_sources: [args.num_sources_train, args.num_sources_test],
        seed: args.seed,
        masks: args.masks,
        ..DiveOptions::new(args.out.clone())
    };
    options.check()?;
    let progress = Progress::new("rendering dives", (args.num_train + args.num_test) as u64);
    render(&args.out, progress, |each| synth_dives(&options, each, &session.interrupt))
}

pub(crate) fn kitchens(args: &KitchensArgs, session: &Session) -> anyhow::Result<()> {
    let options = KitchenOptions {
        out: args.out.clone(),
        num_train_videos: args.num_train_videos,
        num_val_videos: args.num_val_videos,
        num_test_videos: args.num_test_videos,
        segments_per_video: args.segments_per_video,
        size_px: args.size_px,
        frames_per_sec: [args.fps, args.fps_of_fourth],
        num_participants: args.num_participants,
        num_unseen: args.num_unseen,
        seed: args.seed,
    };
    options.check()?;
    let num_videos = args.num_train_videos + args.num_val_videos + args.num_test_videos;
    let progress = Progress::new("rendering kitchens", num_videos as u64);
    render(&args.out, progress, |each| synth_kitchens(&options, each, &session.interrupt))
}

/// Calls `synth` with what it calls after each video, and says what came of it.
fn render(
    out: &Path,
    progress: Progress,
    synth: impl FnOnce(&(dyn Fn(usize, usize) + Sync)) -> Result<SynthReport, VideoError>,
) -> anyhow::Result<()> {
    let progress = Mutex::new(progress);
    let report = synth(&|done, _| {
        if let Ok(mut progress) = progress.lock() {
            progress.set(done as u64, "");
        }
    })?;
    if let Ok(progress) = progress.into_inner() {
        progress.finish(&format!("{} rendered, {} kept from before", report.num_rendered, report.num_kept));
    }
    let size = Unit::Bytes.text(report.num_bytes as f64);
    Ok(say(&format!("wrote {}: {} frames, {size}", out.display(), report.num_frames))?)
}
