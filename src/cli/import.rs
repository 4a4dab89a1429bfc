//! What can be typed after `longvid data import`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum ImportCommand {
    /// A folder of videos: plain, or one sub-folder per class.
    Folder(ImportFolderArgs),
    /// Videos that a table lists, whole or in parts.
    Csv(ImportCsvArgs),
    /// Diving48 V2.
    Diving48(ImportDiving48Args),
    /// EPIC-KITCHENS-100 action recognition: training, validation or test rows.
    Epic100(ImportEpic100Args),
}

#[derive(Debug, Args)]
pub(crate) struct ImportFolderArgs {
    /// Folder of videos; where all lie in sub-folders, each sub-folder is a class.
    pub(crate) videos: PathBuf,
    #[command(flatten)]
    pub(crate) import: ImportArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ImportCsvArgs {
    /// CSV with the columns path and label, and optionally group, subject, start_secs and stop_secs (or start and end;
    /// seconds or HH:MM:SS.ss). A path is relative to --videos.
    pub(crate) table: PathBuf,
    /// Folder of videos.
    #[arg(long, value_name = "DIR")]
    pub(crate) videos: PathBuf,
    #[command(flatten)]
    pub(crate) import: ImportArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ImportDiving48Args {
    /// `Diving48_V2_train.json` or `Diving48_V2_test.json`.
    pub(crate) entries: PathBuf,
    /// Folder of videos, each called `vid_name`.mp4.
    #[arg(long, value_name = "DIR")]
    pub(crate) videos: PathBuf,
    /// Names of the classes (default: `Diving48_vocab.json` beside the entries; without it they are called by number).
    #[arg(long, value_name = "FILE")]
    pub(crate) vocabulary: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) import: ImportArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ImportEpic100Args {
    /// `EPIC_100_train.csv`, `EPIC_100_validation.csv` or `EPIC_100_test_timestamps.csv`.
    pub(crate) rows: PathBuf,
    /// Folder of videos: PARTICIPANT/videos/VIDEO_ID.MP4, PARTICIPANT/VIDEO_ID.MP4 or VIDEO_ID.MP4 (or .mp4).
    #[arg(long, value_name = "DIR")]
    pub(crate) videos: PathBuf,
    /// Verb classes (default: `EPIC_100_verb_classes.csv` beside the rows).
    #[arg(long, value_name = "FILE")]
    pub(crate) verbs: Option<PathBuf>,
    /// Noun classes (default: `EPIC_100_noun_classes.csv` beside the rows).
    #[arg(long, value_name = "FILE")]
    pub(crate) nouns: Option<PathBuf>,
    /// All videos with their lengths (default: `EPIC_100_video_info.csv` beside the rows, if it is there).
    #[arg(long, value_name = "FILE")]
    pub(crate) video_info: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) import: ImportArgs,
}

/// What all imports have in common.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Clip store to write.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Frames are stored with this short side, pixels.
    #[arg(long, default_value_t = 256)]
    pub(crate) short_side: u32,
    /// Import one part of the files on this machine: `1/8` to `8/8` on eight, then `data merge`.
    #[arg(long, default_value_t = video::Shard::WHOLE, value_name = "PART/PARTS")]
    pub(crate) shard: video::Shard,
    /// Store at most so many frames per second of video.
    #[arg(long)]
    pub(crate) max_fps: Option<f64>,
    /// Import these groups only (comma separated): a training and a test store from one folder.
    #[arg(long, value_delimiter = ',')]
    pub(crate) groups: Option<Vec<String>>,
    /// Leave out segments of these classes (comma separated; `verb:take` where a verb and a noun are called so).
    #[arg(long, value_delimiter = ',')]
    pub(crate) exclude_labels: Vec<String>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    /// End at the first video that is missing or unusable, instead of listing it.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Read and check the annotations, print what would be imported, and stop.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// What one file may cost before it is rejected.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct LimitArgs {
    /// Seconds that one video may take to decode.
    #[arg(long, default_value_t = 600)]
    pub(crate) time_limit_secs: u64,
    /// GiB that the frames of one video may take, decoded (an hour of 60 frames per second at 256 pixels takes 70).
    #[arg(long, default_value_t = 1024)]
    pub(crate) byte_limit_gib: u32,
}
