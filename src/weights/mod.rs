//! VideoMAE's weights in the names of other programs: transformers' VideoMAE and the published code of VideoMAE and
//! VideoMAE V2.
//!
//! The networks are the same; what differs is written down here.
//!
//! | there                                       | here                                        |
//! | ------------------------------------------- | ------------------------------------------- |
//! | convolution `[D, 3, t, h, w]` over cubes    | matrix `[D, t h w 3]` over a cube's pixels  |
//! | q, k and v apart (transformers)             | one matrix, as in the published code        |
//! | biases of q and v                           | and of k, which no softmax over keys feels  |
//! | norms with 1e-12, 1e-5 before the head (transformers); 1e-6 (published code) | 1e-6       |
//!
//! A bias of k adds the same to all logits of a query, so that it is 0 when read and left out when written. Its gradient is
//! 0 but for rounding; AdamW, which divides by the gradient's size, makes it wander in training, to no effect.

mod config;
mod grid;
mod initial;
mod names;
#[cfg(test)]
mod tests;

pub(crate) use self::config::{config_json, preset_of};
pub(crate) use self::grid::on_clip;
pub(crate) use self::initial::{Initial, in_folder};
pub(crate) use self::names::{Foreign, Part, to_transformers};
