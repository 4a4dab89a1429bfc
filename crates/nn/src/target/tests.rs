use spec::{Grid, Patch};
use tch::Device;

use super::*;

const GRID: Grid = Grid { t: 2, h: 2, w: 3 };
const PATCH: Patch = Patch { t: 2, h: 2, w: 2 };

/// Two clips of noise in twelve cubes each.
fn cubes() -> Cubes {
    tch::manual_seed(5);
    let clip = Tensor::randint(256, [2, 4, 4, 6, 3], (Kind::Int64, Device::Cpu)).to_kind(Kind::Uint8);
    Cubes::new(&clip, GRID, PATCH).unwrap()
}

/// Three tokens of each clip.
fn chosen() -> Tensor {
    Tensor::from_slice2(&[[3i64, 0, 11], [5, 7, 2]])
}

fn term(compared: &Comparison, name: &str) -> f64 {
    compared.terms.iter().find(|(known, _)| *known == name).unwrap().1.double_value(&[])
}

/// Levels of a code drawn at random, `[2, 12, 3]`.
fn digits(levels: [i64; 3]) -> Tensor {
    let channel = |levels: i64| Tensor::randint(levels, [2, 12], (Kind::Int64, Device::Cpu));
    Tensor::stack(&levels.map(channel), -1)
}

#[test]
fn a_regression_worked_by_hand() {
    // Tokens 3 and 0 of one clip with targets (1, 0) and (-1, 2); predicted (0, 0) and (1, 2): squared errors 1, 0, 4, 0.
    let mut values = vec![9.0f32; 24];
    values[6..8].copy_from_slice(&[1.0, 0.0]);
    values[0..2].copy_from_slice(&[-1.0, 2.0]);
    let targets = Targets::Latents(Tensor::from_slice(&values).view([1, 12, 2]));
    let clip = Tensor::zeros([1, 4, 4, 6, 3], (Kind::Uint8, Device::Cpu));
    let cubes = Cubes::new(&clip, GRID, PATCH).unwrap();
    let tokens = Tensor::from_slice2(&[[3i64, 0]]);
    let predicted = Tensor::from_slice(&[0.0f32, 0.0, 1.0, 2.0]).view([1, 2, 2]);
    let compared = targets.compare(Target::Latents, &cubes, &tokens, &predicted).unwrap();
    assert_eq!(compared.error_bq, Tensor::from_slice2(&[[0.5f32, 2.0]]));
    assert_eq!((compared.total.double_value(&[]), term(&compared, "mse")), (1.25, 1.25));
    // Targets 1, 0, -1, 2 have mean 1/2 and unbiased variance 5/3.
    assert!((term(&compared, "explained") - (1.0 - 1.25 * 3.0 / 5.0)).abs() < 1e-6);
}

#[test]
fn a_cross_entropy_worked_by_hand() {
    // One token, levels 2 and 3, the code's are 1 and 0. Softmax of (0, ln 3) is (1/4, 3/4), of (0, 0, ln 2) is
    // (1/4, 1/4, 1/2): the loss is ln 4/3 + ln 4. The first channel is right, the second says 2.
    let levels = vec![2, 3];
    let digits_bnd = Tensor::zeros([1, 12, 2], (Kind::Int64, Device::Cpu));
    drop(digits_bnd.get(0).get(7).get(0).fill_(1));
    let clip = Tensor::zeros([1, 4, 4, 6, 3], (Kind::Uint8, Device::Cpu));
    let cubes = Cubes::new(&clip, GRID, PATCH).unwrap();
    let logits = Tensor::from_slice(&[0.0, 3.0f32.ln(), 0.0, 0.0, 2.0f32.ln()]).view([1, 1, 5]);
    let targets = Targets::Factored { digits_bnd, levels };
    let compared = targets.compare(Target::Factored, &cubes, &Tensor::from_slice2(&[[7i64]]), &logits).unwrap();
    let want = (4.0f64 / 3.0).ln() + 4.0f64.ln();
    assert!((compared.total.double_value(&[]) - want).abs() < 1e-6);
    assert_eq!((term(&compared, "dims_right"), term(&compared, "codes_right")), (0.5, 0.0));
}

#[test]
fn a_cross_entropy_over_the_whole_codebook_worked_by_hand() {
    // Tokens 7 and 2 of one clip with codes 1 and 3 of four. Softmax of (0, ln 3, 0, 0) is (1, 3, 1, 1) / 6, of
    // (0, 0, ln 2, 0) (1, 1, 2, 1) / 5: the errors are ln 2 and ln 5, and one of two codes is right.
    let mut codes = vec![0i64; 12];
    (codes[7], codes[2]) = (1, 3);
    let codes_bn = Tensor::from_slice(&codes).unsqueeze(0);
    let clip = Tensor::zeros([1, 4, 4, 6, 3], (Kind::Uint8, Device::Cpu));
    let cubes = Cubes::new(&clip, GRID, PATCH).unwrap();
    let logits = Tensor::from_slice(&[0.0, 3.0f32.ln(), 0.0, 0.0, 0.0, 0.0, 2.0f32.ln(), 0.0]).view([1, 2, 4]);
    let targets = Targets::Full { codes_bn, codebook_size: 4 };
    let compared = targets.compare(Target::Full, &cubes, &Tensor::from_slice2(&[[7i64, 2]]), &logits).unwrap();
    for (i, want) in [2.0f64.ln(), 5.0f64.ln()].into_iter().enumerate() {
        assert!((compared.error_bq.double_value(&[0, i as i64]) - want).abs() < 1e-6);
    }
    assert!((compared.total.double_value(&[]) - 10.0f64.ln() / 2.0).abs() < 1e-6);
    // Two codes that occur once each: ln 2.
    let explained = 1.0 - 10.0f64.ln() / 2.0 / 2.0f64.ln();
    assert!((term(&compared, "explained") - explained).abs() < 1e-6);
    assert_eq!(term(&compared, "codes_right"), 0.5);
    assert!(compared.terms.iter().all(|(name, _)| *name != "dims_right"));
}

#[test]
fn the_factored_loss_is_that_of_a_loop_over_tokens_and_channels() {
    let (cubes, levels) = (cubes(), [2, 8, 5]);
    let digits_bnd = digits(levels);
    let logits = Tensor::randn([2, 3, 15], (Kind::Float, Device::Cpu)) * 2;
    let (mut errors, mut dims_right, mut codes_right) = (Vec::new(), 0.0, 0.0);
    let mut counts = [[0.0f64; 8]; 3];
    for (b, tokens) in [[3i64, 0, 11], [5, 7, 2]].iter().enumerate() {
        for (q, token) in tokens.iter().enumerate() {
            let (mut error, mut right, mut start) = (0.0, 0, 0);
            for (d, num_levels) in levels.iter().enumerate() {
                let z: Vec<f64> =
                    (start..start + num_levels).map(|c| logits.double_value(&[b as i64, q as i64, c])).collect();
                let digit = digits_bnd.int64_value(&[b as i64, *token, d as i64]) as usize;
                counts[d][digit] += 1.0;
                error -= (z[digit].exp() / z.iter().map(|z| z.exp()).sum::<f64>()).ln();
                right += usize::from(z.iter().all(|other| *other <= z[digit]));
                start += num_levels;
            }
            errors.push(error);
            dims_right += right as f64 / 18.0;
            codes_right += f64::from(u8::from(right == 3)) / 6.0;
        }
    }
    let targets = Targets::Factored { digits_bnd, levels: levels.to_vec() };
    let compared = targets.compare(Target::Factored, &cubes, &chosen(), &logits).unwrap();
    let ce = errors.iter().sum::<f64>() / 6.0;
    let entropy: f64 = counts.iter().flatten().filter(|n| **n > 0.0).map(|n| -(n / 6.0) * (n / 6.0).ln()).sum();
    for (name, want) in
        [("ce", ce), ("dims_right", dims_right), ("codes_right", codes_right), ("explained", 1.0 - ce / entropy)]
    {
        assert!((term(&compared, name) - want).abs() < 1e-5, "{name}: {} against {want}", term(&compared, name));
    }
    for (i, want) in errors.iter().enumerate() {
        let got = compared.error_bq.double_value(&[i as i64 / 3, i as i64 % 3]);
        assert!((got - want).abs() < 1e-5, "token {i}: {got} against {want}");
    }
}

#[test]
fn perfect_predictions_explain_all_and_the_mean_nothing() {
    let cubes = cubes();
    let digits_bnd = digits([2, 8, 5]);
    let sure = |digit: Tensor, levels: i64| digit.one_hot(levels).to_kind(Kind::Float) * 40;
    let index = chosen().unsqueeze(-1).expand([-1, -1, 3], false);
    let own = digits_bnd.gather(1, &index, false);
    let logits: Vec<Tensor> = [2, 8, 5].iter().enumerate().map(|(d, l)| sure(own.select(-1, d as i64), *l)).collect();
    let targets = Targets::Factored { digits_bnd, levels: vec![2, 8, 5] };
    let compared = targets.compare(Target::Factored, &cubes, &chosen(), &Tensor::cat(&logits, -1)).unwrap();
    for (name, want) in [("ce", 0.0), ("explained", 1.0), ("dims_right", 1.0), ("codes_right", 1.0)] {
        assert!((term(&compared, name) - want).abs() < 1e-6, "{name}");
    }
    for target in [Target::Pixels, Target::PixelsJoint, Target::PixelsRaw] {
        let values = cubes.targets(&chosen(), target.pixel_norm().unwrap()).unwrap();
        let mean = values.mean(Kind::Float).expand_as(&values);
        let of = |predicted: &Tensor| Targets::Pixels.compare(target, &cubes, &chosen(), predicted).unwrap();
        assert_eq!(term(&of(&values), "explained"), 1.0);
        // 144 values: the biased variance is 143/144 of the unbiased one.
        assert!((term(&of(&mean), "explained") - 1.0 / 144.0).abs() < 1e-5, "{target:?}");
    }
}

#[test]
fn the_gradient_reaches_compared_predictions_alone() {
    // All twelve tokens are predicted, and those of `chosen` compared.
    let cubes = cubes();
    let digits_bnd = digits([2, 8, 5]);
    let values = Tensor::rand([2, 12, 15], (Kind::Float, Device::Cpu));
    let cases = [
        (Target::Codes, Targets::Codes(values.shallow_clone())),
        (Target::Latents, Targets::Latents(values)),
        (Target::Factored, Targets::Factored { digits_bnd, levels: vec![2, 8, 5] }),
        (Target::Full, Targets::Full { codes_bn: digits([15, 1, 1]).select(-1, 0), codebook_size: 15 }),
    ];
    for (target, targets) in cases {
        let all = Tensor::randn([2, 12, 15], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let predicted = all.gather(1, &chosen().unsqueeze(-1).expand([-1, -1, 15], false), false);
        targets.compare(target, &cubes, &chosen(), &predicted).unwrap().total.f_backward().unwrap();
        for (b, tokens) in [[3i64, 0, 11], [5, 7, 2]].iter().enumerate() {
            for token in 0..12 {
                let moved = all.grad().get(b as i64).get(token).abs().max().double_value(&[]);
                assert_eq!(moved > 0.0, tokens.contains(&token), "{target:?}: clip {b}, token {token}");
            }
        }
    }
}

#[test]
fn presets_name_every_target() {
    let names = ["codes", "latents", "factored", "full", "pixels", "pixels_joint", "pixels_raw"];
    for name in names {
        let target: Target = serde_json::from_str(&format!("{name:?}")).unwrap();
        assert_eq!(target.name(), name);
    }
    let said = serde_json::from_str::<Target>("\"pixel\"").unwrap_err().to_string();
    assert!(names.iter().all(|name| said.contains(name)), "{said}");
}

#[test]
fn targets_and_predictions_that_do_not_fit_are_refused() {
    let cubes = cubes();
    let predicted = Tensor::zeros([2, 3, 15], (Kind::Float, Device::Cpu));
    let refused = |targets: &Targets, target| targets.compare(target, &cubes, &chosen(), &predicted).unwrap_err();
    let codes = Targets::Codes(Tensor::zeros([2, 12, 15], (Kind::Float, Device::Cpu)));
    let said = refused(&codes, Target::Latents).to_string();
    assert_eq!(said, "the preset's target is latents, but the loss was given codes");
    assert!(matches!(refused(&codes, Target::PixelsRaw), NnError::Target { .. }));
    assert!(matches!(refused(&Targets::Pixels, Target::Factored), NnError::Target { .. }));
    let factored = |digits_bnd, levels| Targets::Factored { digits_bnd, levels };
    let narrow = factored(digits([2, 8, 5]), vec![2, 8, 4]);
    assert!(matches!(refused(&narrow, Target::Factored), NnError::Shape { name: "logits", .. }));
    let few = factored(digits([2, 8, 5]), vec![2, 13]);
    assert!(matches!(refused(&few, Target::Factored), NnError::Shape { name: "levels of the targets", .. }));
    let float = factored(digits([2, 8, 5]).to_kind(Kind::Float), vec![2, 8, 5]);
    assert!(matches!(refused(&float, Target::Factored), NnError::Kind { .. }));
}
