use rand::RngExt as _;
use spec::{Purpose, rng_for};

/// Resamples of a [`bootstrap`].
const NUM_RESAMPLES: usize = 1000;

/// What a classifier says of each clip: one number per class, the higher the likelier.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    values_nc: Vec<f64>,
    num_classes: usize,
}

impl Scores {
    /// * `values_nc` - `[n, C]` row after row
    pub(crate) fn new(values_nc: Vec<f64>, num_classes: usize) -> Self {
        Scores { values_nc, num_classes }
    }

    /// The scores of one clip, `[C]`.
    pub fn of_clip(&self, clip: usize) -> &[f64] {
        &self.values_nc[clip * self.num_classes..(clip + 1) * self.num_classes]
    }

    /// Number of classes that stand before the right one, clip by clip: 0 is a hit. Of equal scores the lower class
    /// stands first.
    ///
    /// * `labels` - one per clip, in `0..C`
    pub fn ranks(&self, labels: &[i64]) -> Vec<usize> {
        labels.iter().enumerate().map(|(clip, label)| self.rank(clip, *label as usize)).collect()
    }

    /// Number of classes that stand before `class` for one clip.
    pub fn rank(&self, clip: usize, class: usize) -> usize {
        let scores = self.of_clip(clip);
        let before =
            |(other, score): (usize, &f64)| *score > scores[class] || (*score == scores[class] && other < class);
        scores.iter().enumerate().filter(|entry| before(*entry)).count()
    }
}

/// Share of clips whose class is among the `k` first.
///
/// * `ranks` - from [`Scores::ranks`], at least one
pub fn top_k(ranks: &[usize], k: usize) -> f64 {
    ranks.iter().filter(|rank| **rank < k).count() as f64 / ranks.len() as f64
}

/// Mean over classes of each class's share of hits. Classes without clips do not count (Diving48 has one of 48).
pub fn mean_class(ranks: &[usize], labels: &[i64], num_classes: usize) -> f64 {
    let mut hits = vec![(0usize, 0usize); num_classes];
    for (rank, label) in ranks.iter().zip(labels) {
        let (right, all) = &mut hits[*label as usize];
        *right += usize::from(*rank == 0);
        *all += 1;
    }
    let shares: Vec<f64> =
        hits.iter().filter(|(_, all)| *all > 0).map(|(right, all)| *right as f64 / *all as f64).collect();
    shares.iter().sum::<f64>() / shares.len() as f64
}

/// What guessing reaches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chance {
    /// Share of the test set's most frequent class: the best constant answer, even knowing the test labels.
    pub majority: f64,
    /// 1 / number of classes.
    pub uniform: f64,
}

impl Chance {
    /// * `labels` - of the test clips, in `0..num_classes`, at least one
    pub fn of(labels: &[i64], num_classes: usize) -> Self {
        let mut counts = vec![0usize; num_classes];
        labels.iter().for_each(|label| counts[*label as usize] += 1);
        let most = counts.into_iter().max().unwrap_or(0);
        Chance { majority: most as f64 / labels.len() as f64, uniform: 1.0 / num_classes as f64 }
    }
}

/// A 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// How far the accuracy would move on other test clips: [`bootstrap_mean`] of right and wrong answers.
///
/// * `hits` - whether each test clip was right, at least one
pub fn bootstrap(hits: &[bool], seed: u64) -> Interval {
    let right: Vec<f64> = hits.iter().map(|hit| f64::from(u8::from(*hit))).collect();
    bootstrap_mean(&right, seed)
}

/// How far a mean over clips would move on other clips: percentiles 2.5 and 97.5 of the mean of 1000 samples of the clips
/// with replacement. Clips count as independent; where many come from one video, the truth is wider.
///
/// * `values` - one for each clip, at least one; a difference between two methods on the same clip gives the interval of
///   their paired difference
pub fn bootstrap_mean(values: &[f64], seed: u64) -> Interval {
    let rng = &mut rng_for(seed, 0, 0, Purpose::Eval);
    let mut draw = || {
        let sum: f64 = (0..values.len()).map(|_| values[rng.random_range(0..values.len())]).sum();
        sum / values.len() as f64
    };
    let mut means: Vec<f64> = (0..NUM_RESAMPLES).map(|_| draw()).collect();
    means.sort_unstable_by(f64::total_cmp);
    let outside = NUM_RESAMPLES * 25 / 1000;
    Interval { low: means[outside], high: means[NUM_RESAMPLES - 1 - outside] }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four clips, three classes; the labels are 0, 1, 1, 2.
    const LABELS: [i64; 4] = [0, 1, 1, 2];

    fn ranks() -> Vec<usize> {
        // Right; right class second; a tie that the lower class wins; right class last.
        let values = vec![0.5, 0.1, 0.2, 0.3, 0.2, 0.1, 0.4, 0.4, 0.2, 0.9, 0.8, 0.7];
        Scores::new(values, 3).ranks(&LABELS)
    }

    #[test]
    fn ranks_count_the_classes_before_the_right_one() {
        assert_eq!(ranks(), [0, 1, 1, 2]);
        // The tie goes the other way when the lower class is right.
        assert_eq!(Scores::new(vec![0.4, 0.4, 0.2], 3).ranks(&[0]), [0]);
    }

    #[test]
    fn top_k_counts_ranks_below_k() {
        assert_eq!([1, 2, 3].map(|k| top_k(&ranks(), k)), [0.25, 0.75, 1.0]);
    }

    #[test]
    fn classes_without_clips_do_not_lower_the_mean() {
        // Class 0: 1 of 1, class 1: 1 of 2, class 2: none, class 3: 0 of 1.
        assert_eq!(mean_class(&[0, 0, 3, 1], &[0, 1, 1, 3], 4), (1.0 + 0.5 + 0.0) / 3.0);
    }

    #[test]
    fn chance_is_the_largest_class_and_one_in_all() {
        assert_eq!(Chance::of(&LABELS, 5), Chance { majority: 0.5, uniform: 0.2 });
    }

    #[test]
    fn the_interval_is_the_binomials() {
        // 400 clips, half right: standard deviation sqrt(0.25 / 400) = 0.025, so 0.5 -+ 0.049.
        let hits: Vec<bool> = (0..400).map(|i| i % 2 == 0).collect();
        let Interval { low, high } = bootstrap(&hits, 1);
        assert!((low - 0.451).abs() < 0.01 && (high - 0.549).abs() < 0.01, "{low} {high}");
        assert_eq!(bootstrap(&[true; 20], 1), Interval { low: 1.0, high: 1.0 });
    }

    #[test]
    fn the_interval_of_a_mean_is_the_normals() {
        // 0 to 99, each once: mean 49.5, standard deviation of the mean 28.866 / 10, so 49.5 -+ 5.66.
        let values: Vec<f64> = (0..100).map(f64::from).collect();
        let Interval { low, high } = bootstrap_mean(&values, 2);
        assert!((low - 43.84).abs() < 0.8 && (high - 55.16).abs() < 0.8, "{low} {high}");
    }

    #[test]
    fn the_same_seed_gives_the_same_interval() {
        let hits: Vec<bool> = (0..97).map(|i| i % 3 == 0).collect();
        assert_eq!(bootstrap(&hits, 5), bootstrap(&hits, 5));
        assert!((6..12).any(|seed| bootstrap(&hits, seed) != bootstrap(&hits, 5)));
    }
}
