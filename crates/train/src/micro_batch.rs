use nn::{Codes, During, Losses, NnError};
use rand::Rng as _;
use spec::{Purpose, rng_for};
use tch::Tensor;

use crate::at::At;
use crate::{Precision, TrainError};

/// One micro-batch's place in the run, and the surroundings in which its loss is computed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MicroBatch {
    pub(crate) run_seed: u64,
    pub(crate) at: At,
    /// Among all of the step, ranks one after the other: the same clips draw the same numbers however many ranks share
    /// them out.
    pub(crate) index: u64,
    pub(crate) precision: Precision,
}

impl MicroBatch {
    /// Computes a loss as training does: what operators draw from libtorch's own generator is a function of run seed, step
    /// and place, so that a resumed run draws the same.
    pub(crate) fn compute<T, E: From<TrainError>>(self, loss: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let mut seeds = rng_for(self.run_seed, self.at.step, u64::MAX - self.index, Purpose::Torch);
        tch::manual_seed(seeds.next_u64() as i64);
        let computed = torch_ext::autocast(self.at.device, self.precision.into(), loss);
        computed.map_err(|err| TrainError::from(NnError::from(err)))?
    }
}

/// Losses of a rank's micro-batches so far.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    /// Mean loss once all are in; not finite as soon as one is not.
    pub(crate) loss: f64,
    /// Terms of each micro-batch, not read yet.
    terms: Vec<Vec<(&'static str, Tensor)>>,
    /// What the encoder made of the last one.
    features: Option<Tensor>,
    /// Codes of each, not counted yet.
    codes: Vec<Codes>,
}

impl Sums {
    /// Forward, finite check, backward: adds `share` of the gradient to the parameters'. No backward where the loss is not
    /// finite.
    pub(crate) fn add<E: From<TrainError>>(
        &mut self,
        place: MicroBatch,
        share: f64,
        loss: impl FnOnce() -> Result<Losses, E>,
    ) -> Result<(), E> {
        let at = place.at;
        // Not beside the next one's activations.
        self.features = None;
        let Losses { total, terms, features, codes } = place.compute(loss)?;
        let value = f64::try_from(&total).during("reading the loss").map_err(|err| at.failed(err))?;
        self.loss += share * value;
        if !value.is_finite() {
            return Ok(());
        }
        let backward = || total.f_mul_scalar(share)?.f_backward();
        backward().during("backward").map_err(|err| at.failed(err))?;
        self.terms.push(terms);
        self.features = features;
        self.codes.extend(codes);
        Ok(())
    }

    /// How often each code occurs in all of them, `[K]`; `None` without a codebook.
    pub(crate) fn count_codes(&self) -> Result<Option<Tensor>, NnError> {
        let mut sum: Option<Tensor> = None;
        for codes in &self.codes {
            let counts = nn::code_counts(codes)?;
            sum = Some(match sum {
                None => counts,
                Some(sum) => sum.f_add(&counts).during("counting codes")?,
            });
        }
        Ok(sum)
    }

    /// Means of the terms over the micro-batches, and the gauges of the last one's features.
    pub(crate) fn read_terms(&self, at: At) -> Result<Vec<(&'static str, f64)>, TrainError> {
        let read =
            |value: &Tensor| f64::try_from(value).during("reading the loss's terms").map_err(|err| at.failed(err));
        let mut means: Vec<(&'static str, f64)> = Vec::new();
        for terms in &self.terms {
            for (name, value) in terms {
                let part = read(value)? / self.terms.len() as f64;
                match means.iter_mut().find(|(known, _)| known == name) {
                    Some((_, mean)) => *mean += part,
                    None => means.push((name, part)),
                }
            }
        }
        if let Some(features) = &self.features {
            for (name, value) in nn::gauges(features).map_err(|err| at.failed(err))? {
                means.push((name, read(&value)?));
            }
        }
        Ok(means)
    }
}
