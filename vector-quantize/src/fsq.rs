use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

use crate::VqError;

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
}

/// Finite scalar quantization (Mentzer et al., ICLR 2024). Has no parameters, no auxiliary loss and no state.
#[derive(Clone, Debug, PartialEq)]
pub struct Fsq {
    levels: Vec<i64>,
    bound: Bound,
}

/// What [`Fsq::quantize`] hands back.
#[derive(Debug)]
pub struct Quantized {
    /// The quantized vectors, `[.., D]` f32. Channel i takes `L_i` evenly spaced values in `[-1, 1]`, 0 among them; an
    /// even number of levels reaches -1 but not 1. The gradient passes straight through the rounding.
    pub values: Tensor,
    /// Their codes, `[..]` int64 in `0..K`.
    pub codes: Tensor,
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
            if num_codes > 1 << 32 {
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

    /// Quantizes vectors. All arithmetic is f32, whatever the input's element type; the gradient returns in the
    /// input's.
    ///
    /// * `z` - `[.., D]`, any floating type, finite; the batch may be empty
    ///
    /// # Errors
    /// [`VqError::Width`] when the last axis is not D; [`VqError::Torch`].
    pub fn quantize(&self, z: &Tensor) -> Result<Quantized, VqError> {
        if z.size().last() != Some(&self.num_channels()) {
            return Err(VqError::Width { got: z.size(), want: self.num_channels() });
        }
        self.round(z).map_err(|source| VqError::Torch { during: "quantization", source })
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
        self.decode(codes).map_err(|source| VqError::Torch { during: "looking up codes", source })
    }

    fn round(&self, z: &Tensor) -> Result<Quantized, TchError> {
        let bounded = self.squash(&z.f_to_kind(Kind::Float)?)?;
        let rounded = bounded.f_detach()?.f_round()?;
        let steps = self.per_channel(z, |l| l / 2)?;
        let codes = (rounded.f_to_kind(Kind::Int64)?.f_add(&steps)?.f_mul(&self.basis(z)?)?).f_sum_dim_intlist(
            -1,
            false,
            Kind::Int64,
        )?;
        // The difference is exact in f32 (the two lie within half a step), so the sum is the rounded value itself.
        let straight_through = rounded.f_sub(&bounded.f_detach()?)?.f_add(&bounded)?;
        Ok(Quantized { values: straight_through.f_div(&steps)?, codes })
    }

    /// `tanh(z + shift) * half - offset`, channel by channel.
    fn squash(&self, z: &Tensor) -> Result<Tensor, TchError> {
        let half = |l: i64| match self.bound {
            Bound::Official => (l - 1) as f64 * (1.0 - EPS) / 2.0,
            Bound::Exact => (l - 1) as f64 * (1.0 + EPS) / 2.0,
        };
        let offset = |l: i64| if l % 2 == 0 { 0.5 } else { 0.0 };
        let shift = |l: i64| match self.bound {
            Bound::Official => (offset(l) / half(l)).tan(),
            Bound::Exact => (offset(l) / half(l)).atanh(),
        };
        let row = |of: &dyn Fn(i64) -> f64| self.per_channel(z, |l| of(l) as f32);
        z.f_add(&row(&shift)?)?.f_tanh()?.f_mul(&row(&half)?)?.f_sub(&row(&offset)?)
    }

    fn decode(&self, codes: &Tensor) -> Result<Tensor, TchError> {
        let levels = self.per_channel(codes, |l| l)?;
        let steps = self.per_channel(codes, |l| l / 2)?;
        let digits =
            codes.f_unsqueeze(-1)?.f_divide_tensor_mode(&self.basis(codes)?, "floor")?.f_remainder_tensor(&levels)?;
        digits.f_sub(&steps)?.f_to_kind(Kind::Float)?.f_div(&steps)
    }

    /// One value per channel, `[D]`, on the device of `like`.
    fn per_channel<T: tch::kind::Element>(&self, like: &Tensor, value: impl Fn(i64) -> T) -> Result<Tensor, TchError> {
        let row: Vec<T> = self.levels.iter().map(|&l| value(l)).collect();
        Tensor::f_from_slice(&row)?.f_to(like.device())
    }

    /// Weight of each channel's digit in the code, `[D]`: 1, L_0, L_0 L_1, ...
    fn basis(&self, like: &Tensor) -> Result<Tensor, TchError> {
        let row: Vec<i64> = self.levels.iter().scan(1, |next, l| Some(std::mem::replace(next, *next * l))).collect();
        Tensor::f_from_slice(&row)?.f_to(like.device())
    }
}

/// Checks that codes are int64 in `0..codebook_size`.
pub(crate) fn expect_codes(codes: &Tensor, codebook_size: i64) -> Result<(), VqError> {
    if codes.kind() != Kind::Int64 {
        return Err(VqError::CodeKind { got: codes.kind() });
    }
    if codes.numel() == 0 {
        return Ok(());
    }
    let ends = || Ok([i64::try_from(codes.f_min()?)?, i64::try_from(codes.f_max()?)?]);
    let ends = ends().map_err(|source| VqError::Torch { during: "checking codes", source })?;
    match ends.into_iter().find(|code| !(0..codebook_size).contains(code)) {
        Some(code) => Err(VqError::CodeRange { code, codebook_size }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
