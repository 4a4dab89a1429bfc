use serde::{Deserialize, Serialize};
use spec::{Patch, SpecError};
use vector_quantize::Fsq;

use crate::{LossConfig, TokenizerError};

/// Frames of one window: what the tokenizer is trained on, and what it sees at once of a longer clip (paper: 16).
pub const WINDOW_FRAMES: i64 = 16;

/// The `[tokenizer]` section of a preset. Extents are `[frames, rows, columns]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerConfig {
    /// FSQ levels per channel of the latent. The paper says 18 bits; `[8, 8, 8, 8, 8, 8]` is our reading of it.
    pub levels: Vec<i64>,
    /// Channels at `channel_mult` 1 (MAGVIT-B: 64).
    pub base_channels: i64,
    /// Channels per level, as multiples of `base_channels`, from pixels to tokens (MAGVIT: 1, 2, 2, 4).
    pub channel_mult: Vec<i64>,
    /// Cube that the first layer sees as one place, its pixels stacked as channels. `[1, 1, 1]` is MAGVIT's; larger ones
    /// leave out the levels at full resolution, which take nearly all of the time (ours).
    pub stem_patch: [i64; 3],
    /// Down-sampling between two levels, one entry fewer than `channel_mult`. Their product times `stem_patch` is the patch.
    pub strides: Vec<[i64; 3]>,
    /// Residual blocks per level (MAGVIT-B: 2).
    pub res_blocks: i64,
    /// Groups of the group normalization; divides the channels of every level. Not published; ours.
    pub norm_groups: i64,
    /// The token scorer.
    pub scorer: ScorerConfig,
    /// Which tokens are kept in training.
    pub top_k: TopKConfig,
    /// What training minimises.
    pub loss: LossConfig,
}

/// The `[tokenizer.scorer]` section: two convolutions whose output grid is the token grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScorerConfig {
    /// Channels of both layers. Not published; our default is 16.
    pub channels: i64,
    /// Strides of the two layers; their product is the patch.
    pub strides: [[i64; 3]; 2],
}

/// The `[tokenizer.top_k]` section.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopKConfig {
    /// Share of the tokens after the first latent frame that is kept, in `(0, 1]`; the first is kept whole. The paper keeps
    /// 768 of 1568 tokens and does not say whether the first frame counts: 0.42 here if it does, 0.56 if not.
    pub keep_ratio: f64,
    /// Width of the sigmoid that carries the gradient, in standard deviations of the window's scores. Not published; ours.
    pub temperature: f64,
}

/// A [`TokenizerConfig`] whose parts fit each other and the patch.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedTokenizer {
    config: TokenizerConfig,
    patch: Patch,
    fsq: Fsq,
}

impl TokenizerConfig {
    /// Checks the section against the clip's patch.
    ///
    /// # Errors
    /// [`TokenizerError::Strides`] when encoder or scorer would not end on the token grid; [`TokenizerError::Vq`] for
    /// impossible levels; [`TokenizerError::Spec`] for a number out of range.
    pub fn check(&self, patch: Patch) -> Result<CheckedTokenizer, TokenizerError> {
        self.check_numbers()?;
        if WINDOW_FRAMES % patch.t != 0 || patch.t == WINDOW_FRAMES {
            return Err(out_of_range("clip.patch[0]", patch.t, "1, 2, 4 or 8, to divide a window of 16 frames"));
        }
        let encoder = self.strides.iter().fold(self.stem_patch, times);
        expect_patch("tokenizer.stem_patch and tokenizer.strides", encoder, patch)?;
        let [first, second] = self.scorer.strides;
        expect_patch("tokenizer.scorer.strides", times(first, &second), patch)?;
        let fsq = Fsq::new(&self.levels)?;
        Ok(CheckedTokenizer { config: self.clone(), patch, fsq })
    }

    fn check_numbers(&self) -> Result<(), SpecError> {
        let top_k = &self.top_k;
        let counts = [
            ("tokenizer.base_channels", self.base_channels),
            ("tokenizer.channel_mult", self.channel_mult.iter().copied().min().unwrap_or(0)),
            ("tokenizer.stem_patch", self.stem_patch.into_iter().min().unwrap_or(0)),
            ("tokenizer.strides", self.strides.iter().flatten().copied().min().unwrap_or(1)),
            ("tokenizer.res_blocks", self.res_blocks),
            ("tokenizer.norm_groups", self.norm_groups),
            ("tokenizer.scorer.channels", self.scorer.channels),
            ("tokenizer.scorer.strides", self.scorer.strides.iter().flatten().copied().min().unwrap_or(0)),
        ];
        if let Some((key, value)) = counts.into_iter().find(|(_, value)| !(1..=1 << 12).contains(value)) {
            return Err(range_error(key, value, "between 1 and 4096"));
        }
        if self.strides.len() + 1 != self.channel_mult.len() {
            let rule = "one entry fewer than tokenizer.channel_mult";
            return Err(range_error("tokenizer.strides", format!("{:?}", self.strides), rule));
        }
        if self.channel_mult.iter().any(|mult| self.base_channels * mult % self.norm_groups != 0) {
            let rule = "a divisor of base_channels times each channel_mult";
            return Err(range_error("tokenizer.norm_groups", self.norm_groups, rule));
        }
        if !(top_k.keep_ratio > 0.0 && top_k.keep_ratio <= 1.0) {
            return Err(range_error("tokenizer.top_k.keep_ratio", top_k.keep_ratio, "above 0 and at most 1"));
        }
        if !(top_k.temperature > 0.0 && top_k.temperature.is_finite()) {
            return Err(range_error("tokenizer.top_k.temperature", top_k.temperature, "above 0"));
        }
        self.loss.check()
    }
}

impl CheckedTokenizer {
    /// The settings as written.
    pub fn config(&self) -> &TokenizerConfig {
        &self.config
    }

    /// The cube under one token.
    pub fn patch(&self) -> Patch {
        self.patch
    }

    /// The quantizer.
    pub fn fsq(&self) -> &Fsq {
        &self.fsq
    }

    /// Channels of each level, from pixels to tokens.
    pub fn channels(&self) -> Vec<i64> {
        self.config.channel_mult.iter().map(|mult| mult * self.config.base_channels).collect()
    }

    /// Latent frames per window.
    pub fn latent_frames(&self) -> i64 {
        WINDOW_FRAMES / self.patch.t
    }
}

fn times(a: [i64; 3], b: &[i64; 3]) -> [i64; 3] {
    [a[0] * b[0], a[1] * b[1], a[2] * b[2]]
}

fn expect_patch(keys: &'static str, product: [i64; 3], patch: Patch) -> Result<(), TokenizerError> {
    let patch = [patch.t, patch.h, patch.w];
    if product == patch { Ok(()) } else { Err(TokenizerError::Strides { keys, product, patch }) }
}

pub(crate) fn range_error(key: &'static str, value: impl ToString, rule: &'static str) -> SpecError {
    SpecError::OutOfRange { key, value: value.to_string(), rule }
}

fn out_of_range(key: &'static str, value: impl ToString, rule: &'static str) -> TokenizerError {
    TokenizerError::Spec(range_error(key, value, rule))
}
