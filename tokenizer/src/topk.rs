use tch::{Kind, TchError, Tensor};

/// Added to the spread of the scores, so that a clip in which nothing moves divides by something.
const SPREAD_EPS: f64 = 1e-6;

/// Differentiable top-k by a straight-through mask: exactly k ones forward, the gradient of a sigmoid backward.
///
/// Scores are standardised per row first, so that `temperature` means the same for calm and lively clips. With tau halfway
/// between the k-th and the (k+1)-th of them, `soft = sigmoid((s - tau) / temperature)` and the mask is
/// `hard + soft - sg(soft)`.
///
/// * `scores_bn` - `[B, N]` f32
/// * `k` - ones per row, `0..=N`; at 0 and N there is nothing to choose and no gradient
///
/// Returns `[B, N]` f32 of zeros and ones.
pub(crate) fn straight_through(scores_bn: &Tensor, k: i64, temperature: f64) -> Result<Tensor, TchError> {
    let n = scores_bn.size()[1];
    if k == 0 {
        return scores_bn.f_zeros_like();
    }
    if k == n {
        return scores_bn.f_ones_like();
    }
    let centred = scores_bn.f_sub(&scores_bn.f_mean_dim(1, true, Kind::Float)?)?;
    let spread = scores_bn.f_std_dim(1, false, true)?.f_add_scalar(SPREAD_EPS)?;
    let standard = centred.f_div(&spread)?;

    let (top, places) = standard.f_detach()?.f_topk(k + 1, 1, true, true)?;
    let tau = top.f_narrow(1, k - 1, 2)?.f_mean_dim(1, true, Kind::Float)?;
    let hard = standard.f_detach()?.f_zeros_like()?.f_scatter_value(1, &places.f_narrow(1, 0, k)?, 1.0)?;
    let soft = standard.f_sub(&tau)?.f_div_scalar(temperature)?.f_sigmoid()?;
    hard.f_add(&soft.f_sub(&soft.f_detach()?)?)
}

/// Mask of a window's tokens: the whole first latent frame and the top share of the rest.
///
/// * `scores_bthw` - `[B, T, H, W]` f32
/// * `share` - of the tokens after the first latent frame, `0..=1`; rounded to whole tokens
///
/// Returns `[B, T, H, W]` f32 of zeros and ones, with a gradient to the scores.
pub(crate) fn keep_mask(scores_bthw: &Tensor, share: f64, temperature: f64) -> Result<Tensor, TchError> {
    let (b, t, h, w) = scores_bthw.size4()?;
    let rest = scores_bthw.f_narrow(1, 1, t - 1)?.f_reshape([b, -1])?;
    let k = (share * rest.size()[1] as f64).round() as i64;
    let rest = straight_through(&rest, k, temperature)?.f_view([b, t - 1, h, w])?;
    let first = scores_bthw.f_detach()?.f_narrow(1, 0, 1)?.f_ones_like()?;
    Tensor::f_cat(&[first, rest], 1)
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    fn floats(x: &Tensor) -> Vec<f64> {
        Vec::<f64>::try_from(x.to_kind(Kind::Double).reshape([-1])).unwrap()
    }

    #[test]
    fn a_mask_and_its_gradient_worked_by_hand() {
        // Scores (1, 4, 2, 5): mean 3, population deviation sqrt((4 + 1 + 1 + 4) / 4) = sqrt(2.5) = 1.581139;
        // standardised (-1.264911, 0.632456, -0.632456, 1.264911). k = 2: tau = (0.632456 - 0.632456) / 2 = 0.
        // T = 0.5: soft = sigmoid(2 s) = (0.073800, 0.779872, 0.220128, 0.926200).
        // Gradient of m_1 to the standardised scores: soft (1 - soft) / T = 0.343344 at place 1, call it g. Back through
        // the standardisation: (g / 1.581139) * (e_1 - 1/4 - s * s_1 / 4) = 0.217150 * (-0.05, 0.65, -0.15, -0.45).
        let scores = Tensor::from_slice(&[1.0f32, 4.0, 2.0, 5.0]).view([1, 4]).set_requires_grad(true);
        let mask = straight_through(&scores, 2, 0.5).unwrap();
        assert_eq!(floats(&mask), [0.0, 1.0, 0.0, 1.0]);
        mask.select(1, 1).sum(Kind::Float).f_backward().unwrap();
        for (got, share) in floats(&scores.grad()).into_iter().zip([-0.05, 0.65, -0.15, -0.45]) {
            assert!((got - 0.217150 * share).abs() < 1e-5, "{got}");
        }
    }

    #[test]
    fn the_budget_is_exact_for_every_k_and_for_ties() {
        let random = Tensor::rand([3, 10], (Kind::Float, Device::Cpu));
        let tied = Tensor::ones([3, 10], (Kind::Float, Device::Cpu));
        for scores in [random, tied] {
            for k in 0..=10 {
                let mask = straight_through(&scores, k, 0.5).unwrap();
                assert_eq!(floats(&mask.sum_dim_intlist(1, false, Kind::Float)), [k as f64; 3]);
                assert!(floats(&mask).iter().all(|m| *m == 0.0 || *m == 1.0));
            }
        }
    }

    #[test]
    fn the_first_latent_frame_is_always_kept() {
        let scores = Tensor::arange(24, (Kind::Float, Device::Cpu)).view([1, 4, 2, 3]);
        let mask = keep_mask(&scores, 0.5, 0.5).unwrap();
        // 18 tokens after the first frame; the highest 9 scores are the last 9 places.
        let want: Vec<f64> = (0..24).map(|i| f64::from(!(6..15).contains(&i))).collect();
        assert_eq!(floats(&mask), want);
    }

    #[test]
    fn scores_that_are_all_equal_give_a_finite_gradient() {
        let scores = Tensor::zeros([2, 6], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        straight_through(&scores, 3, 0.5).unwrap().square().sum(Kind::Float).f_backward().unwrap();
        assert!(floats(&scores.grad()).iter().all(|g| g.is_finite()));
    }

    #[test]
    fn the_scale_of_the_scores_does_not_matter() {
        let scores = Tensor::rand([2, 30], (Kind::Float, Device::Cpu));
        let grad = |factor: f64| {
            let scores = (&scores * factor).set_requires_grad(true);
            let weight = Tensor::arange(30, (Kind::Float, Device::Cpu));
            (straight_through(&scores, 9, 0.5).unwrap() * weight).sum(Kind::Float).f_backward().unwrap();
            scores.grad() * factor
        };
        assert!((grad(1.0) - grad(1000.0)).abs().max().double_value(&[]) < 1e-2);
    }
}
