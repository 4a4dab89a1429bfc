use serde::{Deserialize, Serialize};
use spec::{Patch, SpecError};
use vector_quantize::{CheckedQuantizer, QuantizerConfig};

use crate::{LossConfig, TimeLayout, TokenizerError};

/// Frames of one window under [`TimeLayout::Pairs`]: what the tokenizer is trained on, and what it sees at once of a longer
/// clip (paper: 16).
pub const WINDOW_FRAMES: i64 = 16;

/// The `[tokenizer]` section of a preset. Extents are `[frames, rows, columns]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerConfig {
    /// How frames become latent frames (LVMAE: `pairs`; MAGVIT-v2: `first_frame`).
    pub time: TimeLayout,
    /// What turns latents into codes. The paper has FSQ of 18 bits; levels `[8, 8, 8, 8, 8, 8]` are our reading of it.
    pub quantizer: QuantizerConfig,
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

/// The `[tokenizer.scorer]` section: what gives each token its score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ScorerConfig {
    /// How far a token moved since the latent frame before, in the feature space of two convolutions on pixels whose output
    /// grid is the token grid (LVMAE 3.3).
    Adjacent {
        /// Channels of both layers. Not published; our default is 16.
        channels: i64,
        /// Strides of the two layers; their product is the patch.
        strides: [[i64; 3]; 2],
    },
    /// What a small network makes of a token's latent and those around it, in `0..1` (MQ-VAE, CVPR 2023).
    Importance {
        /// Channels of its hidden layer. MQ-VAE takes the latent's own, which quantization here leaves few of.
        channels: i64,
    },
}

/// The `[tokenizer.top_k]` section.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopKConfig {
    /// Share of the tokens after the first latent frame that training keeps; the first is kept whole.
    pub keep: KeepShare,
    /// How the choice hands a gradient to the scores. The paper says "differentiable top-k" and names no method.
    pub gradient: TopKGradient,
}

/// How many tokens after the first latent frame training keeps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum KeepShare {
    /// The same share of every window. The paper keeps 768 of 1568 tokens and does not say whether the first latent frame
    /// counts: 0.42 here if it does, 0.56 if not.
    Fixed {
        /// In `(0, 1]`.
        share: f64,
    },
    /// A share drawn evenly for each window (ours): one tokenizer then draws from any budget between, all tokens included.
    Drawn {
        /// The smallest, in `[0, 1)`.
        min: f64,
        /// The largest, above `min` and at most 1.
        max: f64,
    },
}

/// How a top-k choice hands a gradient to the scores.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum TopKGradient {
    /// That of a sigmoid around the threshold; forward the mask is hard.
    StraightThrough {
        /// Width of the sigmoid, in standard deviations of the window's scores. Not published; our default is 0.5.
        temperature: f64,
    },
    /// Perturbed top-k (Berthet et al. 2020, Cordonnier et al. 2021): the mean choice under noise, and its exact derivative.
    /// Forward the mask is soft in training and hard afterwards.
    Perturbed {
        /// Draws of noise; their default is 500.
        samples: i64,
        /// Standard deviation of the noise on scores that span `[0, 1]`; their default is 0.05.
        sigma: f64,
    },
    /// Kept tokens are multiplied by their score (MQ-VAE): only they hand a gradient on. For scores in `0..1`, that is a
    /// scorer of kind "importance".
    Product {},
}

/// A [`TokenizerConfig`] whose parts fit each other and the patch.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedTokenizer {
    config: TokenizerConfig,
    patch: Patch,
    quantizer: CheckedQuantizer,
}

impl TokenizerConfig {
    /// Checks the section against the clip's patch.
    ///
    /// # Errors
    /// [`TokenizerError::Strides`] when encoder or scorer would not end on the token grid; [`TokenizerError::Vq`] for
    /// an impossible quantizer; [`TokenizerError::Spec`] for a number out of range.
    pub fn check(&self, patch: Patch) -> Result<CheckedTokenizer, TokenizerError> {
        self.check_numbers()?;
        if WINDOW_FRAMES % patch.t != 0 || patch.t == WINDOW_FRAMES {
            return Err(out_of_range("clip.patch[0]", patch.t, "1, 2, 4 or 8, to divide a window of 16 frames"));
        }
        let encoder = self.strides.iter().fold(self.stem_patch, times);
        expect_patch("tokenizer.stem_patch and tokenizer.strides", encoder, patch)?;
        if let ScorerConfig::Adjacent { strides: [first, second], .. } = self.scorer {
            expect_patch("tokenizer.scorer.strides", times(first, &second), patch)?;
        }
        let quantizer = self.quantizer.check()?;
        Ok(CheckedTokenizer { config: self.clone(), patch, quantizer })
    }

    fn check_numbers(&self) -> Result<(), SpecError> {
        let counts = [
            ("tokenizer.base_channels", self.base_channels),
            ("tokenizer.channel_mult", self.channel_mult.iter().copied().min().unwrap_or(0)),
            ("tokenizer.stem_patch", self.stem_patch.into_iter().min().unwrap_or(0)),
            ("tokenizer.strides", self.strides.iter().flatten().copied().min().unwrap_or(1)),
            ("tokenizer.res_blocks", self.res_blocks),
            ("tokenizer.norm_groups", self.norm_groups),
            ("tokenizer.scorer.channels", self.scorer.channels()),
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
        self.top_k.check(&self.scorer)?;
        self.loss.check(&self.quantizer)
    }
}

impl ScorerConfig {
    fn channels(&self) -> i64 {
        match *self {
            ScorerConfig::Adjacent { channels, .. } | ScorerConfig::Importance { channels } => channels,
        }
    }
}

impl KeepShare {
    /// The share kept on average, for pictures of what training sees.
    pub fn mean(self) -> f64 {
        match self {
            KeepShare::Fixed { share } => share,
            KeepShare::Drawn { min, max } => (min + max) / 2.0,
        }
    }
}

impl TopKConfig {
    fn check(&self, scorer: &ScorerConfig) -> Result<(), SpecError> {
        match self.keep {
            KeepShare::Fixed { share } if !(share > 0.0 && share <= 1.0) => {
                return Err(range_error("tokenizer.top_k.keep.share", share, "above 0 and at most 1"));
            }
            KeepShare::Drawn { min, max } if !(0.0 <= min && min < max && max <= 1.0) => {
                let rule = "two shares in 0..=1, the first below the second";
                return Err(range_error("tokenizer.top_k.keep", format!("{min} to {max}"), rule));
            }
            KeepShare::Fixed { .. } | KeepShare::Drawn { .. } => {}
        }
        let above_0 = |value: f64| value > 0.0 && value.is_finite();
        match (self.gradient, scorer) {
            (TopKGradient::StraightThrough { temperature }, _) if !above_0(temperature) => {
                Err(range_error("tokenizer.top_k.gradient.temperature", temperature, "above 0"))
            }
            (TopKGradient::Perturbed { sigma, .. }, _) if !above_0(sigma) => {
                Err(range_error("tokenizer.top_k.gradient.sigma", sigma, "above 0"))
            }
            (TopKGradient::Perturbed { samples, .. }, _) if !(1..=1 << 16).contains(&samples) => {
                Err(range_error("tokenizer.top_k.gradient.samples", samples, "between 1 and 65536"))
            }
            (TopKGradient::Product {}, ScorerConfig::Adjacent { .. }) => {
                let rule = "\"straight_through\" or \"perturbed\": a product needs scores in 0..1, which a scorer of kind \
                            \"importance\" gives";
                Err(range_error("tokenizer.top_k.gradient.kind", "product", rule))
            }
            _ => Ok(()),
        }
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
    pub fn quantizer(&self) -> &CheckedQuantizer {
        &self.quantizer
    }

    /// Channels of each level, from pixels to tokens.
    pub fn channels(&self) -> Vec<i64> {
        self.config.channel_mult.iter().map(|mult| mult * self.config.base_channels).collect()
    }

    /// Frames per window.
    pub fn window_frames(&self) -> i64 {
        self.config.time.window_frames()
    }

    /// Latent frames per window.
    pub fn latent_frames(&self) -> i64 {
        (self.window_frames() + self.config.time.lead_frames(self.patch)) / self.patch.t
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
