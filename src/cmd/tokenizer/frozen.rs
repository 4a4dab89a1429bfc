use std::path::Path;

use spec::ClipGeometry;
use tch::Device;
use tch::nn::VarStore;
use tokenizer::{TimeLayout, Tokenizer};

use crate::exit::BadInput;
use crate::presets::TokenizerPreset;

/// A trained tokenizer, its weights fixed.
pub(super) struct Frozen {
    pub(super) model: Tokenizer,
    pub(super) geometry: ClipGeometry,
    /// Hash of the weights.
    pub(super) id: String,
    /// Share of the tokens kept in training.
    pub(super) keep_ratio: f64,
}

impl Frozen {
    /// * `size_px` - side of the frames instead of the preset's: the network is convolutional and takes any
    pub(super) fn load(path: &Path, size_px: Option<i64>, device: Device) -> anyhow::Result<Self> {
        let weights = ::train::weights::load(path, "tokenizer")?;
        let preset = spec::Preset::from_text(&path.display().to_string(), weights.config_toml())?;
        let mut preset: TokenizerPreset = preset.parse()?;
        preset.clip.size_px = size_px.unwrap_or(preset.clip.size_px);
        let geometry = preset.clip.check()?;
        let vs = VarStore::new(device);
        let model = Tokenizer::new(&vs.root(), &preset.tokenizer.check(geometry.patch())?)?;
        weights.copy_into(&vs)?;
        let keep_ratio = preset.tokenizer.top_k.keep.mean();
        Ok(Frozen { model, geometry, id: weights.id().to_owned(), keep_ratio })
    }

    /// Refuses a tokenizer whose tokens are not those of a ViT.
    pub(super) fn expect_pairs(&self, path: &Path) -> anyhow::Result<()> {
        if self.model.time() == TimeLayout::Pairs {
            return Ok(());
        }
        let text = format!(
            "{path:?} was trained with tokenizer.time = \"first_frame\": its first latent frame is one frame, so its tokens \
             are not those of the ViT in pre-training. Encode with a tokenizer trained with tokenizer.time = \"pairs\""
        );
        Err(BadInput(text).into())
    }
}
