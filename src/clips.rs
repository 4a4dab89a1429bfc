//! From clip stores to batches of tensors: which clip comes at which step, and the loader behind it.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use rand::RngExt as _;
use rand::seq::SliceRandom as _;
use spec::{ClipGeometry, Purpose, rng_for};
use tch::{Device, Tensor};
use video::{
    Augment, ClipDraw, ClipRequest, ClipSource, ClipStore, LoadedClip, Loader, LoaderOptions, Segment, TokenStore,
    VideoError, View, timeline,
};

use crate::curriculum::FrameCounts;
use crate::exit::BadInput;

/// Which clips a training step sees: a pure function of the step. Every segment comes once per epoch, in an order and at
/// a place in its timeline that (seed, epoch, segment) decide; where the augmentation repeats, it comes as several clips of
/// the same frames, one after the other, each with an item number of its own.
#[derive(Clone, Debug)]
pub(crate) struct ClipPlan {
    /// Run seed.
    pub(crate) seed: u64,
    /// Clips per step.
    pub(crate) batch: u64,
    /// Frames per clip, by step.
    frame_counts: FrameCounts,
    /// Which of a step's clips are drawn: all, or those of one rank.
    share: Range<usize>,
    /// Clips of the same frames.
    repeats: u64,
    /// Which segments come.
    segments: Arc<Vec<usize>>,
    /// For each stage of the frame counts and each segment, where a clip may start.
    starts: Arc<Vec<Vec<Vec<usize>>>>,
}

/// One clip of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Draw {
    /// Passes over the data before this one.
    pub(crate) epoch: u64,
    /// Segment and repeat in one number: masks and augmentation follow from it.
    pub(crate) item: u64,
    /// What to load.
    pub(crate) request: ClipRequest,
}

impl Draw {
    /// The centre of a segment's first frames, as the first epoch's item of the same number.
    pub(crate) fn centre(segment: usize, num_frames: usize) -> Self {
        let request = ClipRequest { segment, start_frame: 0, num_frames, view: View::CENTRE };
        Draw { epoch: 0, item: segment as u64, request }
    }
}

impl ClipPlan {
    /// Clips from every segment of a source.
    ///
    /// * `frame_counts` - frames per clip: at most the geometry's own, or a tokenizer's window
    ///
    /// # Errors
    /// [`BadInput`] for a store without segments, or a batch that the repeats do not fill evenly.
    pub(crate) fn new(
        source: &ClipSource,
        frame_counts: FrameCounts,
        (seed, batch): (u64, i64),
    ) -> anyhow::Result<Self> {
        let (store, geometry) = (&source.store, &source.geometry);
        let (batch, repeats) = (batch as u64, u64::from(source.augment.repeats()));
        if !batch.is_multiple_of(repeats) {
            let text = format!("train.batch = {batch} is not a multiple of augment.repeats = {repeats}");
            return Err(BadInput(text).into());
        }
        if store.segments().is_empty() {
            return Err(BadInput(format!("{:?} holds no segment to train on", store.path())).into());
        }
        let starts_of = |num_frames: usize| -> Vec<Vec<usize>> {
            let starts = |segment: &Segment| {
                let video = &store.videos()[segment.video as usize];
                timeline(video, segment, geometry).clip_starts(num_frames, geometry)
            };
            store.segments().iter().map(starts).collect()
        };
        let starts = frame_counts.stages().iter().map(|stage| starts_of(stage.num_frames as usize)).collect();
        let (share, segments) = (0..batch as usize, Arc::new((0..store.segments().len()).collect()));
        Ok(ClipPlan { seed, batch, frame_counts, share, repeats, segments, starts: Arc::new(starts) })
    }

    /// A plan of some of the segments: those with labels.
    ///
    /// * `segments` - at least one
    pub(crate) fn of_segments(self, segments: Vec<usize>) -> Self {
        ClipPlan { segments: Arc::new(segments), ..self }
    }

    /// The plan of one rank.
    ///
    /// * `share` - its clips among those of each step
    pub(crate) fn of_rank(self, share: Range<usize>) -> Self {
        ClipPlan { share, ..self }
    }

    /// The clips of a step, counted from 1.
    pub(crate) fn draws(&self, step: u64) -> Vec<Draw> {
        let mut draws = self.all_draws(step);
        draws.truncate(self.share.end);
        draws.split_off(self.share.start.min(draws.len()))
    }

    fn all_draws(&self, step: u64) -> Vec<Draw> {
        let stage = self.frame_counts.stage_of(step);
        let num_segments = self.segments.len() as u64;
        let places_per_step = self.batch / self.repeats;
        let first = (step - 1) * places_per_step;
        let mut order: Option<(u64, Vec<usize>)> = None;
        let mut draws = Vec::with_capacity(self.batch as usize);
        for place in first..first + places_per_step {
            let epoch = place / num_segments;
            if order.as_ref().is_none_or(|(of, _)| *of != epoch) {
                let mut segments = self.segments.to_vec();
                segments.shuffle(&mut rng_for(self.seed, epoch, 0, Purpose::Shuffle));
                order = Some((epoch, segments));
            }
            let segment = order.as_ref().map_or(0, |(_, segments)| segments[(place % num_segments) as usize]);
            draws.extend((0..self.repeats).map(|repeat| self.draw(stage, (epoch, segment, repeat))));
        }
        draws
    }

    /// One clip of a segment. Its place in the timeline is that of all its repeats.
    fn draw(&self, stage: usize, (epoch, segment, repeat): (u64, usize, u64)) -> Draw {
        let starts = &self.starts[stage][segment];
        let num_frames = self.frame_counts.stages()[stage].num_frames as usize;
        let mut rng = rng_for(self.seed, epoch, segment as u64, Purpose::ClipStart);
        let start_frame = starts[rng.random_range(0..starts.len())];
        let item = segment as u64 * self.repeats + repeat;
        let view = View::Drawn(ClipDraw { seed: self.seed, epoch, item });
        Draw { epoch, item, request: ClipRequest { segment, start_frame, num_frames, view } }
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

/// One loading thread for each that computes; few steps ahead, since a batch of 128-frame clips is large.
pub(crate) fn loader_options() -> LoaderOptions {
    LoaderOptions { num_workers: tch::get_num_threads().max(1) as usize, prefetch_steps: 3, max_bytes: 2 << 30 }
}

/// Opens a clip store to read.
pub(crate) fn open_clips(path: &Path) -> Result<Arc<ClipStore>, VideoError> {
    Ok(Arc::new(ClipStore::open(path)?))
}

/// Opens a token store to read.
pub(crate) fn open_tokens(path: &Path) -> Result<Arc<TokenStore>, VideoError> {
    Ok(Arc::new(TokenStore::open(path)?))
}

/// Clips of a store as they are: no tokens, nothing varied.
pub(crate) fn unvaried(store: Arc<ClipStore>, geometry: ClipGeometry) -> ClipSource {
    ClipSource { store, tokens: None, geometry, augment: Augment::default(), with_flow: false }
}

/// Pixels of clips of equal length: `[B, T, S, S, 3]` u8.
pub(crate) fn pixels(clips: &[LoadedClip], size_px: i64, device: Device) -> Tensor {
    let clips: Vec<Tensor> = clips
        .iter()
        .map(|clip| Tensor::from_slice(&clip.rgb).view([clip.request.num_frames as i64, size_px, size_px, 3]))
        .collect();
    Tensor::stack(&clips, 0).to_device(device)
}

/// Frames of a batch of clips `[B, T, S, S, 3]`.
pub(crate) fn num_frames(clip_bthwc: &Tensor) -> u64 {
    clip_bthwc.size()[..2].iter().product::<i64>() as u64
}

/// Codes of clips: `[B, N]` int64; `None` without a token store.
pub(crate) fn codes(clips: &[LoadedClip], device: Device) -> Option<Tensor> {
    let clips: Option<Vec<Tensor>> = clips
        .iter()
        .map(|clip| {
            let codes: Vec<i64> = clip.tokens.as_ref()?.codes.iter().map(|code| i64::from(*code)).collect();
            Some(Tensor::from_slice(&codes))
        })
        .collect();
    Some(Tensor::stack(&clips?, 0).to_device(device))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curriculum::CurriculumConfig;

    /// Three segments, the second long enough for clips to start at 0, 2, 4 and so on.
    fn plan(batch: u64, repeats: u64) -> ClipPlan {
        staged(FrameCounts::constant(16), (batch, repeats))
    }

    fn staged(frame_counts: FrameCounts, (batch, repeats): (u64, u64)) -> ClipPlan {
        let starts = vec![vec![0], (0..200).step_by(2).collect(), vec![0]];
        let starts = Arc::new(vec![starts; frame_counts.stages().len()]);
        let (share, segments) = (0..batch as usize, Arc::new(vec![0, 1, 2]));
        ClipPlan { seed: 7, batch, frame_counts, share, repeats, segments, starts }
    }

    #[test]
    fn repeats_are_clips_of_the_same_frames_with_items_of_their_own() {
        let (plan, once) = (plan(4, 2), plan(2, 1));
        for step in 1..30 {
            let draws = plan.draws(step);
            for (pair, single) in draws.chunks_exact(2).zip(once.draws(step)) {
                for (repeat, draw) in pair.iter().enumerate() {
                    let ClipRequest { segment, start_frame, .. } = single.request;
                    assert_eq!((draw.request.segment, draw.request.start_frame), (segment, start_frame));
                    assert_eq!((draw.epoch, draw.item), (single.epoch, (segment * 2 + repeat) as u64));
                    let key = ClipDraw { seed: 7, epoch: draw.epoch, item: draw.item };
                    assert_eq!(draw.request.view, View::Drawn(key));
                }
            }
        }
    }

    #[test]
    fn a_plan_of_some_segments_shows_each_of_them_once_per_epoch_and_no_other() {
        let plan = plan(1, 1).of_segments(vec![2, 0]);
        let shown = |step| plan.draws(step)[0].request.segment;
        let mut orders = std::collections::BTreeSet::new();
        for epoch in 0..20 {
            let order = [shown(2 * epoch + 1), shown(2 * epoch + 2)];
            assert!(order == [0, 2] || order == [2, 0], "{order:?}");
            orders.insert(order);
        }
        assert_eq!(orders.len(), 2, "epochs have orders of their own");
    }

    #[test]
    fn ranks_share_out_the_clips_of_each_step_in_order() {
        for step in 1..10 {
            let of = |share| plan(6, 1).of_rank(share).draws(step);
            assert_eq!([of(0..2), of(2..4), of(4..6)].concat(), plan(6, 1).draws(step));
        }
    }

    #[test]
    fn a_stage_changes_the_frames_of_clips_and_not_which_clips_come() {
        let stages = r#"{"kind":"frames","stages":[{"from_step":1,"num_frames":8},{"from_step":4,"num_frames":16}]}"#;
        let config: CurriculumConfig = serde_json::from_str(stages).unwrap();
        let counts = config.check((16, spec::Patch { t: 2, h: 8, w: 8 }), 9).unwrap();
        let (plan, constant) = (staged(counts, (2, 1)), plan(2, 1));
        for step in 1..=9 {
            for (draw, usual) in plan.draws(step).into_iter().zip(constant.draws(step)) {
                assert_eq!(draw.request.num_frames, if step < 4 { 8 } else { 16 });
                assert_eq!(
                    (draw.epoch, draw.item, draw.request.segment),
                    (usual.epoch, usual.item, usual.request.segment)
                );
            }
        }
    }

    #[test]
    fn every_segment_comes_once_per_epoch_and_starts_elsewhere_in_the_next() {
        let draws: Vec<Draw> = (1..=30).flat_map(|step| plan(2, 1).draws(step)).collect();
        let mut starts = std::collections::BTreeSet::new();
        for (epoch, draws) in draws.chunks_exact(3).enumerate() {
            let mut segments: Vec<usize> = draws.iter().map(|draw| draw.request.segment).collect();
            segments.sort_unstable();
            assert_eq!(segments, [0, 1, 2]);
            assert!(draws.iter().all(|draw| draw.epoch == epoch as u64));
            starts.extend(draws.iter().filter(|draw| draw.request.segment == 1).map(|draw| draw.request.start_frame));
        }
        // 20 draws of 100 places: 18.2 different ones are expected.
        assert!(starts.len() >= 14, "{starts:?}");
    }
}
