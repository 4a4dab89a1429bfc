use tch::{Kind, TchError, Tensor};

use crate::codes::{commitment, during, expect_codes, expect_width, from_digits, mean, pass_gradient, to_digits};
use crate::{LfqConfig, Quantized, VqError};

/// Keeps the logarithm of a probability that vanished in f32, and its gradient, finite.
const LEAST_PROBABILITY: f64 = 1e-12;

/// Lookup-free quantization (Yu et al., ICLR 2024, arXiv:2310.05737): each channel becomes its sign, so that D channels make
/// a code of D bits. Has no parameters and no state.
///
/// An entropy loss wants each vector sure of its code and the batch to use all codes:
/// `L = entropy_weight (mean_n H(p_n) - diversity H(mean_n p_n))`, where p_n is the softmax over all codes c of
/// `2 inv_temperature z_n . c`. That softmax is a product over bits, each set with probability
/// `sigmoid(4 inv_temperature z_i)`, so no logits of 2^D codes are needed:
///
/// - H(p_n) is exactly the sum of the bits' entropies.
/// - H(mean_n p_n) is taken as the sum over groups of `group_bits` neighbouring bits, whose joint distribution is exact.
///   Groups are counted as independent, which makes it an upper bound: bits that always agree go unnoticed across groups. It
///   is exact for one group.
///
/// The mean runs over the vectors of one call: ranks and micro-batches each look at their own.
#[derive(Clone, Debug, PartialEq)]
pub struct Lfq {
    config: LfqConfig,
}

impl Lfq {
    /// # Errors
    /// [`VqError::Setting`] for one that is out of range.
    pub fn new(config: &LfqConfig) -> Result<Self, VqError> {
        config.check()?;
        Ok(Lfq { config: config.clone() })
    }

    /// Number of channels D, one bit each.
    pub fn num_channels(&self) -> i64 {
        self.config.bits
    }

    /// Number of codes, 2^D.
    pub fn codebook_size(&self) -> i64 {
        1 << self.config.bits
    }

    /// Quantizes vectors to their signs, 0 to -1; channel i is bit i of the code. The gradient passes straight through. All
    /// arithmetic is f32. Terms: `per_sample_entropy` and `batch_entropy` in nats, `commitment`.
    ///
    /// * `z` - `[.., D]`, any floating type, finite; the batch may be empty
    ///
    /// # Errors
    /// [`VqError::Width`] when the last axis is not D; [`VqError::Torch`].
    pub fn quantize(&self, z: &Tensor) -> Result<Quantized, VqError> {
        expect_width(z, self.num_channels())?;
        self.sign(z).map_err(during("quantization"))
    }

    /// The vectors of -1 and 1 that codes stand for, equal to the `values` they were made with.
    ///
    /// * `codes` - `[..]` int64 in `0..K`
    ///
    /// Returns `[.., D]` f32.
    ///
    /// # Errors
    /// [`VqError::CodeKind`], [`VqError::CodeRange`], [`VqError::Torch`].
    pub fn values_from_codes(&self, codes: &Tensor) -> Result<Tensor, VqError> {
        expect_codes(codes, self.codebook_size())?;
        to_digits(codes, &self.radices()).and_then(|bits| signs(&bits)).map_err(during("looking up codes"))
    }

    fn radices(&self) -> Vec<i64> {
        vec![2; self.config.bits as usize]
    }

    fn sign(&self, z: &Tensor) -> Result<Quantized, TchError> {
        let z = z.f_to_kind(Kind::Float)?;
        let bits = z.f_detach()?.f_gt(0.0)?.f_to_kind(Kind::Int64)?;
        let hard = signs(&bits)?;
        let (loss, terms) = self.loss(&z, &hard)?;
        Ok(Quantized { values: pass_gradient(&hard, &z)?, codes: from_digits(&bits, &self.radices())?, loss, terms })
    }

    fn loss(&self, z: &Tensor, hard: &Tensor) -> Result<(Option<Tensor>, Vec<(&'static str, Tensor)>), TchError> {
        let logits_nd = z.f_reshape([-1, self.config.bits])?.f_mul_scalar(4.0 * self.config.inv_temperature)?;
        let per_sample = per_sample_entropy(&logits_nd)?;
        let batch = batch_entropy(&logits_nd, self.config.group_bits)?;
        let commitment = commitment(z, hard)?;

        let terms = [("per_sample_entropy", &per_sample), ("batch_entropy", &batch), ("commitment", &commitment)];
        let terms =
            terms.map(|(name, term)| Ok((name, term.f_detach()?))).into_iter().collect::<Result<_, TchError>>()?;
        let LfqConfig { entropy_weight, diversity, commitment_weight, .. } = self.config;
        if entropy_weight == 0.0 && commitment_weight == 0.0 {
            return Ok((None, terms));
        }
        let entropy = per_sample.f_sub(&batch.f_mul_scalar(diversity)?)?.f_mul_scalar(entropy_weight)?;
        Ok((Some(entropy.f_add(&commitment.f_mul_scalar(commitment_weight)?)?), terms))
    }
}

/// Bits to -1 and 1, f32.
fn signs(bits: &Tensor) -> Result<Tensor, TchError> {
    bits.f_to_kind(Kind::Float)?.f_mul_scalar(2.0)?.f_sub_scalar(1.0)
}

/// Mean over vectors of the entropy of their independent bits, in nats.
fn per_sample_entropy(logits_nd: &Tensor) -> Result<Tensor, TchError> {
    // Of a bit with logit a >= 0: ln(1 + e^-a) + a sigmoid(-a); it is even in a.
    let a = logits_nd.f_abs()?;
    let minus = a.f_neg()?;
    let bits_nd = minus.f_exp()?.f_log1p()?.f_add(&a.f_mul(&minus.f_sigmoid()?)?)?;
    mean(&bits_nd.f_sum_dim_intlist(-1, false, Kind::Float)?)
}

/// Entropy of the mean distribution over the batch, in nats: exact within groups of neighbouring bits, summed over groups.
fn batch_entropy(logits_nd: &Tensor, group_bits: i64) -> Result<Tensor, TchError> {
    let (num_vectors, options) = (logits_nd.size()[0], (Kind::Float, logits_nd.device()));
    let mut sum = Tensor::f_zeros([0i64; 0], options)?;
    for group_ng in logits_nd.f_split(group_bits, -1)? {
        let mut joint_nk = Tensor::f_ones([num_vectors, 1], options)?;
        for logit_n1 in group_ng.f_split(1, -1)? {
            let [off, on] = [logit_n1.f_neg()?, logit_n1].map(|logit| logit.f_sigmoid());
            joint_nk = Tensor::f_cat(&[joint_nk.f_mul(&off?)?, joint_nk.f_mul(&on?)?], -1)?;
        }
        let p_k = joint_nk.f_sum_dim_intlist(0, false, Kind::Float)?.f_div_scalar(num_vectors.max(1) as f64)?;
        let log_k = p_k.f_clamp_min(LEAST_PROBABILITY)?.f_log()?;
        sum = sum.f_sub(&p_k.f_mul(&log_k)?.f_sum(Kind::Float)?)?;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests;
