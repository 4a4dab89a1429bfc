//! Plain data that every room shares: clip geometry, presets, seeds, and errors with their values.
//!
//! Holds no tensor, opens no video and starts no thread, so that it builds in a second and is tested without libtorch.
//!
//! | word    | meaning                                                             |
//! | ------- | ------------------------------------------------------------------- |
//! | frame   | one picture of a video                                              |
//! | cube    | the pixels under one token: `patch` = frames x pixels x pixels      |
//! | token   | one cube's place in the [`Grid`] and whatever stands for it there   |
//! | code    | the id that the tokenizer gives a token                             |
//! | clip    | `num_frames` square frames cut from a video, the input of one model |

mod error;
mod geometry;
mod preset;
mod seed;

pub use error::SpecError;
pub use geometry::{ClipGeometry, ClipSpec, Grid, Patch, Sampling, Short};
pub use preset::{Preset, nearest};
pub use seed::{Purpose, Rng, draw, rng_for, share_of};
