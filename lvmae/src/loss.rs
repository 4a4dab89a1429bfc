use nn::{Cubes, Losses, Mode, NnError, Regression, Targets};
use tch::Tensor;

use crate::{ClipMask, Lvmae, LvmaeError};

impl Lvmae {
    /// Mean squared error over the decoded tokens (equations 1 and 2 of the paper); no other token is ever compared.
    ///
    /// * `clip_bthwc` - pixels `[B, T, H, W, 3]` u8
    /// * `masks` - one per clip, all of the same counts
    ///
    /// Terms: `mse`, and `explained` (see [`Regression`]).
    ///
    /// # Errors
    /// [`LvmaeError::Nn`] for targets of the other kind, for shapes and failures of libtorch.
    pub fn loss(&self, clip_bthwc: &Tensor, masks: &[ClipMask], targets: Targets) -> Result<Losses, LvmaeError> {
        targets.expect(self.checked.config().target)?;
        let cubes = Cubes::new(clip_bthwc, self.checked.grid(), self.checked.patch())?;
        let (visible_bv, decoded_bq) = self.indices(&cubes, masks)?;
        let predicted = self.forward(&cubes, &visible_bv, &decoded_bq, Mode::Train)?;
        let Regression { mse, explained, .. } = targets.regress(&cubes, &decoded_bq, &predicted.values_bqc)?;
        let terms = vec![("mse", mse.detach()), ("explained", explained)];
        Ok(Losses { terms, total: mse, features: Some(predicted.features_bvd.detach()), codes: None })
    }

    /// Visible and asked tokens of a batch, `[B, V]` and `[B, Q]` int64 on the clip's device. Each clip's decoded tokens come
    /// first among those asked.
    ///
    /// # Errors
    /// [`NnError::Shape`] when the masks are not one per clip or differ in their counts.
    pub fn indices(&self, cubes: &Cubes, masks: &[ClipMask]) -> Result<(Tensor, Tensor), NnError> {
        let stack = |name, list: &dyn Fn(&ClipMask) -> Vec<i64>| {
            let lists: Vec<Vec<i64>> = masks.iter().map(list).collect();
            let width = lists.first().map_or(0, Vec::len);
            if lists.iter().any(|list| list.len() != width) || lists.len() as i64 != cubes.num_clips() {
                let got = lists.iter().map(|list| list.len() as i64).collect();
                return Err(NnError::Shape { name, got, want: vec![width as i64; cubes.num_clips() as usize] });
            }
            let indices = Tensor::from_slice(&lists.concat()).view([cubes.num_clips(), width as i64]);
            Ok(indices.to_device(cubes.device()))
        };
        Ok((stack("visible tokens", &|m| m.visible.clone())?, stack("asked tokens", &|m| m.asked().collect())?))
    }
}

#[cfg(test)]
mod tests;
