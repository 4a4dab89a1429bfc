//! `longvid eval`: what an encoder is worth, frozen or fine-tuned.

pub(crate) mod finetune;
pub(crate) mod probe;
mod seen;
