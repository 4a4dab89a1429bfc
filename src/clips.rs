//! From clip stores to batches of tensors: which clip comes at which step, and the loader behind it.

use std::path::Path;
use std::sync::Arc;

use rand::RngExt as _;
use rand::seq::SliceRandom as _;
use spec::{ClipGeometry, Purpose, rng_for};
use tch::{Device, Tensor};
use video::{Batch, ClipRequest, ClipSource, ClipStore, Loader, LoaderOptions, TokenStore, VideoError, timeline};

use crate::exit::BadInput;
use crate::session::num_cores;

/// Which clips a training step sees: a pure function of the step. Every segment comes once per epoch, in an order and at
/// a place in its timeline that (seed, epoch, segment) decide.
#[derive(Clone, Debug)]
pub(crate) struct ClipPlan {
    /// Run seed.
    pub(crate) seed: u64,
    /// Clips per step.
    pub(crate) batch: u64,
    /// Frames per clip.
    pub(crate) num_frames: usize,
    /// For each segment, where a clip may start.
    starts: Arc<Vec<Vec<usize>>>,
}

/// One clip of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Draw {
    /// Passes over the data before this one.
    pub(crate) epoch: u64,
    /// What to load.
    pub(crate) request: ClipRequest,
}

impl ClipPlan {
    /// Clips of `num_frames` frames (the geometry's own count, or a tokenizer's window) from every segment of a store.
    ///
    /// # Errors
    /// [`BadInput`] for a store without segments.
    pub(crate) fn new(
        store: &ClipStore,
        geometry: &ClipGeometry,
        num_frames: usize,
        (seed, batch): (u64, i64),
    ) -> anyhow::Result<Self> {
        let starts: Vec<Vec<usize>> = store
            .segments()
            .iter()
            .map(|segment| {
                let video = &store.videos()[segment.video as usize];
                timeline(video, segment, geometry).clip_starts(num_frames, geometry)
            })
            .collect();
        if starts.is_empty() {
            return Err(BadInput(format!("{:?} holds no segment to train on", store.path())).into());
        }
        Ok(ClipPlan { seed, batch: batch as u64, num_frames, starts: Arc::new(starts) })
    }

    /// The clips of a step, counted from 1.
    pub(crate) fn draws(&self, step: u64) -> Vec<Draw> {
        let num_segments = self.starts.len() as u64;
        let first = (step - 1) * self.batch;
        let mut order: Option<(u64, Vec<usize>)> = None;
        (first..first + self.batch)
            .map(|place| {
                let epoch = place / num_segments;
                if order.as_ref().is_none_or(|(of, _)| *of != epoch) {
                    let mut segments: Vec<usize> = (0..self.starts.len()).collect();
                    segments.shuffle(&mut rng_for(self.seed, epoch, 0, Purpose::Shuffle));
                    order = Some((epoch, segments));
                }
                let segment = order.as_ref().map_or(0, |(_, segments)| segments[(place % num_segments) as usize]);
                let starts = &self.starts[segment];
                let mut rng = rng_for(self.seed, epoch, segment as u64, Purpose::ClipStart);
                let start_frame = starts[rng.random_range(0..starts.len())];
                Draw { epoch, request: ClipRequest { segment, start_frame, num_frames: self.num_frames } }
            })
            .collect()
    }

    /// Starts loading the clips of `steps`.
    ///
    /// # Errors
    /// [`VideoError`] when tokens and clips do not belong together.
    pub(crate) fn load(&self, source: ClipSource, steps: std::ops::RangeInclusive<u64>) -> Result<Loader, VideoError> {
        let plan = self.clone();
        let requests = move |step| plan.draws(step).into_iter().map(|draw| draw.request).collect();
        Loader::start(source, Arc::new(requests), *steps.start()..steps.end() + 1, loader_options())
    }
}

/// One loading thread per core; few steps ahead, since a batch of 128-frame clips is large.
pub(crate) fn loader_options() -> LoaderOptions {
    LoaderOptions { num_workers: num_cores() as usize, prefetch_steps: 3, max_bytes: 2 << 30 }
}

/// Opens a clip store to read.
pub(crate) fn open_clips(path: &Path) -> Result<Arc<ClipStore>, VideoError> {
    Ok(Arc::new(ClipStore::open(path)?))
}

/// Opens a token store to read.
pub(crate) fn open_tokens(path: &Path) -> Result<Arc<TokenStore>, VideoError> {
    Ok(Arc::new(TokenStore::open(path)?))
}

/// Pixels of a batch: `[B, T, S, S, 3]` u8.
pub(crate) fn pixels(batch: &Batch, size_px: i64, device: Device) -> Tensor {
    let clips: Vec<Tensor> = batch
        .clips
        .iter()
        .map(|clip| Tensor::from_slice(&clip.rgb).view([clip.request.num_frames as i64, size_px, size_px, 3]))
        .collect();
    Tensor::stack(&clips, 0).to_device(device)
}

/// Codes of a batch: `[B, N]` int64; `None` without a token store.
pub(crate) fn codes(batch: &Batch, device: Device) -> Option<Tensor> {
    let clips: Option<Vec<Tensor>> = batch
        .clips
        .iter()
        .map(|clip| {
            let codes: Vec<i64> = clip.tokens.as_ref()?.codes.iter().map(|code| i64::from(*code)).collect();
            Some(Tensor::from_slice(&codes))
        })
        .collect();
    Some(Tensor::stack(&clips?, 0).to_device(device))
}
