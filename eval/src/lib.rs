//! How good an encoder's features are, without training the encoder: one vector per clip, a nearest-neighbour or a
//! linear classifier on it, and a number with its uncertainty and what guessing would reach.
//!
//! | step                      | here                       | from                                                       |
//! | ------------------------- | -------------------------- | ---------------------------------------------------------- |
//! | tokens to one vector      | [`pool`]                   | mean, or mean per span of time                             |
//! | training and test clips   | [`Split`]                  | refused when a group (source video, person) stands in both |
//! | nearest neighbours        | [`Knn`]                    | Wu et al., CVPR 2018 (arXiv:1805.01978)                    |
//! | linear probe              | [`LinearProbe`]            | ridge regression to the classes, in closed form            |
//! | accuracy, interval, guess | [`ResultRow`]              | percentile bootstrap over test clips                       |
//!
//! Nothing here chooses a setting by looking at test clips: the linear probe takes its penalty from the training clips
//! alone, k-NN takes `k` from the caller.
//!
//! Letters: B clips of a batch, N tokens, D width; n clips of a set, d values of a feature, C classes.

mod error;
mod features;
mod knn;
mod linear;
mod metrics;
mod row;
mod split;

pub use error::EvalError;
pub use features::{Features, Pool, pool};
pub use knn::{Knn, Vote};
pub use linear::{LinearProbe, RidgeSearch};
pub use metrics::{Chance, Interval, Scores, bootstrap, mean_class, top_k};
pub use row::{ResultRow, Run};
pub use split::{Split, expect_disjoint};
