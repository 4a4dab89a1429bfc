use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum SynthCommand {
    /// Dives of an articulated diver, annotated like Diving48 V2.
    Dives(DivesArgs),
    /// Untrimmed first-person kitchen videos, annotated like EPIC-KITCHENS-100.
    Kitchens(KitchensArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DivesArgs {
    /// New folder for `rgb/*.mp4` and the annotation files.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Videos to train on.
    #[arg(long, default_value_t = 64)]
    pub(crate) num_train: usize,
    /// Videos to test on, from other sources.
    #[arg(long, default_value_t = 32)]
    pub(crate) num_test: usize,
    /// Classes: the first so many of a fixed list.
    #[arg(long, default_value_t = 8)]
    pub(crate) num_classes: usize,
    /// Side of the square frames, pixels.
    #[arg(long, default_value_t = 96)]
    pub(crate) size_px: u32,
    /// Frames per second.
    #[arg(long, default_value_t = 30.0)]
    pub(crate) fps: f64,
    /// Twists per second at the mean dive: at 2.7 a twist is seen well at 128 frames and aliases at 16.
    #[arg(long, default_value_t = 2.7)]
    pub(crate) twist_rate: f64,
    /// How the dives are filmed.
    #[arg(long, value_enum, default_value_t = CameraArg::Follow)]
    pub(crate) camera: CameraArg,
    /// What is behind the diver.
    #[arg(long, value_enum, default_value_t = PlaceArg::Pool)]
    pub(crate) place: PlaceArg,
    /// Source videos (background, camera, suit) of the training videos; test videos have others.
    #[arg(long, default_value_t = 8)]
    pub(crate) num_sources_train: usize,
    /// Source videos of the test videos.
    #[arg(long, default_value_t = 4)]
    pub(crate) num_sources_test: usize,
    /// Everything random derives from it.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Write `masks/*.pbm` too: where the diver moves, for `tokenizer eval --masks`. Adds them to a finished folder.
    #[arg(long)]
    pub(crate) masks: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum CameraArg {
    /// Panning after the diver: everything in the picture moves.
    Follow,
    /// From a tripod aimed at the middle of the flight: nothing moves but the diver, and what there is of board and water.
    Still,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum PlaceArg {
    /// A pool with water, deck and spectators.
    Pool,
    /// A wall of one colour: small networks see the diver at once.
    Studio,
}

#[derive(Debug, Args)]
pub(crate) struct KitchensArgs {
    /// New folder for `P01/videos/P01_01.MP4` ... and the `EPIC_100_*.csv` files.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Videos to train on.
    #[arg(long, default_value_t = 12)]
    pub(crate) num_train_videos: usize,
    /// Videos to validate on, of unseen and seen participants in turn.
    #[arg(long, default_value_t = 6)]
    pub(crate) num_val_videos: usize,
    /// Videos to test on, written without labels.
    #[arg(long, default_value_t = 0)]
    pub(crate) num_test_videos: usize,
    /// Labelled actions of each video.
    #[arg(long, default_value_t = 12)]
    pub(crate) segments_per_video: usize,
    /// Height of the 4:3 frames, pixels.
    #[arg(long, default_value_t = 96)]
    pub(crate) size_px: u32,
    /// Frames per second of most videos.
    #[arg(long, default_value_t = 25.0)]
    pub(crate) fps: f64,
    /// Frames per second of every fourth video.
    #[arg(long, default_value_t = 30.0)]
    pub(crate) fps_of_fourth: f64,
    /// Participants who film training videos.
    #[arg(long, default_value_t = 4)]
    pub(crate) num_participants: usize,
    /// Participants who film validation videos only; as many again film test videos only.
    #[arg(long, default_value_t = 2)]
    pub(crate) num_unseen: usize,
    /// Everything random derives from it.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}
