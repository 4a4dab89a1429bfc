#![doc = include_str!("../README.md")]

mod error;
mod fsq;
mod usage;

pub use error::VqError;
pub use fsq::{Bound, Fsq, Quantized};
pub use usage::{Usage, usage};
