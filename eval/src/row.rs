use serde::{Deserialize, Serialize};

use crate::{Chance, Scores, Split, bootstrap, mean_class, top_k};

/// What was measured: the part of a [`ResultRow`] that the clips do not tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Which encoder gave the features.
    pub encoder: String,
    /// Which classifier read them, with its settings.
    pub probe: String,
    /// Seed of the encoder's training and of the interval.
    pub seed: u64,
    /// Clips of either set that could not be read and are missing below.
    pub num_failed: usize,
}

/// One line of a table of results. Shares lie in 0..1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultRow {
    /// Which encoder gave the features.
    pub encoder: String,
    /// Which classifier read them.
    pub probe: String,
    /// Seed of the encoder's training and of the interval.
    pub seed: u64,
    /// Top-1 on the test clips.
    pub accuracy: f64,
    /// Lower end of its 95 % interval ([`bootstrap`]).
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Mean of the classes' own accuracies ([`mean_class`]).
    pub mean_class: f64,
    /// What the best constant answer reaches on these test clips ([`Chance::majority`]).
    pub chance: f64,
    /// Training clips.
    pub num_train: usize,
    /// Test clips.
    pub num_test: usize,
    /// Clips of either set that could not be read.
    pub num_failed: usize,
}

/// What a classifier made of test clips.
#[derive(Clone, Debug)]
pub struct Tested<'a> {
    /// Class of each test clip, at least one.
    pub labels: &'a [i64],
    /// Number of classes that stand before the right one, clip by clip ([`Scores::ranks`]).
    pub ranks: Vec<usize>,
    /// Labels run from 0 up to below it.
    pub num_classes: usize,
    /// Training clips.
    pub num_train: usize,
}

impl ResultRow {
    /// * `scores` - of the test clips of `split`
    pub fn new(run: Run, split: &Split, scores: &Scores) -> Self {
        let labels = split.test().labels();
        let (num_classes, num_train) = (split.num_classes(), split.train().num_clips());
        Self::of(run, &Tested { labels, ranks: scores.ranks(labels), num_classes, num_train })
    }

    /// The row of clips whose ranks are known.
    pub fn of(run: Run, tested: &Tested<'_>) -> Self {
        let Tested { labels, ref ranks, num_classes, num_train } = *tested;
        let hits: Vec<bool> = ranks.iter().map(|rank| *rank == 0).collect();
        let interval = bootstrap(&hits, run.seed);
        ResultRow {
            encoder: run.encoder,
            probe: run.probe,
            seed: run.seed,
            accuracy: top_k(ranks, 1),
            low: interval.low,
            high: interval.high,
            mean_class: mean_class(ranks, labels, num_classes),
            chance: Chance::of(labels, num_classes).majority,
            num_train,
            num_test: labels.len(),
            num_failed: run.num_failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Features, Knn, Vote};

    #[test]
    fn a_row_holds_the_numbers_of_its_clips() {
        let side = |x: Vec<f32>, labels: Vec<i64>, side: &str| {
            let groups = labels.iter().map(|_| side.to_owned()).collect();
            Features::new(x, 1, labels, groups).unwrap()
        };
        // The nearest neighbour has the same sign: clips 0, 1 and 3 are right.
        let train = side(vec![1.0, -1.0], vec![0, 1], "a");
        let split = Split::new(train, side(vec![2.0, 3.0, 4.0, -1.0], vec![0, 0, 1, 1], "b"), 2).unwrap();
        let scores = Knn { k: 1, vote: Vote::Majority {} }.scores(&split).unwrap();
        let run = Run { encoder: "lvmae".into(), probe: "knn-1".into(), seed: 3, num_failed: 2 };
        let row = ResultRow::new(run, &split, &scores);
        assert_eq!((row.accuracy, row.mean_class, row.chance), (0.75, 0.75, 0.5));
        assert!(row.low < 0.75 && row.high == 1.0);

        let json = serde_json::to_value(&row).unwrap();
        let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
        let want = ["accuracy", "chance", "encoder", "high", "low", "mean_class"];
        assert_eq!(keys[..6], want);
        assert_eq!(keys[6..], ["num_failed", "num_test", "num_train", "probe", "seed"]);
        assert_eq!((&json["num_train"], &json["num_test"], &json["num_failed"]), (&2.into(), &4.into(), &2.into()));
    }
}
