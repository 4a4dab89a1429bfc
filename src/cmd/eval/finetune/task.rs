//! What a step of fine-tuning trains on.

use eval::{Classifier, Heads};
use nn::{ClipLayout, Losses, NnError, smooth_labels};
use spec::{Purpose, rng_for};
use tch::{Device, Tensor};
use train::{Drawn, Evidence, Loaded, NamedTensors, Task};

use super::Recipe;
use crate::clips::{self, Draw};
use crate::feed::{ClipFeed, Clips};
use crate::labelled::Labelled;

pub(super) struct FinetuneTask {
    pub(super) feed: ClipFeed,
    pub(super) classifier: Classifier,
    pub(super) labels: Labelled,
    pub(super) heads: Heads,
    pub(super) recipe: Recipe,
    pub(super) device: Device,
}

/// A micro-batch.
pub(super) struct FinetuneBatch {
    /// Mixed, `[B, T, S, S, 3]` u8.
    clip_bthwc: Tensor,
    /// Tokens that the encoder sees, `[B, I]`.
    visible_bi: Tensor,
    /// Of each head, `[B, K]`: smoothed and mixed.
    targets: Vec<Tensor>,
    draws: Vec<Draw>,
}

impl Task for FinetuneTask {
    type Batch = FinetuneBatch;
    type Error = anyhow::Error;

    fn next(&mut self, step: u64) -> anyhow::Result<Loaded<FinetuneBatch>> {
        let (clips, wait_secs) = self.feed.next(step)?;
        let micro_batches =
            clips.into_iter().map(|clips| self.batch(clips, step)).collect::<anyhow::Result<Vec<_>>>()?;
        let num_frames = micro_batches.iter().map(|batch| clips::num_frames(&batch.clip_bthwc)).sum();
        Ok(Loaded { micro_batches, num_frames, wait_secs })
    }

    fn loss(&mut self, batch: &FinetuneBatch) -> anyhow::Result<Losses> {
        Ok(self.classifier.loss(&batch.clip_bthwc, &batch.visible_bi, &batch.targets)?)
    }

    fn evidence(&self, batch: &FinetuneBatch) -> Evidence {
        let mut tensors = NamedTensors::from([
            ("clip_bthwc".to_owned(), batch.clip_bthwc.shallow_clone()),
            ("visible_bi".to_owned(), batch.visible_bi.shallow_clone()),
        ]);
        let targets = batch.targets.iter().enumerate();
        tensors.extend(targets.map(|(head, target)| (format!("targets_bk.{head}"), target.shallow_clone())));
        Evidence { clips: self.feed.describe(&batch.draws), tensors }
    }

    /// There are none: training clips are those of the store.
    fn pictures(&mut self, _step: u64) -> anyhow::Result<Vec<Drawn>> {
        Ok(Vec::new())
    }
}

impl FinetuneTask {
    fn batch(&self, clips: Clips, step: u64) -> anyhow::Result<FinetuneBatch> {
        let Recipe { mix, mixed_together, token_drop, geometry, seed } = self.recipe;
        let side = geometry.size_px();
        // One draw for all clips of a step, as timm's batch mode has one for a batch.
        let drawn = mix.draw([side, side], &mut rng_for(seed, step, 0, Purpose::Mix))?;
        let mixed = |rows: &Tensor, of: &dyn Fn(&Tensor) -> Result<Tensor, NnError>| -> anyhow::Result<Tensor> {
            let groups: Vec<Tensor> = rows.split(mixed_together as i64, 0).iter().map(of).collect::<Result<_, _>>()?;
            Ok(Tensor::cat(&groups, 0))
        };
        // Only labelled segments are in the plan.
        let labels: Vec<Vec<i64>> =
            clips.draws.iter().filter_map(|draw| self.labels.labels(draw.request.segment)).collect();
        let target = |(classes_b, num_classes): (Tensor, i64)| -> anyhow::Result<Tensor> {
            let smooth_bk = smooth_labels(&classes_b.to_device(self.device), num_classes, mix.smoothing)?;
            mixed(&smooth_bk, &|labels| drawn.labels(labels))
        };
        let classes = self.heads.classes_of(&labels)?.into_iter().zip(self.heads.widths());
        let visible = clips.draws.iter().map(|draw| {
            let mut rng = rng_for(seed, draw.epoch, draw.item, Purpose::EncoderMask);
            Tensor::from_slice(&token_drop.visible(geometry.grid(), &mut rng))
        });
        let pixels = clips::pixels(&clips.loaded, side, self.device);
        Ok(FinetuneBatch {
            clip_bthwc: mixed(&pixels, &|clips| drawn.clips(clips, ClipLayout::ChannelsLast))?,
            visible_bi: Tensor::stack(&visible.collect::<Vec<_>>(), 0).to_device(self.device),
            targets: classes.map(target).collect::<anyhow::Result<_>>()?,
            draws: clips.draws,
        })
    }
}
