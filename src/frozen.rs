//! A trained tokenizer as commands use it.

use std::path::Path;

use spec::{ClipGeometry, Patch};
use tch::nn::VarStore;
use tch::{Device, Tensor};
use tokenizer::{LongVideo, TimeLayout, Tokenizer, Tokens, WINDOW_FRAMES};
use video::{ClipStore, Codebook, EncodedCrop, EncodedLayout, LongVideos, Shard, TokenHeader};

use crate::exit::BadInput;
use crate::presets::TokenizerPreset;
use crate::quantizer;
use crate::weights::in_folder;

/// File of a run folder.
pub(crate) const TOKENIZER: &str = "tokenizer.safetensors";

/// What the clips of a tokenizer's own preset are not: the network is convolutional and sees windows, so it takes any.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ClipSize {
    /// Side of the frames, pixels.
    pub(crate) size_px: Option<i64>,
    /// Frames of a clip.
    pub(crate) num_frames: Option<i64>,
}

/// A trained tokenizer, its weights fixed.
#[derive(Debug)]
pub(crate) struct Frozen {
    pub(crate) model: Tokenizer,
    pub(crate) geometry: ClipGeometry,
    /// Share of the tokens kept in training.
    pub(crate) keep_ratio: f64,
    /// Hash of the weights.
    pub(crate) id: String,
    /// The preset it was trained by.
    config_toml: String,
}

impl Frozen {
    /// As it was trained.
    ///
    /// * `path` - a run folder, or the file of weights in it
    pub(crate) fn load(path: &Path, device: Device) -> anyhow::Result<Self> {
        Self::load_for(path, ClipSize::default(), device)
    }

    /// For clips of another size than those that it was trained for.
    pub(crate) fn load_for(path: &Path, size: ClipSize, device: Device) -> anyhow::Result<Self> {
        let path = &in_folder(path, TOKENIZER);
        let weights = ::train::weights::load(path, "tokenizer")?;
        let preset = spec::Preset::from_text(&path.display().to_string(), weights.config_toml())?;
        let mut preset: TokenizerPreset = preset.parse()?;
        preset.clip.size_px = size.size_px.unwrap_or(preset.clip.size_px);
        preset.clip.num_frames = size.num_frames.unwrap_or(preset.clip.num_frames);
        let geometry = preset.clip.check()?;
        let vs = VarStore::new(device);
        let model = Tokenizer::new(&vs.root(), &preset.tokenizer.check(geometry.patch())?)?;
        weights.copy_into(&vs)?;
        let keep_ratio = preset.tokenizer.top_k.keep.mean();
        let (id, config_toml) = (weights.id().to_owned(), weights.config_toml().to_owned());
        Ok(Frozen { model, geometry, keep_ratio, id, config_toml })
    }

    /// For the clips of a pre-training preset, whose cubes must be its own.
    ///
    /// # Errors
    /// [`BadInput`] for other cubes, or a first frame that stands alone.
    pub(crate) fn load_for_clips(path: &Path, clips: &ClipGeometry, device: Device) -> anyhow::Result<Self> {
        let size = ClipSize { size_px: Some(clips.size_px()), num_frames: Some(clips.num_frames()) };
        let frozen = Self::load_for(path, size, device)?;
        frozen.expect_pairs(path)?;
        let (own, wanted) = (frozen.geometry.patch(), clips.patch());
        if own != wanted {
            let cube = |patch: Patch| [patch.t, patch.h, patch.w];
            let said = format!(
                "{path:?} was trained with clip.patch = {:?}, but this preset has {:?}: a token must be the same cube in both",
                cube(own),
                cube(wanted)
            );
            return Err(BadInput(said).into());
        }
        Ok(frozen)
    }

    /// Checks that its tokens can be those of a ViT: the latent frames of one all stand for equally many frames, which
    /// MAGVIT-v2's first one does not.
    ///
    /// * `path` - where it was loaded from
    ///
    /// # Errors
    /// [`BadInput`].
    pub(crate) fn expect_pairs(&self, path: &Path) -> Result<(), BadInput> {
        match self.model.time() {
            TimeLayout::Pairs => Ok(()),
            TimeLayout::FirstFrame => Err(BadInput(format!(
                "{path:?} was trained with tokenizer.time = \"first_frame\": its first latent frame is one frame, so its \
                 tokens are not those of the ViT in pre-training. Take a tokenizer trained with tokenizer.time = \"pairs\""
            ))),
        }
    }

    /// Codes, latents and priorities of clips, windows of 16 frames side by side, with no gradient and the memory of a few
    /// windows. A clip that ends within a window is led on by its last frame; as nothing looks ahead, this changes no token
    /// of its own.
    ///
    /// * `clip_bthwc` - `[B, T, H, W, 3]` u8, whole latent frames
    ///
    /// # Errors
    /// Whatever the networks fail with.
    pub(crate) fn tokens(&self, clip_bthwc: &Tensor) -> anyhow::Result<Tokens> {
        let [b, t, h, w, _] = clip_bthwc.size()[..] else { anyhow::bail!("a batch of clips has five axes") };
        let missing = (WINDOW_FRAMES - t % WINDOW_FRAMES) % WINDOW_FRAMES;
        if missing == 0 {
            return Ok(self.model.encode_clip(clip_bthwc, LongVideo::Windows)?);
        }
        let held = clip_bthwc.f_narrow(1, t - 1, 1)?.f_expand([b, missing, h, w, 3], false)?;
        let Tokens { codes, latents, priorities } =
            self.model.encode_clip(&Tensor::f_cat(&[clip_bthwc, &held], 1)?, LongVideo::Windows)?;
        let patch = self.geometry.patch();
        let num_tokens = (t / patch.t) * (h / patch.h) * (w / patch.w);
        let own = |tokens: Tensor| tokens.f_narrow(1, 0, num_tokens);
        Ok(Tokens { codes: own(codes)?, latents: own(latents)?, priorities: own(priorities)? })
    }

    /// What its tokens of a part of a clip store are made from.
    pub(crate) fn header(&self, store: &ClipStore, shard: Shard) -> anyhow::Result<TokenHeader> {
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
    pub(crate) fn codebook(&self) -> anyhow::Result<Option<Codebook>> {
        quantizer::codebook(self.model.quantizer())
    }
}
