mod spread;

use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

use crate::codes::{MAX_CODES, during, expect_codes, expect_width, from_digits, pass_gradient, to_digits};
use crate::{Quantized, VqError};

/// The paper's eps: keeps the bound a little inside the outermost rounding interval.
const EPS: f64 = 1e-3;

/// Above this, eps shifts the outermost level by half a step or more: `(L - 1) / 2 * 1e-3 < 0.5`.
const MAX_LEVELS: i64 = 1000;

/// How a channel is squashed before rounding: `tanh(z + shift) * half - offset`, with `offset` = 1/2 for an even
/// number of levels and 0 for an odd one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// The paper's listing: `half = (L - 1)(1 - eps) / 2`, `shift = tan(offset / half)`. The tangent stands in for the
    /// inverse of tanh, so that z = 0 lands close to, not on, the centre level.
    #[default]
    Official,
    /// The variant of vector-quantize-pytorch: `half = (L - 1)(1 + eps) / 2`, `shift = atanh(offset / half)`. z = 0
    /// lands on the centre level and the outermost levels are reached a little earlier.
    Exact,
    /// Levels spread evenly over `[-1, 1]`, both ends among them, and intervals of one width: with `c = L / (L - 1)`,
    /// `c tanh(z / c)` is rounded to the nearest `2 k / (L - 1) - 1`. This is what residual stages need, and what
    /// vector-quantize-pytorch's ResidualFSQ does. An even number of levels has no 0.
    Symmetric,
}

/// Finite scalar quantization (Mentzer et al., ICLR 2024). Has no parameters, no auxiliary loss and no state.
#[derive(Clone, Debug, PartialEq)]
pub struct Fsq {
    levels: Vec<i64>,
    bound: Bound,
}

impl Fsq {
    /// A quantizer with the paper's bound and `levels[i]` levels in channel i.
    ///
    /// # Errors
    /// [`VqError::NoLevels`]; [`VqError::Levels`] outside `2..=1000`; [`VqError::TooManyCodes`] above 2^32 codes.
    pub fn new(levels: &[i64]) -> Result<Self, VqError> {
        Self::with_bound(levels, Bound::Official)
    }

    /// A quantizer with a bound of one's choice.
    ///
    /// # Errors
    /// As [`Fsq::new`].
    pub fn with_bound(levels: &[i64], bound: Bound) -> Result<Self, VqError> {
        if levels.is_empty() {
            return Err(VqError::NoLevels);
        }
        let mut num_codes: i64 = 1;
        for (channel, &l) in levels.iter().enumerate() {
            if !(2..=MAX_LEVELS).contains(&l) {
                return Err(VqError::Levels { channel, levels: l, max: MAX_LEVELS });
            }
            num_codes *= l;
            if num_codes > MAX_CODES {
                return Err(VqError::TooManyCodes { levels: levels.to_vec() });
            }
        }
        Ok(Fsq { levels: levels.to_vec(), bound })
    }

    /// Levels per channel.
    pub fn levels(&self) -> &[i64] {
        &self.levels
    }

    /// Number of channels D.
    pub fn num_channels(&self) -> i64 {
        self.levels.len() as i64
    }

    /// Number of codes K, the product of the levels; at most 2^32.
    pub fn codebook_size(&self) -> i64 {
        self.levels.iter().product()
    }

    /// Quantizes vectors. Channel i takes `L_i` evenly spaced values in `[-1, 1]`; but for the symmetric bound 0 is among
    /// them, and an even number of levels reaches -1 but not 1. The gradient is that of the bound: it passes straight
    /// through the rounding. There is no loss. All arithmetic is f32, whatever the input's element type; the gradient
    /// returns in the input's.
    ///
    /// * `z` - `[.., D]`, any floating type, finite; the batch may be empty
    ///
    /// # Errors
    /// [`VqError::Width`] when the last axis is not D; [`VqError::Torch`].
    pub fn quantize(&self, z: &Tensor) -> Result<Quantized, VqError> {
        expect_width(z, self.num_channels())?;
        self.round(z).map_err(during("quantization"))
    }

    /// The vectors that codes stand for, equal to the `values` they were made with.
    ///
    /// * `codes` - `[..]` int64 in `0..K`
    ///
    /// Returns `[.., D]` f32.
    ///
    /// # Errors
    /// [`VqError::CodeKind`], [`VqError::CodeRange`], [`VqError::Torch`].
    pub fn values_from_codes(&self, codes: &Tensor) -> Result<Tensor, VqError> {
        expect_codes(codes, self.codebook_size())?;
        to_digits(codes, &self.levels).and_then(|digits| self.values(&digits)).map_err(during("looking up codes"))
    }

    fn round(&self, z: &Tensor) -> Result<Quantized, TchError> {
        let z = z.f_to_kind(Kind::Float)?;
        if self.bound == Bound::Symmetric {
            return self.round_evenly(&self.soft_clamp(&z)?);
        }
        let bounded = self.squash(&z)?;
        let half_l = self.per_channel(&z, |l| l / 2)?;
        let digits = bounded.f_detach()?.f_round()?.f_to_kind(Kind::Int64)?.f_add(&half_l)?;
        self.quantized(&digits, &bounded.f_div(&half_l)?)
    }

    /// Rounds to the nearest level of the symmetric bound, without its soft clamp: values outside `[-1, 1]` go to the
    /// outermost.
    ///
    /// * `z` - `[.., D]` f32
    pub(crate) fn round_evenly(&self, z: &Tensor) -> Result<Quantized, TchError> {
        let last = self.per_channel(z, |l| (l - 1) as f32)?;
        let unit = z.f_detach()?.f_clamp(-1.0, 1.0)?.f_add_scalar(1.0)?.f_div_scalar(2.0)?;
        let digits = unit.f_mul(&last)?.f_add_scalar(0.5)?.f_floor()?.f_to_kind(Kind::Int64)?;
        self.quantized(&digits, z)
    }

    /// The symmetric bound: `c tanh(z / c)`, with `c = L / (L - 1)` in each channel.
    ///
    /// * `z` - `[.., D]` f32
    pub(crate) fn soft_clamp(&self, z: &Tensor) -> Result<Tensor, TchError> {
        let c = self.per_channel(z, |l| (l as f64 / (l - 1) as f64) as f32)?;
        z.f_div(&c)?.f_tanh()?.f_mul(&c)
    }

    /// * `digits` - level of each channel, `[.., D]` int64 in `0..L`
    /// * `soft` - what they were rounded from, on the scale of the values, `[.., D]` f32
    fn quantized(&self, digits: &Tensor, soft: &Tensor) -> Result<Quantized, TchError> {
        let values = pass_gradient(&self.values(digits)?, soft)?;
        Ok(Quantized { values, codes: from_digits(digits, &self.levels)?, loss: None, terms: Vec::new() })
    }

    /// The values of levels, `[.., D]` int64 in `0..L` to f32 in `[-1, 1]`.
    fn values(&self, digits: &Tensor) -> Result<Tensor, TchError> {
        let (numerator, denominator) = match self.bound {
            Bound::Official | Bound::Exact => {
                let half_l = self.per_channel(digits, |l| l / 2)?;
                (digits.f_sub(&half_l)?, half_l)
            }
            Bound::Symmetric => {
                let last = self.per_channel(digits, |l| l - 1)?;
                (digits.f_mul_scalar(2)?.f_sub(&last)?, last)
            }
        };
        numerator.f_to_kind(Kind::Float)?.f_div(&denominator)
    }

    /// `tanh(z + shift) * half - offset`, channel by channel, for the two bounds that have this form.
    fn squash(&self, z: &Tensor) -> Result<Tensor, TchError> {
        let is_exact = self.bound == Bound::Exact;
        let half = |l: i64| (l - 1) as f64 * if is_exact { 1.0 + EPS } else { 1.0 - EPS } / 2.0;
        let offset = |l: i64| if l % 2 == 0 { 0.5 } else { 0.0 };
        let shift = |l: i64| {
            let ratio: f64 = offset(l) / half(l);
            if is_exact { ratio.atanh() } else { ratio.tan() }
        };
        let row = |of: &dyn Fn(i64) -> f64| self.per_channel(z, |l| of(l) as f32);
        z.f_add(&row(&shift)?)?.f_tanh()?.f_mul(&row(&half)?)?.f_sub(&row(&offset)?)
    }

    /// One value per channel, `[D]`, on the device of `like`.
    fn per_channel<T: tch::kind::Element>(&self, like: &Tensor, value: impl Fn(i64) -> T) -> Result<Tensor, TchError> {
        let row: Vec<T> = self.levels.iter().map(|&l| value(l)).collect();
        Tensor::f_from_slice(&row)?.f_to(like.device())
    }
}

#[cfg(test)]
mod tests;
