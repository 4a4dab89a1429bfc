mod sgd;

use std::collections::BTreeMap;

use nn::{During, NnError};
use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};
use spec::{Purpose, rng_for};
use tch::{Device, Kind, TchError, Tensor};

pub use self::sgd::SgdSearch;
use crate::{EvalError, Features, Scores};

/// A linear classifier on standardised features, in double precision: by ridge regression to one-hot classes in closed form,
/// or by [`SgdSearch`].
///
/// Ridge regression minimises `|Z W + b - Y|^2 / n + lambda |W|^2` over W and b, with each column of Z brought to mean 0 and variance 1
/// by the training clips' own statistics. The bias is not penalised; it is the share of each class. Targets of -1 and 1 would
/// give the same ranking.
#[derive(Debug)]
pub struct LinearProbe {
    scaling: Scaling,
    weight_dc: Tensor,
    bias_c: Tensor,
}

/// How the penalty is chosen, by the training clips alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RidgeSearch {
    /// Penalties to try, each above 0. The features are standardised, so that 1 shrinks a lone feature by half.
    pub lambdas: Vec<f64>,
    /// Parts of the training clips, each held out once. A group stays in one part; fewer groups make fewer parts.
    pub num_folds: usize,
}

impl LinearProbe {
    /// Ridge regression with one penalty.
    ///
    /// # Errors
    /// [`EvalError::OutOfRange`] when `lambda` is not above 0, [`EvalError::Label`], [`EvalError::Nn`].
    pub fn fit(train: &Features, num_classes: usize, lambda: f64) -> Result<Self, EvalError> {
        Equations::new(train, num_classes)?.solve(lambda)
    }

    /// The scores of other clips.
    ///
    /// # Errors
    /// [`EvalError::Widths`], [`EvalError::Nn`].
    pub fn scores(&self, features: &Features) -> Result<Scores, EvalError> {
        let width = self.weight_dc.size()[0] as usize;
        if features.width() != width {
            return Err(EvalError::Widths { train: width, test: features.width() });
        }
        let z_nd = self.scaling.apply(features)?;
        let scores = z_nd.f_matmul(&self.weight_dc).and_then(|x| x.f_add(&self.bias_c)?.f_reshape([-1]));
        let values = scores.and_then(Vec::<f64>::try_from).during("scoring clips")?;
        Ok(Scores::new(values, self.bias_c.size()[0] as usize))
    }
}

impl RidgeSearch {
    /// The penalty of the highest accuracy on held-out training clips; of equal ones the largest.
    ///
    /// * `seed` - of the division into folds
    ///
    /// # Errors
    /// [`EvalError::OutOfRange`] for no or impossible penalties or fewer than 2 folds, [`EvalError::OneGroup`],
    /// [`EvalError::Label`], [`EvalError::Nn`].
    pub fn choose(&self, train: &Features, num_classes: usize, seed: u64) -> Result<f64, EvalError> {
        if self.num_folds < 2 {
            return Err(EvalError::OutOfRange { key: "num_folds", value: self.num_folds as f64, rule: "at least 2" });
        }
        let mut hits = vec![0usize; self.lambdas.len()];
        for fold in folds(train.groups(), self.num_folds, seed)? {
            let (kept, held_out) = (train.select(&fold.kept), train.select(&fold.held_out));
            held_out.expect_classes(num_classes)?;
            let equations = Equations::new(&kept, num_classes)?;
            for (lambda, hits) in self.lambdas.iter().zip(&mut hits) {
                let ranks = equations.solve(*lambda)?.scores(&held_out)?.ranks(held_out.labels());
                *hits += ranks.iter().filter(|rank| **rank == 0).count();
            }
        }
        let best = hits.iter().zip(&self.lambdas).max_by(|a, b| a.0.cmp(b.0).then(a.1.total_cmp(b.1)));
        let none = EvalError::OutOfRange { key: "lambdas", value: 0.0, rule: "at least one penalty" };
        best.map(|(_, lambda)| *lambda).ok_or(none)
    }
}

/// One division of the training clips, by their numbers.
pub(crate) struct Fold {
    pub(crate) kept: Vec<usize>,
    pub(crate) held_out: Vec<usize>,
}

/// Groups are shuffled and go, one by one, to the fold with the fewest clips so far.
pub(crate) fn folds(groups: &[String], num_folds: usize, seed: u64) -> Result<Vec<Fold>, EvalError> {
    let mut members: BTreeMap<&String, Vec<usize>> = BTreeMap::new();
    groups.iter().enumerate().for_each(|(clip, group)| members.entry(group).or_default().push(clip));
    if members.len() == 1 {
        return Err(EvalError::OneGroup { group: groups[0].clone() });
    }
    let mut members: Vec<Vec<usize>> = members.into_values().collect();
    // Item 1: item 0 is the bootstrap.
    members.shuffle(&mut rng_for(seed, 0, 1, Purpose::Eval));
    let mut parts = vec![Vec::new(); num_folds.min(members.len())];
    for clips in members {
        let smallest = parts.iter_mut().min_by_key(|part| part.len()).expect("there are at least two groups");
        smallest.extend(clips);
    }
    let fold = |mut held_out: Vec<usize>| {
        held_out.sort_unstable();
        let kept = (0..groups.len()).filter(|clip| held_out.binary_search(clip).is_err()).collect();
        Fold { kept, held_out }
    };
    Ok(parts.into_iter().map(fold).collect())
}

/// The normal equations of one training set, shared by all penalties; over d values or n clips, whichever are fewer.
struct Equations {
    scaling: Scaling,
    z_nd: Tensor,
    /// One-hot classes less their means, `[n, C]`.
    y_nc: Tensor,
    share_c: Tensor,
    /// `Z'Z / n` `[d, d]` or `ZZ' / n` `[n, n]`.
    gram: Tensor,
}

impl Equations {
    fn new(train: &Features, num_classes: usize) -> Result<Self, EvalError> {
        train.expect_classes(num_classes)?;
        let scaling = Scaling::of(train)?;
        let z_nd = scaling.apply(train)?;
        let build = || -> Result<_, TchError> {
            let hot_nc =
                Tensor::f_from_slice(train.labels())?.f_one_hot(num_classes as i64)?.f_to_kind(Kind::Double)?;
            let share_c = hot_nc.f_mean_dim([0i64].as_slice(), false, Kind::Double)?;
            let (n, d) = z_nd.size2()?;
            let gram = if d <= n { z_nd.f_tr()?.f_matmul(&z_nd)? } else { z_nd.f_matmul(&z_nd.f_tr()?)? };
            Ok((hot_nc.f_sub(&share_c)?, share_c, gram.f_div_scalar(n)?))
        };
        let (y_nc, share_c, gram) = build().during("the normal equations")?;
        Ok(Equations { scaling, z_nd, y_nc, share_c, gram })
    }

    /// `(Z'Z/n + lambda) W = Z'Y/n`, or with `(ZZ'/n + lambda) A = Y/n` the same `W = Z'A`.
    fn solve(&self, lambda: f64) -> Result<LinearProbe, EvalError> {
        if !(lambda > 0.0 && lambda.is_finite()) {
            return Err(EvalError::OutOfRange { key: "lambda", value: lambda, rule: "above 0" });
        }
        let solve = || -> Result<Tensor, TchError> {
            let (n, d) = self.z_nd.size2()?;
            let eye = Tensor::f_eye(self.gram.size()[0], (Kind::Double, Device::Cpu))?;
            let factor = self.gram.f_add(&eye.f_mul_scalar(lambda)?)?.f_linalg_cholesky(false)?;
            let y_nc = self.y_nc.f_div_scalar(n)?;
            if d <= n {
                self.z_nd.f_tr()?.f_matmul(&y_nc)?.f_cholesky_solve(&factor, false)
            } else {
                self.z_nd.f_tr()?.f_matmul(&y_nc.f_cholesky_solve(&factor, false)?)
            }
        };
        let weight_dc = solve().during("solving the normal equations")?;
        Ok(LinearProbe { scaling: self.scaling.clone(), weight_dc, bias_c: self.share_c.shallow_clone() })
    }
}

/// Mean and deviation of each feature over the training clips.
#[derive(Debug)]
struct Scaling {
    mean_d: Tensor,
    std_d: Tensor,
}

impl Scaling {
    fn of(train: &Features) -> Result<Self, NnError> {
        let x_nd = train.tensor()?;
        let statistics = || -> Result<Scaling, TchError> {
            let mean_d = x_nd.f_mean_dim([0i64].as_slice(), false, Kind::Double)?;
            let std_d = x_nd.f_std_dim([0i64].as_slice(), false, false)?;
            // A feature that never varies says nothing: 0 everywhere, not 0 / 0.
            Ok(Scaling { mean_d, std_d: std_d.f_where_self(&std_d.f_gt(1e-12)?, &std_d.f_ones_like()?)? })
        };
        statistics().during("standardising features")
    }

    fn apply(&self, features: &Features) -> Result<Tensor, NnError> {
        let x_nd = features.tensor()?;
        x_nd.f_sub(&self.mean_d).and_then(|x| x.f_div(&self.std_d)).during("standardising features")
    }
}

impl Clone for Scaling {
    fn clone(&self) -> Self {
        Scaling { mean_d: self.mean_d.shallow_clone(), std_d: self.std_d.shallow_clone() }
    }
}

#[cfg(test)]
mod tests;
