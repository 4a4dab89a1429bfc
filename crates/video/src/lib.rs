//! video
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod error;
mod ffmpeg;
pub mod synth;

pub use error::VideoError;
pub use ffmpeg::Ffmpeg;
