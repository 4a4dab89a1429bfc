use nn::{Comparison, Cubes, Losses, Mode, Target, Targets};
use tch::{Kind, Tensor};

use crate::{Arvideo, ArvideoError, ClusterPlan};

impl Arvideo {
    /// The mean error over all tokens of all predicted clusters.
    ///
    /// * `clip_bthwc` - pixels `[B, T, H, W, 3]` u8
    /// * `plans` - one per clip, from this model's [`plan`](crate::CheckedArvideo::plan)
    ///
    /// Terms: those of [`Comparison`]; `mse_first` and `mse_last` (of classified codes `ce_first` and `ce_last`) are the errors
    /// of the cluster predicted from one other and of that predicted from all: how much the context helps.
    ///
    /// # Errors
    /// [`ArvideoError::Nn`] for targets of another kind, for shapes and failures of libtorch.
    pub fn loss(&self, clip_bthwc: &Tensor, plans: &[ClusterPlan], targets: &Targets) -> Result<Losses, ArvideoError> {
        let cubes = Cubes::new(clip_bthwc, self.checked.grid(), self.checked.patch())?;
        let predicted = self.predictions(&cubes, plans, Mode::Train)?;
        let target = self.checked.config().target;
        let Comparison { error_bq, total, mut terms } =
            targets.compare(target, &cubes, &predicted.tokens_bq, &predicted.values_bqc)?;
        let size = self.checked.clusters().size() as i64;
        let of_block = |start: i64| error_bq.narrow(1, start, size).mean(Kind::Float);
        let [first, last] = match target {
            Target::Factored => ["ce_first", "ce_last"],
            _ => ["mse_first", "mse_last"],
        };
        terms.extend([(first, of_block(0)), (last, of_block(error_bq.size()[1] - size))]);
        Ok(Losses { terms, total, features: Some(predicted.features_bid.detach()), codes: None })
    }
}

#[cfg(test)]
mod tests;
