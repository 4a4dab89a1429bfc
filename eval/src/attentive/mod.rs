//! Attention that reads an encoder's tokens: a probe by itself (V-JEPA, arXiv:2404.08471), and the pooling of a head.

mod pool;
mod probe;
mod tokens;

pub use pool::{AttentivePool, QueryReads};
pub use probe::{AttentiveProbe, AttentiveSearch};
pub use tokens::TokenSet;
