use nn::{Comparison, Cubes, Losses, Mode, NnError, Targets};
use tch::{Kind, Tensor};

use crate::{Arvideo, ArvideoError, ClusterPlan};

impl Arvideo {
    /// The mean error over the asked tokens of all predicted clusters, each weighted as its plan says.
    ///
    /// * `clip_bthwc` - pixels `[B, T, H, W, 3]` u8
    /// * `plans` - one per clip, from this model's [`plan`](crate::CheckedArvideo::plan)
    ///
    /// Terms: those of [`Comparison`], of whatever weights; `mse_first` and `mse_last` (of classified codes `ce_first` and
    /// `ce_last`) are the errors of the cluster predicted from one other and of that predicted from all: how much the context
    /// helps.
    ///
    /// # Errors
    /// [`ArvideoError::Nn`] for targets of another kind, for shapes and failures of libtorch.
    pub fn loss(&self, clip_bthwc: &Tensor, plans: &[ClusterPlan], targets: &Targets) -> Result<Losses, ArvideoError> {
        let cubes = Cubes::new(clip_bthwc, self.checked.grid(), self.checked.patch())?;
        let predicted = self.predictions(&cubes, plans, Mode::Train)?;
        let target = self.checked.config().target;
        let Comparison { error_bq, total, mut terms } =
            targets.compare(target, &cubes, &predicted.tokens_bq, &predicted.values_bqc)?;
        let size = self.checked.num_predicted() as i64;
        let of_block = |start: i64| error_bq.detach().narrow(1, start, size).mean(Kind::Float);
        let [first, last] = if target.is_classified() { ["ce_first", "ce_last"] } else { ["mse_first", "mse_last"] };
        terms.extend([(first, of_block(0)), (last, of_block(error_bq.size()[1] - size))]);
        let total = match weights(plans, &error_bq)? {
            Some(weights_bq) => (error_bq * weights_bq).mean(Kind::Float),
            None => total,
        };
        Ok(Losses { terms, total, features: Some(predicted.features_bid.detach()), codes: None })
    }
}

/// How much each predicted token counts, `[B, Q]`; `None` where all count the same.
///
/// * `error_bq` - `[B, Q]`, on the device where the weights are to be
fn weights(plans: &[ClusterPlan], error_bq: &Tensor) -> Result<Option<Tensor>, NnError> {
    if plans.iter().all(|plan| plan.weights.is_empty()) {
        return Ok(None);
    }
    let want = error_bq.size();
    let got: Vec<i64> = plans.iter().map(|plan| plan.weights.len() as i64).collect();
    if got.iter().any(|len| *len != want[1]) {
        return Err(NnError::Shape { name: "weights of predicted tokens", got, want: vec![want[1]; plans.len()] });
    }
    let flat: Vec<f32> = plans.iter().flat_map(|plan| plan.weights.iter().copied()).collect();
    Ok(Some(Tensor::from_slice(&flat).view(want.as_slice()).to_device(error_bq.device())))
}

#[cfg(test)]
mod tests;
