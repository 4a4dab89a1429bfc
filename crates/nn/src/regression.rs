use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::{Cubes, NnError, expect_shape};

/// What a decoder regresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The tokenizer's quantised embedding of a token.
    Codes,
    /// The pixels of its cube, each colour normalised.
    Pixels,
}

impl Target {
    fn name(self) -> &'static str {
        match self {
            Target::Codes => "codes",
            Target::Pixels => "pixels",
        }
    }
}

/// The targets of a batch.
#[derive(Clone, Copy, Debug)]
pub enum Targets<'a> {
    /// The pixels of the clip itself.
    Pixels,
    /// Quantised embedding of each token, `[B, N, C]` in `[-1, 1]`.
    Codes(&'a Tensor),
}

impl Targets<'_> {
    /// Checks that these are of the kind that a preset asks for.
    ///
    /// # Errors
    /// [`NnError::Target`].
    pub fn expect(&self, preset: Target) -> Result<(), NnError> {
        let given = match self {
            Targets::Pixels => Target::Pixels,
            Targets::Codes(_) => Target::Codes,
        };
        match given == preset {
            true => Ok(()),
            false => Err(NnError::Target { preset: preset.name(), given: given.name() }),
        }
    }

    /// Mean squared error at chosen tokens; no other token is ever compared.
    ///
    /// * `tokens_bq` - token indices `[B, Q]` int64
    /// * `predicted_bqc` - what was predicted there
    ///
    /// # Errors
    /// [`NnError::Shape`] when codes or predictions are of another shape, [`NnError::Torch`], [`NnError::OutOfMemory`].
    pub fn regress(&self, cubes: &Cubes, tokens_bq: &Tensor, predicted_bqc: &Tensor) -> Result<Regression, NnError> {
        let target_bqc = tch::no_grad(|| self.at(cubes, tokens_bq))?;
        // Else a width of 1 would broadcast.
        expect_shape("target", &target_bqc, &predicted_bqc.size())?;
        let error_bqc = (predicted_bqc - &target_bqc).square();
        let mse = error_bqc.mean(Kind::Float);
        let explained = 1 - mse.detach() / target_bqc.var(true).clamp_min(1e-12);
        Ok(Regression { error_bqc: error_bqc.detach(), mse, explained })
    }

    /// Targets of chosen tokens, `[B, Q, C]`.
    fn at(&self, cubes: &Cubes, tokens_bq: &Tensor) -> Result<Tensor, NnError> {
        match self {
            Targets::Pixels => cubes.targets(tokens_bq),
            Targets::Codes(codes_bnc) => {
                expect_shape("codes", codes_bnc, &[cubes.num_clips(), cubes.grid().num_tokens(), -1])?;
                let index = tokens_bq.unsqueeze(-1).expand([-1, -1, codes_bnc.size()[2]], false);
                Ok(codes_bnc.gather(1, &index, false))
            }
        }
    }
}

/// How far predictions are from their targets.
#[derive(Debug)]
pub struct Regression {
    /// Squared error of each value, `[B, Q, C]`, detached.
    pub error_bqc: Tensor,
    /// Its mean, a scalar with a gradient.
    pub mse: Tensor,
    /// 1 - error / variance of the targets: 0 for predicting their mean, 1 for perfection. Detached.
    pub explained: Tensor,
}
