use rand::RngExt as _;
use tch::Device;

use super::*;
use crate::{Features, LinearProbe, top_k};

fn search() -> AttentiveSearch {
    let rates = vec![1e-7, 3e-3];
    AttentiveSearch { depth: 1, heads: 2, rates, epochs: 30, batch: 16, weight_decay: 0.01, num_folds: 4 }
}

/// Clips of eight tokens. One token is marked by its first value, and its second tells the class by its sign; another
/// token has the opposite second value, so that no mean over tokens tells anything.
fn clips(n: usize, seed: u64) -> TokenSet {
    let mut rng = rng_for(seed, 0, 0, Purpose::Eval);
    let mut values = Vec::new();
    let mut labels = Vec::new();
    for _ in 0..n {
        let label = rng.random_range(0..2i64);
        let sign = if label == 1 { 1.0 } else { -1.0 };
        let mut places: Vec<usize> = (0..8).collect();
        places.shuffle(&mut rng);
        let mut tokens = [[0f32; 12]; 8];
        tokens[places[0]][0] = 2.0;
        for (place, second) in [(0, sign), (1, -sign), (2, 1.0), (3, -1.0)] {
            tokens[places[place]][1] = 2.0 * second;
        }
        values.extend(tokens.into_iter().flatten());
        labels.push(label);
    }
    let tokens = Tensor::from_slice(&values).view([n as i64, 8, 12]);
    TokenSet::new(tokens, labels, (0..n).map(|clip| format!("{seed}.{clip}")).collect()).unwrap()
}

#[test]
fn attention_learns_what_the_mean_of_tokens_cannot_tell() {
    let (train, test) = (clips(96, 1), clips(64, 2));
    let (probe, rate) = search().fit(&train, 2, 0).unwrap();
    assert_eq!(rate, 3e-3, "a rate at which nothing moves is not chosen");
    let attentive = top_k(&probe.scores(&test).unwrap().ranks(test.labels()), 1);
    assert!(attentive > 0.95, "{attentive}");

    let mean = |set: &TokenSet| {
        let x = Vec::try_from(set.tokens_mean().flatten(0, 1)).unwrap();
        Features::new(x, 12, set.labels().to_vec(), set.groups().to_vec()).unwrap()
    };
    let linear = LinearProbe::fit(&mean(&train), 2, 0.01).unwrap().scores(&mean(&test)).unwrap();
    let linear = top_k(&linear.ranks(test.labels()), 1);
    assert!(linear < 0.7, "{linear}");
}

impl TokenSet {
    fn tokens_mean(&self) -> Tensor {
        let all: Vec<usize> = (0..self.num_clips()).collect();
        self.batch(&all).unwrap().0.mean_dim([1i64].as_slice(), false, Kind::Float)
    }
}

#[test]
fn a_deeper_probe_is_trained_as_well_and_the_same_seed_gives_the_same_probe() {
    let train = clips(24, 3);
    let deeper = AttentiveSearch { depth: 2, epochs: 2, ..search() };
    let logits = |seed| {
        let (probe, _) = deeper.fit(&train, 2, seed).unwrap();
        (0..4).map(|clip| probe.scores(&train).unwrap().of_clip(clip).to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(logits(1), logits(1));
    assert_ne!(logits(1), logits(2));
}

#[test]
fn tokens_that_are_no_numbers_and_impossible_settings_are_refused() {
    let tokens = Tensor::zeros([2, 3, 4], (Kind::Float, Device::Cpu));
    drop(tokens.get(1).get(2).get(3).fill_(f64::NAN));
    let groups = || vec!["a".to_owned(), "b".to_owned()];
    let said = TokenSet::new(tokens.shallow_clone(), vec![0, 1], groups()).unwrap_err().to_string();
    assert!(said.starts_with("feature 11 of clip 1 is NaN"), "{said}");
    assert!(matches!(TokenSet::new(tokens, vec![0], groups()), Err(EvalError::Counts { .. })));
    let train = clips(8, 1);
    let said = |search: AttentiveSearch| search.fit(&train, 2, 0).unwrap_err().to_string();
    assert!(said(AttentiveSearch { heads: 5, ..search() }).contains("must divide the width"));
    assert!(said(AttentiveSearch { rates: vec![], ..search() }).contains("at least one learning rate"));
    assert!(matches!(search().fit(&train, 1, 0), Err(EvalError::Label { label: 1, .. })));
}
