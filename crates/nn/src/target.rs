use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

use crate::cost::Comparing;
use crate::{Cubes, During, NnError, PixelNorm, expect_kind, expect_shape};

/// What a decoder predicts of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The tokenizer's quantised embedding, regressed (LVMAE, equation 2).
    Codes,
    /// The tokenizer's latent before it is quantised, regressed.
    Latents,
    /// The level of each channel of the code, classified: cross-entropy over a channel's levels, summed over channels. Ours;
    /// for quantizers whose codes are levels (FSQ, LFQ).
    Factored,
    /// The code itself, classified: cross-entropy over the whole codebook, of at most [`Target::MOST_CLASSES`] codes. Ours.
    Full,
    /// The pixels of its cube, each colour of each cube normalised (VideoMAE): [`PixelNorm::Colours`].
    Pixels,
    /// All values of its cube normalised together (the MAE of images): [`PixelNorm::Joint`].
    PixelsJoint,
    /// The pixels of its cube on the scale 0..1: [`PixelNorm::None`].
    PixelsRaw,
}

impl Target {
    /// The most codes that [`Target::Full`] tells apart: beyond that the logits of a clip's tokens would be its largest tensors.
    pub const MOST_CLASSES: i64 = 1 << 14;

    /// How pixels are normalised; `None` where the tokenizer makes the target.
    pub fn pixel_norm(self) -> Option<PixelNorm> {
        match self {
            Target::Pixels => Some(PixelNorm::Colours),
            Target::PixelsJoint => Some(PixelNorm::Joint),
            Target::PixelsRaw => Some(PixelNorm::None),
            Target::Codes | Target::Latents | Target::Factored | Target::Full => None,
        }
    }

    /// Whether classes are predicted, and not values.
    pub fn is_classified(self) -> bool {
        matches!(self, Target::Factored | Target::Full)
    }

    /// What comparing takes in a step.
    ///
    /// * `rows` - predicted tokens of all clips; `cube_values` - pixels times colours of a cube
    /// * `target_width` - values of one prediction
    pub fn comparing(self, [rows, cube_values]: [i64; 2], target_width: i64) -> Comparing {
        match self {
            Target::Factored | Target::Full => Comparing::Classes,
            Target::Codes | Target::Latents => Comparing::Values { target_bytes: 4 * rows * target_width },
            // Pixels, the same less their mean, and over their deviation.
            Target::Pixels | Target::PixelsJoint | Target::PixelsRaw => {
                Comparing::Values { target_bytes: 3 * 4 * rows * cube_values }
            }
        }
    }

    /// As presets write it.
    pub fn name(self) -> &'static str {
        match self {
            Target::Codes => "codes",
            Target::Latents => "latents",
            Target::Factored => "factored",
            Target::Full => "full",
            Target::Pixels => "pixels",
            Target::PixelsJoint => "pixels_joint",
            Target::PixelsRaw => "pixels_raw",
        }
    }
}

/// The targets of a batch.
#[derive(Debug)]
pub enum Targets {
    /// The pixels of the clip itself, however the preset normalises them.
    Pixels,
    /// Quantised embedding of each token, `[B, N, C]` in `[-1, 1]`.
    Codes(Tensor),
    /// Latent of each token before it is quantised, `[B, N, C]`.
    Latents(Tensor),
    /// The code of each token, channel by channel.
    Factored {
        /// Level of each channel, `[B, N, D]` int64, channel d in `0..levels[d]`.
        digits_bnd: Tensor,
        /// Levels of each channel, D of them.
        levels: Vec<i64>,
    },
    /// The code of each token.
    Full {
        /// `[B, N]` int64 in `0..codebook_size`.
        codes_bn: Tensor,
        /// Number of codes K.
        codebook_size: i64,
    },
}

impl Targets {
    /// How far predictions at chosen tokens are from their targets; no other token is ever compared.
    ///
    /// * `target` - what the preset asks for; these are of its kind
    /// * `tokens_bq` - token indices `[B, Q]` int64
    /// * `predicted_bqc` - what was predicted there: values, or the logits of all levels, channel after channel
    ///
    /// # Errors
    /// [`NnError::Target`] for targets of another kind; [`NnError::Shape`] and [`NnError::Kind`] when targets or predictions
    /// are of another shape or type; [`NnError::Torch`], [`NnError::OutOfMemory`].
    pub fn compare(
        &self,
        target: Target,
        cubes: &Cubes,
        tokens_bq: &Tensor,
        predicted_bqc: &Tensor,
    ) -> Result<Comparison, NnError> {
        let other_kind = || NnError::Target { preset: target.name(), given: self.name() };
        let chosen = |all_bnc: &Tensor| {
            expect_shape("targets", all_bnc, &[cubes.num_clips(), cubes.grid().num_tokens(), -1])?;
            let index = tokens_bq.unsqueeze(-1).expand([-1, -1, all_bnc.size()[2]], false);
            all_bnc.f_gather(1, &index, false).during("choosing targets")
        };
        match (self, target, target.pixel_norm()) {
            (Targets::Pixels, _, Some(norm)) => {
                regress(predicted_bqc, &tch::no_grad(|| cubes.targets(tokens_bq, norm))?)
            }
            (Targets::Codes(values_bnc), Target::Codes, _) | (Targets::Latents(values_bnc), Target::Latents, _) => {
                regress(predicted_bqc, &chosen(values_bnc)?)
            }
            (Targets::Factored { digits_bnd, levels }, Target::Factored, _) => {
                expect_kind("levels of the targets", digits_bnd, Kind::Int64)?;
                classify(predicted_bqc, &chosen(digits_bnd)?, levels)
            }
            (Targets::Full { codes_bn, codebook_size }, Target::Full, _) => {
                expect_kind("codes of the targets", codes_bn, Kind::Int64)?;
                expect_shape("codes of the targets", codes_bn, &[cubes.num_clips(), cubes.grid().num_tokens()])?;
                // One channel, whose levels are the codes.
                let mut compared = classify(predicted_bqc, &chosen(&codes_bn.unsqueeze(-1))?, &[*codebook_size])?;
                compared.terms.retain(|(name, _)| *name != "dims_right");
                Ok(compared)
            }
            _ => Err(other_kind()),
        }
    }

    /// Those of some clips of the batch.
    #[must_use]
    pub fn of_clips(&self, first: i64, num_clips: i64) -> Targets {
        let some = |all: &Tensor| all.narrow(0, first, num_clips);
        match self {
            Targets::Pixels => Targets::Pixels,
            Targets::Codes(values) => Targets::Codes(some(values)),
            Targets::Latents(values) => Targets::Latents(some(values)),
            Targets::Factored { digits_bnd, levels } => {
                Targets::Factored { digits_bnd: some(digits_bnd), levels: levels.clone() }
            }
            Targets::Full { codes_bn, codebook_size } => {
                Targets::Full { codes_bn: some(codes_bn), codebook_size: *codebook_size }
            }
        }
    }

    /// The targets made by a tokenizer, `[B, N, C]` or, of [`Targets::Full`], `[B, N]`; `None` for pixels.
    pub fn tensor(&self) -> Option<&Tensor> {
        match self {
            Targets::Pixels => None,
            Targets::Codes(values) | Targets::Latents(values) => Some(values),
            Targets::Factored { digits_bnd, .. } => Some(digits_bnd),
            Targets::Full { codes_bn, .. } => Some(codes_bn),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Targets::Pixels => "pixels",
            Targets::Codes(_) => "codes",
            Targets::Latents(_) => "latents",
            Targets::Factored { .. } => "factored",
            Targets::Full { .. } => "full",
        }
    }
}

/// How far predictions are from their targets.
#[derive(Debug)]
pub struct Comparison {
    /// Error of each token, `[B, Q]`, with a gradient: the mean of its values' squared errors, or the sum of its channels'
    /// cross-entropies.
    pub error_bq: Tensor,
    /// Its mean, a scalar with a gradient.
    pub total: Tensor,
    /// What is logged, detached scalars.
    ///
    /// * `mse` or `ce` (nats per token) - the mean error
    /// * `explained` - 0 for predicting the mean of the targets, or how often each level occurs; 1 for perfection
    /// * `dims_right`, `codes_right` - of classified tokens, the share of channels whose level got the highest logit, and of
    ///   tokens for which that holds in every channel; without `dims_right` where the code is one channel
    pub terms: Vec<(&'static str, Tensor)>,
}

/// Mean squared error.
fn regress(predicted_bqc: &Tensor, target_bqc: &Tensor) -> Result<Comparison, NnError> {
    // Else a width of 1 would broadcast.
    expect_shape("target", target_bqc, &predicted_bqc.size())?;
    let compare = || -> Result<Comparison, TchError> {
        let error_bqc = predicted_bqc.f_sub(target_bqc)?.f_square()?;
        let mse = error_bqc.f_mean(Kind::Float)?;
        let explained =
            mse.f_detach()?.f_div(&target_bqc.f_var(true)?.f_clamp_min(1e-12)?)?.f_neg()?.f_add_scalar(1.0)?;
        let terms = vec![("mse", mse.f_detach()?), ("explained", explained)];
        let error_bq = error_bqc.f_mean_dim([-1i64].as_slice(), false, Kind::Float)?;
        Ok(Comparison { error_bq, total: mse, terms })
    };
    compare().during("comparing predictions")
}

/// Cross-entropy of each channel over its levels, summed over channels.
///
/// * `logits_bqc` - C is the sum of all levels
fn classify(logits_bqc: &Tensor, digits_bqd: &Tensor, levels: &[i64]) -> Result<Comparison, NnError> {
    let [b, q] = [digits_bqd.size()[0], digits_bqd.size()[1]];
    expect_shape("levels of the targets", digits_bqd, &[b, q, levels.len() as i64])?;
    expect_shape("logits", logits_bqc, &[b, q, levels.iter().sum()])?;
    let compare = || -> Result<Comparison, TchError> {
        let zero = || Tensor::f_zeros([b, q], (Kind::Float, logits_bqc.device()));
        let (mut error_bq, mut num_right_bq, mut entropy) = (zero()?, zero()?, zero()?.f_sum(Kind::Float)?);
        // Logits may be bf16, in which a sum of exponentials is not worth much.
        let logits = logits_bqc.f_to_kind(Kind::Float)?;
        // One channel is not split: what comes back would be copied.
        let logits = if levels.len() == 1 { vec![logits] } else { logits.f_split_with_sizes(levels, -1)? };
        for (d, logits_bql) in logits.iter().enumerate() {
            let digit_bq = digits_bqd.f_select(-1, d as i64)?;
            let log_p = logits_bql.f_log_softmax(-1, Kind::Float)?;
            let of_target = log_p.f_gather(-1, &digit_bq.f_unsqueeze(-1)?, false)?.f_squeeze_dim(-1)?;
            error_bq = error_bq.f_sub(&of_target)?;
            let right = logits_bql.f_argmax(-1, false)?.f_eq_tensor(&digit_bq)?;
            num_right_bq = num_right_bq.f_add(&right.f_to_kind(Kind::Float)?)?;
            entropy = entropy.f_add(&entropy_of(&digit_bq, levels[d])?)?;
        }
        let ce = error_bq.f_mean(Kind::Float)?;
        let num_dims = levels.len() as f64;
        let share = |of: Tensor| of.f_to_kind(Kind::Float)?.f_mean(Kind::Float);
        let explained = ce.f_detach()?.f_div(&entropy.f_clamp_min(1e-12)?)?.f_neg()?.f_add_scalar(1.0)?;
        let terms = vec![
            ("ce", ce.f_detach()?),
            ("explained", explained),
            ("dims_right", share(num_right_bq.f_div_scalar(num_dims)?)?),
            ("codes_right", share(num_right_bq.f_eq(num_dims)?)?),
        ];
        Ok(Comparison { error_bq, total: ce, terms })
    };
    compare().during("comparing predictions")
}

/// Entropy in nats of how often each of `num_levels` levels occurs: the cross-entropy of whoever knows nothing else.
fn entropy_of(digit_bq: &Tensor, num_levels: i64) -> Result<Tensor, TchError> {
    let counts = digit_bq.f_flatten(0, -1)?.f_bincount(None::<Tensor>, num_levels)?.f_to_kind(Kind::Float)?;
    let share = counts.f_div_scalar(digit_bq.numel().max(1) as f64)?;
    share.f_xlogy(&share)?.f_sum(Kind::Float)?.f_neg()
}

#[cfg(test)]
mod tests;
