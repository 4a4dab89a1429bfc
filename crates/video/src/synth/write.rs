use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use serde::Serialize;

use crate::VideoError;

use super::output::{Footage, Reel, SynthReport, claim, render_all, write_whole};
use super::{Dive, DiveClass, DiveOptions, MaskVideo, Place, Scene, render_dive, render_dive_masks};

/// Raise it when a change makes the same options render other frames, so that no folder mixes both.
const RENDERER_VERSION: u32 = 1;
/// Test videos draw from items above all training videos, so that the size of one split leaves the other as it is.
const FIRST_TEST_ITEM: u64 = 1 << 31;
/// Folder of the masks.
const MASKS: &str = "masks";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Split {
    Train,
    Test,
}

/// One entry of `Diving48_V2_*.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Annotation {
    vid_name: String,
    label: usize,
    start_frame: usize,
    end_frame: usize,
}

/// One video to make.
struct Job {
    split: Split,
    annotation: Annotation,
    dive: Dive,
    scene: Scene,
    footage: Footage,
    /// File for the diver's mask, where one is wanted.
    mask: Option<PathBuf>,
}

impl Reel for Job {
    fn footage(&self) -> &Footage {
        &self.footage
    }

    fn frames(&self) -> Box<dyn Iterator<Item = Vec<u8>> + '_> {
        Box::new(render_dive(&self.dive, &self.scene, self.footage.size_px[0]))
    }

    fn write_beside(&self) -> Result<(), VideoError> {
        let Some(path) = self.mask.as_deref().filter(|path| !path.exists()) else { return Ok(()) };
        let size_px = self.footage.size_px;
        MaskVideo::of(size_px, render_dive_masks(&self.dive, &self.scene, size_px[0])).write(path)
    }
}

#[derive(Serialize)]
struct Stamp<'a> {
    renderer_version: u32,
    #[serde(flatten)]
    options: &'a DiveOptions,
}

/// Renders a labelled set of dives in Diving48's form, in parallel over videos. Files appear under their name only when
/// finished and the annotations last, so an interrupted call can be repeated: finished videos are kept. The same options
/// give the same frames and the same JSON, with any number of threads.
///
/// * `progress` - called with (videos done, videos in all) after each video, from several threads
/// * `interrupt` - when it becomes true, videos under way are finished and no more are begun
///
/// # Errors
/// [`VideoError::Option`], [`VideoError::NoFfmpeg`], [`VideoError::Encode`], [`VideoError::Io`],
/// [`VideoError::CannotResume`] when the folder was begun with other options, [`VideoError::Interrupted`].
pub fn synth_dives(
    options: &DiveOptions,
    progress: &(dyn Fn(usize, usize) + Sync),
    interrupt: &AtomicBool,
) -> Result<SynthReport, VideoError> {
    let set = options.check()?;
    let mut jobs = plan(options, set.classes(), Split::Train);
    jobs.extend(plan(options, set.classes(), Split::Test));
    claim(&options.out, &Stamp { renderer_version: RENDERER_VERSION, options }, &jobs)?;
    if options.masks {
        let path = options.out.join(MASKS);
        std::fs::create_dir_all(&path).map_err(|source| VideoError::Io { action: "create", path, source })?;
    }
    let report = render_all(&jobs, progress, interrupt)?;
    write_json(&options.out.join("Diving48_V2_train.json"), &annotations(&jobs, Split::Train))?;
    write_json(&options.out.join("Diving48_V2_test.json"), &annotations(&jobs, Split::Test))?;
    let words: Vec<[String; 4]> = set.classes().iter().map(DiveClass::words).collect();
    write_json(&options.out.join("Diving48_vocab.json"), &words)?;
    Ok(report)
}

/// The videos of one split. Sources are filled in rounds of one video per class.
fn plan(options: &DiveOptions, classes: &[DiveClass], split: Split) -> Vec<Job> {
    let [train_sources, test_sources] = options.num_sources;
    let (num_videos, first_item, first_source, num_sources) = match split {
        Split::Train => (options.num_train, 0, 0, train_sources),
        Split::Test => (options.num_test, FIRST_TEST_ITEM, train_sources, test_sources),
    };
    (0..num_videos)
        .map(|i| {
            let (round, label) = (i / classes.len(), i % classes.len());
            let source = (first_source + round % num_sources) as u64;
            let number = round / num_sources * classes.len() + label + 1;
            let scene = match options.place {
                Place::Pool => Scene::draw(options.seed, source),
                Place::Studio => Scene::draw(options.seed, source).in_studio(),
            };
            let dive = Dive::draw(classes[label], options, first_item + i as u64, scene.board_height());
            let vid_name = format!("pool{source:04}_{number:05}");
            let footage = Footage {
                path: options.out.join("rgb").join(format!("{vid_name}.mp4")),
                size_px: [options.size_px; 2],
                frames_per_sec: options.frames_per_sec,
                num_frames: dive.num_frames(),
            };
            let mask = options.masks.then(|| options.out.join(MASKS).join(format!("{vid_name}.pbm")));
            let annotation = Annotation { vid_name, label, start_frame: 0, end_frame: dive.num_frames() };
            Job { split, annotation, dive, scene, footage, mask }
        })
        .collect()
}

/// The entries of one split in Diving48's order: by label, then by name.
fn annotations(jobs: &[Job], split: Split) -> Vec<Annotation> {
    let mut entries: Vec<Annotation> =
        jobs.iter().filter(|job| job.split == split).map(|job| job.annotation.clone()).collect();
    entries.sort_by(|a, b| (a.label, &a.vid_name).cmp(&(b.label, &b.vid_name)));
    entries
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), VideoError> {
    let text = serde_json::to_string_pretty(value).expect("names and numbers");
    write_whole(path, text.as_bytes())
}
