//! Attention that reads an encoder's tokens.

mod pool;

pub use pool::{AttentivePool, QueryReads};
