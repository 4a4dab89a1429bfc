use serde::{Deserialize, Serialize};
use spec::SpecError;
use vector_quantize::QuantizerConfig;

use crate::config::{WINDOW_FRAMES, range_error};

/// The `[tokenizer.loss]` section.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossConfig {
    /// Distance between the reconstruction and the frames.
    pub recon: Recon,
    /// Weight of the same distance between differences of adjacent frames (ours; 0 in the paper).
    pub frame_diff_weight: f64,
    /// Weight of [`vector_quantize::Fsq::spread`] of all tokens' quantized values, which spreads them over the codebook (ours; 0
    /// in the papers). Of each micro-batch by itself. For FSQ only; elsewhere 0.
    pub spread_weight: f64,
    /// Distance between features of a network that was trained on images.
    pub perceptual: PerceptualConfig,
    /// A discriminator, trained beside the tokenizer.
    pub adversarial: AdversarialConfig,
}

/// Distance between reconstruction and frames, on values in `[-1, 1]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recon {
    /// Mean absolute error.
    L1,
    /// Mean squared error (MAGVIT).
    L2,
}

/// Perceptual distance between reconstruction and frames, frame by frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum PerceptualConfig {
    /// None: it needs weights that do not come with this program.
    None {},
    /// LPIPS (Zhang et al., arXiv:1801.03924) on VGG16 from a file of the user's.
    Vgg16 {
        /// The safetensors file: `features.N.weight` and `.bias` by torchvision's names, and `lin0.model.1.weight` to `lin4`
        /// by those of the package lpips, or none of the latter for plain distances of normalised features.
        weights: String,
        /// Weight in the sum. MAGVIT: 0.1, on the logits of a ResNet.
        weight: f64,
        /// Frames of each window that are looked at, evenly spread and others in each step; divides 16. The features of one
        /// frame of 224 pixels take about 130 MB, by count.
        frames: i64,
    },
}

/// The adversarial loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum AdversarialConfig {
    /// None.
    None {},
    /// A discriminator that tells windows from reconstructions.
    Gan(GanConfig),
}

/// The discriminator and what it is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GanConfig {
    /// What both sides minimise.
    pub loss: GanLoss,
    /// Weight of the tokenizer's adversarial term. MAGVIT's 0.1 stands beside a squared error on values in `[0, 1]`, which is
    /// a quarter of that on `[-1, 1]` here: 0.4 is the same balance.
    pub weight: f64,
    /// What this weight is multiplied with from step to step.
    pub adaptive: AdaptiveConfig,
    /// The first step, from 1, in which the discriminator judges and learns; before it neither (VQGAN's rule). MAGVIT: 1.
    pub start_step: u64,
    /// What keeps the discriminator from winning too far.
    pub penalty: PenaltyConfig,
    /// Channels of the first layer (MAGVIT-B: 64).
    pub base_channels: i64,
    /// Channels after each block, as multiples of `base_channels`; each block halves frames, rows and columns (MAGVIT: 2, 4,
    /// 4, 4, 4).
    pub channel_mult: Vec<i64>,
    /// How blocks halve.
    pub downsample: Downsample,
    /// Factor of `train.learning_rate`. MAGVIT: 1.
    pub learning_rate_scale: f64,
    /// Longest gradient of the discriminator, L2 norm; longer ones are scaled down to it. 0 switches clipping off.
    pub clip_grad_norm: f64,
}

/// What discriminator D and tokenizer minimise, on logits of windows x and reconstructions y.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GanLoss {
    /// D: `softplus(-D(x)) + softplus(D(y))`; tokenizer: `softplus(-D(y))` (MAGVIT).
    NonSaturating,
    /// D: `relu(1 - D(x)) + relu(1 + D(y))`; tokenizer: `-D(y)` (VQGAN).
    Hinge,
}

/// A factor of the adversarial term's weight.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum AdaptiveConfig {
    /// 1, in all steps (MAGVIT).
    None {},
    /// VQGAN's (arXiv:2012.09841, equation 7): the length of the reconstruction's gradient at the decoder's last layer by
    /// that of the adversarial term's.
    ///
    /// Lengths are those of the whole step before, 0 in the first, where VQGAN takes each process's part of the step itself:
    /// this way the factor is the same however a step is split.
    LastLayer {
        /// The largest factor (VQGAN: 1e4, MQ-VAE: 1).
        max: f64,
    },
}

/// A penalty of the discriminator.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum PenaltyConfig {
    /// None.
    None {},
    /// R1 (Mescheder et al., arXiv:1801.04406): `||dD(x) / dx||^2` of the frames x, without the factor 1/2.
    R1 {
        /// Weight. MAGVIT's 10 is for frames in `[0, 1]`; the same for `[-1, 1]` is 40.
        weight: f64,
        /// Steps between two of them, whose weight is multiplied with this (StyleGAN2's lazy regularization). MAGVIT: 1.
        every: u64,
    },
    /// LeCAM (Tseng et al., arXiv:2104.03310): `relu(D(x) - a_y)^2 + relu(a_x - D(y))^2` with the running means a of logits.
    Lecam {
        /// Weight. Not published for MAGVIT-v2; the authors of LeCAM take up to 0.3 on images.
        weight: f64,
        /// Decay of the running means, in `0..1` (MAGVIT: 0.999).
        decay: f64,
    },
}

/// How a block of the discriminator halves an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Downsample {
    /// The mean of two (MAGVIT).
    Average,
    /// A blur of four, 1 3 3 1, against aliasing (MAGVIT-v2, StyleGAN2).
    Blur,
}

impl LossConfig {
    /// The first step, from 1, in which the loss has all its terms: the one that takes the most memory.
    pub fn full_from_step(&self) -> u64 {
        match &self.adversarial {
            AdversarialConfig::None {} => 1,
            AdversarialConfig::Gan(gan) => gan.start_step,
        }
    }

    /// Checks every range.
    ///
    /// # Errors
    /// [`SpecError::OutOfRange`] with the first key that does not fit.
    pub(crate) fn check(&self, quantizer: &QuantizerConfig) -> Result<(), SpecError> {
        not_negative("tokenizer.loss.frame_diff_weight", self.frame_diff_weight)?;
        not_negative("tokenizer.loss.spread_weight", self.spread_weight)?;
        if self.spread_weight > 0.0 && !matches!(quantizer, QuantizerConfig::Fsq { .. }) {
            return Err(range_error(
                "tokenizer.loss.spread_weight",
                self.spread_weight,
                "0 for a quantizer other than fsq",
            ));
        }
        if let PerceptualConfig::Vgg16 { weight, frames, .. } = self.perceptual {
            above_zero("tokenizer.loss.perceptual.weight", weight)?;
            if frames < 1 || WINDOW_FRAMES % frames != 0 {
                return Err(range_error("tokenizer.loss.perceptual.frames", frames, "1, 2, 4, 8 or 16"));
            }
        }
        match &self.adversarial {
            AdversarialConfig::None {} => Ok(()),
            AdversarialConfig::Gan(gan) => gan.check(),
        }
    }
}

impl GanConfig {
    fn check(&self) -> Result<(), SpecError> {
        above_zero("tokenizer.loss.adversarial.weight", self.weight)?;
        above_zero("tokenizer.loss.adversarial.learning_rate_scale", self.learning_rate_scale)?;
        not_negative("tokenizer.loss.adversarial.clip_grad_norm", self.clip_grad_norm)?;
        if let AdaptiveConfig::LastLayer { max } = self.adaptive {
            above_zero("tokenizer.loss.adversarial.adaptive.max", max)?;
        }
        if self.start_step < 1 {
            let rule = "at least 1, the first step";
            return Err(range_error("tokenizer.loss.adversarial.start_step", self.start_step, rule));
        }
        for (key, value) in [
            ("tokenizer.loss.adversarial.base_channels", self.base_channels),
            ("tokenizer.loss.adversarial.channel_mult", self.channel_mult.iter().copied().min().unwrap_or(0)),
        ] {
            if !(1..=1 << 12).contains(&value) {
                return Err(range_error(key, value, "between 1 and 4096"));
            }
        }
        match self.penalty {
            PenaltyConfig::None {} => Ok(()),
            PenaltyConfig::R1 { weight, every } => {
                if every < 1 {
                    return Err(range_error("tokenizer.loss.adversarial.penalty.every", every, "at least 1"));
                }
                above_zero("tokenizer.loss.adversarial.penalty.weight", weight)
            }
            PenaltyConfig::Lecam { weight, decay } => {
                if !(0.0..1.0).contains(&decay) {
                    let rule = "from 0 to below 1";
                    return Err(range_error("tokenizer.loss.adversarial.penalty.decay", decay, rule));
                }
                above_zero("tokenizer.loss.adversarial.penalty.weight", weight)
            }
        }
    }
}

fn above_zero(key: &'static str, value: f64) -> Result<(), SpecError> {
    if value > 0.0 && value.is_finite() { Ok(()) } else { Err(range_error(key, value, "above 0")) }
}

fn not_negative(key: &'static str, value: f64) -> Result<(), SpecError> {
    if value >= 0.0 && value.is_finite() { Ok(()) } else { Err(range_error(key, value, "0 or above")) }
}
