use tch::nn::{Path, VarStore};
use tch::{Kind, Tensor};

use crate::codes::during;
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
mod tests {
    use tch::Device;

    use super::*;
    use crate::golden::draws;
    use crate::{Bound, Gradient, LfqConfig, VqConfig};

    /// One of each, and residuals of each.
    fn every_kind() -> Vec<CheckedQuantizer> {
        let lfq = LfqConfig {
            bits: 4,
            entropy_weight: 0.1,
            diversity: 1.0,
            inv_temperature: 1.0,
            group_bits: 2,
            commitment_weight: 0.25,
        };
        let vq = VqConfig {
            codes: 20,
            width: 4,
            decay: 0.9,
            commitment_weight: 0.25,
            dead_below: 0.1,
            gradient: Gradient::Rotation,
            kmeans_iterations: 3,
        };
        let fsq = |bound| QuantizerConfig::Fsq { levels: vec![8, 5, 4, 3], bound };
        let alone = [fsq(Bound::Official), fsq(Bound::Symmetric), QuantizerConfig::Lfq(lfq), QuantizerConfig::Vq(vq)];
        let residuals = alone[1..].iter().map(|of| QuantizerConfig::Residual { stages: 3, of: Box::new(of.clone()) });
        alone.iter().cloned().chain(residuals).map(|config| config.check().unwrap()).collect()
    }

    /// A quantizer of each kind that has learned from `z` once, if it learns.
    fn trained(checked: &CheckedQuantizer, z: &Tensor) -> Quantizer {
        let quantizer = Quantizer::new(&VarStore::new(Device::Cpu).root(), checked).unwrap();
        quantizer.start(z).unwrap();
        let codes = quantizer.quantize(z).unwrap().codes;
        if let Some(statistics) = quantizer.statistics(z, &codes, Share::WHOLE).unwrap() {
            quantizer.update(&statistics).unwrap();
        }
        quantizer
    }

    fn batch() -> Tensor {
        draws(1, 140, 4).view([2, 70, 4])
    }

    #[test]
    fn values_come_back_from_codes_bit_for_bit_also_when_frozen() {
        let z = batch();
        for checked in every_kind() {
            let quantizer = trained(&checked, &z);
            let quantized = quantizer.quantize(&z).unwrap();
            assert_eq!(quantizer.values_from_codes(&quantized.codes).unwrap(), quantized.values, "{checked:?}");
            let tables = quantizer.codebook_tables().unwrap();
            assert_eq!(tables.size(), checked.tables_shape());
            let frozen = Quantizer::frozen(&checked, &tables).unwrap();
            assert!(frozen.is_started().unwrap());
            assert_eq!(frozen.values_from_codes(&quantized.codes).unwrap(), quantized.values, "{checked:?}");
            assert_eq!(frozen.quantize(&z).unwrap().codes, quantized.codes, "{checked:?}");
        }
    }

    #[test]
    fn tables_do_not_change_with_later_updates_and_others_are_refused() {
        let z = batch();
        let checked = &every_kind()[3];
        let quantizer = trained(checked, &z);
        let tables = quantizer.codebook_tables().unwrap();
        let before = tables.copy();
        let statistics = quantizer.statistics(&z, &Tensor::zeros([2, 70], (Kind::Int64, Device::Cpu)), Share::WHOLE);
        quantizer.update(&statistics.unwrap().unwrap()).unwrap();
        assert_eq!(tables, before);
        assert_ne!(quantizer.codebook_tables().unwrap(), before);
        let refused = Quantizer::frozen(checked, &tables.narrow(1, 0, 5));
        assert!(matches!(refused, Err(VqError::Tables { want: [1, 20, 4], .. })));
    }

    #[test]
    fn half_precision_is_quantized_in_f32_and_gets_its_gradient_back_in_half() {
        let half = batch().to_kind(Kind::BFloat16);
        for checked in every_kind() {
            let quantizer = trained(&checked, &half);
            let leaf = half.copy().set_requires_grad(true);
            let quantized = quantizer.quantize(&leaf).unwrap();
            assert_eq!(quantized.values.kind(), Kind::Float);
            assert_eq!(quantized.codes, quantizer.quantize(&half.to_kind(Kind::Float)).unwrap().codes, "{checked:?}");
            let loss = quantized.loss.unwrap_or_else(|| Tensor::from(0.0f32));
            (loss + quantized.values.sum(Kind::Float)).backward();
            assert_eq!(leaf.grad().kind(), Kind::BFloat16);
            assert!(leaf.grad().abs().sum(Kind::Float).double_value(&[]) > 0.0, "{checked:?}");
        }
    }

    #[test]
    fn an_empty_batch_has_no_codes_and_a_loss_of_0() {
        let empty = Tensor::zeros([0, 5, 4], (Kind::Float, Device::Cpu));
        for checked in every_kind() {
            let quantizer = trained(&checked, &batch());
            let quantized = quantizer.quantize(&empty).unwrap();
            assert_eq!((quantized.values.size(), quantized.codes.size()), (vec![0, 5, 4], vec![0, 5]));
            assert_eq!(quantizer.values_from_codes(&quantized.codes).unwrap().size(), [0, 5, 4]);
            assert!(quantized.loss.is_none_or(|loss| loss.double_value(&[]) == 0.0), "{checked:?}");
            let counts = quantizer.statistics(&empty, &quantized.codes, Share::WHOLE).unwrap();
            let counted = |statistics: Statistics| statistics.counts()[0].sum(Kind::Float).double_value(&[]);
            assert_eq!(counts.map_or(0.0, counted), 0.0);
        }
    }

    #[test]
    fn a_wrong_width_and_foreign_codes_are_refused() {
        for checked in every_kind() {
            let quantizer = Quantizer::new(&VarStore::new(Device::Cpu).root(), &checked).unwrap();
            assert!(matches!(quantizer.quantize(&batch().narrow(2, 0, 3)), Err(VqError::Width { want: 4, .. })));
            let foreign = Tensor::from(checked.codebook_size());
            assert!(matches!(quantizer.values_from_codes(&foreign), Err(VqError::CodeRange { .. })));
            assert!(matches!(quantizer.values_from_codes(&batch()), Err(VqError::CodeKind { .. })));
        }
    }
}
