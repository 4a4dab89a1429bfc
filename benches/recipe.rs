//! The built-in presets as inputs.

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use spec::{ClipGeometry, ClipSpec, Preset};
use tokenizer::TokenizerConfig;
use train::TrainConfig;

/// A pre-training preset, read as the program reads it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recipe {
    clip: ClipSpec,
    /// Steps are measured at one length.
    #[serde(rename = "curriculum")]
    _curriculum: IgnoredAny,
    /// Clips are measured as they are.
    #[serde(rename = "augment")]
    _augment: IgnoredAny,
    pub(crate) model: Model,
    pub(crate) train: TrainConfig,
}

/// A tokenizer preset, likewise.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenizerRecipe {
    pub(crate) clip: ClipSpec,
    #[serde(rename = "augment")]
    _augment: IgnoredAny,
    pub(crate) tokenizer: TokenizerConfig,
    pub(crate) train: TrainConfig,
}

/// The pre-training methods.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Model {
    Lvmae(lvmae::LvmaeConfig),
    Arvideo(arvideo::ArvideoConfig),
}

impl Recipe {
    /// The preset with another number of frames.
    pub(crate) fn new(preset: &str, num_frames: i64) -> Self {
        parse(preset, &[format!("clip.num_frames={num_frames}")])
    }

    pub(crate) fn geometry(&self) -> ClipGeometry {
        self.clip.check().expect("the frame counts measured here are whole numbers of cubes")
    }
}

impl TokenizerRecipe {
    pub(crate) fn new(preset: &str) -> Self {
        parse(preset, &[])
    }
}

fn parse<T: DeserializeOwned>(preset: &str, overrides: &[String]) -> T {
    let preset = Preset::from_text("preset", preset).and_then(|preset| preset.set(overrides));
    preset.and_then(|preset| preset.parse()).expect("built-in presets parse, which a unit test holds")
}
