use nn::{Cubes, Losses, Mode, Regression, Targets};
use tch::{Kind, Tensor};

use crate::{Arvideo, ArvideoError, ClusterPlan};

impl Arvideo {
    /// Mean squared error over all tokens of all predicted clusters.
    ///
    /// * `clip_bthwc` - pixels `[B, T, H, W, 3]` u8
    /// * `plans` - one per clip, from this model's [`plan`](crate::CheckedArvideo::plan)
    ///
    /// Terms: `mse`, `explained` (see [`Regression`]); `mse_first` and `mse_last` are the errors of the cluster predicted from one other and of that predicted from
    /// all: how much the context helps.
    ///
    /// # Errors
    /// [`ArvideoError::Nn`] for targets of the other kind, for shapes and failures of libtorch.
    pub fn loss(&self, clip_bthwc: &Tensor, plans: &[ClusterPlan], targets: Targets) -> Result<Losses, ArvideoError> {
        targets.expect(self.checked.config().target)?;
        let cubes = Cubes::new(clip_bthwc, self.checked.grid(), self.checked.patch())?;
        let predicted = self.predictions(&cubes, plans, Mode::Train)?;
        let Regression { error_bqc, mse, explained } =
            targets.regress(&cubes, &predicted.tokens_bq, &predicted.values_bqc)?;
        let features = Some(predicted.features_bid.detach());
        let size = self.checked.clusters().size() as i64;
        let of_block = |start: i64| error_bqc.narrow(1, start, size).mean(Kind::Float);
        let terms = vec![
            ("mse", mse.detach()),
            ("mse_first", of_block(0)),
            ("mse_last", of_block(error_bqc.size()[1] - size)),
            ("explained", explained),
        ];
        Ok(Losses { terms, total: mse, features, codes: None })
    }
}

#[cfg(test)]
mod tests;
