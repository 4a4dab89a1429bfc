use tch::nn::{Path, VarStore};
use tch::{Kind, Tensor};

use crate::codes::{during, expect_codes, to_digits};
use crate::{CheckedQuantizer, Fsq, Lfq, QuantizerConfig, Residual, Share, Statistics, Vq, VqError};

/// What a quantizer makes of vectors.
#[derive(Debug)]
pub struct Quantized {
    /// The quantized vectors, `[.., D]` f32. Their gradient goes to the input.
    pub values: Tensor,
    /// Their codes, `[..]` int64 in `0..K`.
    pub codes: Tensor,
    /// The quantizer's own loss, weighted, scalar f32 with a gradient to the input: to be added to the model's. `None` where
    /// it has none or its weights are 0.
    pub loss: Option<Tensor>,
    /// What the loss is made of, unweighted, scalar f32 without gradient: `commitment` (mean square per element),
    /// `per_sample_entropy` and `batch_entropy` (nats per vector). Summed over the stages of a residual.
    pub terms: Vec<(&'static str, Tensor)>,
}

/// Any of the quantizers, as a preset chooses.
#[derive(Debug)]
pub enum Quantizer {
    /// Finite scalar quantization.
    Fsq(Fsq),
    /// Lookup-free quantization.
    Lfq(Lfq),
    /// A learned codebook.
    Vq(Vq),
    /// Stages of one of the above.
    Residual(Residual),
}

impl Quantizer {
    /// Makes a quantizer. What it learns (codebooks and their moving averages) becomes variables of `path` that no optimizer
    /// trains, so that they are saved and loaded with the rest; see [`Vq::new`].
    ///
    /// # Errors
    /// [`VqError::Torch`] when libtorch cannot allocate them.
    pub fn new(path: &Path, checked: &CheckedQuantizer) -> Result<Self, VqError> {
        Ok(match checked.config() {
            QuantizerConfig::Fsq { levels, bound } => Quantizer::Fsq(Fsq::with_bound(levels, *bound)?),
            QuantizerConfig::Lfq(config) => Quantizer::Lfq(Lfq::new(config)?),
            QuantizerConfig::Vq(config) => Quantizer::Vq(Vq::new(path, config)?),
            QuantizerConfig::Residual { stages, of } => Quantizer::Residual(Residual::new(path, *stages, of)?),
        })
    }

    /// A quantizer rebuilt from its settings and [`Quantizer::codebook_tables`], for turning codes into values and vectors
    /// into codes without the weights it was learned with. It lies on the tables' device.
    ///
    /// # Errors
    /// [`VqError::Tables`] for a shape other than [`CheckedQuantizer::tables_shape`]; [`VqError::Torch`].
    pub fn frozen(checked: &CheckedQuantizer, tables_skd: &Tensor) -> Result<Self, VqError> {
        if tables_skd.size() != checked.tables_shape() {
            return Err(VqError::Tables { got: tables_skd.size(), want: checked.tables_shape() });
        }
        let quantizer = Self::new(&VarStore::new(tables_skd.device()).root(), checked)?;
        for (stage, vq) in quantizer.codebooks().into_iter().enumerate() {
            vq.set_codebook(&tables_skd.f_select(0, stage as i64).map_err(during("reading codebook tables"))?)?;
        }
        Ok(quantizer)
    }

    /// Number of channels D.
    pub fn num_channels(&self) -> i64 {
        match self {
            Quantizer::Fsq(fsq) => fsq.num_channels(),
            Quantizer::Lfq(lfq) => lfq.num_channels(),
            Quantizer::Vq(vq) => vq.num_channels(),
            Quantizer::Residual(residual) => residual.num_channels(),
        }
    }

    /// Number of codes K, at most 2^32.
    pub fn codebook_size(&self) -> i64 {
        match self {
            Quantizer::Fsq(fsq) => fsq.codebook_size(),
            Quantizer::Lfq(lfq) => lfq.codebook_size(),
            Quantizer::Vq(vq) => vq.codebook_size(),
            Quantizer::Residual(residual) => residual.codebook_size(),
        }
    }

    /// Quantizes vectors. All arithmetic is f32, whatever the input's element type and under autocast, too; the gradient
    /// returns in the input's. Nothing is learned here: see [`Quantizer::statistics`].
    ///
    /// * `z` - `[.., D]`, any floating type, finite; the batch may be empty
    ///
    /// # Errors
    /// [`VqError::Width`] when the last axis is not D; [`VqError::Torch`].
    pub fn quantize(&self, z: &Tensor) -> Result<Quantized, VqError> {
        match self {
            Quantizer::Fsq(fsq) => fsq.quantize(z),
            Quantizer::Lfq(lfq) => lfq.quantize(z),
            Quantizer::Vq(vq) => vq.quantize(z),
            Quantizer::Residual(residual) => residual.quantize(z),
        }
    }

    /// The vectors that codes stand for, equal bit for bit to the `values` they were made with as long as no update came
    /// between.
    ///
    /// * `codes` - `[..]` int64 in `0..K`
    ///
    /// Returns `[.., D]` f32.
    ///
    /// # Errors
    /// [`VqError::CodeKind`], [`VqError::CodeRange`], [`VqError::Torch`].
    pub fn values_from_codes(&self, codes: &Tensor) -> Result<Tensor, VqError> {
        match self {
            Quantizer::Fsq(fsq) => fsq.values_from_codes(codes),
            Quantizer::Lfq(lfq) => lfq.values_from_codes(codes),
            Quantizer::Vq(vq) => vq.values_from_codes(codes),
            Quantizer::Residual(residual) => residual.values_from_codes(codes),
        }
    }

    /// Levels of each channel, D of them, where a code is nothing but the level of each channel: FSQ's own, 2 for each bit of
    /// LFQ. `None` for learned codebooks and residuals.
    pub fn levels(&self) -> Option<Vec<i64>> {
        match self {
            Quantizer::Fsq(fsq) => Some(fsq.levels().to_vec()),
            Quantizer::Lfq(lfq) => Some(vec![2; lfq.num_channels() as usize]),
            Quantizer::Vq(_) | Quantizer::Residual(_) => None,
        }
    }

    /// The level of each channel that codes stand for, as [`Quantizer::levels`] counts them.
    ///
    /// * `codes` - `[..]` int64 in `0..K`
    ///
    /// Returns `[.., D]` int64, channel d in `0..levels[d]`.
    ///
    /// # Errors
    /// [`VqError::NoLevelsOfCodes`] for learned codebooks and residuals; [`VqError::CodeKind`], [`VqError::CodeRange`],
    /// [`VqError::Torch`].
    pub fn levels_from_codes(&self, codes: &Tensor) -> Result<Tensor, VqError> {
        let levels = self.levels().ok_or(VqError::NoLevelsOfCodes)?;
        expect_codes(codes, self.codebook_size())?;
        to_digits(codes, &levels).map_err(during("taking codes apart"))
    }

    /// Everything learned that codes need to be turned into values, `[S, K, D]` f32 with one table of K codes per stage, a
    /// copy; S = 0 where nothing is learned (FSQ, LFQ, residuals of them).
    ///
    /// # Errors
    /// [`VqError::Torch`].
    pub fn codebook_tables(&self) -> Result<Tensor, VqError> {
        let tables: Vec<Tensor> = self.codebooks().into_iter().map(Vq::codebook).collect();
        let stacked = match tables.is_empty() {
            true => Tensor::f_zeros([0, 0, self.num_channels()], (Kind::Float, tch::Device::Cpu)),
            false => Tensor::f_stack(&tables, 0),
        };
        stacked.map_err(during("copying codebook tables"))
    }

    /// What a batch says of the learned codebooks, `None` where nothing is learned. Add them up over micro-batches and
    /// ranks, then [`Quantizer::update`].
    ///
    /// * `z`, `codes` - input and codes of [`Quantizer::quantize`], `[.., D]` and `[..]`
    /// * `share` - which of the batches of this update; draws candidates from libtorch's generator
    ///
    /// # Errors
    /// [`VqError::Width`]; [`VqError::CodeKind`], [`VqError::CodeRange`]; [`VqError::Batch`] when `codes` are of another
    /// batch; [`VqError::Share`]; [`VqError::Torch`].
    pub fn statistics(&self, z: &Tensor, codes: &Tensor, share: Share) -> Result<Option<Statistics>, VqError> {
        match self {
            Quantizer::Vq(vq) => vq.statistics(z, codes, share).map(Some),
            Quantizer::Residual(residual) => residual.statistics(z, codes, share),
            Quantizer::Fsq(_) | Quantizer::Lfq(_) => Ok(None),
        }
    }

    /// Moves the learned codebooks by one update; see [`Vq::update`].
    ///
    /// # Errors
    /// [`VqError::OtherStatistics`] when they are of other codebooks; [`VqError::Torch`].
    pub fn update(&self, statistics: &Statistics) -> Result<(), VqError> {
        match self {
            Quantizer::Vq(vq) => vq.update(statistics),
            Quantizer::Residual(residual) => residual.update(statistics),
            Quantizer::Fsq(_) | Quantizer::Lfq(_) => Ok(()),
        }
    }

    /// Sets learned codebooks by k-means on a batch; see [`Vq::start`]. Does nothing where nothing is learned.
    ///
    /// # Errors
    /// [`VqError::Width`], [`VqError::NoVectors`], [`VqError::Torch`].
    pub fn start(&self, z: &Tensor) -> Result<(), VqError> {
        self.start_over_ranks(z, Share::WHOLE, |_| Ok(()))
    }

    /// [`Quantizer::start`] on a batch that is spread over ranks; see [`Vq::start_over_ranks`].
    ///
    /// # Errors
    /// As [`Quantizer::start`], [`VqError::Share`], and those of `sum`.
    pub fn start_over_ranks<E: From<VqError>>(
        &self,
        z: &Tensor,
        share: Share,
        sum: impl FnMut(&Tensor) -> Result<(), E>,
    ) -> Result<(), E> {
        match self {
            Quantizer::Vq(vq) => vq.start_over_ranks(z, share, sum),
            Quantizer::Residual(residual) => residual.start_over_ranks(z, share, sum),
            Quantizer::Fsq(_) | Quantizer::Lfq(_) => Ok(()),
        }
    }

    /// Whether every learned codebook was started or loaded; true where nothing is learned.
    ///
    /// # Errors
    /// [`VqError::Torch`].
    pub fn is_started(&self) -> Result<bool, VqError> {
        self.codebooks().into_iter().try_fold(true, |started, vq| Ok(started && vq.is_started()?))
    }

    /// The learned codebooks, stage by stage.
    pub(crate) fn codebooks(&self) -> Vec<&Vq> {
        match self {
            Quantizer::Vq(vq) => vec![vq],
            Quantizer::Residual(residual) => residual.codebooks(),
            Quantizer::Fsq(_) | Quantizer::Lfq(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
