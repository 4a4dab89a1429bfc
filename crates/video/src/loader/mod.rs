//! Clips ahead of time: worker threads read, decode and crop what the plan says, the training loop takes batches in
//! the order of their steps. What a batch holds depends on its step alone, never on the number of workers.

mod clip;
mod pixels;
mod queue;
mod request;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use self::queue::Queue;
pub use clip::load_clip;
pub use pixels::Window;
pub use request::{ClipDraw, ClipRequest, LoadedClip, View};
use spec::ClipGeometry;

use crate::{Augment, ClipStore, TokenStore, VideoError};

/// The clips of one step.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The step.
    pub step: u64,
    /// Its clips in the plan's order.
    pub clips: Vec<LoadedClip>,
    /// How long the caller waited for it: above a few per cent of a step's time, loading is the bottleneck.
    pub wait_secs: f64,
}

/// Where clips come from.
#[derive(Clone, Debug)]
pub struct ClipSource {
    /// Pixels.
    pub store: Arc<ClipStore>,
    /// Codes and priorities of the same segments; `None` loads pixels alone.
    pub tokens: Option<Arc<TokenStore>>,
    /// Timelines, and the size of a frame.
    pub geometry: ClipGeometry,
    /// How drawn views are varied.
    pub augment: Augment,
    /// Whether optical flow is estimated of each clip, as it is seen.
    pub with_flow: bool,
}

impl ClipSource {
    /// Checks that tokens, where there are any, were made from these clips, and that every drawn view stays in register
    /// with them.
    ///
    /// # Errors
    /// [`VideoError::TokenMismatch`], [`VideoError::StaleTokens`], [`VideoError::OutOfRegister`].
    pub fn check(&self) -> Result<(), VideoError> {
        let Some(tokens) = &self.tokens else { return Ok(()) };
        tokens.expect_matches(&self.store, &self.geometry)?;
        self.augment.expect_in_register()
    }
}

/// How much runs ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoaderOptions {
    /// Threads that load.
    pub num_workers: usize,
    /// Steps that may be loaded before the caller asks for them.
    pub prefetch_steps: u64,
    /// Bytes that all clips loaded ahead may take. The clips of the next step are loaded whatever they take.
    pub max_bytes: u64,
}

/// Tells which clips a step needs: a pure function of the step.
pub type Plan = dyn Fn(u64) -> Vec<ClipRequest> + Send + Sync;

/// Loads the batches of a range of steps. Dropping it stops the workers.
#[derive(Debug)]
pub struct Loader {
    queue: Arc<Queue>,
    workers: Vec<JoinHandle<()>>,
    steps: Range<u64>,
}

impl Loader {
    /// Starts the workers on `steps`.
    ///
    /// # Errors
    /// What [`ClipSource::check`] refuses;
    /// [`VideoError::Option`] for no workers or no prefetch; [`VideoError::Io`] when no thread can be started.
    pub fn start(
        source: ClipSource,
        plan: Arc<Plan>,
        steps: Range<u64>,
        options: LoaderOptions,
    ) -> Result<Self, VideoError> {
        source.check()?;
        if options.num_workers == 0 || options.prefetch_steps == 0 {
            let value = format!("{} workers, {} steps", options.num_workers, options.prefetch_steps);
            return Err(VideoError::Option { option: "loader", value, rule: "at least 1 of each" });
        }
        let frame_bytes = (source.geometry.size_px() * source.geometry.size_px() * 3) as u64;
        let queue = Arc::new(Queue::new(&steps, options, frame_bytes));
        let mut loader = Loader { queue, workers: Vec::new(), steps };
        for _ in 0..options.num_workers {
            let (queue, source, plan) = (Arc::clone(&loader.queue), source.clone(), Arc::clone(&plan));
            let worker =
                thread::Builder::new().name("clip-loader".to_owned()).spawn(move || work(&queue, &source, &*plan));
            let failed =
                |err| VideoError::Io { action: "start a thread for", path: "the clip loader".into(), source: err };
            loader.workers.push(worker.map_err(failed)?);
        }
        Ok(loader)
    }

    /// The next step's batch; `None` after the last step.
    ///
    /// # Errors
    /// What loading one of the step's clips met. The call after that goes on with the next step.
    #[allow(clippy::should_implement_trait, reason = "a `for` loop would hide that a batch may fail")]
    pub fn next(&mut self) -> Option<Result<Batch, VideoError>> {
        let step = self.steps.next()?;
        let asked = Instant::now();
        let clips = self.queue.take(step);
        Some(clips.map(|clips| Batch { step, clips, wait_secs: asked.elapsed().as_secs_f64() }))
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.queue.stop();
        for worker in self.workers.drain(..) {
            // A panic in a worker was handed out as an error already.
            worker.join().ok();
        }
    }
}

fn work(queue: &Queue, source: &ClipSource, plan: &Plan) {
    while let Some(job) = queue.claim(plan) {
        // The caller waits for this very clip, so even a bug must answer.
        let clip = catch_unwind(AssertUnwindSafe(|| load(source, job.request))).unwrap_or_else(|_panic| {
            Err(VideoError::WorkerPanicked { at: format!("segment {}", job.request.segment) })
        });
        queue.put(job, clip);
    }
}

fn load(source: &ClipSource, request: ClipRequest) -> Result<LoadedClip, VideoError> {
    load_clip(source, request)
}
