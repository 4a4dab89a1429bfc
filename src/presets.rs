//! The named recipes and the types they are read into.

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use spec::{ClipSpec, Grid, Preset, Purpose, rng_for};

use crate::cli::RunArgs;
use crate::curriculum::CurriculumConfig;
use crate::exit::BadInput;
use crate::labelled::RareClasses;

/// Name and text of every preset that comes with the program.
const BUILTIN: &[(&str, &str)] = &[
    ("tokenizer-tiny", include_str!("../presets/tokenizer-tiny.toml")),
    ("tokenizer-b", include_str!("../presets/tokenizer-b.toml")),
    ("tokenizer-dives", include_str!("../presets/tokenizer-dives.toml")),
    ("tokenizer-magvit2", include_str!("../presets/tokenizer-magvit2.toml")),
    ("lvmae-tiny-128f", include_str!("../presets/lvmae-tiny-128f.toml")),
    ("lvmae-b-128f", include_str!("../presets/lvmae-b-128f.toml")),
    ("arvideo-tiny-128f", include_str!("../presets/arvideo-tiny-128f.toml")),
    ("arvideo-b-16f", include_str!("../presets/arvideo-b-16f.toml")),
    ("arvideo-b-128f", include_str!("../presets/arvideo-b-128f.toml")),
    ("imagemae-b", include_str!("../presets/imagemae-b.toml")),
    ("imagemae-tiny", include_str!("../presets/imagemae-tiny.toml")),
    ("videomae-b-16f", include_str!("../presets/videomae-b-16f.toml")),
    ("videomae-s-16f", include_str!("../presets/videomae-s-16f.toml")),
    ("videomae-tiny-16f", include_str!("../presets/videomae-tiny-16f.toml")),
    ("videomae-v2-b-16f", include_str!("../presets/videomae-v2-b-16f.toml")),
    ("mgmae-b-16f", include_str!("../presets/mgmae-b-16f.toml")),
    ("everest-b-16f", include_str!("../presets/everest-b-16f.toml")),
    ("diving48-finetune-b", include_str!("../presets/diving48-finetune-b.toml")),
    ("epic100-finetune-b", include_str!("../presets/epic100-finetune-b.toml")),
    ("finetune-tiny-128f", include_str!("../presets/finetune-tiny-128f.toml")),
    ("finetune-tiny-16f", include_str!("../presets/finetune-tiny-16f.toml")),
];

/// A tokenizer recipe. Windows of 16 frames (17 under `first_frame`) are cut from the timeline that `[clip]` describes, which is
/// the timeline that pre-training uses: both presets have the same `[clip]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenizerPreset {
    /// The timeline and the size of its frames.
    pub(crate) clip: ClipSpec,
    /// How training windows are varied.
    pub(crate) augment: video::AugmentConfig,
    /// The model.
    pub(crate) tokenizer: tokenizer::TokenizerConfig,
    /// How it is trained.
    pub(crate) train: train::TrainConfig,
}

/// A pre-training recipe.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PretrainPreset {
    /// The clip that the encoder sees.
    pub(crate) clip: ClipSpec,
    /// How many of its frames at which step.
    pub(crate) curriculum: CurriculumConfig,
    /// How training clips are varied.
    pub(crate) augment: video::AugmentConfig,
    /// The method.
    pub(crate) model: ModelConfig,
    /// How it is trained.
    pub(crate) train: train::TrainConfig,
}

/// A fine-tuning recipe.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FinetunePreset {
    /// The clip that the classifier sees.
    pub(crate) clip: ClipSpec,
    /// How training clips are varied.
    pub(crate) augment: video::AugmentConfig,
    /// What is learned.
    pub(crate) labels: LabelsConfig,
    /// Encoder and heads.
    pub(crate) model: eval::ClassifierConfig,
    /// How neighbouring clips of a step are mixed, two and two, and labels smoothed.
    pub(crate) mix: nn::MixConfig,
    /// How it is trained.
    pub(crate) train: train::TrainConfig,
}

impl FinetunePreset {
    /// Tokens of a clip that the encoder sees in training.
    pub(crate) fn num_visible(&self, grid: Grid) -> i64 {
        self.model.token_drop.visible(grid, &mut rng_for(0, 0, 0, Purpose::EncoderMask)).len() as i64
    }

    /// What is seen and learned, in words.
    pub(crate) fn describe(&self, grid: Grid) -> String {
        let (seen, spaces) = (self.num_visible(grid), self.labels.spaces.join(" and "));
        format!("{} tokens, of which training sees {seen}; learned: {spaces}", grid.num_tokens())
    }

    /// Neighbouring clips that are mixed with each other, two segments' with their repeats: a micro-batch is a multiple of
    /// so many. 1 where none are mixed.
    pub(crate) fn clips_mixed_together(&self) -> usize {
        let nn::MixConfig { mixup_alpha, cutmix_alpha, probability, .. } = self.mix;
        let is_mixed = probability > 0.0 && (mixup_alpha > 0.0 || cutmix_alpha > 0.0);
        if is_mixed { 2 * self.augment.repeats as usize } else { 1 }
    }
}

/// The `[labels]` section of a fine-tuning preset.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LabelsConfig {
    /// Names of the label spaces: `class`; `verb` and `noun`.
    pub(crate) spaces: Vec<String>,
    /// What becomes of a class with one training clip.
    pub(crate) rare_classes: RareClasses,
}

/// The pre-training methods.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum ModelConfig {
    /// Masked autoencoding.
    Lvmae(lvmae::LvmaeConfig),
    /// Next-cluster prediction.
    Arvideo(arvideo::ArvideoConfig),
}

impl ModelConfig {
    /// The method's name, as in `kind`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            ModelConfig::Lvmae(_) => "lvmae",
            ModelConfig::Arvideo(_) => "arvideo",
        }
    }

    /// The ViT that is kept.
    pub(crate) fn encoder(&self) -> &nn::VitConfig {
        match self {
            ModelConfig::Lvmae(cfg) => &cfg.encoder,
            ModelConfig::Arvideo(cfg) => &cfg.encoder,
        }
    }
}

/// Finds a preset by name or file and applies `--set`.
pub(crate) fn load(name: &str, sets: &[String]) -> anyhow::Result<Preset> {
    Ok(Preset::load(name, BUILTIN)?.set(sets)?)
}

/// Presets of one kind.
pub(crate) trait Recipe: DeserializeOwned {
    /// What they are for, in words.
    const FOR: &'static str;
}

impl Recipe for TokenizerPreset {
    const FOR: &'static str = "training a tokenizer";
}

impl Recipe for PretrainPreset {
    const FOR: &'static str = "pre-training";
}

impl Recipe for FinetunePreset {
    const FOR: &'static str = "fine-tuning";
}

/// A preset of one kind, by name or file, with `--set` applied.
///
/// # Errors
/// [`BadInput`] that names what the preset is for, if that is something else.
pub(crate) fn read<T: Recipe>(name: &str, sets: &[String]) -> anyhow::Result<T> {
    typed(name, &load(name, sets)?)
}

/// The resolved preset of a run, typed and as text.
pub(crate) fn resolve<T: Recipe>(run: &RunArgs) -> anyhow::Result<(T, String)> {
    let preset = load(&run.preset, &run.sets)?;
    Ok((typed(&run.preset, &preset)?, preset.to_toml()))
}

/// A preset as one of a kind; its name is for the error.
pub(crate) fn typed<T: Recipe>(name: &str, preset: &Preset) -> anyhow::Result<T> {
    preset.parse().map_err(|err| match use_of(preset) {
        Some(other) if other != T::FOR => {
            BadInput(format!("{name} is a preset for {other}; this command takes one for {}", T::FOR)).into()
        }
        _ => err.into(),
    })
}

/// Whether a preset, right or wrong, is one of fine-tuning: no other has labels.
pub(crate) fn is_for_finetuning(preset: &Preset) -> bool {
    #[derive(Deserialize)]
    struct Learned {
        #[serde(rename = "labels")]
        _labels: IgnoredAny,
    }
    preset.parse::<Learned>().is_ok()
}

fn use_of(preset: &Preset) -> Option<&'static str> {
    fn is<T: Recipe>(preset: &Preset) -> Option<&'static str> {
        preset.parse::<T>().is_ok().then_some(T::FOR)
    }
    is::<TokenizerPreset>(preset).or(is::<PretrainPreset>(preset)).or(is::<FinetunePreset>(preset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::Method;

    #[test]
    fn every_preset_resolves_and_checks() {
        for (name, _) in BUILTIN {
            let preset = load(name, &[]).unwrap();
            if name.starts_with("tokenizer") {
                let preset: TokenizerPreset = preset.parse().unwrap();
                preset.tokenizer.check(preset.clip.check().unwrap().patch()).unwrap();
                preset.augment.check().unwrap();
                preset.train.check().unwrap();
            } else if name.contains("finetune") {
                let preset: FinetunePreset = preset.parse().unwrap();
                preset.clip.check().unwrap();
                preset.augment.check().unwrap();
                preset.model.check().unwrap();
                preset.mix.check().unwrap();
                preset.train.check().unwrap();
            } else {
                let preset: PretrainPreset = preset.parse().unwrap();
                let clip = preset.clip.check().unwrap();
                let augment = preset.augment.check().unwrap();
                preset.train.check().unwrap();
                if Method::check(&preset, &clip).unwrap().needs_tokens().is_some() {
                    augment.expect_in_register().unwrap();
                }
                match preset.model {
                    ModelConfig::Lvmae(cfg) => drop(cfg.check(clip.grid(), clip.patch()).unwrap()),
                    ModelConfig::Arvideo(cfg) => drop(cfg.check(clip.grid(), clip.patch()).unwrap()),
                }
            }
        }
    }

    #[test]
    fn every_preset_opens_with_its_record() {
        for (name, text) in BUILTIN {
            for key in ["# Source:", "# Command:", "# Expected:"] {
                assert!(text.contains(key), "{name} lacks {key:?}");
            }
        }
    }
}
