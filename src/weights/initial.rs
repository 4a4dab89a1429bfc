use std::path::Path;

use anyhow::Context as _;
use tch::nn::VarStore;
use train::weights::Weights;

use super::grid::on_clip;
use crate::cli::RunArgs;
use crate::exit::BadInput;
use crate::presets::{self, PretrainPreset};

/// Weights that pre-training begins with: an encoder, or a whole model.
#[derive(Debug)]
pub(crate) struct Initial {
    weights: Weights,
    kind: &'static str,
    preset: PretrainPreset,
}

impl Initial {
    /// Reads `encoder.safetensors`, or a whole model as `weights import --part model` writes it.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let kind = match train::weights::kind(path).as_deref() {
            Some("pretraining") => "pretraining",
            _ => "encoder",
        };
        let weights = train::weights::load(path, kind)?;
        let preset = spec::Preset::from_text(&path.display().to_string(), weights.config_toml())?.parse()?;
        Ok(Initial { weights, kind, preset })
    }

    /// Hash of the weights.
    pub(crate) fn id(&self) -> &str {
        self.weights.id()
    }

    /// The preset of a run that begins with these weights: on another grid than they learned from with their position
    /// codes.
    ///
    /// # Errors
    /// [`BadInput`] when the encoder is cut into other cubes.
    pub(crate) fn resolve(&self, run: &RunArgs) -> anyhow::Result<(PretrainPreset, String)> {
        let preset: PretrainPreset = presets::load(&run.preset, &run.sets)?.parse()?;
        let (learned, now) = (self.preset.clip.check()?, preset.clip.check()?);
        if learned.patch() != now.patch() {
            return Err(BadInput(format!(
                "the initial weights read cubes of {:?}, this preset {:?}; --set clip.patch to theirs",
                self.preset.clip.patch, preset.clip.patch
            ))
            .into());
        }
        let position = toml::Value::try_from(on_clip(self.preset.model.encoder().position, &learned, &now))
            .context("position codes as TOML")?;
        let preset = presets::load(&run.preset, &run.sets)?.set(&[format!("model.encoder.position={position}")])?;
        Ok((preset.parse()?, preset.to_toml()))
    }

    /// Sets the encoder's variables, or all, of a model.
    ///
    /// # Errors
    /// [`train::TrainError`] when names or shapes differ.
    pub(crate) fn copy_into(&self, vs: &VarStore) -> Result<(), train::TrainError> {
        match self.kind {
            "pretraining" => self.weights.copy_into(vs),
            _ => self.weights.copy_into_part(vs, "encoder."),
        }
    }
}
