use nn::{Cubes, Losses, NnError, expect_shape};
use tch::{Kind, Tensor};

use crate::{ClipMask, Lvmae, LvmaeError, Target};

/// What the decoder has to predict.
#[derive(Clone, Copy, Debug)]
pub enum Targets<'a> {
    /// The pixels of the clip itself.
    Pixels,
    /// Quantised embedding of each token, `[B, N, C]` in `[-1, 1]`.
    Codes(&'a Tensor),
}

impl Targets<'_> {
    fn kind(&self) -> Target {
        match self {
            Targets::Pixels => Target::Pixels,
            Targets::Codes(_) => Target::Codes,
        }
    }
}

fn name(target: Target) -> &'static str {
    match target {
        Target::Codes => "codes",
        Target::Pixels => "pixels",
    }
}

impl Lvmae {
    /// Mean squared error over the decoded tokens (equations 1 and 2 of the paper); no other token is ever compared.
    ///
    /// * `clip_bthwc` - pixels `[B, T, H, W, 3]` u8
    /// * `masks` - one per clip, all of the same counts
    ///
    /// The term `explained` is 1 - error / variance of the targets: 0 for predicting their mean, 1 for perfection.
    ///
    /// # Errors
    /// [`LvmaeError::Target`] for targets of the other kind; [`LvmaeError::Nn`] for shapes and failures of libtorch.
    pub fn loss(&self, clip_bthwc: &Tensor, masks: &[ClipMask], targets: Targets) -> Result<Losses, LvmaeError> {
        let want = self.checked.config().target;
        if targets.kind() != want {
            return Err(LvmaeError::Target { preset: name(want), given: name(targets.kind()) });
        }
        let cubes = Cubes::new(clip_bthwc, self.checked.grid(), self.checked.patch())?;
        let (visible_bv, decoded_bq) = self.indices(&cubes, masks)?;
        let predicted_bqc = self.forward(&cubes, &visible_bv, &decoded_bq)?;
        let target_bqc = tch::no_grad(|| chosen(&cubes, &decoded_bq, targets))?;
        let mse = (predicted_bqc - &target_bqc).square().mean(Kind::Float);
        let explained = 1 - mse.detach() / target_bqc.var(true).clamp_min(1e-12);
        Ok(Losses { terms: vec![("mse", mse.detach()), ("explained", explained)], total: mse })
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

/// Targets of the decoded tokens, `[B, Q, C]`.
fn chosen(cubes: &Cubes, decoded_bq: &Tensor, targets: Targets) -> Result<Tensor, NnError> {
    match targets {
        Targets::Pixels => cubes.targets(decoded_bq),
        Targets::Codes(codes_bnc) => {
            expect_shape("codes", codes_bnc, &[cubes.num_clips(), cubes.grid().num_tokens(), -1])?;
            let index = decoded_bq.unsqueeze(-1).expand([-1, -1, codes_bnc.size()[2]], false);
            Ok(codes_bnc.gather(1, &index, false))
        }
    }
}

#[cfg(test)]
mod tests;
