use nn::During;
use tch::{Kind, TchError, Tensor};

use crate::EvalError;

/// Features of clips, one row each, as they come in.
#[derive(Clone, Debug, Default)]
pub struct FeatureSet {
    x_nd: Vec<f64>,
    width: usize,
}

impl FeatureSet {
    /// Adds a clip.
    ///
    /// * `feature_d` - as wide as the clips before
    ///
    /// # Errors
    /// [`EvalError::Widths`] for another width; [`EvalError::NotFinite`].
    pub fn push(&mut self, feature_d: &[f64]) -> Result<(), EvalError> {
        if self.width != 0 && feature_d.len() != self.width {
            return Err(EvalError::Widths { train: self.width, test: feature_d.len() });
        }
        if let Some(column) = feature_d.iter().position(|value| !value.is_finite()) {
            let (clip, value) = (self.num_clips(), feature_d[column] as f32);
            return Err(EvalError::NotFinite { clip, column, value });
        }
        self.width = feature_d.len();
        self.x_nd.extend_from_slice(feature_d);
        Ok(())
    }

    /// Clips so far.
    pub fn num_clips(&self) -> usize {
        self.x_nd.len().checked_div(self.width).unwrap_or(0)
    }

    /// Mean `[d]` and covariance `[d, d]` (divided by n - 1).
    fn moments(&self) -> Result<(Tensor, Tensor), TchError> {
        let x_nd = Tensor::f_from_slice(&self.x_nd)?.f_view([-1, self.width as i64])?;
        let mean = x_nd.f_mean_dim([0i64].as_slice(), false, Kind::Double)?;
        let centred = x_nd.f_sub(&mean)?;
        let covariance = centred.f_tr()?.f_matmul(&centred)?.f_div_scalar((self.num_clips() - 1) as f64)?;
        Ok((mean, covariance))
    }
}

/// Squared Frechet (2-Wasserstein) distance between Gaussians fitted to two sets of features, as in FID and FVD:
/// `|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))`, in double precision.
///
/// `(S1 S2)^(1/2)` has the trace of `(S1^(1/2) S2 S1^(1/2))^(1/2)`, which is symmetric: its eigenvalues need no complex numbers,
/// and those that rounding puts below zero count as zero. With few clips the distance is biased upwards, below as many
/// as features grossly: compare only numbers over equally many clips.
///
/// # Errors
/// [`EvalError::OutOfRange`] for a set of fewer than two clips, [`EvalError::Widths`], [`EvalError::Nn`].
pub fn frechet_distance(a: &FeatureSet, b: &FeatureSet) -> Result<f64, EvalError> {
    for set in [a, b] {
        if set.num_clips() < 2 {
            let (key, value) = ("clips for a Frechet distance", set.num_clips() as f64);
            return Err(EvalError::OutOfRange { key, value, rule: "at least 2, and hundreds to mean much" });
        }
    }
    if a.width != b.width {
        return Err(EvalError::Widths { train: a.width, test: b.width });
    }
    Ok(distance(a, b).during("a Frechet distance")?)
}

fn distance(a: &FeatureSet, b: &FeatureSet) -> Result<f64, TchError> {
    let ((mean_a, cov_a), (mean_b, cov_b)) = (a.moments()?, b.moments()?);
    let root_a = root(&cov_a)?;
    let product = root_a.f_matmul(&cov_b)?.f_matmul(&root_a)?;
    let eigenvalues = symmetric(&product)?.f_linalg_eigvalsh("L")?;
    let trace_of_root = eigenvalues.f_clamp_min(0.0)?.f_sqrt()?.f_sum(Kind::Double)?;
    let between = mean_a.f_sub(&mean_b)?.f_square()?.f_sum(Kind::Double)?;
    let traces = cov_a.f_trace()?.f_add(&cov_b.f_trace()?)?;
    f64::try_from(between.f_add(&traces)?.f_sub(&trace_of_root.f_mul_scalar(2.0)?)?)
}

/// The symmetric square root of a covariance.
fn root(covariance: &Tensor) -> Result<Tensor, TchError> {
    let (values, vectors) = symmetric(covariance)?.f_linalg_eigh("L")?;
    vectors.f_mul(&values.f_clamp_min(0.0)?.f_sqrt()?)?.f_matmul(&vectors.f_tr()?)
}

fn symmetric(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_add(&x.f_tr()?)?.f_div_scalar(2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    fn set(rows: &[&[f64]]) -> FeatureSet {
        let mut set = FeatureSet::default();
        rows.iter().for_each(|row| set.push(row).unwrap());
        set
    }

    #[test]
    fn two_gaussians_worked_by_hand() {
        // Means (0, 0) and (3, 4); variances, divided by 3, 4/3 times (1, 4) and (4, 1); no covariance. So the distance is
        // 25 + the sum over both axes of s1 + s2 - 2 sqrt(s1 s2).
        let a = set(&[&[1.0, 2.0], &[-1.0, 2.0], &[1.0, -2.0], &[-1.0, -2.0]]);
        let b = set(&[&[5.0, 5.0], &[1.0, 5.0], &[5.0, 3.0], &[1.0, 3.0]]);
        let want = 25.0 + 2.0 * 4.0 / 3.0 * (1.0 + 4.0 - 2.0 * 2.0);
        assert!((frechet_distance(&a, &b).unwrap() - want).abs() < 1e-12);
        assert!(frechet_distance(&a, &a).unwrap().abs() < 1e-12);
    }

    #[test]
    fn scipys_numbers_come_out_also_with_fewer_clips_than_features() {
        for name in ["many", "few"] {
            let set = |part: &str| {
                let x_nd = golden::tensor(&format!("frechet.{name}.{part}"));
                let width = x_nd.size()[1] as usize;
                let rows = Vec::<f64>::try_from(x_nd.reshape([-1])).unwrap();
                let mut set = FeatureSet::default();
                rows.chunks(width).for_each(|row| set.push(row).unwrap());
                set
            };
            let got = frechet_distance(&set("a"), &set("b")).unwrap();
            let want = golden::tensor(&format!("frechet.{name}.value")).double_value(&[]);
            assert!((got - want).abs() < 1e-6 * want, "{name}: {got} is not {want}");
        }
    }

    #[test]
    fn sets_that_have_no_distance_are_refused() {
        let one = set(&[&[1.0, 2.0]]);
        let said = frechet_distance(&one, &one).unwrap_err().to_string();
        assert!(said.starts_with("clips for a Frechet distance = 1 is out of range: it must be at least 2"), "{said}");
        let (two, wide) = (set(&[&[1.0], &[2.0]]), set(&[&[1.0, 2.0], &[3.0, 4.0]]));
        assert!(matches!(frechet_distance(&two, &wide), Err(EvalError::Widths { train: 1, test: 2 })));
        assert!(matches!(set(&[]).push(&[f64::NAN]), Err(EvalError::NotFinite { clip: 0, column: 0, .. })));
        assert!(matches!(set(&[&[1.0]]).push(&[1.0, 2.0]), Err(EvalError::Widths { .. })));
    }
}
