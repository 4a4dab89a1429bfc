mod gradient;
mod start;
mod update;

use tch::nn::Path;
use tch::{Kind, TchError, Tensor};

pub use self::gradient::Gradient;
use crate::codes::{commitment, during, expect_codes, expect_codes_of, expect_width};
use crate::statistics::{StageStatistics, slots, totals};
use crate::{Quantized, Share, Statistics, VqConfig, VqError};

/// Distances held at a time, in elements: 64 MiB.
const CHUNK_ELEMENTS: i64 = 1 << 24;

/// Vector quantization with a codebook that follows the mean of its vectors (van den Oord et al., NeurIPS 2017,
/// arXiv:1711.00937, appendix A.1). The code of a vector is its nearest entry in Euclidean distance.
///
/// Learning is explicit and no part of [`Vq::quantize`]: [`Vq::statistics`] of every micro-batch and rank, summed, then one
/// [`Vq::update`]. The loss is `commitment_weight mean (z - e)^2`, the mean over all elements, with a gradient to z only.
#[derive(Debug)]
pub struct Vq {
    config: VqConfig,
    /// Entries e, `[K, D]` f32.
    codebook: Tensor,
    /// Moving average of the vectors per update that each code was given, `[K]` f32.
    counts: Tensor,
    /// Moving average of their sums, `[K, D]` f32.
    sums: Tensor,
    /// 1 once started, `[1]` f32.
    started: Tensor,
}

impl Vq {
    /// Adds the variables `codebook` `[K, D]`, `counts` `[K]`, `sums` `[K, D]` and `started` `[1]` to `path`, f32, none of
    /// them for an optimizer to train. The entries are drawn from libtorch's generator, uniform in ±1/K: seed it
    /// (`tch::manual_seed`) for the same ones, and [`Vq::start`] for better ones.
    ///
    /// # Errors
    /// [`VqError::Setting`] for one that is out of range; [`VqError::Torch`] when libtorch cannot allocate them.
    pub fn new(path: &Path, config: &VqConfig) -> Result<Self, VqError> {
        config.check()?;
        Self::variables(path, config).map_err(during("making a codebook"))
    }

    fn variables(path: &Path, config: &VqConfig) -> Result<Self, TchError> {
        let (num_codes, width) = (config.codes, config.width);
        let vq = Vq {
            config: config.clone(),
            codebook: path.f_zeros_no_train("codebook", &[num_codes, width])?,
            counts: path.f_ones_no_train("counts", &[num_codes])?,
            sums: path.f_zeros_no_train("sums", &[num_codes, width])?,
            started: path.f_zeros_no_train("started", &[1])?,
        };
        let bound = 1.0 / num_codes as f64;
        _ = vq.codebook.shallow_clone().f_uniform_(-bound, bound)?;
        // Each entry begins as the mean of one vector, itself.
        _ = vq.sums.shallow_clone().f_copy_(&vq.codebook)?;
        Ok(vq)
    }

    /// Number of channels D.
    pub fn num_channels(&self) -> i64 {
        self.config.width
    }

    /// Number of codes K.
    pub fn codebook_size(&self) -> i64 {
        self.config.codes
    }

    /// The entries, `[K, D]` f32: the variable itself.
    pub fn codebook(&self) -> Tensor {
        self.codebook.shallow_clone()
    }

    /// Replaces the entries, each as the mean of one vector, and counts the codebook as started.
    ///
    /// * `codebook_kd` - `[K, D]`
    ///
    /// # Errors
    /// [`VqError::Tables`] for another shape; [`VqError::Torch`].
    pub fn set_codebook(&self, codebook_kd: &Tensor) -> Result<(), VqError> {
        if codebook_kd.size() != [self.config.codes, self.config.width] {
            return Err(VqError::Tables { got: codebook_kd.size(), want: [1, self.config.codes, self.config.width] });
        }
        let ones = self.counts.f_ones_like();
        ones.and_then(|ones| self.begin_at(&codebook_kd.f_detach()?, &ones)).map_err(during("setting a codebook"))
    }

    /// Whether [`Vq::start`] or [`Vq::set_codebook`] was called, on this codebook or the one whose variables were loaded.
    ///
    /// # Errors
    /// [`VqError::Torch`].
    pub fn is_started(&self) -> Result<bool, VqError> {
        let started = self.started.f_sum(Kind::Float).and_then(|sum| f64::try_from(&sum));
        Ok(started.map_err(during("reading a codebook"))? > 0.0)
    }

    /// Quantizes vectors to their nearest entries. All arithmetic is f32, under autocast, too. Term: `commitment`.
    ///
    /// * `z` - `[.., D]`, any floating type, finite; the batch may be empty
    ///
    /// # Errors
    /// [`VqError::Width`] when the last axis is not D; [`VqError::Torch`].
    pub fn quantize(&self, z: &Tensor) -> Result<Quantized, VqError> {
        expect_width(z, self.config.width)?;
        self.choose(z).map_err(during("quantization"))
    }

    /// The entries that codes stand for, equal to the `values` they were made with until the next update.
    ///
    /// * `codes` - `[..]` int64 in `0..K`
    ///
    /// Returns `[.., D]` f32.
    ///
    /// # Errors
    /// [`VqError::CodeKind`], [`VqError::CodeRange`], [`VqError::Torch`].
    pub fn values_from_codes(&self, codes: &Tensor) -> Result<Tensor, VqError> {
        expect_codes(codes, self.config.codes)?;
        self.entries(codes).map_err(during("looking up codes"))
    }

    /// What a batch says of the codebook.
    ///
    /// * `z`, `codes` - input and codes of [`Vq::quantize`], `[.., D]` and `[..]`
    /// * `share` - which of the batches of this update; candidates for dead codes are drawn from libtorch's generator
    ///
    /// # Errors
    /// [`VqError::Width`]; [`VqError::CodeKind`], [`VqError::CodeRange`]; [`VqError::Batch`] when `codes` are of another
    /// batch; [`VqError::Share`]; [`VqError::Torch`].
    pub fn statistics(&self, z: &Tensor, codes: &Tensor, share: Share) -> Result<Statistics, VqError> {
        expect_width(z, self.config.width)?;
        expect_codes(codes, self.config.codes)?;
        share.check()?;
        expect_codes_of(codes, z)?;
        Ok(Statistics {
            stages: vec![self.stage_statistics(z, codes, share).map_err(during("collecting statistics"))?],
        })
    }

    /// [`Vq::statistics`] of checked arguments.
    pub(crate) fn stage_statistics(
        &self,
        z: &Tensor,
        codes: &Tensor,
        share: Share,
    ) -> Result<StageStatistics, TchError> {
        let z_nd = z.f_detach()?.f_to_kind(Kind::Float)?.f_reshape([-1, self.config.width])?;
        let (counts, sums) = totals(&z_nd, &codes.f_flatten(0, -1)?, self.config.codes)?;
        let (candidates, filled) = slots(&z_nd, self.config.codes, share)?;
        Ok(StageStatistics { counts, sums, candidates, filled })
    }

    fn choose(&self, z: &Tensor) -> Result<Quantized, TchError> {
        let z = z.f_to_kind(Kind::Float)?;
        let z_nd = z.f_reshape([-1, self.config.width])?;
        let codes_n = nearest(&z_nd.f_detach()?, &self.codebook)?;
        let hard_nd = self.entries(&codes_n)?;
        let values = self.config.gradient.pass(&z_nd, &hard_nd)?.f_reshape(z.size())?;

        let commitment = commitment(&z_nd, &hard_nd)?;
        let terms = vec![("commitment", commitment.f_detach()?)];
        let weight = self.config.commitment_weight;
        let loss = if weight > 0.0 { Some(commitment.f_mul_scalar(weight)?) } else { None };
        Ok(Quantized { values, codes: codes_n.f_reshape(&z.size()[..z.dim() - 1])?, loss, terms })
    }

    fn entries(&self, codes: &Tensor) -> Result<Tensor, TchError> {
        let shape: Vec<i64> = codes.size().into_iter().chain([self.config.width]).collect();
        self.codebook.f_detach()?.f_index_select(0, &codes.f_flatten(0, -1)?)?.f_reshape(shape)
    }

    /// Overwrites entries and averages.
    fn store(&self, codebook: &Tensor, counts: &Tensor, sums: &Tensor) -> Result<(), TchError> {
        tch::no_grad(|| {
            for (to, from) in [(&self.codebook, codebook), (&self.counts, counts), (&self.sums, sums)] {
                _ = to.shallow_clone().f_copy_(from)?;
            }
            Ok(())
        })
    }
}

/// The nearest entry of each vector, `[N]` int64; the first of several.
///
/// * `z_nd`, `codebook_kd` - f32 without gradient
fn nearest(z_nd: &Tensor, codebook_kd: &Tensor) -> Result<Tensor, TchError> {
    let (num_vectors, num_codes) = (z_nd.size()[0], codebook_kd.size()[0]);
    if num_vectors == 0 {
        return Tensor::f_zeros([0], (Kind::Int64, z_nd.device()));
    }
    let chunks = z_nd.f_split((CHUNK_ELEMENTS / num_codes).max(1), 0)?;
    let codes = chunks.iter().map(|chunk| {
        // autocast leaves cdist in f32, which it would not do with a matrix product of ours. 1: through a matrix product.
        Tensor::f_cdist(chunk, codebook_kd, 2.0, 1)?.f_argmin(-1, false)
    });
    Tensor::f_cat(&codes.collect::<Result<Vec<_>, _>>()?, 0)
}

#[cfg(test)]
mod tests;
