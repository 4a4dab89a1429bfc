//! How good an encoder's features are, without training the encoder: one vector per clip or a few, a small classifier on
//! them, and a number with its uncertainty and what guessing would reach.
//!
//! | step                      | here                       | from                                                       |
//! | ------------------------- | -------------------------- | ---------------------------------------------------------- |
//! | tokens to one vector      | [`pool`]                   | mean, or mean per span of time                             |
//! | training and test clips   | [`Split`]                  | refused when a group (source video, person) stands in both |
//! | nearest neighbours        | [`Knn`]                    | Wu et al., CVPR 2018 (arXiv:1805.01978)                    |
//! | linear probe              | [`LinearProbe`]            | ridge regression in closed form, or SGD ([`SgdSearch`])    |
//! | attentive probe           | [`AttentiveProbe`]         | V-JEPA (arXiv:2404.08471)                                  |
//! | accuracy, interval, guess | [`ResultRow`]              | percentile bootstrap over test clips                       |
//!
//! And how good a tokenizer is, from clips beside their reconstructions and from its priorities:
//!
//! | measure                   | here                                    | from                                            |
//! | ------------------------- | --------------------------------------- | ----------------------------------------------- |
//! | PSNR, also of differences | [`Fidelity`], [`psnr_db`]               | peak 255                                        |
//! | SSIM                      | [`ssim`]                                | Wang et al., IEEE TIP 2004                      |
//! | Frechet video distance    | [`I3d`], [`frechet_distance`]           | Unterthiner et al., 2018 (arXiv:1812.01717)     |
//! | priorities against a mask | [`auc`]                                 | Mann and Whitney, 1947                          |
//! | mean and its interval     | [`bootstrap_mean`]                      | percentile bootstrap over clips                 |
//!
//! And how an encoder is fine-tuned: the network and its loss ([`Classifier`], [`Heads`], [`TokenDrop`]; VideoMAE's recipe with
//! LVMAE's changes). The loop that trains it stands elsewhere.
//!
//! Nothing here chooses a setting by looking at test clips: linear and attentive probes take penalty and learning rate from
//! the training clips alone, k-NN takes `k` from the caller.
//!
//! Letters: B clips of a batch, N tokens, D width; n clips of a set, d values of a feature, C classes.

mod attentive;
mod auc;
mod error;
mod features;
mod finetune;
mod knn;
mod linear;
mod metrics;
mod rates;
mod recon;
mod row;
mod score;
mod split;

pub use attentive::{AttentivePool, AttentiveProbe, AttentiveSearch, QueryReads, TokenSet};
pub use auc::auc;
pub use error::EvalError;
pub use features::{Features, Pool, pool};
pub use finetune::{Classifier, ClassifierConfig, HeadKind, HeadPool, Heads, TokenDrop, soft_cross_entropy};
pub use knn::{Knn, Vote};
pub use linear::{LinearProbe, RidgeSearch, SgdSearch};
pub use metrics::{Chance, Interval, Scores, bootstrap, bootstrap_mean, mean_class, top_k};
pub use recon::{FeatureSet, Fidelity, I3d, SSIM_WINDOW_PX, frechet_distance, psnr_db, ssim};
pub use row::{ResultRow, Run, Tested};
pub use score::{
    Averaging, ClassAnswers, Coverage, Evaluation, Measure, Metric, Missing, Outcome, Protocol, ScoreHeader,
    ScoreTable, ScoreValues, SpaceAnswers, StoredViews, Subset, Truth, TruthClip, TruthSpace, WorstAnswer, evaluate,
};
pub use split::{Split, expect_disjoint};

/// Arrays that `tests/golden/make_recon.py` wrote.
#[cfg(test)]
mod golden {
    use tch::Tensor;

    pub(crate) fn tensor(name: &str) -> Tensor {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/recon.safetensors");
        let arrays = Tensor::read_safetensors(file).unwrap();
        arrays.into_iter().find(|(known, _)| known == name).unwrap().1
    }
}
