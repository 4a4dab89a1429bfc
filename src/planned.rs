//! What a training step will hold in memory, by its settings alone.

use nn::Attention;
use nn::cost::{Computing, Peak, StepCost, Tokens};
use serde::Serialize;
use spec::ClipGeometry;
use train::{EmaConfig, TrainPlan};

use crate::method::Method;
use crate::presets::FinetunePreset;
use crate::targets::TargetShape;

/// Bytes of a token's index.
const INDEX_BYTES: i64 = 8;

/// Bytes of a parameter, of each of its moments and of its average.
const PARAMETER_BYTES: i64 = 4;

/// Bytes of a run on one rank: what is always there, and what a micro-batch adds.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    /// What is there between steps.
    pub(crate) base: Base,
    /// What a micro-batch adds.
    pub(crate) step: StepCost,
    /// Micro-batches of a step.
    accumulate: i64,
}

/// What is there between steps, bytes.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Base {
    pub(crate) weights: i64,
    /// Two of AdamW for each weight.
    pub(crate) moments: i64,
    /// Averaged weights, where the preset has them.
    pub(crate) average: i64,
    /// Tensors of the model that are not trained: ARVideo's mask.
    pub(crate) constants: i64,
    /// Frames, codes where they are the target, and where tokens are dropped in fine-tuning the others' indices, of all
    /// micro-batches of a step.
    pub(crate) data: i64,
}

impl Base {
    pub(crate) fn bytes(&self) -> i64 {
        self.weights + self.moments + self.average + self.constants + self.data
    }
}

/// Clips of a step on one rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clips {
    /// That go through the model at once.
    pub(crate) at_once: i64,
    /// Micro-batches of a step.
    pub(crate) accumulate: i64,
}

impl Planned {
    /// Pre-training.
    pub(crate) fn new(
        method: &Method,
        (geometry, train): (&ClipGeometry, &TrainPlan),
        clips: Clips,
        computing: Computing,
    ) -> Self {
        let shape = TargetShape::usual(method.target());
        let target_width = shape.head_width(geometry.patch());
        let step = match method {
            Method::Lvmae(checked) => checked.cost(clips.at_once, target_width, computing),
            Method::Arvideo(checked) => checked.cost(clips.at_once, target_width, computing),
        };
        let codes = geometry.grid().num_tokens() * shape.data_bytes();
        Planned::of(step, codes, (geometry, train), clips)
    }

    /// Fine-tuning.
    ///
    /// * `outputs` - logits of each classifier
    pub(crate) fn of_finetuning(
        (preset, outputs): (&FinetunePreset, &[i64]),
        (geometry, train): (&ClipGeometry, &TrainPlan),
        clips: Clips,
        computing: Computing,
    ) -> Self {
        let per_clip = preset.num_visible(geometry.grid());
        let tokens = Tokens { clips: clips.at_once, per_clip, reach: None };
        let step = preset.model.cost(tokens, geometry.patch().num_pixels() * 3, outputs, computing);
        Planned::of(step, INDEX_BYTES * per_clip, (geometry, train), clips)
    }

    /// * `data_bytes` - of a clip beside its frames
    fn of(step: StepCost, data_bytes: i64, (geometry, train): (&ClipGeometry, &TrainPlan), clips: Clips) -> Self {
        let weights = PARAMETER_BYTES * step.num_parameters;
        let frames = geometry.num_frames() * geometry.size_px() * geometry.size_px() * 3;
        let base = Base {
            weights,
            moments: 2 * weights,
            average: if train.ema() == (EmaConfig::None {}) { 0 } else { weights },
            constants: step.constant_bytes,
            data: clips.at_once * clips.accumulate * (frames + data_bytes),
        };
        Planned { base, step, accumulate: clips.accumulate }
    }

    /// The most that a step holds on top of its base.
    pub(crate) fn step_bytes(&self) -> i64 {
        self.peak().map_or(0, |peak| peak.bytes())
    }

    /// The moment at which most is held.
    pub(crate) fn peak(&self) -> Option<Peak> {
        self.step.peak(self.accumulate)
    }

    /// The most that is held at once.
    pub(crate) fn peak_bytes(&self) -> i64 {
        self.base.bytes() + self.step_bytes()
    }
}

/// How training computes: fused, in the precision given.
pub(crate) fn fused(precision: torch_ext::Precision) -> Computing {
    Computing { precision, attention: Attention::Fused }
}
