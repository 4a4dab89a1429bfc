use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rayon::prelude::*;
use serde::Serialize;

use crate::{Ffmpeg, VideoError};

/// Holds the options that a folder was begun with.
const STAMP: &str = "synth_options.json";

/// What a call of `data synth` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SynthReport {
    /// Videos rendered by this call.
    pub num_rendered: usize,
    /// Videos that an earlier call had finished.
    pub num_kept: usize,
    /// Frames of all videos, rendered or kept.
    pub num_frames: usize,
    /// Bytes of all video files.
    pub num_bytes: u64,
}

/// The file of one video.
#[derive(Clone, Debug)]
pub(super) struct Footage {
    pub(super) path: PathBuf,
    /// Width and height, even.
    pub(super) size_px: [u32; 2],
    pub(super) frames_per_sec: f64,
    pub(super) num_frames: usize,
}

/// A video that can be rendered.
pub(super) trait Reel: Sync {
    fn footage(&self) -> &Footage;

    /// Its frames in order, `[height, width, 3]` bytes of RGB each.
    fn frames(&self) -> Box<dyn Iterator<Item = Vec<u8>> + '_>;

    /// Writes what is wanted beside the video and is not there yet.
    fn write_beside(&self) -> Result<(), VideoError> {
        Ok(())
    }
}

/// Makes the folder ours: refuses one that was begun with other options (`stamp`), and forgets videos of unknown origin.
pub(super) fn claim(out: &Path, stamp: &impl Serialize, reels: &[impl Reel]) -> Result<(), VideoError> {
    for folder in reels.iter().filter_map(|reel| reel.footage().path.parent()) {
        let path = folder.to_owned();
        fs::create_dir_all(folder).map_err(|source| VideoError::Io { action: "create", path, source })?;
    }
    let wanted = serde_json::to_string(stamp).expect("options are numbers");
    let path = out.join(STAMP);
    if let Ok(found) = fs::read_to_string(&path) {
        if found == wanted {
            return Ok(());
        }
        return Err(VideoError::CannotResume { path, field: "options", found, wanted });
    }
    for video in reels.iter().map(|reel| reel.footage().path.clone()).filter(|path| path.exists()) {
        fs::remove_file(&video).map_err(|source| VideoError::Io { action: "remove", path: video, source })?;
    }
    write_whole(&path, wanted.as_bytes())
}

/// Renders what is missing, in parallel over videos. A file appears under its name only when it is finished.
///
/// * `progress` - called with (videos done, videos in all) after each video, from several threads
/// * `interrupt` - when it becomes true, videos under way are finished and no more are begun
pub(super) fn render_all(
    reels: &[impl Reel],
    progress: &(dyn Fn(usize, usize) + Sync),
    interrupt: &AtomicBool,
) -> Result<SynthReport, VideoError> {
    let ffmpeg = Ffmpeg::find()?;
    let num_done = AtomicUsize::new(0);
    let rendered: Vec<bool> = reels
        .par_iter()
        .map(|reel| {
            if interrupt.load(Ordering::Relaxed) {
                return Err(VideoError::Interrupted { num_done: num_done.load(Ordering::Relaxed) });
            }
            let rendered = make(reel, &ffmpeg)?;
            reel.write_beside()?;
            progress(num_done.fetch_add(1, Ordering::Relaxed) + 1, reels.len());
            Ok(rendered)
        })
        .collect::<Result<_, _>>()?;
    let mut num_bytes = 0;
    for reel in reels {
        let path = reel.footage().path.clone();
        num_bytes += fs::metadata(&path).map_err(|source| VideoError::Io { action: "read", path, source })?.len();
    }
    let num_rendered = rendered.iter().filter(|done| **done).count();
    let num_frames = reels.iter().map(|reel| reel.footage().num_frames).sum();
    Ok(SynthReport { num_rendered, num_kept: reels.len() - num_rendered, num_frames, num_bytes })
}

/// Renders one video unless it is there; true when it had to.
fn make(reel: &impl Reel, ffmpeg: &Ffmpeg) -> Result<bool, VideoError> {
    let path = &reel.footage().path;
    if path.exists() {
        return Ok(false);
    }
    let partial = path.with_extension("partial.mp4");
    encode(ffmpeg, reel, &partial)?;
    fs::rename(&partial, path).map_err(|source| VideoError::Io { action: "rename", path: partial, source })?;
    Ok(true)
}

/// Pipes raw frames through one single-threaded H.264 encoder.
fn encode(ffmpeg: &Ffmpeg, reel: &impl Reel, path: &Path) -> Result<(), VideoError> {
    let Footage { size_px: [width, height], frames_per_sec, .. } = reel.footage();
    let (size, rate) = (format!("{width}x{height}"), frames_per_sec.to_string());
    let mut command = ffmpeg.command();
    command.args(["-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", &size, "-r", &rate]);
    command.args(["-i", "pipe:0", "-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-threads", "1"]);
    command.args(["-pix_fmt", "yuv420p", "-fflags", "+bitexact", "-flags:v", "+bitexact"]).arg(path);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child =
        command.spawn().map_err(|source| VideoError::NoFfmpeg { program: ffmpeg.program().to_owned(), source })?;
    let mut pipe = child.stdin.take().expect("stdin was asked for");
    // A broken pipe means that ffmpeg gave up: what it printed says more than the pipe does.
    let written = reel.frames().try_for_each(|frame| pipe.write_all(&frame));
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

/// Writes beside `path` and renames, so that a reader finds all or nothing.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), VideoError> {
    let partial = path.with_extension("partial");
    let io = |action| move |source| VideoError::Io { action, path: path.to_owned(), source };
    fs::write(&partial, bytes).map_err(io("write"))?;
    fs::rename(&partial, path).map_err(io("rename"))
}
