use serde::{Deserialize, Serialize};

use crate::codes::MAX_CODES;
use crate::{Bound, Fsq, Gradient, VqError};

/// Which quantizer, as written in a preset: `kind = "fsq"` and so on. No setting has a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum QuantizerConfig {
    /// Finite scalar quantization, [`Fsq`].
    Fsq {
        /// Number of levels per channel, `2..=1000` each.
        levels: Vec<i64>,
        /// How a channel is squashed before it is rounded.
        bound: Bound,
    },
    /// Lookup-free quantization, [`crate::Lfq`].
    Lfq(LfqConfig),
    /// A learned codebook, [`crate::Vq`].
    Vq(VqConfig),
    /// Several quantizers in turn, each of what the ones before it left over: [`crate::Residual`].
    Residual {
        /// How many, at least 2.
        stages: i64,
        /// What each of them is; not itself a residual. An FSQ must have the symmetric bound.
        of: Box<QuantizerConfig>,
    },
}

/// Settings of [`crate::Lfq`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LfqConfig {
    /// Number of channels D, `1..=32`; there are 2^D codes. MAGVIT-v2: 18.
    pub bits: i64,
    /// Weight of the entropy loss, 0 or more. Not published; our default is 0.1, that of vector-quantize-pytorch.
    pub entropy_weight: f64,
    /// Weight of the batch's entropy within the entropy loss, gamma in vector-quantize-pytorch, 0 or more. MAGVIT-v2's
    /// equation has 1.
    pub diversity: f64,
    /// Inverse temperature of the soft bits that entropies are taken of, above 0. Not published; our default is 100, that
    /// of vector-quantize-pytorch.
    pub inv_temperature: f64,
    /// How many neighbouring bits are counted together for the batch's entropy, `1..=12`; 1 takes all bits for
    /// independent, `bits` is exact. Memory grows with 2^group_bits per vector. Not published; our default is 1.
    pub group_bits: i64,
    /// Weight of the commitment loss, 0 or more. MAGVIT-v2's code gives it no value; our default is 0.25.
    pub commitment_weight: f64,
}

/// Settings of [`crate::Vq`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VqConfig {
    /// Number of codes K, `2..=2^24`.
    pub codes: i64,
    /// Number of channels D.
    pub width: i64,
    /// Share of the moving averages that an update keeps, in `0..1`. MQ-VAE: 0.99; vector-quantize-pytorch: 0.8.
    pub decay: f64,
    /// Weight of the commitment loss, 0 or more. VQ-VAE: 0.25; vector-quantize-pytorch: 1.
    pub commitment_weight: f64,
    /// A code whose moving average of vectors per update is below this is dead and takes a vector of the batch instead, 0
    /// for never. MQ-VAE: 1.
    pub dead_below: f64,
    /// How the gradient passes the choice of the nearest code.
    pub gradient: Gradient,
    /// Rounds of k-means at the start. vector-quantize-pytorch: 10.
    pub kmeans_iterations: i64,
}

/// A [`QuantizerConfig`] that passed [`QuantizerConfig::check`].
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedQuantizer {
    config: QuantizerConfig,
    num_channels: i64,
    codebook_size: i64,
}

impl QuantizerConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// [`VqError::NoLevels`], [`VqError::Levels`], [`VqError::Setting`], [`VqError::TooManyCodes`] above 2^32 codes in all;
    /// [`VqError::Residual`] for a residual of residuals, or of FSQ with a bound that is not symmetric.
    pub fn check(&self) -> Result<CheckedQuantizer, VqError> {
        let (num_channels, codebook_size) = match self {
            QuantizerConfig::Fsq { levels, bound } => {
                let fsq = Fsq::with_bound(levels, *bound)?;
                (fsq.num_channels(), fsq.codebook_size())
            }
            QuantizerConfig::Lfq(lfq) => {
                lfq.check()?;
                (lfq.bits, 1 << lfq.bits)
            }
            QuantizerConfig::Vq(vq) => {
                vq.check()?;
                (vq.width, vq.codes)
            }
            QuantizerConfig::Residual { stages, of } => check_residual(*stages, of)?,
        };
        Ok(CheckedQuantizer { config: self.clone(), num_channels, codebook_size })
    }
}

/// Width and number of codes of a residual quantizer.
fn check_residual(stages: i64, of: &QuantizerConfig) -> Result<(i64, i64), VqError> {
    expect("stages", stages as f64, (2..=32).contains(&stages), "2..=32")?;
    match of {
        QuantizerConfig::Residual { .. } => {
            return Err(VqError::Residual { reason: "of another residual: write the product of the stages instead" });
        }
        QuantizerConfig::Fsq { bound: Bound::Official | Bound::Exact, .. } => {
            return Err(VqError::Residual { reason: "of FSQ whose bound is not linear: set bound = \"symmetric\"" });
        }
        _ => {}
    }
    let stage = of.check()?;
    match (0..stages).try_fold(1i64, |codes, _| codes.checked_mul(stage.codebook_size).filter(|&k| k <= MAX_CODES)) {
        Some(codes) => Ok((stage.num_channels, codes)),
        None => Err(VqError::TooManyStageCodes { stages, codebook_size: stage.codebook_size }),
    }
}

impl LfqConfig {
    pub(crate) fn check(&self) -> Result<(), VqError> {
        expect("bits", self.bits as f64, (1..=32).contains(&self.bits), "1..=32")?;
        expect("group_bits", self.group_bits as f64, (1..=12).contains(&self.group_bits), "1..=12")?;
        let temperature = self.inv_temperature;
        expect("inv_temperature", temperature, temperature.is_finite() && temperature > 0.0, "above 0")?;
        expect_weight("entropy_weight", self.entropy_weight)?;
        expect_weight("diversity", self.diversity)?;
        expect_weight("commitment_weight", self.commitment_weight)
    }
}

impl VqConfig {
    pub(crate) fn check(&self) -> Result<(), VqError> {
        expect("codes", self.codes as f64, (2..=1 << 24).contains(&self.codes), "2..=16777216")?;
        expect("width", self.width as f64, (1..=1 << 20).contains(&self.width), "1..=1048576")?;
        expect("decay", self.decay, (0.0..1.0).contains(&self.decay), "at least 0 and below 1")?;
        let rounds = self.kmeans_iterations;
        expect("kmeans_iterations", rounds as f64, (1..=1000).contains(&rounds), "1..=1000")?;
        expect_weight("dead_below", self.dead_below)?;
        expect_weight("commitment_weight", self.commitment_weight)
    }
}

fn expect_weight(key: &'static str, value: f64) -> Result<(), VqError> {
    expect(key, value, value.is_finite() && value >= 0.0, "0 or more")
}

fn expect(key: &'static str, value: f64, holds: bool, want: &'static str) -> Result<(), VqError> {
    if holds { Ok(()) } else { Err(VqError::Setting { key, value, want }) }
}

impl CheckedQuantizer {
    /// The settings as written.
    pub fn config(&self) -> &QuantizerConfig {
        &self.config
    }

    /// Number of channels D of the vectors.
    pub fn num_channels(&self) -> i64 {
        self.num_channels
    }

    /// Number of codes K, at most 2^32; for a residual the product over its stages.
    pub fn codebook_size(&self) -> i64 {
        self.codebook_size
    }

    /// Shape of [`crate::Quantizer::codebook_tables`]: `[stages, codes per stage, D]`, with 0 stages where nothing is
    /// learned.
    pub fn tables_shape(&self) -> [i64; 3] {
        match &self.config {
            QuantizerConfig::Vq(vq) => [1, vq.codes, vq.width],
            QuantizerConfig::Residual { stages, of } => match &**of {
                QuantizerConfig::Vq(vq) => [*stages, vq.codes, vq.width],
                _ => [0, 0, self.num_channels],
            },
            _ => [0, 0, self.num_channels],
        }
    }
}
