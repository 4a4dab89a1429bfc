use super::*;

fn search(rates: &[f64]) -> SgdSearch {
    SgdSearch { rates: rates.to_vec(), epochs: 3, batch: 4, momentum: 0.9, num_folds: 3 }
}

/// Ten clips of three values and three classes in five groups.
fn clips() -> Features {
    let value = |i: usize, j: usize| ((i * 7 + j * 5) % 11) as f32 - 5.0 + if i % 3 == j { 4.0 } else { 0.0 };
    let x = (0..10).flat_map(|i| (0..3).map(move |j| value(i, j))).collect();
    let labels = (0..10).map(|i| i % 3).collect();
    Features::new(x, 3, labels, (0..10).map(|i| format!("g{}", i / 2)).collect()).unwrap()
}

/// SGD by loops, one rate: logits of every clip.
fn naive(train: &Features, rate: f64, seed: u64) -> Vec<[f64; 3]> {
    let (n, of) = (train.num_clips(), search(&[rate]));
    let x = Vec::<f64>::try_from(train.tensor().unwrap().flatten(0, 1)).unwrap();
    let mean = |j: usize| (0..n).map(|i| x[i * 3 + j]).sum::<f64>() / n as f64;
    let std = |j: usize| ((0..n).map(|i| (x[i * 3 + j] - mean(j)).powi(2)).sum::<f64>() / n as f64).sqrt();
    let z: Vec<[f64; 3]> = (0..n).map(|i| [0, 1, 2].map(|j| (x[i * 3 + j] - mean(j)) / std(j) / 3f64.sqrt())).collect();
    // Row 3 is the bias.
    let (mut w, mut v) = ([[0.0; 3]; 4], [[0.0; 3]; 4]);
    let logits =
        |w: &[[f64; 3]; 4], z: &[f64; 3]| [0, 1, 2].map(|c| w[3][c] + (0..3).map(|j| z[j] * w[j][c]).sum::<f64>());
    let mut step = 0;
    for epoch in 0..3 {
        let mut order: Vec<i64> = (0..n as i64).collect();
        order.shuffle(&mut rng_for(seed, epoch, 2, Purpose::Eval));
        for batch in order.chunks(of.batch) {
            let mut grad = [[0.0; 3]; 4];
            for clip in batch {
                let z = &z[*clip as usize];
                let e = logits(&w, z).map(f64::exp);
                for c in 0..3 {
                    let hot = if train.labels()[*clip as usize] == c as i64 { 1.0 } else { 0.0 };
                    let g = (e[c] / e.iter().sum::<f64>() - hot) / batch.len() as f64;
                    (0..3).for_each(|j| grad[j][c] += g * z[j]);
                    grad[3][c] += g;
                }
            }
            // Three epochs of three steps: 4, 4 and 2 clips.
            let lr = rate * 0.5 * (1.0 + (PI * f64::from(step) / 9.0).cos());
            for (w, (v, g)) in w.iter_mut().flatten().zip(v.iter_mut().flatten().zip(grad.iter().flatten())) {
                *v = 0.9 * *v + g;
                *w -= lr * *v;
            }
            step += 1;
        }
    }
    z.iter().map(|z| logits(&w, z)).collect()
}

#[test]
fn all_rates_at_once_are_plain_gradient_descent_one_by_one() {
    let (clips, rates) = (clips(), [0.05, 1.0, 20.0]);
    let probes = search(&rates).train(&clips, &rates, (3, 5)).unwrap();
    for (probe, rate) in probes.iter().zip(rates) {
        let got = probe.scores(&clips).unwrap();
        for (clip, want) in naive(&clips, rate, 5).iter().enumerate() {
            let worst = got.of_clip(clip).iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst < 1e-10, "rate {rate}, clip {clip}: {worst:e}");
        }
    }
}

#[test]
fn the_rate_with_the_most_hits_on_the_held_out_part_is_kept_and_of_equal_ones_the_smallest() {
    let (clips, rates) = (clips(), [1e-9, 0.05, 1.0, 20.0]);
    let Fold { kept, held_out } = folds(clips.groups(), 3, 5).unwrap().swap_remove(0);
    let held_out = clips.select(&held_out);
    let probes = search(&rates).train(&clips.select(&kept), &rates, (3, 5)).unwrap();
    let hits = |probe: &LinearProbe| {
        let ranks = probe.scores(&held_out).unwrap().ranks(held_out.labels());
        ranks.iter().filter(|rank| **rank == 0).count()
    };
    let hits: Vec<usize> = probes.iter().map(hits).collect();
    assert!(hits.iter().min() < hits.iter().max(), "the rates do not differ: {hits:?}");
    let best = hits.iter().position(|n| Some(n) == hits.iter().max()).unwrap();
    let (probe, rate) = search(&rates).fit(&clips, 3, 5).unwrap();
    assert_eq!(rate, rates[best], "{hits:?}");
    // And it was trained anew on all clips.
    let got = probe.scores(&clips).unwrap();
    assert!((got.of_clip(0)[0] - naive(&clips, rate, 5)[0][0]).abs() < 1e-10);
}

#[test]
fn searches_that_cannot_be_made_are_refused() {
    let said = |search: SgdSearch| search.fit(&clips(), 3, 0).unwrap_err().to_string();
    assert_eq!(said(search(&[])), "rates = 0 is out of range: it must be at least one learning rate");
    assert_eq!(said(search(&[0.0])), "rate = 0 is out of range: it must be above 0");
    assert!(said(SgdSearch { momentum: 1.0, ..search(&[1.0]) }).starts_with("momentum = 1 "));
    assert!(said(SgdSearch { batch: 0, ..search(&[1.0]) }).starts_with("batch = 0 "));
    assert!(said(SgdSearch { num_folds: 1, ..search(&[1.0]) }).starts_with("num_folds = 1 "));
}
