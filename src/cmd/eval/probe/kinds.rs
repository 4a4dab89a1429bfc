use eval::{AttentiveSearch, Knn, LinearProbe, RidgeSearch, Scores, SgdSearch, Vote};

use super::Samples;

/// What is put on top of the features.
#[derive(Clone, Debug)]
pub(crate) enum Probe {
    Knn,
    /// Ridge regression, in closed form.
    Ridge,
    /// Stochastic gradient descent.
    Sgd,
    Attentive(AttentiveSearch),
}

/// Neighbours that vote: few, since the sets that fit a laptop have few clips per class.
const NEIGHBOURS: usize = 5;
/// Temperature of their votes (Wu et al.).
const TEMPERATURE: f64 = 0.07;
/// Folds of the training clips by which a setting is chosen.
pub(super) const NUM_FOLDS: usize = 5;

impl Probe {
    /// Its name in commands and results.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Probe::Knn => "knn",
            Probe::Ridge => "linear",
            Probe::Sgd => "linear_sgd",
            Probe::Attentive(_) => "attentive",
        }
    }

    /// Scores of the test clips, and the settings they came by.
    pub(crate) fn scores(&self, samples: &Samples, seed: u64) -> anyhow::Result<(Scores, String)> {
        match self {
            Probe::Knn => {
                let split = samples.split()?;
                let k = NEIGHBOURS.min(split.train().num_clips());
                let knn = Knn { k, vote: Vote::Exponential { temperature: TEMPERATURE } };
                Ok((knn.scores(&split)?, format!("knn, k = {k}")))
            }
            Probe::Ridge => {
                let split = samples.split()?;
                let lambdas = (-2..=6).map(|exponent| 10f64.powi(exponent)).collect();
                let search = RidgeSearch { lambdas, num_folds: NUM_FOLDS };
                let lambda = search.choose(split.train(), split.num_classes(), seed)?;
                let probe = LinearProbe::fit(split.train(), split.num_classes(), lambda)?;
                Ok((probe.scores(split.test())?, format!("ridge, penalty {lambda:e}")))
            }
            Probe::Sgd => {
                let split = samples.split()?;
                let rates = vec![0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];
                let search = SgdSearch { rates, epochs: 100, batch: 64, momentum: 0.9, num_folds: NUM_FOLDS };
                let (probe, rate) = search.fit(split.train(), split.num_classes(), seed)?;
                Ok((probe.scores(split.test())?, format!("SGD, rate {rate:e}")))
            }
            Probe::Attentive(search) => {
                let [train, test] = samples.token_sets()?;
                let (probe, rate) = search.fit(&train, samples.num_classes, seed)?;
                Ok((probe.scores(&test)?, format!("attentive, depth {}, rate {rate:e}", search.depth)))
            }
        }
    }
}
