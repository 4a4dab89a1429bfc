use std::path::Path;

use spec::ClipGeometry;
use tch::Device;
use tch::nn::VarStore;
use tokenizer::{TimeLayout, Tokenizer};
use video::{ClipStore, Codebook, EncodedCrop, EncodedLayout, LongVideos, Shard, TokenHeader};

use crate::presets::TokenizerPreset;
use crate::quantizer;

/// A trained tokenizer, its weights fixed.
pub(super) struct Frozen {
    pub(super) model: Tokenizer,
    pub(super) geometry: ClipGeometry,
    /// Share of the tokens kept in training.
    pub(super) keep_ratio: f64,
    /// Hash of the weights.
    pub(super) id: String,
    /// The preset it was trained by.
    config_toml: String,
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
        let (id, config_toml) = (weights.id().to_owned(), weights.config_toml().to_owned());
        Ok(Frozen { model, geometry, keep_ratio, id, config_toml })
    }

    /// What its tokens of a part of a clip store are made from.
    pub(super) fn header(&self, store: &ClipStore, shard: Shard) -> anyhow::Result<TokenHeader> {
        let patch = self.geometry.patch();
        Ok(TokenHeader {
            tokenizer_id: self.id.clone(),
            tokenizer_toml: self.config_toml.clone(),
            clip_store_id: store.id().to_owned(),
            shard,
            patch: [patch.t, patch.h, patch.w],
            quantizer: quantizer::to_json(self.model.quantizer_config())?,
            codebook_size: self.model.codebook_size() as u64,
            size_px: self.geometry.size_px(),
            crop: EncodedCrop::CentreSquare,
            sampling: self.geometry.sampling(),
            num_frames: self.geometry.num_frames(),
            short: self.geometry.short(),
            time_layout: match self.model.time() {
                TimeLayout::Pairs => EncodedLayout::Pairs,
                TimeLayout::FirstFrame => EncodedLayout::FirstFrame,
            },
            long_videos: LongVideos::Windows,
        })
    }

    /// Values of the codes, where the quantizer has learned them.
    pub(super) fn codebook(&self) -> anyhow::Result<Option<Codebook>> {
        quantizer::codebook(self.model.quantizer())
    }
}
