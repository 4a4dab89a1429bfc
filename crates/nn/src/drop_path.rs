use tch::{Kind, Tensor};

use crate::NnError;

/// What a network is run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Training: drop path is on and draws from libtorch's generator.
    Train,
    /// Anything else: a pure function of weights and input.
    Eval,
}

/// Stochastic depth (Huang et al. 2016) as in timm: while training, a residual branch is left out for a sample with
/// probability `rate`, and what is kept is divided by `1 - rate`, so that its expectation stays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DropPath {
    rate: f64,
}

impl DropPath {
    /// Keeps every branch, draws nothing.
    pub const OFF: DropPath = DropPath { rate: 0.0 };

    /// Checks that a branch can be kept.
    ///
    /// # Errors
    /// [`NnError::Config`] with the value.
    pub fn check(rate: f64) -> Result<(), NnError> {
        match (0.0..1.0).contains(&rate) {
            true => Ok(()),
            false => Err(NnError::Config { key: "drop_path", value: rate.to_string(), rule: "must be in 0 <= p < 1" }),
        }
    }

    /// One for each block: from 0 in the first, linearly to `rate` in the last.
    pub(crate) fn per_block(rate: f64, depth: usize) -> impl Iterator<Item = DropPath> {
        let last = depth.saturating_sub(1).max(1) as f64;
        (0..depth).map(move |i| DropPath { rate: rate * i as f64 / last })
    }

    /// A residual branch `[B, N, D]` with samples left out.
    pub(crate) fn apply(self, branch_bnd: Tensor) -> Tensor {
        if self.rate == 0.0 {
            return branch_bnd;
        }
        let keep = 1.0 - self.rate;
        let share_b11 = Tensor::full([branch_bnd.size()[0], 1, 1], keep, (Kind::Float, branch_bnd.device()));
        branch_bnd * (share_b11.bernoulli() / keep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_rise_linearly_from_none_to_the_one_configured() {
        let rates = |depth| DropPath::per_block(0.2, depth).map(|drop| drop.rate).collect::<Vec<_>>();
        assert_eq!(rates(5), [0.0, 0.05, 0.1, 0.2 * 3.0 / 4.0, 0.2]);
        // As numpy's linspace(0, 0.2, 1).
        assert_eq!(rates(1), [0.0]);
    }

    #[test]
    fn a_sample_keeps_all_its_tokens_scaled_or_none_and_the_mean_is_the_branch() {
        let branch = Tensor::from_slice2(&[[1.0f32, -2.0], [3.0, 0.5]]);
        let num_samples = 20_000;
        let many = branch.unsqueeze(0).repeat([num_samples, 1, 1]);
        let got = DropPath { rate: 0.2 }.apply(many);
        let (first, scaled) = (got.get(0), &branch / 0.8);
        assert!(first.count_nonzero(None).int64_value(&[]) == 0 || first.allclose(&scaled, 1e-6, 0.0, false));
        let values = got.select(2, 0).select(1, 0);
        let dropped = values.eq(0.0).to_kind(Kind::Float).mean(Kind::Float).double_value(&[]);
        // Five standard deviations of a mean over 20,000 draws: 5 sqrt(0.2 0.8 / 20000).
        assert!((dropped - 0.2).abs() < 0.0142, "{dropped}");
        let mean = got.mean_dim([0i64].as_slice(), false, Kind::Float);
        assert!(mean.allclose(&branch, 5.0 * (0.25f64 / 20_000.0).sqrt(), 0.0, false), "{mean}");
        // Whole samples: a token of a sample is zero exactly where its other is.
        let zero = got.eq(0.0);
        assert!(zero.any_dim(2, false).any_dim(1, false).equal(&zero.all_dim(2, false).all_dim(1, false)));
    }

    #[test]
    fn rates_that_keep_nothing_or_are_no_probability_are_refused() {
        for rate in [1.0, -0.1, f64::NAN, f64::INFINITY] {
            let said = DropPath::check(rate).unwrap_err().to_string();
            assert_eq!(said, format!("drop_path = {rate} is impossible: must be in 0 <= p < 1"));
        }
        DropPath::check(0.0).unwrap();
    }
}
