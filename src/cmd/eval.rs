//! `longvid eval`: what an encoder is worth, frozen or fine-tuned.

pub(crate) mod export;
pub(crate) mod finetune;
pub(crate) mod probe;
pub(crate) mod schedule;
pub(crate) mod score;
mod seen;
pub(crate) mod submit;
