use nn::{Cubes, Losses, Mode, NnError, Targets};
use tch::Tensor;

use crate::{ClipMask, Lvmae, LvmaeError};

impl Lvmae {
    /// Mean squared error over the decoded tokens (equations 1 and 2 of the paper); no other token is ever compared.
    ///
    /// * `clip_bthwc` - pixels `[B, T, H, W, 3]` u8
    /// * `masks` - one per clip, all with as many visible tokens and as many asked ones
    ///
    /// Terms: `mse`, and `explained` (see [`nn::Regression`]); where clips decode different numbers of tokens, the mean of
    /// `explained` over clips, weighted by these numbers.
    ///
    /// # Errors
    /// [`LvmaeError::Nn`] for targets of the other kind, for shapes and failures of libtorch.
    pub fn loss(&self, clip_bthwc: &Tensor, masks: &[ClipMask], targets: Targets) -> Result<Losses, LvmaeError> {
        targets.expect(self.checked.config().target)?;
        let cubes = Cubes::new(clip_bthwc, self.checked.grid(), self.checked.patch())?;
        let (visible_bv, asked_bq) = self.indices(&cubes, masks)?;
        let predicted = self.forward(&cubes, &visible_bv, &asked_bq, Mode::Train)?;
        let num_decoded: Vec<i64> = masks.iter().map(|mask| mask.decoded.len() as i64).collect();
        let num_all = num_decoded.iter().sum::<i64>() as f64;
        let mut first = 0;
        let mut sums: Option<[Tensor; 2]> = None;
        // As many in each clip but for a few under running cells: then neighbours of equal number are compared at once.
        for clips in num_decoded.chunk_by(|a, b| a == b) {
            let (num_clips, num) = (clips.len() as i64, clips[0]);
            let of_clips = |x: &Tensor| x.narrow(0, first, num_clips);
            let cubes = Cubes::new(&of_clips(clip_bthwc), self.checked.grid(), self.checked.patch())?;
            let decoded = |x: &Tensor| of_clips(x).narrow(1, 0, num);
            let (tokens_bq, values_bqc) = (decoded(&asked_bq), decoded(&predicted.values_bqc));
            let regression = match targets {
                Targets::Pixels => Targets::Pixels.regress(&cubes, &tokens_bq, &values_bqc)?,
                Targets::Codes(codes_bnc) => {
                    Targets::Codes(&of_clips(codes_bnc)).regress(&cubes, &tokens_bq, &values_bqc)?
                }
            };
            let share = (num_clips * num) as f64 / num_all;
            let part = [regression.mse, regression.explained].map(|mean| mean * share);
            sums = Some(match sums {
                None => part,
                Some([mse, explained]) => [mse + &part[0], explained + &part[1]],
            });
            first += num_clips;
        }
        let [mse, explained] =
            sums.ok_or(NnError::Shape { name: "masks", got: vec![0], want: vec![cubes.num_clips()] })?;
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
