use tch::{Kind, TchError, Tensor};

use crate::{Codes, During, NnError, expect_shape};

/// Tokens that are looked at; more change neither gauge much, and the eigenvalues cost their cube.
const MAX_TOKENS: i64 = 1024;

/// Tells whether an encoder's features collapse: scalars by name, detached, for the log. Meant for steps that log, since
/// it finds the eigenvalues of a matrix of up to 1,024 x 1,024.
///
/// * `features_bnd` - features `[B, N, D]`, any floating type; of more than 1,024 tokens an even choice is looked at
///
/// `feature_std`: mean over the dimensions of the standard deviation over the tokens. 0 means that all tokens have the
/// same features: complete collapse. Behind a final layer norm that still has its first scale, 1 is what tokens that have
/// nothing in common come to, and a healthy run stays within a few times of it.
///
/// `effective_rank`: RankMe (Garrido et al. 2023, arXiv:2210.02885, equation 1), `exp(-sum p ln p)` over the singular
/// values' shares p of their sum, features not centred as in the paper; its 1e-7 inside the logarithm is 0 here. From 1, all
/// tokens on one line, to `min(B N, D, 1024)`. What is healthy depends on data and width: a fall during a run tells more
/// than the value.
///
/// Features that are not finite make both gauges NaN; no token at all makes them NaN and 1.
///
/// # Errors
/// [`NnError::Shape`] unless the features are `[B, N, D]`; [`NnError::Torch`], [`NnError::OutOfMemory`].
pub fn gauges(features_bnd: &Tensor) -> Result<Vec<(&'static str, Tensor)>, NnError> {
    expect_shape("features", features_bnd, &[-1, -1, -1])?;
    let measure = || {
        let z_nd = chosen(&features_bnd.f_detach()?)?;
        let std = z_nd.f_var_dim(Some([0i64].as_slice()), false, false)?.f_sqrt()?.f_mean(Kind::Double)?;
        Ok(vec![("feature_std", std), ("effective_rank", effective_rank(&z_nd)?)])
    };
    tch::no_grad(measure).during("the collapse gauges")
}

/// How often each code occurs, `[K]` f64: such counts add up over batches.
///
/// # Errors
/// [`NnError::Torch`] for a negative code, [`NnError::OutOfMemory`].
pub fn code_counts(codes: &Codes) -> Result<Tensor, NnError> {
    let count =
        || codes.codes.f_flatten(0, -1)?.f_bincount(None::<&Tensor>, codes.codebook_size)?.f_to_kind(Kind::Double);
    count().during("counting codes")
}

/// How a codebook is used, from counts `[K]`: scalars by name, for the log.
///
/// `code_usage`: share of the codes that occur, `0..=1`. `perplexity`: `exp(-sum p ln p)` over the codes' frequencies p,
/// `1..=K`: the number of codes that, used evenly, would be as unpredictable. Without any code both are 0 and 1.
///
/// # Errors
/// [`NnError::Torch`], [`NnError::OutOfMemory`].
pub fn code_gauges(counts_k: &Tensor) -> Result<Vec<(&'static str, f64)>, NnError> {
    let measure = || {
        // Only those that occur, so that a large codebook costs little.
        let counts = counts_k.f_masked_select(&counts_k.f_gt(0.0)?)?;
        let used = counts.numel() as f64 / counts_k.numel() as f64;
        let p = counts.f_div(&counts.f_sum(Kind::Double)?)?;
        let entropy = -f64::try_from(p.f_log()?.f_mul(&p)?.f_sum(Kind::Double)?)?;
        Ok(vec![("code_usage", used), ("perplexity", entropy.exp())])
    };
    measure().during("the codebook gauges")
}

/// At most [`MAX_TOKENS`] tokens, evenly spread, `[N, D]` f64.
fn chosen(features_bnd: &Tensor) -> Result<Tensor, TchError> {
    let all_nd = features_bnd.f_flatten(0, 1)?;
    let num_tokens = all_nd.size()[0];
    let index: Vec<i64> =
        (0..num_tokens.min(MAX_TOKENS)).map(|i| i * num_tokens / num_tokens.min(MAX_TOKENS)).collect();
    let index = Tensor::f_from_slice(&index)?.f_to(all_nd.device())?;
    all_nd.f_index_select(0, &index)?.f_to_kind(Kind::Double)
}

fn effective_rank(z_nd: &Tensor) -> Result<Tensor, TchError> {
    let [num_tokens, width] = [z_nd.size()[0], z_nd.size()[1]];
    // Both products have the squares of the singular values; f64 leaves enough of them after squaring.
    let gram = if num_tokens > width { z_nd.f_tr()?.f_matmul(z_nd)? } else { z_nd.f_matmul(&z_nd.f_tr()?)? };
    // The solver refuses what is not finite; the sum carries it into the result.
    let not_finite = gram.f_sum(Kind::Double)?.f_mul_scalar(0.0)?;
    let squares = gram.f_nan_to_num(0.0, 0.0, 0.0)?.f_linalg_eigvalsh("L")?;
    let singular = squares.f_clamp_min(0.0)?.f_sqrt()?;
    let p = singular.f_div(&singular.f_sum(Kind::Double)?.f_clamp_min(f64::MIN_POSITIVE)?)?;
    // x ln x is 0 at 0.
    p.f_xlogy(&p)?.f_sum(Kind::Double)?.f_neg()?.f_exp()?.f_add(&not_finite)
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    /// `(feature_std, effective_rank)` of `[B, N, D]`.
    fn measured(features_bnd: &Tensor) -> (f64, f64) {
        let gauges = gauges(features_bnd).unwrap();
        assert_eq!(gauges.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["feature_std", "effective_rank"]);
        (gauges[0].1.double_value(&[]), gauges[1].1.double_value(&[]))
    }

    #[track_caller]
    fn assert_near(got: f64, want: f64, tolerance: f64) {
        assert!((got - want).abs() < tolerance, "{got} is not {want}");
    }

    #[test]
    fn counts_of_two_batches_add_up_to_the_use_of_both() {
        let counts =
            |codes: &[i64]| code_counts(&Codes { codes: Tensor::from_slice(codes), codebook_size: 8 }).unwrap();
        // Together p = (1/2, 1/4, 1/4): entropy = 1/2 ln 2 + 2 * 1/4 ln 4 = 1.5 ln 2, perplexity = 2^1.5.
        let both = counts(&[0, 0]) + counts(&[5, 7]);
        let gauges = code_gauges(&both).unwrap();
        assert_eq!(gauges[0], ("code_usage", 0.375));
        assert!((gauges[1].1 - 2.0_f64.powf(1.5)).abs() < 1e-9, "{gauges:?}");
        assert_eq!(code_gauges(&counts(&[])).unwrap(), [("code_usage", 0.0), ("perplexity", 1.0)]);
    }

    #[test]
    fn features_that_are_all_the_same_have_no_spread_and_rank_1() {
        let row = Tensor::from_slice(&[3.0f32, -1.0, 2.0]);
        let (std, rank) = measured(&row.expand([2, 5, 3], false));
        assert_near(std, 0.0, 1e-12);
        assert_near(rank, 1.0, 1e-5);
    }

    #[test]
    fn the_spread_is_the_mean_of_the_deviations() {
        // First dimension: 1, 3, 1, 3 deviate by 1 from 2. Second: 0, 0, 0, 8 have mean 2 and variance (3 * 4 + 36) / 4 = 12.
        let z = Tensor::from_slice(&[1.0f32, 0.0, 3.0, 0.0, 1.0, 0.0, 3.0, 8.0]).view([1, 4, 2]);
        assert_near(measured(&z).0, (1.0 + 12f64.sqrt()) / 2.0, 1e-12);
    }

    #[test]
    fn equal_orthogonal_directions_are_counted() {
        // More tokens than dimensions, and fewer: both Gram matrices.
        for (num_tokens, width) in [(12, 6), (6, 12)] {
            for k in 1..=6i64 {
                // Token i lies along axis i mod k; each axis has the same number of tokens, or one each.
                let z = Tensor::zeros([num_tokens, width], (Kind::Float, Device::Cpu));
                for token in 0..num_tokens / k * k {
                    drop(z.get(token).get(token % k).fill_(2.0));
                }
                assert_near(measured(&z.unsqueeze(0)).1, k as f64, 1e-4);
            }
        }
    }

    #[test]
    fn unequal_directions_count_by_the_entropy_of_their_shares() {
        // Singular values 3 and 1, shares 3/4 and 1/4: exp(3/4 ln 4/3 + 1/4 ln 4) = 4 / 3^(3/4).
        let z = Tensor::from_slice(&[3.0f32, 0.0, 0.0, 0.0, 1.0, 0.0]).view([1, 2, 3]);
        assert_near(measured(&z).1, 4.0 / 3f64.powf(0.75), 1e-9);
    }

    #[test]
    fn the_rank_is_that_of_a_singular_value_decomposition() {
        tch::manual_seed(3);
        for shape in [[2, 20, 7], [3, 5, 40], [1, 16, 16]] {
            let z = Tensor::randn(shape, (Kind::Float, Device::Cpu)) + 0.5;
            let (_, sigma, _) = z.flatten(0, 1).to_kind(Kind::Double).svd(true, false);
            let sigma = Vec::<f64>::try_from(sigma).unwrap();
            let total: f64 = sigma.iter().sum();
            let entropy: f64 = sigma.iter().map(|s| -s / total * (s / total).ln()).sum();
            assert_near(measured(&z).1, entropy.exp(), 1e-6);
        }
    }

    #[test]
    fn of_many_tokens_an_even_choice_is_looked_at() {
        // Of 2,048 tokens every second one is looked at: those are zero, the others would give a spread.
        let z = Tensor::arange(2048, (Kind::Float, Device::Cpu)).remainder(2.0).view([2, 1024, 1]);
        assert_near(measured(&z).0, 0.0, 1e-12);
        // 1, 2, .. n deviate by sqrt((n^2 - 1) / 12) from their mean; every second of 2,048 by twice that of 1,024.
        let z = Tensor::arange(2048, (Kind::Float, Device::Cpu)).view([2, 1024, 1]);
        assert_near(measured(&z).0, 2.0 * ((1024.0f64.powi(2) - 1.0) / 12.0).sqrt(), 1e-9);
    }

    #[test]
    fn what_is_not_finite_shows_and_zeros_count_as_one_direction() {
        let zeros = || Tensor::zeros([1, 4, 3], (Kind::Float, Device::Cpu));
        assert_eq!(measured(&zeros()), (0.0, 1.0));
        let broken = zeros();
        drop(broken.get(0).get(1).get(2).fill_(f64::NAN));
        let (std, rank) = measured(&broken);
        assert!(std.is_nan() && rank.is_nan(), "{std} {rank}");
        let (std, rank) = measured(&Tensor::zeros([0, 4, 3], (Kind::Float, Device::Cpu)));
        assert!(std.is_nan() && rank == 1.0, "{std} {rank}");
    }
}
