use nn::{Recompute, StackConfig, Target, VitConfig};
use serde::{Deserialize, Serialize};
use spec::{Grid, Patch, Purpose, rng_for};

use crate::{ClipMask, DecoderMask, EncoderMask, LvmaeError};

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
    /// Which of those are predicted.
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
        let num_hidden = self.encoder_mask.check(grid)?;
        self.decoder_mask.check(grid, num_hidden)?;
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

    /// The masks of one clip: a pure function of its arguments.
    ///
    /// * `priorities_n` - one per token, higher is more salient; only the adaptive mask needs them
    /// * `seed`, `epoch`, `item` - run seed, epoch and clip number
    ///
    /// # Errors
    /// [`LvmaeError::Priorities`].
    pub fn mask(
        &self,
        priorities_n: Option<&[f32]>,
        (seed, epoch, item): (u64, u64, u64),
    ) -> Result<ClipMask, LvmaeError> {
        let (visible, hidden) =
            self.cfg.encoder_mask.split(self.grid, &mut rng_for(seed, epoch, item, Purpose::EncoderMask));
        let rng = &mut rng_for(seed, epoch, item, Purpose::DecoderMask);
        let decoded = self.cfg.decoder_mask.choose(self.grid, &hidden, priorities_n, rng)?;
        Ok(ClipMask { visible, decoded })
    }
}
