#![doc = include_str!("../README.md")]

mod codes;
mod config;
mod error;
mod fsq;
mod lfq;
mod quantizer;
mod residual;
mod statistics;
mod usage;
mod vq;

pub use config::{CheckedQuantizer, LfqConfig, QuantizerConfig, VqConfig};
pub use error::VqError;
pub use fsq::{Bound, Fsq};
pub use lfq::Lfq;
pub use quantizer::{Quantized, Quantizer};
pub use residual::Residual;
pub use statistics::{Share, Statistics};
pub use usage::{MAX_COUNTED_CODES, Usage, counts, usage, usage_of_counts};
pub use vq::{Gradient, Vq};
