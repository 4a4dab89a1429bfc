//! What tch lacks: exact memory counters, malloc tuning, activation checkpointing, mixed precision, fused AdamW,
//! group normalization with SiLU, loading CUDA, finding the first value that is not finite, collectives between processes.
//!
//! This is the one room with unsafe code and C++. It knows nothing of networks: tensors and closures come in as values.
//! Every call into the C++ shim is wrapped in try/catch on that side and comes back as [`Error`].

mod adamw;
mod autocast;
mod checkpoint;
pub mod collective;
mod cuda;
mod error;
mod libtorch;
pub mod malloc;
pub mod memory;
mod non_finite;
mod norm;
mod shim;

pub use adamw::{AdamWStep, drop_gradients, fused_adamw, total_norm};
pub use autocast::{Precision, autocast, has_bf16, precision};
pub use checkpoint::checkpoint;
pub use collective::{Group, GroupError, Rendezvous, StoreHost};
pub use cuda::{CudaBackend, load_cuda};
pub use error::{Error, is_out_of_memory};
pub use libtorch::{Libtorch, libtorch};
pub use non_finite::{Cause, NonFinite, Pass, first_non_finite};
pub use norm::group_norm_silu;
