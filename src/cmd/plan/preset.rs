use nn::cost::Computing;
use spec::ClipSpec;
use train::{TrainConfig, TrainPlan};

use crate::cli::{MaskArg, PlanArgs};
use crate::exit::BadInput;
use crate::method::Method;
use crate::planned::{Clips, Planned};
use crate::presets::{self, FinetunePreset, ModelConfig, PretrainPreset};

/// LVMAE's decoder budget, as a share of all tokens.
const PAPERS_BUDGET: f64 = 0.15;

/// Logits of a classifier where nothing else is said: between Diving48's dives and EPIC-KITCHENS-100's nouns, and too few to
/// weigh anything beside an encoder.
const USUAL_CLASSES: i64 = 100;

/// A preset whose steps can be planned.
#[derive(Clone, Debug)]
pub(super) enum TrainingPreset {
    Pretraining(PretrainPreset),
    Finetuning {
        preset: FinetunePreset,
        /// Logits of each classifier.
        outputs: Vec<i64>,
    },
}

impl TrainingPreset {
    /// * `more` - settings on top of those that were typed
    ///
    /// # Errors
    /// [`BadInput`] for a tokenizer's preset, and for classes that are not one number for each classifier; what is wrong with
    /// the preset.
    pub(super) fn read(args: &PlanArgs, more: &[String]) -> anyhow::Result<Self> {
        let batch = args.batch.map(|batch| [format!("train.batch={batch}"), "train.accumulate=1".to_owned()]);
        let sets = [&args.sets[..], batch.as_ref().map_or(&[], |sets| &sets[..]), more].concat();
        let preset = presets::load(&args.preset, &sets)?;
        if presets::is_for_finetuning(&preset) {
            let preset: FinetunePreset = presets::typed(&args.preset, &preset)?;
            let outputs = outputs(&preset, &args.classes)?;
            return Ok(TrainingPreset::Finetuning { preset, outputs });
        }
        if !args.classes.is_empty() {
            return Err(BadInput(format!(
                "--classes: {} has no classifier, being no preset for fine-tuning",
                args.preset
            ))
            .into());
        }
        Ok(TrainingPreset::Pretraining(presets::typed(&args.preset, &preset)?))
    }

    pub(super) fn clip(&self) -> &ClipSpec {
        match self {
            TrainingPreset::Pretraining(preset) => &preset.clip,
            TrainingPreset::Finetuning { preset, .. } => &preset.clip,
        }
    }

    fn train(&self) -> &TrainConfig {
        match self {
            TrainingPreset::Pretraining(preset) => &preset.train,
            TrainingPreset::Finetuning { preset, .. } => &preset.train,
        }
    }

    pub(super) fn train_plan(&self) -> anyhow::Result<TrainPlan> {
        Ok(self.train().check()?)
    }

    fn encoder(&self) -> &nn::VitConfig {
        match self {
            TrainingPreset::Pretraining(preset) => preset.model.encoder(),
            TrainingPreset::Finetuning { preset, .. } => &preset.model.encoder,
        }
    }

    /// With clips of another length.
    pub(super) fn with_frames(&self, num_frames: i64) -> Self {
        let mut changed = self.clone();
        match &mut changed {
            TrainingPreset::Pretraining(preset) => preset.clip.num_frames = num_frames,
            TrainingPreset::Finetuning { preset, .. } => preset.clip.num_frames = num_frames,
        }
        changed
    }

    /// With so many clips in a step, all at once.
    pub(super) fn with_clips(&self, num_clips: i64) -> Self {
        let mut changed = self.clone();
        let train = match &mut changed {
            TrainingPreset::Pretraining(preset) => &mut preset.train,
            TrainingPreset::Finetuning { preset, .. } => &mut preset.train,
        };
        (train.batch, train.accumulate) = (num_clips, 1);
        changed
    }

    /// Frames of which a clip must be a multiple.
    pub(super) fn frames_unit(&self) -> i64 {
        let clusters = match self {
            TrainingPreset::Pretraining(PretrainPreset { model: ModelConfig::Arvideo(cfg), .. }) => cfg.cluster[0],
            TrainingPreset::Pretraining(_) | TrainingPreset::Finetuning { .. } => 1,
        };
        self.clip().patch[0] * clusters
    }

    /// Clips of which a micro-batch must be a multiple.
    pub(super) fn clips_unit(&self) -> i64 {
        match self {
            TrainingPreset::Pretraining(_) => 1,
            TrainingPreset::Finetuning { preset, .. } => preset.clips_mixed_together() as i64,
        }
    }

    /// What the preset comes to, in words.
    pub(super) fn describe(&self) -> anyhow::Result<String> {
        let clip = self.clip().check()?;
        let says = match self {
            TrainingPreset::Pretraining(preset) => Method::check(preset, &clip)?.describe(),
            TrainingPreset::Finetuning { preset, outputs } => {
                let classes: Vec<String> = outputs.iter().map(i64::to_string).collect();
                format!("{}, {} classes", preset.describe(clip.grid()), classes.join(" and "))
            }
        };
        Ok(format!("{} frames of {} pixels, {says}", clip.num_frames(), clip.size_px()))
    }

    pub(super) fn clips(&self) -> anyhow::Result<Clips> {
        let split = self.train_plan()?.split(1)?;
        Ok(Clips { at_once: split.num_clips as i64, accumulate: split.accumulate as i64 })
    }

    pub(super) fn planned(&self, computing: Computing) -> anyhow::Result<Planned> {
        let (geometry, train, clips) = (self.clip().check()?, self.train_plan()?, self.clips()?);
        Ok(match self {
            TrainingPreset::Pretraining(preset) => {
                Planned::new(&Method::check(preset, &geometry)?, (&geometry, &train), clips, computing)
            }
            TrainingPreset::Finetuning { preset, outputs } => {
                preset.model.check()?;
                Planned::of_finetuning((preset, outputs), (&geometry, &train), clips, computing)
            }
        })
    }

    /// A decoder mask at the paper's budget, where more is decoded.
    pub(super) fn smaller_budget(&self) -> anyhow::Result<Option<String>> {
        let TrainingPreset::Pretraining(preset) = self else { return Ok(None) };
        let clip = preset.clip.check()?;
        let method = Method::check(preset, &clip)?;
        let Method::Lvmae(checked) = &method else { return Ok(None) };
        if checked.num_asked() as f64 <= PAPERS_BUDGET * clip.grid().num_tokens() as f64 {
            return Ok(None);
        }
        // Where there are tokens there are priorities.
        let mask = if method.needs_tokens().is_some() { MaskArg::Adaptive } else { MaskArg::Random };
        Ok(mask.setting())
    }

    /// Whether blocks keep what they could compute again.
    pub(super) fn keeps_activations(&self) -> bool {
        self.encoder().recompute != nn::Recompute::EveryBlock
    }
}

/// Logits of each classifier.
fn outputs(preset: &FinetunePreset, classes: &[i64]) -> Result<Vec<i64>, BadInput> {
    let num_heads = match preset.model.heads {
        eval::HeadKind::Each {} => preset.labels.spaces.len(),
        eval::HeadKind::Joint {} => 1,
    };
    if classes.is_empty() {
        return Ok(vec![USUAL_CLASSES; num_heads]);
    }
    if classes.len() != num_heads {
        let (given, spaces) = (classes.len(), preset.labels.spaces.join(" and "));
        return Err(BadInput(format!(
            "--classes: {given} given, for {num_heads} classifiers of {spaces}: one number for each"
        )));
    }
    Ok(classes.to_vec())
}
