use nn::{Recompute, StackConfig, Target, VitConfig};
use serde::{Deserialize, Serialize};
use spec::{Grid, Patch, Purpose, rng_for};

use crate::mask::{self, Extent};
use crate::{ClipMask, Cue, Cues, DecoderMask, EncoderMask, LvmaeError};

/// A masked autoencoder: the `[model]` section of a preset with `kind = "lvmae"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LvmaeConfig {
    /// The ViT that is kept.
    pub encoder: VitConfig,
    /// The decoder, discarded after pre-training. 4 blocks in the paper; width not published, VideoMAE's is our default.
    pub decoder: StackConfig,
    /// Which tokens the encoder does not see.
    pub encoder_mask: EncoderMask,
    /// Where the decoder is asked.
    pub decoder_mask: DecoderMask,
    /// What is predicted: codes in LVMAE (equation 2), pixels in VideoMAE and, normalised together, in the MAE of images.
    pub target: Target,
}

/// A checked [`LvmaeConfig`] on a grid: every count is known and possible.
#[derive(Clone, Debug)]
pub struct CheckedLvmae {
    cfg: LvmaeConfig,
    grid: Grid,
    patch: Patch,
}

impl LvmaeConfig {
    /// Checks the networks and that the shares leave something to see and enough to predict.
    ///
    /// # Errors
    /// [`LvmaeError::Share`], [`LvmaeError::Nn`].
    pub fn check(&self, grid: Grid, patch: Patch) -> Result<CheckedLvmae, LvmaeError> {
        self.encoder.check()?;
        self.decoder.check()?;
        self.encoder_mask.check(grid)?;
        self.decoder_mask.check(grid, self.encoder_mask.num_visible(grid))?;
        Ok(CheckedLvmae { cfg: self.clone(), grid, patch })
    }
}

impl CheckedLvmae {
    /// The settings as written.
    pub fn config(&self) -> &LvmaeConfig {
        &self.cfg
    }

    /// Tokens on each axis.
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// The cube under one token.
    pub fn patch(&self) -> Patch {
        self.patch
    }

    /// The decoder keeps activations as the encoder does.
    pub(crate) fn recompute(&self) -> Recompute {
        self.cfg.encoder.recompute
    }

    /// Tokens that the encoder sees of each clip.
    pub fn num_visible(&self) -> i64 {
        self.cfg.encoder_mask.num_visible(self.grid)
    }

    /// Tokens at which the decoder is asked in each clip: those that it predicts, and [`ClipMask::unscored`].
    pub fn num_asked(&self) -> i64 {
        self.cfg.decoder_mask.num_asked(self.grid, self.num_visible())
    }

    /// Whether one of the masks looks at a cue: [`CheckedLvmae::mask`] fails without it.
    pub fn needs(&self, cue: Cue) -> bool {
        [self.cfg.encoder_mask.cue(), self.cfg.decoder_mask.cue()].contains(&Some(cue))
    }

    /// A cue as one value per token, for pictures: priorities, motion, or the length of the flow.
    ///
    /// # Errors
    /// [`LvmaeError::Cue`], [`LvmaeError::Cell`].
    pub fn cue_n(&self, cue: Cue, cues: &Cues) -> Result<Vec<f32>, LvmaeError> {
        mask::cue_n(cue, cues, Extent { grid: self.grid, patch: self.patch })
    }

    /// The masks of one clip: a pure function of its arguments.
    ///
    /// * `cues` - what the masks look at, as [`CheckedLvmae::needs`] tells; others are not read
    /// * `seed`, `epoch`, `item` - run seed, epoch and clip number
    ///
    /// # Errors
    /// [`LvmaeError::Cue`], [`LvmaeError::Cell`].
    pub fn mask(&self, cues: &Cues, (seed, epoch, item): (u64, u64, u64)) -> Result<ClipMask, LvmaeError> {
        let extent = Extent { grid: self.grid, patch: self.patch };
        let rng = |purpose| rng_for(seed, epoch, item, purpose);
        let visible = self.cfg.encoder_mask.visible(extent, cues, &mut rng(Purpose::EncoderMask))?;
        let hidden = mask::others(self.grid.num_tokens(), &visible);
        let asked = self.cfg.decoder_mask.asked(extent, hidden, cues, &mut rng(Purpose::DecoderMask))?;
        Ok(ClipMask::new(visible, asked))
    }
}
