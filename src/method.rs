//! The pre-training methods behind one face: the only place that knows them all.

use arvideo::{Arvideo, CheckedArvideo};
use lvmae::{CheckedLvmae, Cue, Cues, DecoderMask, FlowCue, Lvmae};
use nn::{Losses, Target, Targets};
use rand::RngExt as _;
use spec::{ClipGeometry, Purpose, rng_for};
use tch::nn::Path;
use tch::{Device, Kind, Tensor};
use video::{Flow, LoadedClip};

use crate::clips::{self, Draw};
use crate::presets::{ModelConfig, PretrainPreset};
use crate::targets::{Made, TargetMaker, TargetShape};

/// A checked method without its weights.
#[derive(Clone, Debug)]
pub(crate) enum Method {
    Lvmae(CheckedLvmae),
    Arvideo(CheckedArvideo),
}

/// A method with its weights.
#[derive(Debug)]
pub(crate) enum Model {
    Lvmae(Lvmae, CheckedLvmae),
    Arvideo(Arvideo, CheckedArvideo),
}

/// What one step trains on.
#[derive(Debug)]
pub(crate) struct PretrainBatch {
    /// Pixels `[B, T, S, S, 3]` u8.
    pub(crate) clip_bthwc: Tensor,
    /// What is predicted.
    pub(crate) targets: Targets,
    /// Priority of each token, one list per clip; empty without tokens.
    pub(crate) priorities_bn: Vec<Vec<f32>>,
    /// Optical flow of each clip; empty where no mask looks at it.
    pub(crate) flows: Vec<Flow>,
    /// The clips' places in the plan, from which their masks follow.
    pub(crate) draws: Vec<Draw>,
}

impl Method {
    pub(crate) fn check(preset: &PretrainPreset, clip: &ClipGeometry) -> anyhow::Result<Self> {
        Ok(match &preset.model {
            ModelConfig::Lvmae(cfg) => Method::Lvmae(cfg.check(clip.grid(), clip.patch())?),
            ModelConfig::Arvideo(cfg) => Method::Arvideo(cfg.check(clip.grid(), clip.patch())?),
        })
    }

    /// The method's name in presets and run folders.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Method::Lvmae(_) => "lvmae",
            Method::Arvideo(_) => "arvideo",
        }
    }

    /// What is predicted of a token.
    pub(crate) fn target(&self) -> Target {
        match self {
            Method::Lvmae(checked) => checked.config().target,
            Method::Arvideo(checked) => checked.config().target,
        }
    }

    /// What the method needs a tokenizer's tokens for; `None` when pixels are enough.
    pub(crate) fn needs_tokens(&self) -> Option<&'static str> {
        let adaptive = |checked: &CheckedLvmae| matches!(checked.config().decoder_mask, DecoderMask::Adaptive { .. });
        match (self.target(), self) {
            (Target::Codes | Target::Factored | Target::Full, _) => Some("codes as targets"),
            (Target::Latents, _) => Some("latents as targets"),
            (_, Method::Lvmae(checked)) => adaptive(checked).then_some("priorities for its adaptive mask"),
            (_, Method::Arvideo(checked)) => checked.needs_priorities(),
        }
    }

    /// Whether optical flow has to be estimated of each clip.
    pub(crate) fn needs_flow(&self) -> bool {
        matches!(self, Method::Lvmae(checked) if checked.needs(Cue::Flow))
    }

    /// The model with fresh weights under `path`, drawn from libtorch's generator.
    pub(crate) fn build(&self, path: &Path, shape: &TargetShape) -> anyhow::Result<Model> {
        Ok(match self {
            Method::Lvmae(checked) => {
                Model::Lvmae(Lvmae::new(path, checked, shape.head_width(checked.patch()))?, checked.clone())
            }
            Method::Arvideo(checked) => {
                Model::Arvideo(Arvideo::new(path, checked, shape.head_width(checked.patch()))?, checked.clone())
            }
        })
    }

    /// What the preset comes to on this clip, for `--dry-run`.
    pub(crate) fn describe(&self) -> String {
        match self {
            Method::Lvmae(checked) => {
                let n = checked.grid().num_tokens();
                let (seen, asked) = (checked.num_visible(), checked.num_asked());
                format!("{n} tokens: the encoder sees {seen}, the decoder predicts {asked}")
            }
            Method::Arvideo(checked) => {
                let (count, size) = (checked.clusters().count(), checked.clusters().size());
                let n = checked.grid().num_tokens();
                let [read, predicted] = [checked.num_kept(), checked.num_predicted()].map(|num| (count - 1) * num);
                format!("{n} tokens in {count} clusters of {size}: {read} are read, {predicted} predicted")
            }
        }
    }
}

impl Model {
    /// The ViT that is kept.
    pub(crate) fn encoder(&self) -> &nn::Vit {
        match self {
            Model::Lvmae(model, _) => model.encoder(),
            Model::Arvideo(model, _) => model.encoder(),
        }
    }

    /// The loss of one step.
    ///
    /// * `seed` - run seed; masks and orders follow from it and the batch's items
    pub(crate) fn loss(&self, batch: &PretrainBatch, seed: u64) -> anyhow::Result<Losses> {
        let clip = &batch.clip_bthwc;
        let targets = &batch.targets;
        match self {
            Model::Lvmae(model, checked) => {
                let masks = batch.masks((model, checked), seed)?;
                Ok(model.loss(clip, &masks, targets)?)
            }
            Model::Arvideo(model, checked) => Ok(model.loss(clip, &batch.plans(checked, seed)?, targets)?),
        }
    }

    /// The same weights on the grid of a method that differs in nothing else.
    pub(crate) fn change_grid(&mut self, method: &Method) -> anyhow::Result<()> {
        match (self, method) {
            (Model::Lvmae(model, checked), Method::Lvmae(other)) => {
                model.change_grid(other.grid())?;
                *checked = other.clone();
            }
            (Model::Arvideo(model, checked), Method::Arvideo(other)) => {
                model.change_grid(other.grid())?;
                *checked = other.clone();
            }
            _ => anyhow::bail!("a model does not become one of another method"),
        }
        Ok(())
    }
}

impl PretrainBatch {
    /// From loaded clips to tensors.
    ///
    /// * `draws` - the clips as they were planned
    pub(crate) fn new(
        loaded: &[LoadedClip],
        draws: &[Draw],
        maker: &TargetMaker,
        (size_px, device): (i64, Device),
    ) -> anyhow::Result<Self> {
        let clip_bthwc = clips::pixels(loaded, size_px, device);
        let Made { targets, priorities_bn } = maker.make(loaded, &clip_bthwc)?;
        let flows = loaded.iter().filter_map(|clip| clip.flow.clone()).collect();
        Ok(PretrainBatch { clip_bthwc, targets, priorities_bn, flows, draws: draws.to_vec() })
    }

    /// Noise in the shape of a batch.
    pub(crate) fn noise(clip: &ClipGeometry, num_clips: i64, shape: &TargetShape, device: Device) -> Self {
        let (t, side, n) = (clip.num_frames(), clip.size_px(), clip.grid().num_tokens());
        let mut rng = rng_for(0, 0, 0, Purpose::Eval);
        PretrainBatch {
            clip_bthwc: Tensor::randint(256, [num_clips, t, side, side, 3], (Kind::Uint8, device)),
            targets: shape.noise([num_clips, n], device),
            priorities_bn: (0..num_clips).map(|_| (0..n).map(|_| rng.random()).collect()).collect(),
            flows: (0..num_clips).map(|_| Flow::noise(clip, &mut rng)).collect(),
            draws: (0..num_clips as usize).map(|segment| Draw::centre(segment, t as usize)).collect(),
        }
    }

    /// The masks of the clips, in their order.
    ///
    /// * `seed` - run seed
    pub(crate) fn masks(
        &self,
        (model, checked): (&Lvmae, &CheckedLvmae),
        seed: u64,
    ) -> anyhow::Result<Vec<lvmae::ClipMask>> {
        self.with_cues((model, checked), |draw, cues| checked.mask(cues, (seed, draw.epoch, draw.item)))
    }

    /// The plans of the clips, in their order.
    ///
    /// * `seed` - run seed
    pub(crate) fn plans(&self, checked: &CheckedArvideo, seed: u64) -> anyhow::Result<Vec<arvideo::ClusterPlan>> {
        let of_clip = |(i, draw): (usize, &Draw)| {
            let priorities_n = self.priorities_bn.get(i).map_or(&[][..], Vec::as_slice);
            checked.plan(priorities_n, (seed, draw.epoch, draw.item))
        };
        Ok(self.draws.iter().enumerate().map(of_clip).collect::<Result<_, _>>()?)
    }

    /// Something of each clip that follows from what masks look at.
    pub(crate) fn with_cues<T>(
        &self,
        (model, checked): (&Lvmae, &CheckedLvmae),
        of: impl Fn(&Draw, &Cues) -> Result<T, lvmae::LvmaeError>,
    ) -> anyhow::Result<Vec<T>> {
        let motion_bn = checked.needs(Cue::Motion).then(|| model.motion(&self.clip_bthwc)).transpose()?;
        let of_clip = |(i, draw): (usize, &Draw)| {
            let flow = self.flows.get(i).map(|flow| FlowCue { cell_px: flow.cell_px as i64, xy: &flow.xy });
            let priorities_n = self.priorities_bn.get(i).map(Vec::as_slice);
            let motion_n = motion_bn.as_ref().and_then(|motion_bn| motion_bn.get(i)).map(Vec::as_slice);
            of(draw, &Cues { priorities_n, flow, motion_n })
        };
        Ok(self.draws.iter().enumerate().map(of_clip).collect::<Result<_, _>>()?)
    }
}
