//! The built-in presets as inputs.

use serde::Deserialize;
use spec::{ClipGeometry, ClipSpec, Preset};
use train::TrainConfig;

/// A pre-training preset, read as the program reads it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recipe {
    clip: ClipSpec,
    pub(crate) model: Model,
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
        let set = format!("clip.num_frames={num_frames}");
        let preset = Preset::from_text("preset", preset).and_then(|preset| preset.set(&[set]));
        preset.and_then(|preset| preset.parse()).expect("built-in presets parse, which a unit test holds")
    }

    pub(crate) fn geometry(&self) -> ClipGeometry {
        self.clip.check().expect("the frame counts measured here are whole numbers of cubes")
    }
}
