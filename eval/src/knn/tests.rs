use tch::{Device, Kind};

use super::*;

fn features(x: Vec<f32>, width: usize, labels: Vec<i64>, side: &str) -> Features {
    let groups = (0..labels.len()).map(|i| format!("{side}{i}")).collect();
    Features::new(x, width, labels, groups).unwrap()
}

/// Four training clips at 0, 60, 90 and 180 degrees of the one test clip, of any length.
fn by_angle(labels: [i64; 4]) -> Split {
    let half = 3f32.sqrt() / 2.0;
    let train = features(vec![5.0, 0.0, 0.5, half, 0.0, 0.1, -2.0, 0.0], 2, labels.to_vec(), "a");
    Split::new(train, features(vec![3.0, 0.0], 2, vec![0], "b"), 3).unwrap()
}

fn votes(k: usize, vote: Vote, split: &Split) -> Vec<f64> {
    Knn { k, vote }.scores(split).unwrap().of_clip(0).to_vec()
}

#[test]
fn weights_are_the_exponential_of_the_cosine() {
    // Cosines 1, 1/2, 0, -1; the votes are exp((cos - 1) / 0.5).
    let got = votes(3, Vote::Exponential { temperature: 0.5 }, &by_angle([1, 2, 1, 0]));
    let want = [0.0, 1.0 + (-2.0f64).exp(), (-1.0f64).exp()];
    assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6), "{got:?}");
}

#[test]
fn a_majority_counts_heads() {
    assert_eq!(votes(3, Vote::Majority {}, &by_angle([1, 2, 2, 0])), [0.0, 1.0, 2.0]);
    assert_eq!(votes(1, Vote::Majority {}, &by_angle([1, 2, 2, 0])), [0.0, 1.0, 0.0]);
}

#[test]
fn equally_similar_clips_count_in_the_order_they_stand() {
    let train = features(vec![1.0, 2.0, 3.0, 4.0], 1, vec![2, 0, 1, 1], "a");
    let split = Split::new(train, features(vec![1.0], 1, vec![0], "b"), 3).unwrap();
    assert_eq!(votes(2, Vote::Majority {}, &split), [1.0, 0.0, 1.0]);
}

#[test]
fn votes_are_those_of_a_loop_over_all_clips() {
    tch::manual_seed(0);
    let (n, m, d, classes) = (60, 300, 7, 5);
    let random =
        |n: usize| -> Vec<f32> { Vec::try_from(Tensor::randn([(n * d) as i64], (Kind::Float, Device::Cpu))).unwrap() };
    let labels = |n: usize| (0..n).map(|i| (i * i % classes) as i64).collect::<Vec<_>>();
    let (train_x, test_x) = (random(n), random(m));
    let train = features(train_x.clone(), d, labels(n), "a");
    let split = Split::new(train, features(test_x.clone(), d, labels(m), "b"), classes).unwrap();
    let got = Knn { k: 9, vote: Vote::Exponential { temperature: 0.07 } }.scores(&split).unwrap();
    let cosine = |a: &[f32], b: &[f32]| {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    };
    for clip in 0..m {
        let test = &test_x[clip * d..(clip + 1) * d];
        let mut all: Vec<(f64, i64)> =
            (0..n).map(|i| (cosine(&train_x[i * d..(i + 1) * d], test), labels(n)[i])).collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut want = vec![0.0; classes];
        all[..9].iter().for_each(|(cos, label)| want[*label as usize] += ((cos - 1.0) / 0.07).exp());
        assert!(got.of_clip(clip).iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-9), "clip {clip}");
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let split = by_angle([0, 1, 2, 0]);
    for k in [0, 5] {
        let said = Knn { k, vote: Vote::Majority {} }.scores(&split).unwrap_err().to_string();
        assert!(said.starts_with(&format!("k = {k} is out of range")), "{said}");
    }
    for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let vote = Vote::Exponential { temperature };
        assert!(matches!(Knn { k: 1, vote }.scores(&split), Err(EvalError::OutOfRange { .. })));
    }
}
