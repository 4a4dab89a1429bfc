use nn::{During, NnError};
use tch::{TchError, Tensor};

use crate::named::copy_all;
use crate::{EmaConfig, NamedTensors, TrainError};

/// An exponential moving average of the trained variables of a model, with a copy of the others: what no gradient moves
/// (counters, a codebook that is an average itself) keeps pace with the model.
#[derive(Debug)]
pub struct Ema {
    decay: f64,
    weights: NamedTensors,
    averages: NamedTensors,
}

impl Ema {
    /// An average that starts at the model's weights; `None` where the config asks for none.
    ///
    /// * `weights` - sharing storage with the model, as [`crate::TrainPlan::model_of`] gives them
    ///
    /// # Errors
    /// [`NnError::OutOfMemory`] when a second set of weights does not fit.
    pub fn new(weights: NamedTensors, config: EmaConfig) -> Result<Option<Self>, NnError> {
        let EmaConfig::Decay { decay } = config else { return Ok(None) };
        let copy = |(name, value): (&String, &Tensor)| Ok((name.clone(), copy_of(value)?));
        let averages =
            weights.iter().map(copy).collect::<Result<_, _>>().during("copying weights for their average")?;
        Ok(Some(Ema { decay, weights, averages }))
    }

    /// Takes the weights after `step` (from 1) in.
    ///
    /// # Errors
    /// [`NnError`] when libtorch fails.
    pub fn update(&mut self, step: u64) -> Result<(), NnError> {
        let decay = self.decay.min((1 + step) as f64 / (10 + step) as f64);
        let blend = || {
            for (name, average) in &mut self.averages {
                let weight = &self.weights[name];
                match weight.requires_grad() {
                    true => drop(average.f_lerp_(weight, 1.0 - decay)?),
                    false => average.f_copy_(weight)?,
                }
            }
            Ok(())
        };
        tch::no_grad(blend).during("averaging weights")
    }

    /// The averages by the variables' names, sharing storage.
    pub fn averages(&self) -> &NamedTensors {
        &self.averages
    }

    /// Sets the model's weights to the averages: the end of a run.
    ///
    /// # Errors
    /// [`TrainError::Nn`] when libtorch fails.
    pub fn copy_into_model(&self) -> Result<(), TrainError> {
        copy_all(&self.averages, &self.weights)
    }
}

fn copy_of(value: &Tensor) -> Result<Tensor, TchError> {
    let mut copy = value.f_detach()?.f_empty_like()?;
    copy.f_copy_(&value.f_detach()?)?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use tch::nn::{self, VarStore};
    use tch::{Device, Kind};

    use super::*;
    use crate::named;

    #[test]
    fn the_average_follows_the_weights_as_worked_by_hand() {
        let vs = VarStore::new(Device::Cpu);
        let mut x = vs.root().var("x", &[1], nn::Init::Const(1.0));
        let mut ema = Ema::new(named(&vs), EmaConfig::Decay { decay: 0.25 }).unwrap().unwrap();
        let mut set = |value: f64| drop(tch::no_grad(|| x.fill_(value)));
        set(3.0);
        // (1 + 1) / (10 + 1) is below 0.25: 1 * 2/11 + 3 * 9/11 = 29/11.
        ema.update(1).unwrap();
        assert!((ema.averages()["x"].double_value(&[0]) - 29.0 / 11.0).abs() < 1e-6);
        set(-1.0);
        // From step 2 on 0.25 is the smaller one: 29/11 / 4 - 3/4.
        ema.update(2).unwrap();
        let average = 29.0 / 44.0 - 0.75;
        assert!((ema.averages()["x"].double_value(&[0]) - average).abs() < 1e-6);
        ema.copy_into_model().unwrap();
        assert!((named(&vs)["x"].double_value(&[0]) - average).abs() < 1e-6);
        assert!(named(&vs)["x"].requires_grad());
    }

    #[test]
    fn what_no_gradient_moves_is_copied_and_no_average_is_made_where_none_is_asked_for() {
        let vs = VarStore::new(Device::Cpu);
        let count = vs.root().add("count", Tensor::from_slice(&[1i64]), false);
        let codebook = vs.root().add("codebook", Tensor::from_slice(&[1.0f32]), false);
        let mut ema = Ema::new(named(&vs), EmaConfig::Decay { decay: 0.9 }).unwrap().unwrap();
        drop(count.shallow_clone().fill_(7));
        drop(codebook.shallow_clone().fill_(3.0));
        ema.update(100).unwrap();
        assert_eq!(ema.averages()["count"].int64_value(&[0]), 7);
        assert_eq!(ema.averages()["count"].kind(), Kind::Int64);
        assert_eq!(ema.averages()["codebook"].double_value(&[0]), 3.0);
        assert!(Ema::new(named(&vs), EmaConfig::None {}).unwrap().is_none());
    }
}
