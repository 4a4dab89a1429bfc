use nn::{Comparison, Cubes, Losses, Mode, NnError, Targets};
use tch::Tensor;

use crate::{ClipMask, Lvmae, LvmaeError};

impl Lvmae {
    /// The mean error over the decoded tokens (equations 1 and 2 of the paper); no other token is ever compared.
    ///
    /// * `clip_bthwc` - pixels `[B, T, H, W, 3]` u8
    /// * `masks` - one per clip, all of the same counts
    ///
    /// Terms: those of [`Comparison`].
    ///
    /// # Errors
    /// [`LvmaeError::Nn`] for targets of another kind, for shapes and failures of libtorch.
    pub fn loss(&self, clip_bthwc: &Tensor, masks: &[ClipMask], targets: &Targets) -> Result<Losses, LvmaeError> {
        let cubes = Cubes::new(clip_bthwc, self.checked.grid(), self.checked.patch())?;
        let (visible_bv, decoded_bq) = self.indices(&cubes, masks)?;
        let predicted = self.forward(&cubes, &visible_bv, &decoded_bq, Mode::Train)?;
        let target = self.checked.config().target;
        let Comparison { total, terms, .. } = targets.compare(target, &cubes, &decoded_bq, &predicted.values_bqc)?;
        Ok(Losses { terms, total, features: Some(predicted.features_bvd.detach()), codes: None })
    }

    /// Visible and decoded tokens of a batch, `[B, V]` and `[B, Q]` int64 on the clip's device.
    ///
    /// # Errors
    /// [`NnError::Shape`] when the masks are not one per clip or differ in their counts.
    pub fn indices(&self, cubes: &Cubes, masks: &[ClipMask]) -> Result<(Tensor, Tensor), NnError> {
        let stack = |name, list: &dyn Fn(&ClipMask) -> &[i64]| {
            let width = masks.first().map_or(0, |m| list(m).len());
            let uneven = masks.iter().any(|m| list(m).len() != width);
            if uneven || masks.len() as i64 != cubes.num_clips() {
                let got = masks.iter().map(|m| list(m).len() as i64).collect();
                return Err(NnError::Shape { name, got, want: vec![width as i64; cubes.num_clips() as usize] });
            }
            let flat: Vec<i64> = masks.iter().flat_map(list).copied().collect();
            Ok(Tensor::from_slice(&flat).view([cubes.num_clips(), width as i64]).to_device(cubes.device()))
        };
        Ok((stack("visible tokens", &|m| &m.visible)?, stack("decoded tokens", &|m| &m.decoded)?))
    }
}

#[cfg(test)]
mod tests;
