use tch::Device;

use super::*;

fn floats(x: &Tensor) -> Vec<f64> {
    Vec::<f64>::try_from(x.to_kind(Kind::Double).reshape([-1])).unwrap()
}

fn ks(values: &[i64]) -> Tensor {
    Tensor::from_slice(values)
}

#[test]
fn a_mask_and_its_gradient_worked_by_hand() {
    // Scores (1, 4, 2, 5): mean 3, population deviation sqrt((4 + 1 + 1 + 4) / 4) = sqrt(2.5) = 1.581139;
    // standardised (-1.264911, 0.632456, -0.632456, 1.264911). k = 2: tau = (0.632456 - 0.632456) / 2 = 0.
    // T = 0.5: soft = sigmoid(2 s) = (0.073800, 0.779872, 0.220128, 0.926200).
    // Gradient of m_1 to the standardised scores: soft (1 - soft) / T = 0.343344 at place 1, call it g. Back through
    // the standardisation: (g / 1.581139) * (e_1 - 1/4 - s * s_1 / 4) = 0.217150 * (-0.05, 0.65, -0.15, -0.45).
    let scores = Tensor::from_slice(&[1.0f32, 4.0, 2.0, 5.0]).view([1, 4]).set_requires_grad(true);
    let mask = straight_through(&scores, &ks(&[2]), 0.5).unwrap();
    assert_eq!(floats(&mask), [0.0, 1.0, 0.0, 1.0]);
    mask.select(1, 1).sum(Kind::Float).f_backward().unwrap();
    for (got, share) in floats(&scores.grad()).into_iter().zip([-0.05, 0.65, -0.15, -0.45]) {
        assert!((got - 0.217150 * share).abs() < 1e-5, "{got}");
    }
}

#[test]
fn the_budget_is_exact_for_every_k_and_for_ties() {
    let random = Tensor::rand([11, 10], (Kind::Float, Device::Cpu));
    let tied = Tensor::ones([11, 10], (Kind::Float, Device::Cpu));
    let k: Vec<i64> = (0..=10).collect();
    for scores in [random, tied] {
        for mask in [hard(&scores, &ks(&k)).unwrap(), straight_through(&scores, &ks(&k), 0.5).unwrap()] {
            let want: Vec<f64> = k.iter().map(|k| *k as f64).collect();
            assert_eq!(floats(&mask.sum_dim_intlist(1, false, Kind::Float)), want);
            assert!(floats(&mask).iter().all(|m| *m == 0.0 || *m == 1.0));
        }
    }
    assert_eq!(floats(&hard(&Tensor::ones([1, 4], (Kind::Float, Device::Cpu)), &ks(&[2])).unwrap()), [1., 1., 0., 0.]);
}

#[test]
fn rows_without_a_choice_have_no_gradient() {
    let scores = Tensor::rand([3, 6], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let weight = Tensor::arange(6, (Kind::Float, Device::Cpu));
    (straight_through(&scores, &ks(&[0, 3, 6]), 0.5).unwrap() * weight).sum(Kind::Float).f_backward().unwrap();
    let moved = floats(&scores.grad().abs().sum_dim_intlist(1, false, Kind::Float));
    assert!(moved[0] == 0.0 && moved[1] > 0.0 && moved[2] == 0.0, "{moved:?}");
}

#[test]
fn the_first_latent_frame_is_always_kept() {
    let scores = Tensor::arange(24, (Kind::Float, Device::Cpu)).view([1, 4, 2, 3]);
    let gradient = TopKGradient::StraightThrough { temperature: 0.5 };
    let mask = training_mask(&scores, KeepShare::Fixed { share: 0.5 }, gradient).unwrap();
    // 18 tokens after the first frame; the highest 9 scores are the last 9 places.
    let want: Vec<f64> = (0..24).map(|i| f64::from(!(6..15).contains(&i))).collect();
    assert_eq!(floats(&mask), want);
}

#[test]
fn drawn_shares_differ_from_window_to_window_and_stay_in_their_range() {
    let scores = Tensor::rand([64, 3, 5, 10], (Kind::Float, Device::Cpu));
    let gradient = TopKGradient::StraightThrough { temperature: 0.5 };
    let mask = training_mask(&scores, KeepShare::Drawn { min: 0.2, max: 0.6 }, gradient).unwrap();
    let kept = floats(&after_first(&mask).unwrap().sum_dim_intlist(1, false, Kind::Float));
    assert!(kept.iter().all(|k| (20.0..=60.0).contains(k)), "{kept:?}");
    let mean = kept.iter().sum::<f64>() / 64.0;
    // Evenly drawn: mean 40, standard error 40 / sqrt(12 * 64) = 1.4.
    assert!((mean - 40.0).abs() < 7.0 && kept.iter().any(|k| *k < 30.0) && kept.iter().any(|k| *k > 50.0), "{mean}");
}

#[test]
fn scores_that_are_all_equal_give_a_finite_gradient() {
    let scores = Tensor::zeros([2, 6], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    for mask in [straight_through(&scores, &ks(&[3, 3]), 0.5), perturbed(&scores, &ks(&[3, 3]), 8, 0.05)] {
        mask.unwrap().square().sum(Kind::Float).f_backward().unwrap();
    }
    assert!(floats(&scores.grad()).iter().all(|g| g.is_finite()));
}

#[test]
fn the_scale_of_the_scores_does_not_matter() {
    let scores = Tensor::rand([2, 30], (Kind::Float, Device::Cpu));
    let grad = |factor: f64| {
        let scores = (&scores * factor).set_requires_grad(true);
        let weight = Tensor::arange(30, (Kind::Float, Device::Cpu));
        (straight_through(&scores, &ks(&[9, 9]), 0.5).unwrap() * weight).sum(Kind::Float).f_backward().unwrap();
        scores.grad() * factor
    };
    assert!((grad(1.0) - grad(1000.0)).abs().max().double_value(&[]) < 1e-2);
}

/// Two scores 0 and 1, k = 1, sigma: the second wins unless noise turns them round, so its mean mask is
/// `Phi(1 / (sigma sqrt 2))`, whose derivative to the second score is `phi(1 / (sigma sqrt 2)) / (sigma sqrt 2)`.
#[test]
fn perturbed_top_k_agrees_with_the_normal_distribution() {
    let scores = Tensor::from_slice(&[0.0f32, 1.0]).view([1, 2]).set_requires_grad(true);
    let sigma = 0.7;
    let mask = perturbed(&scores, &ks(&[1]), 200_000, sigma).unwrap();
    // x = 1 / (0.7 * 1.414214) = 1.010153: Phi = 0.843788, phi = 0.239501.
    assert!((mask.double_value(&[0, 1]) - 0.843788).abs() < 5e-3, "{mask}");
    assert!((mask.double_value(&[0, 0]) - 0.156212).abs() < 5e-3);
    mask.select(1, 1).sum(Kind::Float).f_backward().unwrap();
    let want = 0.239501 / (sigma * 2.0_f64.sqrt());
    let [low, high]: [f64; 2] = floats(&scores.grad()).try_into().unwrap();
    assert!((high - want).abs() < 0.01 && (low + want).abs() < 0.01, "{low} and {high}, want {want}");
}

#[test]
fn a_product_hands_a_gradient_to_kept_tokens_alone() {
    let scores = Tensor::from_slice(&[0.9f32, 0.9, 0.2, 0.8, 0.6, 0.4]).view([1, 3, 1, 2]).set_requires_grad(true);
    let mask = training_mask(&scores, KeepShare::Fixed { share: 0.5 }, TopKGradient::Product {}).unwrap();
    // The first frame whole; of (0.2, 0.8, 0.6, 0.4) the top two, as they are.
    for (got, want) in floats(&mask).into_iter().zip([1.0, 1.0, 0.0, 0.8, 0.6, 0.0]) {
        assert!((got - want).abs() < 1e-6);
    }
    mask.sum(Kind::Float).f_backward().unwrap();
    assert_eq!(floats(&scores.grad()), [0.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
}
