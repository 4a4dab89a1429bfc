use nn::Losses;
use torch_ext::Group;

use crate::{NamedTensors, TrainError};

/// What [`crate::fit`] trains: the data and the objective of one kind of run.
pub trait Task {
    /// A micro-batch.
    type Batch;
    /// Whatever data and objective fail with.
    type Error: From<TrainError>;

    /// This rank's micro-batches of a step (from 1): as many as [`crate::BatchSplit::accumulate`] says, and a pure
    /// function of the step. What [`Task::loss`] collected for [`Task::after_step`] and is still there is dropped: the step
    /// that it belongs to was not taken.
    ///
    /// # Errors
    /// Whatever loading fails with.
    fn next(&mut self, step: u64) -> Result<Loaded<Self::Batch>, Self::Error>;

    /// The objective on a micro-batch, a mean over its clips. A function of model and micro-batch alone, but for what it
    /// draws from libtorch's own generator (dropout, drop path), which is seeded before each call.
    ///
    /// # Errors
    /// Whatever the model fails with.
    fn loss(&mut self, batch: &Self::Batch) -> Result<Losses, Self::Error>;

    /// Moves the state that no gradient moves (a codebook that is an average, running means), once the optimizer has taken
    /// `step`; not called after a step that was left out. Such state lives in variables that are not trained, so that
    /// checkpoints hold it and the average of the weights copies it.
    ///
    /// What it is moved by, [`Task::loss`] collects, adding up over micro-batches. Here it is summed over `ranks`, so that
    /// every rank moves to the same state, and that of one process with all their clips. Sums over clips are to be
    /// collected, therefore, and nothing that depends on how a step is split.
    ///
    /// # Errors
    /// Whatever the model or the exchange between ranks fails with.
    fn after_step(&mut self, _step: u64, _ranks: &Group) -> Result<(), Self::Error> {
        Ok(())
    }

    /// What is kept of a micro-batch whose loss or gradient is not finite.
    fn evidence(&self, batch: &Self::Batch) -> Evidence;

    /// Whether [`Task::measure`] follows `step`: a pure function of it, the same on all ranks.
    fn measures_at(&self, _step: u64) -> bool {
        false
    }

    /// Measures the model beside training, on the first rank, while the others wait: numbers for the step's line of metrics.
    /// Nothing that training depends on may change.
    ///
    /// # Errors
    /// Whatever measuring fails with.
    fn measure(&mut self, _step: u64) -> Result<Vec<(&'static str, f64)>, Self::Error> {
        Ok(Vec::new())
    }

    /// Draws pictures of the model after `step`. Where they are kept as files is the task's own affair.
    ///
    /// # Errors
    /// Whatever the model or the disk fails with.
    fn pictures(&mut self, step: u64) -> Result<Vec<Drawn>, Self::Error>;
}

/// A rank's data of one step.
#[derive(Debug)]
pub struct Loaded<B> {
    /// In the order of the step's clips.
    pub micro_batches: Vec<B>,
    /// Frames in them, for `frames_per_sec`.
    pub num_frames: u64,
    /// Seconds spent waiting for them.
    pub wait_secs: f64,
}

/// A picture, for TensorBoard.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// What it shows; pictures of one tag are a series over steps.
    pub tag: String,
    /// The file's bytes, RGB.
    pub png: Vec<u8>,
    /// Pixels, horizontal.
    pub width: u64,
    /// Pixels, vertical.
    pub height: u64,
}

/// What is kept of a micro-batch that went wrong.
#[derive(Debug, Default)]
pub struct Evidence {
    /// Its clips, in words that find them again.
    pub clips: Vec<String>,
    /// Its tensors.
    pub tensors: NamedTensors,
}
