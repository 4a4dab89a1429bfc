use tch::nn::Path;
use tch::{Kind, TchError, Tensor};

use crate::codes::{during, expect_codes, expect_codes_of, expect_width, from_digits, pass_gradient, to_digits};
use crate::{CheckedQuantizer, Quantized, Quantizer, QuantizerConfig, Share, Statistics, Vq, VqError};

/// Stages that each quantize what the ones before them left over (Zeghidour et al., SoundStream, arXiv:2107.03312,
/// algorithm 1): `r_0 = z`, `v_i = s_i q_i(r_i / s_i)`, `r_{i+1} = r_i - v_i`, and the value is the sum of all v_i.
///
/// - Scales s_i: 1 for a learned codebook, 2^-i for LFQ, `L^-i` in each channel for FSQ. FSQ has the symmetric bound, whose
///   soft clamp is applied once, to z: then S stages of L levels cut each channel into L^S equal intervals.
/// - Codes: stage i's is digit i, lowest first, of one number. `code % K` is the coarsest stage's.
/// - Gradient: that of the first stage. All stages together would count a straight-through gradient S times.
/// - Loss and terms: summed over the stages, in each stage's own units, `r_i / s_i`.
#[derive(Debug)]
pub struct Residual {
    stages: Vec<Quantizer>,
    /// s_i, one number or one per channel.
    scales: Vec<Vec<f32>>,
    /// Codes of each stage.
    radices: Vec<i64>,
}

impl Residual {
    /// Makes the stages; what stage i learns becomes variables of `path / i`.
    ///
    /// # Errors
    /// Those of [`QuantizerConfig::check`]; [`VqError::Torch`].
    pub fn new(path: &Path, stages: i64, of: &QuantizerConfig) -> Result<Self, VqError> {
        QuantizerConfig::Residual { stages, of: Box::new(of.clone()) }.check()?;
        let stage: CheckedQuantizer = of.check()?;
        let quantizers = (0..stages).map(|i| Quantizer::new(&(path / i), &stage)).collect::<Result<_, _>>()?;
        let scale = |i: i32| match of {
            QuantizerConfig::Fsq { levels, .. } => levels.iter().map(|&l| (l as f32).powi(-i)).collect(),
            QuantizerConfig::Lfq(_) => vec![0.5f32.powi(i)],
            QuantizerConfig::Vq(_) | QuantizerConfig::Residual { .. } => vec![1.0],
        };
        let scales = (0..stages as i32).map(scale).collect();
        Ok(Residual { stages: quantizers, scales, radices: vec![stage.codebook_size(); stages as usize] })
    }

    /// Number of channels D.
    pub fn num_channels(&self) -> i64 {
        self.stages[0].num_channels()
    }

    /// Number of codes K, the product over the stages; at most 2^32.
    pub fn codebook_size(&self) -> i64 {
        self.radices.iter().product()
    }

    /// Number of codes of each stage, coarsest first.
    pub fn stage_codes(&self) -> &[i64] {
        &self.radices
    }

    /// Quantizes vectors. All arithmetic is f32.
    ///
    /// * `z` - `[.., D]`, any floating type, finite; the batch may be empty
    ///
    /// # Errors
    /// [`VqError::Width`] when the last axis is not D; [`VqError::Torch`].
    pub fn quantize(&self, z: &Tensor) -> Result<Quantized, VqError> {
        expect_width(z, self.num_channels())?;
        let failed = || during("quantization");
        let mut residual = self.bounded(z).map_err(failed())?;
        let mut parts = Vec::with_capacity(self.stages.len());
        for (stage, scale) in self.stages.iter().zip(&self.scales) {
            let part = stage_of(stage, &over(&residual, scale).map_err(failed())?)?;
            let values = times(&part.values, scale).map_err(failed())?;
            residual = values.f_detach().and_then(|hard| residual.f_sub(&hard)).map_err(failed())?;
            parts.push(Quantized { values, ..part });
        }
        self.combined(parts).map_err(failed())
    }

    /// The vectors that codes stand for, equal to the `values` they were made with as long as no update came between.
    ///
    /// * `codes` - `[..]` int64 in `0..K`
    ///
    /// Returns `[.., D]` f32.
    ///
    /// # Errors
    /// [`VqError::CodeKind`], [`VqError::CodeRange`], [`VqError::Torch`].
    pub fn values_from_codes(&self, codes: &Tensor) -> Result<Tensor, VqError> {
        let parts = self.parts_from_codes(codes)?;
        sum(&parts).map_err(during("looking up codes"))
    }

    /// What a batch says of the learned codebooks of all stages; `None` where nothing is learned. As [`Vq::statistics`].
    ///
    /// # Errors
    /// As [`Vq::statistics`].
    pub fn statistics(&self, z: &Tensor, codes: &Tensor, share: Share) -> Result<Option<Statistics>, VqError> {
        expect_width(z, self.num_channels())?;
        expect_codes(codes, self.codebook_size())?;
        expect_codes_of(codes, z)?;
        share.check()?;
        let codebooks = self.codebooks();
        if codebooks.is_empty() {
            return Ok(None);
        }
        let parts = self.parts_from_codes(codes)?;
        let collect = || {
            let digits = to_digits(codes, &self.radices)?;
            let mut residual = z.f_detach()?.f_to_kind(Kind::Float)?;
            let mut stages = Vec::with_capacity(codebooks.len());
            for (stage, (vq, part)) in codebooks.iter().zip(&parts).enumerate() {
                stages.push(vq.stage_statistics(&residual, &digits.f_select(-1, stage as i64)?, share)?);
                residual = residual.f_sub(part)?;
            }
            Ok(Some(Statistics { stages }))
        };
        collect().map_err(during("collecting statistics"))
    }

    /// Moves every learned codebook by one update; see [`Vq::update`].
    ///
    /// # Errors
    /// [`VqError::OtherStatistics`] when they are of other codebooks; [`VqError::Torch`].
    pub fn update(&self, statistics: &Statistics) -> Result<(), VqError> {
        let codebooks = self.codebooks();
        let got: Vec<_> = statistics.stages.iter().map(|stage| stage.sums.size()).collect();
        let want: Vec<_> = codebooks.iter().map(|vq| vec![vq.codebook_size(), vq.num_channels()]).collect();
        if got != want {
            return Err(VqError::OtherStatistics { got, want });
        }
        codebooks.into_iter().zip(&statistics.stages).try_for_each(|(vq, stage)| vq.update_stage(stage))
    }

    /// Sets every learned codebook by k-means, each on what the ones before it leave over; see [`Vq::start_over_ranks`].
    ///
    /// # Errors
    /// As [`Vq::start_over_ranks`].
    pub fn start_over_ranks<E: From<VqError>>(
        &self,
        z: &Tensor,
        share: Share,
        mut sum: impl FnMut(&Tensor) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut residual = z.detach();
        for vq in self.codebooks() {
            vq.start_over_ranks(&residual, share, &mut sum)?;
            let values = vq.quantize(&residual)?.values;
            residual = residual.f_sub(&values).map_err(during("k-means"))?;
        }
        Ok(())
    }

    /// The learned codebooks, stage by stage.
    pub(crate) fn codebooks(&self) -> Vec<&Vq> {
        self.stages.iter().flat_map(Quantizer::codebooks).collect()
    }

    /// What the first stage sees, f32.
    fn bounded(&self, z: &Tensor) -> Result<Tensor, TchError> {
        let z = z.f_to_kind(Kind::Float)?;
        match &self.stages[0] {
            Quantizer::Fsq(fsq) => fsq.soft_clamp(&z),
            _ => Ok(z),
        }
    }

    /// Each stage's values `[.., D]`, scaled.
    fn parts_from_codes(&self, codes: &Tensor) -> Result<Vec<Tensor>, VqError> {
        expect_codes(codes, self.codebook_size())?;
        let failed = || during("looking up codes");
        let digits = to_digits(codes, &self.radices).map_err(failed())?;
        let stages = self.stages.iter().zip(&self.scales).enumerate();
        let part = |(i, (stage, scale)): (usize, (&Quantizer, &Vec<f32>))| {
            let values = stage.values_from_codes(&digits.f_select(-1, i as i64).map_err(failed())?)?;
            times(&values, scale).map_err(failed())
        };
        stages.map(part).collect()
    }

    fn combined(&self, parts: Vec<Quantized>) -> Result<Quantized, TchError> {
        let values: Vec<Tensor> = parts.iter().map(|part| part.values.f_detach()).collect::<Result<_, _>>()?;
        let codes: Vec<&Tensor> = parts.iter().map(|part| &part.codes).collect();
        let losses: Vec<&Tensor> = parts.iter().filter_map(|part| part.loss.as_ref()).collect();
        let mut terms = Vec::new();
        for (i, (name, _)) in parts[0].terms.iter().enumerate() {
            let of_stages: Vec<&Tensor> = parts.iter().map(|part| &part.terms[i].1).collect();
            terms.push((*name, sum(&of_stages)?));
        }
        Ok(Quantized {
            values: pass_gradient(&sum(&values)?, &parts[0].values)?,
            codes: from_digits(&Tensor::f_stack(&codes, -1)?, &self.radices)?,
            loss: if losses.is_empty() { None } else { Some(sum(&losses)?) },
            terms,
        })
    }
}

/// One stage's quantization of a residual on that stage's scale.
fn stage_of(stage: &Quantizer, residual: &Tensor) -> Result<Quantized, VqError> {
    match stage {
        Quantizer::Fsq(fsq) => fsq.round_evenly(residual).map_err(during("quantization")),
        _ => stage.quantize(residual),
    }
}

fn times(values: &Tensor, scale: &[f32]) -> Result<Tensor, TchError> {
    values.f_mul(&Tensor::f_from_slice(scale)?.f_to(values.device())?)
}

fn over(values: &Tensor, scale: &[f32]) -> Result<Tensor, TchError> {
    values.f_div(&Tensor::f_from_slice(scale)?.f_to(values.device())?)
}

/// Sum of at least one tensor, first to last.
fn sum<T: std::borrow::Borrow<Tensor>>(of: &[T]) -> Result<Tensor, TchError> {
    let mut total = of[0].borrow().shallow_clone();
    for next in &of[1..] {
        total = total.f_add(next.borrow())?;
    }
    Ok(total)
}

#[cfg(test)]
mod tests;
