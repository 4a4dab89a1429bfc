use nn::{Cubes, Losses, NnError, expect_shape};
use tch::{Kind, Tensor};

use crate::{Arvideo, ArvideoError, ClusterPlan, Target};

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

impl Arvideo {
    /// Mean squared error over all tokens of all predicted clusters.
    ///
    /// * `clip_bthwc` - pixels `[B, T, H, W, 3]` u8
    /// * `plans` - one per clip, from this model's [`plan`](crate::CheckedArvideo::plan)
    ///
    /// The term `explained` is 1 - error / variance of the targets: 0 for predicting their mean, 1 for perfection.
    /// `mse_first` and `mse_last` are the errors of the cluster predicted from one other and of that predicted from
    /// all: how much the context helps.
    ///
    /// # Errors
    /// [`ArvideoError::Target`] for targets of the other kind; [`ArvideoError::Nn`] for shapes and failures of
    /// libtorch.
    pub fn loss(&self, clip_bthwc: &Tensor, plans: &[ClusterPlan], targets: Targets) -> Result<Losses, ArvideoError> {
        let want = self.checked.config().target;
        if targets.kind() != want {
            return Err(ArvideoError::Target { preset: name(want), given: name(targets.kind()) });
        }
        let cubes = Cubes::new(clip_bthwc, self.checked.grid(), self.checked.patch())?;
        let predicted = self.predictions(&cubes, plans)?;
        let target_bqc = tch::no_grad(|| chosen(&cubes, &predicted.tokens_bq, targets))?;
        // Else a width of 1 would broadcast.
        expect_shape("target", &target_bqc, &predicted.values_bqc.size())?;
        let error_bqc = (predicted.values_bqc - &target_bqc).square();
        let mse = error_bqc.mean(Kind::Float);
        let explained = 1 - mse.detach() / target_bqc.var(true).clamp_min(1e-12);
        let size = self.checked.clusters().size() as i64;
        let of_block = |start: i64| error_bqc.detach().narrow(1, start, size).mean(Kind::Float);
        let terms = vec![
            ("mse", mse.detach()),
            ("mse_first", of_block(0)),
            ("mse_last", of_block(error_bqc.size()[1] - size)),
            ("explained", explained),
        ];
        Ok(Losses { terms, total: mse })
    }
}

/// Targets of the predicted tokens, `[B, Q, C]`.
fn chosen(cubes: &Cubes, tokens_bq: &Tensor, targets: Targets) -> Result<Tensor, NnError> {
    match targets {
        Targets::Pixels => cubes.targets(tokens_bq),
        Targets::Codes(codes_bnc) => {
            expect_shape("codes", codes_bnc, &[cubes.num_clips(), cubes.grid().num_tokens(), -1])?;
            let index = tokens_bq.unsqueeze(-1).expand([-1, -1, codes_bnc.size()[2]], false);
            Ok(codes_bnc.gather(1, &index, false))
        }
    }
}

#[cfg(test)]
mod tests;
