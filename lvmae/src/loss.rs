use nn::{Comparison, Cubes, Losses, Mode, NnError, Targets};
use tch::Tensor;

use crate::{ClipMask, Lvmae, LvmaeError};

impl Lvmae {
    /// The mean error over the decoded tokens (equations 1 and 2 of the paper); no other token is ever compared.
    ///
    /// * `clip_bthwc` - pixels `[B, T, H, W, 3]` u8
    /// * `masks` - one per clip, all with as many visible tokens and as many asked ones
    ///
    /// Terms: those of [`Comparison`]; where clips decode different numbers of tokens, means over clips weighted by these
    /// numbers.
    ///
    /// # Errors
    /// [`LvmaeError::Nn`] for targets of another kind, for shapes and failures of libtorch.
    pub fn loss(&self, clip_bthwc: &Tensor, masks: &[ClipMask], targets: &Targets) -> Result<Losses, LvmaeError> {
        let cubes = Cubes::new(clip_bthwc, self.checked.grid(), self.checked.patch())?;
        let (visible_bv, asked_bq) = self.indices(&cubes, masks)?;
        let predicted = self.forward(&cubes, &visible_bv, &asked_bq, Mode::Train)?;
        let num_decoded: Vec<i64> = masks.iter().map(|mask| mask.decoded.len() as i64).collect();
        let num_all = num_decoded.iter().sum::<i64>() as f64;
        let (mut first, mut sum) = (0, None);
        // As many in each clip but for a few under running cells: then neighbours of equal number are compared at once.
        for clips in num_decoded.chunk_by(|a, b| a == b) {
            let (num_clips, num) = (clips.len() as i64, clips[0]);
            let of_clips = |x: &Tensor| x.narrow(0, first, num_clips);
            let decoded = |x: &Tensor| of_clips(x).narrow(1, 0, num);
            let cubes = Cubes::new(&of_clips(clip_bthwc), self.checked.grid(), self.checked.patch())?;
            let compared = targets.of_clips(first, num_clips).compare(
                self.checked.config().target,
                &cubes,
                &decoded(&asked_bq),
                &decoded(&predicted.values_bqc),
            )?;
            sum = Some(add(sum, compared, (num_clips * num) as f64 / num_all));
            first += num_clips;
        }
        let (total, terms) =
            sum.ok_or(NnError::Shape { name: "masks", got: vec![0], want: vec![cubes.num_clips()] })?;
        Ok(Losses { terms, total, features: Some(predicted.features_bvd.detach()), codes: None })
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

/// A loss and its terms.
type Sum = (Tensor, Vec<(&'static str, Tensor)>);

/// The sum so far, and a share of one more comparison.
fn add(sum: Option<Sum>, more: Comparison, share: f64) -> Sum {
    let Comparison { total, terms, .. } = more;
    let terms = terms.into_iter().map(|(name, value)| (name, value * share));
    match sum {
        None => (total * share, terms.collect()),
        Some((sum, sums)) => {
            let added = sums.into_iter().zip(terms).map(|((name, sum), (_, value))| (name, sum + value));
            (sum + total * share, added.collect())
        }
    }
}

#[cfg(test)]
mod tests;
