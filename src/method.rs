//! The pre-training methods behind one face: the only place that knows them all.

use arvideo::{Arvideo, CheckedArvideo};
use lvmae::{CheckedLvmae, Cue, Cues, DecoderMask, FlowCue, Lvmae};
use nn::{Losses, Target, Targets};
use rand::RngExt as _;
use spec::{ClipGeometry, Purpose, rng_for};
use tch::nn::Path;
use tch::{Device, Kind, Tensor};
use vector_quantize::Quantizer;
use video::{Flow, LoadedClip, TokenStore};

use crate::clips::{self, Draw};
use crate::exit::BadInput;
use crate::presets::{ModelConfig, PretrainPreset};
use crate::quantizer;

/// As wide as codes come in our presets: what a measurement without a token store takes. One layer of the head hangs on it.
pub(crate) const CODE_WIDTH: i64 = 6;

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
    /// Quantised embedding of each token, `[B, N, C]`, where codes are the target.
    pub(crate) codes_bnc: Option<Tensor>,
    /// Priority of each token, one list per clip; empty without a token store.
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

    /// Whether the tokenizer's codes are regressed, not pixels.
    pub(crate) fn targets_codes(&self) -> bool {
        match self {
            Method::Lvmae(checked) => checked.config().target == Target::Codes,
            Method::Arvideo(checked) => checked.config().target == Target::Codes,
        }
    }

    /// What the method needs a token store for; `None` when pixels are enough.
    pub(crate) fn needs_tokens(&self) -> Option<&'static str> {
        let adaptive = |checked: &CheckedLvmae| matches!(checked.config().decoder_mask, DecoderMask::Adaptive { .. });
        match self {
            _ if self.targets_codes() => Some("codes as targets"),
            Method::Lvmae(checked) if adaptive(checked) => Some("priorities for its adaptive mask"),
            _ => None,
        }
    }

    /// Whether optical flow has to be estimated of each clip.
    pub(crate) fn needs_flow(&self) -> bool {
        matches!(self, Method::Lvmae(checked) if checked.needs(Cue::Flow))
    }

    /// The quantizer that turns codes into targets; `None` for pixel targets.
    ///
    /// # Errors
    /// [`BadInput`] when the method needs tokens and there are none, or their quantizer is not known here.
    pub(crate) fn quantizer(&self, tokens: Option<&TokenStore>, device: Device) -> anyhow::Result<Option<Quantizer>> {
        match (self.needs_tokens(), tokens) {
            (Some(what), None) => Err(BadInput(format!(
                "this preset needs {what}: make them with `longvid tokenizer encode` and give them with --tokens"
            ))
            .into()),
            (_, Some(tokens)) if self.targets_codes() => quantizer::of_tokens(tokens, device).map(Some),
            _ => Ok(None),
        }
    }

    /// The model with fresh weights under `path`, drawn from libtorch's generator.
    ///
    /// * `code_width` - values of a code's embedding; `None` for pixel targets
    pub(crate) fn build(&self, path: &Path, code_width: Option<i64>) -> anyhow::Result<Model> {
        let pixels = |patch: spec::Patch| patch.num_pixels() * 3;
        Ok(match self {
            Method::Lvmae(checked) => {
                let width = code_width.unwrap_or_else(|| pixels(checked.patch()));
                Model::Lvmae(Lvmae::new(path, checked, width)?, checked.clone())
            }
            Method::Arvideo(checked) => {
                let width = code_width.unwrap_or_else(|| pixels(checked.patch()));
                Model::Arvideo(Arvideo::new(path, checked, width)?, checked.clone())
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
                let (read, predicted) = ((count - 1) * checked.num_kept(), (count - 1) * size);
                format!("{n} tokens in {count} clusters of {size}: {read} are read, {predicted} predicted")
            }
        }
    }
}

impl Model {
    /// The loss of one step.
    ///
    /// * `seed` - run seed; masks and orders follow from it and the batch's items
    pub(crate) fn loss(&self, batch: &PretrainBatch, seed: u64) -> anyhow::Result<Losses> {
        let clip = &batch.clip_bthwc;
        let targets = batch.codes_bnc.as_ref().map_or(Targets::Pixels, Targets::Codes);
        match self {
            Model::Lvmae(model, checked) => {
                let masks = batch.masks((model, checked), seed)?;
                Ok(model.loss(clip, &masks, targets)?)
            }
            Model::Arvideo(model, checked) => {
                let plans: Vec<_> =
                    batch.draws.iter().map(|draw| checked.plan((seed, draw.epoch, draw.item))).collect();
                Ok(model.loss(clip, &plans, targets)?)
            }
        }
    }
}

impl PretrainBatch {
    /// From loaded clips to tensors.
    ///
    /// * `draws` - the clips as they were planned
    pub(crate) fn new(
        loaded: &[LoadedClip],
        draws: &[Draw],
        quantizer: Option<&Quantizer>,
        (size_px, device): (i64, Device),
    ) -> anyhow::Result<Self> {
        let codes_bnc = match (quantizer, clips::codes(loaded, device)) {
            (Some(quantizer), Some(codes_bn)) => Some(quantizer.values_from_codes(&codes_bn)?),
            _ => None,
        };
        let priorities = |clip: &LoadedClip| clip.tokens.as_ref().map(|tokens| tokens.priorities.clone());
        Ok(PretrainBatch {
            clip_bthwc: clips::pixels(loaded, size_px, device),
            codes_bnc,
            priorities_bn: loaded.iter().filter_map(priorities).collect(),
            flows: loaded.iter().filter_map(|clip| clip.flow.clone()).collect(),
            draws: draws.to_vec(),
        })
    }

    /// Noise in the shape of a batch.
    ///
    /// * `code_width` - values of a code's embedding; `None` without codes
    pub(crate) fn noise(clip: &ClipGeometry, num_clips: i64, code_width: Option<i64>, device: Device) -> Self {
        let (t, side, n) = (clip.num_frames(), clip.size_px(), clip.grid().num_tokens());
        let codes = |width| Tensor::rand([num_clips, n, width], (Kind::Float, device)) * 2 - 1;
        let mut rng = rng_for(0, 0, 0, Purpose::Eval);
        PretrainBatch {
            clip_bthwc: Tensor::randint(256, [num_clips, t, side, side, 3], (Kind::Uint8, device)),
            codes_bnc: code_width.map(codes),
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
