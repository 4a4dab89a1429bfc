use std::path::{Path, PathBuf};

use anyhow::Context as _;
use nn::Position;
use spec::{ClipGeometry, ClipSpec};
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
    /// Reads `encoder.safetensors`, also in a run folder, or a whole model as `weights import --part model` writes it.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let path = &in_folder(path, "encoder.safetensors");
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
        let preset: PretrainPreset = presets::read(&run.preset, &run.sets)?;
        let (learned, now) = (self.expect_cubes_of(&preset.clip)?, preset.clip.check()?);
        let position = position_toml(self.preset.model.encoder().position, &learned, &now)?;
        let preset = presets::load(&run.preset, &run.sets)?.set(&[format!("model.encoder.position={position}")])?;
        Ok((presets::typed(&run.preset, &preset)?, preset.to_toml()))
    }

    /// The method that trained the encoder.
    pub(crate) fn method(&self) -> &'static str {
        self.preset.model.kind()
    }

    /// What of `[model.encoder]` in a fine-tuning preset follows from these weights, to be set there: the network's shape, and
    /// the position codes that it learned, on the clips of `now`.
    ///
    /// # Errors
    /// [`BadInput`] when the encoder is cut into other cubes.
    pub(crate) fn encoder_sets(&self, now: &ClipSpec) -> anyhow::Result<Vec<String>> {
        let encoder = self.preset.model.encoder();
        let (learned, now) = (self.expect_cubes_of(now)?, now.check()?);
        let position = position_toml(encoder.position, &learned, &now)?;
        let shape = [("width", encoder.width), ("depth", encoder.depth), ("heads", encoder.heads)];
        let mut sets: Vec<String> = shape.iter().map(|(key, value)| format!("model.encoder.{key}={value}")).collect();
        sets.push(format!("model.encoder.position={position}"));
        Ok(sets)
    }

    /// Sets the encoder's variables of a model, which may do without the encoder's last norm.
    ///
    /// # Errors
    /// [`train::TrainError`] when names or shapes differ.
    pub(crate) fn copy_encoder_into(self, vs: &VarStore) -> Result<(), train::TrainError> {
        let wanted = train::named(vs);
        let has_place = |name: &str| wanted.contains_key(name) || !name.starts_with("encoder.norm.");
        self.weights.retain(|name| name.starts_with("encoder.") && has_place(name)).copy_into_part(vs, "encoder.")
    }

    /// The clips that these weights learned from, after a check that they are cut into the same cubes.
    fn expect_cubes_of(&self, now: &ClipSpec) -> anyhow::Result<ClipGeometry> {
        let learned = self.preset.clip.check()?;
        if self.preset.clip.patch == now.patch {
            return Ok(learned);
        }
        Err(BadInput(format!(
            "the initial weights read cubes of {:?}, this preset {:?}; --set clip.patch to theirs",
            self.preset.clip.patch, now.patch
        ))
        .into())
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

/// Position codes on other clips than they were learned on, as a preset writes them.
fn position_toml(position: Position, learned: &ClipGeometry, now: &ClipGeometry) -> anyhow::Result<toml::Value> {
    toml::Value::try_from(on_clip(position, learned, now)).context("position codes as TOML")
}

/// The file of that name where `path` is a run folder; else `path` itself.
pub(crate) fn in_folder(path: &Path, name: &str) -> PathBuf {
    if path.is_dir() { path.join(name) } else { path.to_owned() }
}
