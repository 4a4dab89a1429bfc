use std::collections::BTreeSet;

use super::*;

fn features(x: &[Vec<f64>], labels: Vec<i64>, groups: &[usize]) -> Features {
    let flat = x.iter().flatten().map(|v| *v as f32).collect();
    Features::new(flat, x[0].len(), labels, groups.iter().map(|g| format!("g{g}")).collect()).unwrap()
}

/// Noise in `[-1, 1]` from a linear congruential generator, plus the label on the first value.
fn noisy(n: usize, d: usize, labels: &[i64]) -> Vec<Vec<f64>> {
    let mut state = 12345u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1u64 << 23) as f64 - 1.0
    };
    let row = |i: usize| (0..d).map(|j| next() + if j == 0 { 0.4 * labels[i] as f64 } else { 0.0 }).collect();
    (0..n).map(row).collect()
}

/// The d x d normal equations by Gauss-Jordan elimination; scores of `test`, `[n, C]`.
fn naive(train: &[Vec<f64>], labels: &[i64], test: &[Vec<f64>], (num_classes, lambda): (usize, f64)) -> Vec<Vec<f64>> {
    let (n, d) = (train.len() as f64, train[0].len());
    let mean = |j: usize| train.iter().map(|x| x[j]).sum::<f64>() / n;
    let std = |j: usize| (train.iter().map(|x| (x[j] - mean(j)).powi(2)).sum::<f64>() / n).sqrt();
    let scale = |x: &Vec<f64>| (0..d).map(|j| (x[j] - mean(j)) / std(j)).collect::<Vec<f64>>();
    let z: Vec<Vec<f64>> = train.iter().map(scale).collect();
    let share = |c: usize| labels.iter().filter(|l| **l == c as i64).count() as f64 / n;
    let y = |i: usize, c: usize| f64::from(u8::from(labels[i] == c as i64)) - share(c);
    let mut rows: Vec<Vec<f64>> = (0..d)
        .map(|a| {
            let gram =
                (0..d).map(|b| z.iter().map(|z| z[a] * z[b]).sum::<f64>() / n + if a == b { lambda } else { 0.0 });
            let right = (0..num_classes).map(|c| z.iter().enumerate().map(|(i, z)| z[a] * y(i, c)).sum::<f64>() / n);
            gram.chain(right).collect()
        })
        .collect();
    for pivot in 0..d {
        let row: Vec<f64> = rows[pivot].iter().map(|v| v / rows[pivot][pivot]).collect();
        for (a, other) in rows.iter_mut().enumerate() {
            let factor = if a == pivot { 0.0 } else { other[pivot] };
            other.iter_mut().zip(&row).for_each(|(v, r)| *v -= factor * r);
        }
        rows[pivot] = row;
    }
    let score = |z: Vec<f64>, c: usize| share(c) + (0..d).map(|a| z[a] * rows[a][d + c]).sum::<f64>();
    test.iter().map(|x| (0..num_classes).map(|c| score(scale(x), c)).collect()).collect()
}

#[test]
fn one_feature_is_solved_by_hand() {
    // x = 0, 2: mean 1, deviation 1, so z = -1, 1. Class 1 has y = -1/2, 1/2 about its share 1/2.
    // z'z / n = 1 and z'y / n = 1/2: w = (1/2) / (1 + lambda).
    let train = features(&[vec![0.0], vec![2.0]], vec![0, 1], &[0, 1]);
    // At x = 4, z = 3.
    for (lambda, want) in [(1.0, [0.5 - 0.75, 0.5 + 0.75]), (3.0, [0.5 - 0.375, 0.5 + 0.375])] {
        let probe = LinearProbe::fit(&train, 2, lambda).unwrap();
        let got = probe.scores(&features(&[vec![4.0]], vec![0], &[2])).unwrap();
        assert!(got.of_clip(0).iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-12), "{got:?}");
    }
}

#[test]
fn scores_are_those_of_gaussian_elimination_with_few_and_with_many_clips() {
    for (n, d) in [(30, 4), (6, 11)] {
        let labels: Vec<i64> = (0..n as i64).map(|i| i * i % 3).collect();
        let (x, test) = (noisy(n, d, &labels), noisy(5, d, &[1; 5]));
        let probe = LinearProbe::fit(&features(&x, labels.clone(), &vec![0; n]), 3, 0.05).unwrap();
        let got = probe.scores(&features(&test, vec![0; 5], &[0; 5])).unwrap();
        for (clip, want) in naive(&x, &labels, &test, (3, 0.05)).iter().enumerate() {
            let worst = got.of_clip(clip).iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst < 1e-5, "{n} clips, {d} values: {worst:e}");
        }
    }
}

#[test]
fn a_feature_that_never_varies_changes_nothing() {
    let labels = vec![0, 0, 1, 1];
    let x = noisy(4, 2, &labels);
    let with: Vec<Vec<f64>> = x.iter().map(|row| [row.clone(), vec![7.0]].concat()).collect();
    let scores = |x: &[Vec<f64>]| {
        let set = features(x, labels.clone(), &[0; 4]);
        LinearProbe::fit(&set, 2, 0.1).unwrap().scores(&set).unwrap()
    };
    let (a, b) = (scores(&x), scores(&with));
    assert!((0..4).all(|clip| (a.of_clip(clip)[0] - b.of_clip(clip)[0]).abs() < 1e-12));
}

#[test]
fn the_chosen_penalty_has_the_most_hits_on_held_out_groups() {
    let (n, d) = (48, 12);
    let labels: Vec<i64> = (0..n as i64).map(|i| i / 3 % 2).collect();
    let groups: Vec<usize> = (0..n).map(|i| i % 9).collect();
    let x = noisy(n, d, &labels);
    let set = features(&x, labels.clone(), &groups);
    let lambdas = vec![1e-3, 0.1, 1.0, 10.0];
    let hits = |lambda: f64| {
        let mut hits = 0;
        for Fold { kept, held_out } in folds(set.groups(), 4, 7).unwrap() {
            let rows = |clips: &[usize]| clips.iter().map(|i| x[*i].clone()).collect::<Vec<_>>();
            let kept_labels: Vec<i64> = kept.iter().map(|i| labels[*i]).collect();
            for (scores, clip) in naive(&rows(&kept), &kept_labels, &rows(&held_out), (2, lambda)).iter().zip(&held_out)
            {
                hits += usize::from((scores[1] > scores[0]) == (labels[*clip] == 1));
            }
        }
        hits
    };
    let counted: Vec<usize> = lambdas.iter().map(|lambda| hits(*lambda)).collect();
    assert!(counted.iter().collect::<BTreeSet<_>>().len() > 1, "the penalties do not differ: {counted:?}");
    let best = (0..4).max_by_key(|i| (counted[*i], *i)).unwrap();
    let chosen = RidgeSearch { lambdas: lambdas.clone(), num_folds: 4 }.choose(&set, 2, 7).unwrap();
    assert_eq!(chosen, lambdas[best], "{counted:?}");
}

#[test]
fn a_group_is_held_out_whole_and_once() {
    let groups: Vec<String> = (0..40).map(|i| format!("v{}", i * i % 11)).collect();
    let folds = folds(&groups, 3, 1).unwrap();
    assert_eq!(folds.len(), 3);
    let of = |clips: &[usize]| clips.iter().map(|i| &groups[*i]).collect::<BTreeSet<_>>();
    let mut seen = BTreeSet::new();
    for Fold { kept, held_out: held } in &folds {
        assert!(of(kept).is_disjoint(&of(held)));
        assert_eq!(kept.len() + held.len(), 40);
        assert!((8..=20).contains(&held.len()), "{}", held.len());
        assert!(held.iter().all(|clip| seen.insert(*clip)));
    }
    assert_eq!(seen.len(), 40);
}

#[test]
fn searches_that_cannot_be_made_are_refused() {
    let set = features(&[vec![0.0], vec![2.0]], vec![0, 1], &[0, 1]);
    let said = |lambdas: &[f64], num_folds, set: &Features| {
        RidgeSearch { lambdas: lambdas.to_vec(), num_folds }.choose(set, 2, 0).unwrap_err().to_string()
    };
    assert_eq!(said(&[], 2, &set), "lambdas = 0 is out of range: it must be at least one penalty");
    assert_eq!(said(&[1.0, 0.0], 2, &set), "lambda = 0 is out of range: it must be above 0");
    assert_eq!(said(&[1.0], 1, &set), "num_folds = 1 is out of range: it must be at least 2");
    let one = features(&[vec![0.0], vec![2.0]], vec![0, 1], &[5, 5]);
    assert!(said(&[1.0], 2, &one).contains("all training clips are of the group \"g5\""));
    assert!(matches!(LinearProbe::fit(&set, 1, 1.0), Err(EvalError::Label { label: 1, .. })));
}
