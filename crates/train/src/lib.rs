//! The training loop and what a run keeps on disk. Names no method: data and objective arrive as closures.
//!
//! ```text
//! TrainConfig --check--> TrainPlan --+
//! VarStore --> AdamW ----------------+--> fit --> Outcome
//! RunInfo --> RunDir ----------------+      |
//!                                           +--> metrics.jsonl, checkpoint.safetensors
//! ```
//!
//! A run is a pure function of its config and data: everything random derives from `(seed, step)`, so that a checkpoint
//! holds weights, moments and the step, and a resumed run ends at the same bits as one that never stopped.
//!
//! Steps are counted from 1: "step 5" is the fifth update, and a checkpoint of step 5 was written after it.

mod atomic;
mod caught;
mod checkpoint;
mod config;
mod error;
mod fit;
mod metrics;
mod named;
mod optimizer;
pub mod ranks;
mod run_dir;
mod schedule;
mod settings;
mod tensor_file;
pub mod weights;

pub use config::{TrainConfig, TrainPlan};
pub use error::TrainError;
pub use fit::{Fit, Outcome, fit};
pub use metrics::StepLog;
pub use named::{NamedTensors, named};
pub use optimizer::{AdamW, AdamWConfig, decays};
pub use run_dir::{RunDir, RunInfo, RunRecord, Start};
pub use schedule::Schedule;
