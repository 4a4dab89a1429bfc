//! Clips in the order that training wants them: this rank's share of each step, in micro-batches, loaded ahead.

use anyhow::Context as _;
use train::BatchSplit;
use video::{ClipSource, LoadedClip, Loader};

use crate::clips::{ClipPlan, Draw};

/// The clips of one run.
#[derive(Debug)]
pub(crate) struct ClipFeed {
    source: ClipSource,
    plan: ClipPlan,
    split: BatchSplit,
    /// The last step of the run.
    last_step: u64,
    /// Starts with the first step that is asked for, where the run begins or goes on.
    loader: Option<Loader>,
}

/// The clips of one micro-batch with their places in the plan.
#[derive(Debug)]
pub(crate) struct Clips {
    pub(crate) loaded: Vec<LoadedClip>,
    pub(crate) draws: Vec<Draw>,
}

impl ClipFeed {
    /// * `plan` - of all ranks
    pub(crate) fn new(source: ClipSource, plan: ClipPlan, (split, rank): (BatchSplit, usize), last_step: u64) -> Self {
        ClipFeed { source, plan: plan.of_rank(split.of_rank(rank)), split, last_step, loader: None }
    }

    /// This rank's plan.
    pub(crate) fn plan(&self) -> &ClipPlan {
        &self.plan
    }

    /// Where the clips come from.
    pub(crate) fn source(&self) -> &ClipSource {
        &self.source
    }

    /// The micro-batches of a step, and the seconds spent waiting for them. Steps are asked for in order.
    ///
    /// # Errors
    /// Whatever loading fails with.
    pub(crate) fn next(&mut self, step: u64) -> anyhow::Result<(Vec<Clips>, f64)> {
        let loader = match &mut self.loader {
            Some(loader) => loader,
            None => self.loader.insert(self.plan.load(self.source.clone(), step..=self.last_step)?),
        };
        let batch = loader.next().context("the loader ended before the run")??;
        let draws = self.plan.draws(step);
        let mut loaded = batch.clips.into_iter();
        let micro_batch =
            |draws: &[Draw]| Clips { loaded: loaded.by_ref().take(draws.len()).collect(), draws: draws.to_vec() };
        Ok((draws.chunks(self.split.num_clips).map(micro_batch).collect(), batch.wait_secs))
    }

    /// The clips of a micro-batch in words: segment, first frame, epoch.
    pub(crate) fn describe(&self, draws: &[Draw]) -> Vec<String> {
        let describe = |draw: &Draw| {
            let id = &self.source.store.segments()[draw.request.segment].id;
            format!("{id} from frame {} in epoch {}", draw.request.start_frame, draw.epoch)
        };
        draws.iter().map(describe).collect()
    }
}
