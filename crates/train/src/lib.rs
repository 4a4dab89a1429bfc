//! The training loop and what a run keeps on disk. Names no method: data and objective arrive as closures.
//!
//! ```text
//! TrainConfig --check--> TrainPlan --+
//! VarStore --> AdamW, Ema -----------+
//! Task (data, objective) ------------+--> fit --> Outcome
//! Group (ranks) ---------------------+      |
//! RunInfo --> RunDir ----------------+      +--> metrics.jsonl, checkpoints/, pictures/
//! ```
//!
//! A run is a pure function of its config and data: everything random derives from `(seed, step)`, so that a checkpoint
//! holds weights, averages, moments and the step, and a resumed run ends at the same bits as one that never stopped.
//!
//! Several processes (ranks) train as one: each computes the gradient of its share of a step's clips, the mean of these
//! gradients is the gradient of the step, and every rank makes the same update. How many there are is no setting of the run.
//!
//! Steps are counted from 1: "step 5" is the fifth update, and a checkpoint of step 5 was written after it.

mod agree;
mod at;
mod atomic;
mod batch_split;
mod caught;
mod checkpoint;
mod config;
mod ema;
mod error;
mod fit;
mod keeper;
mod layers;
mod meter;
mod metrics;
mod micro_batch;
mod named;
mod optimizer;
pub mod ranks;
mod run_dir;
mod run_end;
mod schedule;
mod settings;
mod side;
mod task;
mod tensor_file;
mod tensorboard;
mod trial;
mod trouble;
pub mod weights;

pub use batch_split::BatchSplit;
pub use config::{EmaConfig, NonFinitePolicy, Precision, TrainConfig, TrainPlan};
pub use ema::Ema;
pub use error::TrainError;
pub use fit::{Fit, Outcome, fit};
pub use layers::layer_scales;
pub use metrics::StepLog;
pub use named::{NamedTensors, named};
pub use optimizer::{AdamW, AdamWConfig, decays};
pub use run_dir::{Provenance, Resumption, RunDir, RunInfo, RunRecord, Start};
pub use run_end::{RunEnd, is_running};
pub use schedule::Schedule;
pub use side::{GradNorms, Side};
pub use task::{Drawn, Evidence, Loaded, Task};
pub use trial::trial_step;
