use tch::{Kind, TchError, Tensor};

use crate::{KeepShare, TopKGradient};

/// Added to the spread of the scores, so that a clip in which nothing moves divides by something.
const SPREAD_EPS: f64 = 1e-6;

/// Mask of windows' tokens in training: the whole first latent frame and the top tokens of the rest, as many as `keep` says.
///
/// * `scores_bthw` - `[B, T, H, W]` f32
///
/// Returns `[B, T, H, W]` f32 with a gradient to the scores. Its values are 0 and 1, but for [`TopKGradient::Perturbed`],
/// where they are shares of draws, and [`TopKGradient::Product`], where they are 0 or the score.
pub(crate) fn training_mask(scores_bthw: &Tensor, keep: KeepShare, gradient: TopKGradient) -> Result<Tensor, TchError> {
    let rest = after_first(scores_bthw)?;
    let (b, n) = rest.size2()?;
    let k = match keep {
        KeepShare::Fixed { share } => Tensor::f_full([b], budget(share, n), (Kind::Int64, rest.device()))?,
        KeepShare::Drawn { min, max } => {
            let share = Tensor::f_rand([b], (Kind::Double, rest.device()))?.f_mul_scalar(max - min)?;
            share.f_add_scalar(min)?.f_mul_scalar(n as f64)?.f_round()?.f_to_kind(Kind::Int64)?
        }
    };
    let mask = match gradient {
        TopKGradient::StraightThrough { temperature } => straight_through(&rest, &k, temperature),
        TopKGradient::Perturbed { samples, sigma } => perturbed(&rest, &k, samples, sigma),
        TopKGradient::Product {} => hard(&rest, &k)?.f_mul(&rest),
    };
    with_first(scores_bthw, &mask?)
}

/// Tokens after the first latent frame that `share` of them comes to.
///
/// * `share` - clamped to `0..=1`; rounded to whole tokens
pub(crate) fn budget(share: f64, num_tokens: i64) -> i64 {
    (share.clamp(0.0, 1.0) * num_tokens as f64).round() as i64
}

/// `[B, T, H, W]` without the first latent frame, `[B, (T - 1) H W]`.
pub(crate) fn after_first(scores_bthw: &Tensor) -> Result<Tensor, TchError> {
    let (b, t, _, _) = scores_bthw.size4()?;
    scores_bthw.f_narrow(1, 1, t - 1)?.f_reshape([b, -1])
}

/// The inverse of [`after_first`] for a mask: ones in the first latent frame.
pub(crate) fn with_first(like_bthw: &Tensor, mask_bn: &Tensor) -> Result<Tensor, TchError> {
    let (b, t, h, w) = like_bthw.size4()?;
    let first = like_bthw.f_detach()?.f_narrow(1, 0, 1)?.f_ones_like()?;
    Tensor::f_cat(&[first, mask_bn.f_view([b, t - 1, h, w])?], 1)
}

/// Exactly `k_b` ones in each row, where its scores are highest; of equal scores the earlier token goes first. No gradient.
///
/// * `scores_bn` - `[B, N]`
/// * `k_b` - `[B]` int64, each `0..=N`
pub(crate) fn hard(scores_bn: &Tensor, k_b: &Tensor) -> Result<Tensor, TchError> {
    let scores = scores_bn.f_detach()?;
    let n = scores.size()[1];
    let places = scores.f_argsort_stable(true, 1, true)?;
    let chosen =
        Tensor::f_arange(n, (Kind::Int64, scores.device()))?.f_unsqueeze(0)?.f_lt_tensor(&k_b.f_unsqueeze(1)?)?;
    scores.f_zeros_like()?.f_scatter(1, &places, &chosen.f_to_kind(scores.kind())?)
}

/// [`hard`] forward, the gradient of a sigmoid backward.
///
/// Scores are standardised per row first, so that `temperature` means the same for calm and lively clips. With tau halfway
/// between the k-th and the (k+1)-th of them, `soft = sigmoid((s - tau) / temperature)` and the mask is
/// `hard + soft - sg(soft)`. A row with k = 0 or N has nothing to choose and no gradient.
fn straight_through(scores_bn: &Tensor, k_b: &Tensor, temperature: f64) -> Result<Tensor, TchError> {
    let n = scores_bn.size()[1];
    let centred = scores_bn.f_sub(&scores_bn.f_mean_dim(1, true, Kind::Float)?)?;
    let spread = scores_bn.f_std_dim(1, false, true)?.f_add_scalar(SPREAD_EPS)?;
    let standard = centred.f_div(&spread)?;

    let (sorted, _) = standard.f_detach()?.f_sort(1, true)?;
    let at = |place: Tensor| sorted.f_gather(1, &place.f_clamp(0, n - 1)?.f_unsqueeze(1)?, false);
    let tau = at(k_b.f_sub_scalar(1)?)?.f_add(&at(k_b.shallow_clone())?)?.f_div_scalar(2.0)?;
    let choice = k_b.f_gt(0)?.f_logical_and(&k_b.f_lt(n)?)?.f_unsqueeze(1)?.f_to_kind(Kind::Float)?;
    let soft = standard.f_sub(&tau)?.f_div_scalar(temperature)?.f_sigmoid()?.f_mul(&choice)?;
    hard(scores_bn, k_b)?.f_add(&soft.f_sub(&soft.f_detach()?)?)
}

/// The mean of [`hard`] over draws of Gaussian noise on scores scaled to `[0, 1]` per row. Its derivative is exact in
/// expectation, `d mean / ds = 1 / (n sigma) sum_j m_j z_j^T` (Berthet et al. 2020, arXiv:2002.08676), and written here as a
/// term that is zero forward and linear in the scores.
fn perturbed(scores_bn: &Tensor, k_b: &Tensor, samples: i64, sigma: f64) -> Result<Tensor, TchError> {
    let (b, n) = scores_bn.size2()?;
    let low = scores_bn.f_amin([1], true)?.f_detach()?;
    let span = scores_bn.f_amax([1], true)?.f_detach()?.f_sub(&low)?.f_add_scalar(SPREAD_EPS)?;
    let scaled = scores_bn.f_sub(&low)?.f_div(&span)?;

    let noise = Tensor::f_randn([b, samples, n], (Kind::Float, scores_bn.device()))?;
    let noisy = noise.f_mul_scalar(sigma)?.f_add(&scaled.f_detach()?.f_unsqueeze(1)?)?;
    let k = k_b.f_repeat_interleave_self_int(samples, 0, None)?;
    let draws = hard(&noisy.f_view([b * samples, n])?, &k)?.f_view([b, samples, n])?;

    let none = scaled.f_sub(&scaled.f_detach()?)?;
    let along = noise.f_mul(&none.f_unsqueeze(1)?)?.f_sum_dim_intlist(2, true, Kind::Float)?;
    let slope = draws.f_mul(&along)?.f_mean_dim(1, false, Kind::Float)?.f_div_scalar(sigma)?;
    draws.f_mean_dim(1, false, Kind::Float)?.f_add(&slope)
}

#[cfg(test)]
mod tests;
