use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rayon::prelude::*;
use serde::Serialize;

use crate::{Ffmpeg, VideoError};

use super::{Dive, DiveClass, DiveOptions, Scene, render_dive};

/// Raise it when a change makes the same options render other frames, so that no folder mixes both.
const RENDERER_VERSION: u32 = 1;
/// Holds the options that a folder was begun with.
const STAMP: &str = "synth_options.json";
/// Test videos draw from items above all training videos, so that the size of one split leaves the other as it is.
const FIRST_TEST_ITEM: u64 = 1 << 31;

/// What [`synth_dives`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DiveReport {
    /// Videos rendered by this call.
    pub num_rendered: usize,
    /// Videos that an earlier call had finished.
    pub num_kept: usize,
    /// Frames of all videos, rendered or kept.
    pub num_frames: usize,
    /// Bytes of all video files.
    pub num_bytes: u64,
}

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
    source: u64,
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
) -> Result<DiveReport, VideoError> {
    let set = options.check()?;
    let ffmpeg = Ffmpeg::find()?;
    let mut jobs = plan(options, set.classes(), Split::Train);
    jobs.extend(plan(options, set.classes(), Split::Test));
    claim(options, &jobs)?;
    let num_done = AtomicUsize::new(0);
    let rendered: Vec<bool> = jobs
        .par_iter()
        .map(|job| {
            if interrupt.load(Ordering::Relaxed) {
                return Err(VideoError::Interrupted { num_done: num_done.load(Ordering::Relaxed) });
            }
            let rendered = make(job, options, &ffmpeg)?;
            progress(num_done.fetch_add(1, Ordering::Relaxed) + 1, jobs.len());
            Ok(rendered)
        })
        .collect::<Result<_, _>>()?;
    write_json(&options.out.join("Diving48_V2_train.json"), &annotations(&jobs, Split::Train))?;
    write_json(&options.out.join("Diving48_V2_test.json"), &annotations(&jobs, Split::Test))?;
    let words: Vec<[String; 4]> = set.classes().iter().map(DiveClass::words).collect();
    write_json(&options.out.join("Diving48_vocab.json"), &words)?;
    report(options, &jobs, &rendered)
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
            let scene = Scene::draw(options.seed, source);
            let dive = Dive::draw(classes[label], options, first_item + i as u64, scene.board_height());
            let vid_name = format!("pool{source:04}_{number:05}");
            let annotation = Annotation { vid_name, label, start_frame: 0, end_frame: dive.num_frames() };
            Job { split, annotation, dive, source }
        })
        .collect()
}

/// Makes the folder ours: refuses one that was begun with other options, and forgets videos of unknown origin.
fn claim(options: &DiveOptions, jobs: &[Job]) -> Result<(), VideoError> {
    let rgb = options.out.join("rgb");
    fs::create_dir_all(&rgb).map_err(|source| VideoError::Io { action: "create", path: rgb, source })?;
    let stamp = Stamp { renderer_version: RENDERER_VERSION, options };
    let wanted = serde_json::to_string(&stamp).expect("options are numbers");
    let path = options.out.join(STAMP);
    if let Ok(found) = fs::read_to_string(&path) {
        if found == wanted {
            return Ok(());
        }
        return Err(VideoError::CannotResume { path, field: "options", found, wanted });
    }
    for video in jobs.iter().map(|job| options.video_path(&job.annotation.vid_name)).filter(|path| path.exists()) {
        fs::remove_file(&video).map_err(|source| VideoError::Io { action: "remove", path: video, source })?;
    }
    write_whole(&path, wanted.as_bytes())
}

impl DiveOptions {
    fn video_path(&self, vid_name: &str) -> std::path::PathBuf {
        self.out.join("rgb").join(format!("{vid_name}.mp4"))
    }
}

/// Renders one video unless it is there; true when it had to.
fn make(job: &Job, options: &DiveOptions, ffmpeg: &Ffmpeg) -> Result<bool, VideoError> {
    let path = options.video_path(&job.annotation.vid_name);
    if path.exists() {
        return Ok(false);
    }
    let partial = path.with_extension("partial.mp4");
    let scene = Scene::draw(options.seed, job.source);
    encode(ffmpeg, options, render_dive(&job.dive, &scene, options.size_px), &partial)?;
    fs::rename(&partial, &path).map_err(|source| VideoError::Io { action: "rename", path: partial, source })?;
    Ok(true)
}

/// Pipes raw frames through one single-threaded H.264 encoder.
fn encode(
    ffmpeg: &Ffmpeg,
    options: &DiveOptions,
    frames: impl Iterator<Item = Vec<u8>>,
    path: &Path,
) -> Result<(), VideoError> {
    let size = format!("{0}x{0}", options.size_px);
    let rate = options.frames_per_sec.to_string();
    let mut command = ffmpeg.command();
    command.args(["-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", &size, "-r", &rate]);
    command.args(["-i", "pipe:0", "-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-threads", "1"]);
    command.args(["-pix_fmt", "yuv420p", "-fflags", "+bitexact", "-flags:v", "+bitexact"]).arg(path);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child =
        command.spawn().map_err(|source| VideoError::NoFfmpeg { program: ffmpeg.program().to_owned(), source })?;
    let mut pipe = child.stdin.take().expect("stdin was asked for");
    // A broken pipe means that ffmpeg gave up: what it printed says more than the pipe does.
    let written = frames.into_iter().try_for_each(|frame| pipe.write_all(&frame));
    drop(pipe);
    let ended =
        child.wait_with_output().map_err(|source| VideoError::Io { action: "write", path: path.to_owned(), source })?;
    if ended.status.success() && written.is_ok() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    let problem = said.lines().last().map_or_else(|| ended.status.to_string(), str::to_owned);
    Err(VideoError::Encode { path: path.to_owned(), problem })
}

/// The entries of one split in Diving48's order: by label, then by name.
fn annotations(jobs: &[Job], split: Split) -> Vec<Annotation> {
    let mut entries: Vec<Annotation> =
        jobs.iter().filter(|job| job.split == split).map(|job| job.annotation.clone()).collect();
    entries.sort_by(|a, b| (a.label, &a.vid_name).cmp(&(b.label, &b.vid_name)));
    entries
}

fn report(options: &DiveOptions, jobs: &[Job], rendered: &[bool]) -> Result<DiveReport, VideoError> {
    let mut num_bytes = 0;
    for job in jobs {
        let path = options.video_path(&job.annotation.vid_name);
        num_bytes += fs::metadata(&path).map_err(|source| VideoError::Io { action: "read", path, source })?.len();
    }
    let num_rendered = rendered.iter().filter(|done| **done).count();
    let num_frames = jobs.iter().map(|job| job.dive.num_frames()).sum();
    Ok(DiveReport { num_rendered, num_kept: jobs.len() - num_rendered, num_frames, num_bytes })
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), VideoError> {
    let text = serde_json::to_string_pretty(value).expect("names and numbers");
    write_whole(path, text.as_bytes())
}

/// Writes beside `path` and renames, so that a reader finds all or nothing.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), VideoError> {
    let partial = path.with_extension("partial");
    let io = |action| move |source| VideoError::Io { action, path: path.to_owned(), source };
    fs::write(&partial, bytes).map_err(io("write"))?;
    fs::rename(&partial, path).map_err(io("rename"))
}
