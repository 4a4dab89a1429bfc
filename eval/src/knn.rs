use nn::During;
use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor};

use crate::{EvalError, Features, Scores, Split};

/// What a neighbour's vote weighs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Vote {
    /// `exp(similarity / temperature)`; 0.07 in Wu et al.
    Exponential {
        /// Above 0.
        temperature: f64,
    },
    /// Each neighbour counts one.
    Majority {},
}

/// Classification by the `k` training clips of highest cosine similarity (Wu et al., CVPR 2018).
///
/// Ties: among equally similar training clips the one that stands first is the nearer; among classes of equal score the
/// lower number wins.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Knn {
    /// Neighbours that vote; 200 in Wu et al. for ImageNet.
    pub k: usize,
    /// How they vote.
    pub vote: Vote,
}

/// Test clips compared with all training clips at once: bounds the table of similarities.
const CLIPS_PER_CHUNK: i64 = 256;

impl Knn {
    /// Votes of each class for each test clip.
    ///
    /// # Errors
    /// [`EvalError::OutOfRange`] for more neighbours than training clips, or a temperature that is not positive;
    /// [`EvalError::Nn`].
    pub fn scores(&self, split: &Split) -> Result<Scores, EvalError> {
        if self.k < 1 || self.k > split.train().num_clips() {
            let rule = "at least 1 and at most the number of training clips";
            return Err(EvalError::OutOfRange { key: "k", value: self.k as f64, rule });
        }
        if let Vote::Exponential { temperature } = self.vote
            && !(temperature > 0.0 && temperature.is_finite())
        {
            return Err(EvalError::OutOfRange { key: "temperature", value: temperature, rule: "above 0" });
        }
        let (train_nd, test_nd) = (unit_rows(split.train())?, unit_rows(split.test())?);
        let mut votes = Vec::with_capacity(split.test().num_clips() * split.num_classes());
        for chunk in test_nd.f_split(CLIPS_PER_CHUNK, 0).during("finding neighbours")? {
            let similar = chunk.f_matmul(&train_nd.tr()).and_then(|s| Vec::try_from(s.reshape([-1])));
            let similar: Vec<f64> = similar.during("finding neighbours")?;
            for row in similar.chunks(split.train().num_clips()) {
                votes.extend(self.votes(row, split.train().labels(), split.num_classes()));
            }
        }
        Ok(Scores::new(votes, split.num_classes()))
    }

    /// Votes of each class, given the similarity of each training clip.
    fn votes(&self, similar: &[f64], labels: &[i64], num_classes: usize) -> Vec<f64> {
        let mut nearest: Vec<usize> = (0..similar.len()).collect();
        nearest.select_nth_unstable_by(self.k - 1, |a, b| similar[*b].total_cmp(&similar[*a]).then(a.cmp(b)));
        let mut votes = vec![0.0; num_classes];
        for clip in &nearest[..self.k] {
            votes[labels[*clip] as usize] += match self.vote {
                // Smaller by the constant exp(1 / temperature), which could overflow.
                Vote::Exponential { temperature } => ((similar[*clip] - 1.0) / temperature).exp(),
                Vote::Majority {} => 1.0,
            };
        }
        votes
    }
}

/// Each clip's vector divided by its length; a vector of zeros stays and is similar to nothing.
fn unit_rows(features: &Features) -> Result<Tensor, EvalError> {
    let x_nd = features.tensor()?;
    let scaled = || -> Result<Tensor, TchError> {
        let length = x_nd.f_square()?.f_sum_dim_intlist([1i64].as_slice(), true, x_nd.kind())?.f_sqrt()?;
        x_nd.f_div(&length.f_clamp_min(1e-12)?)
    };
    Ok(scaled().during("normalising features")?)
}

#[cfg(test)]
mod tests;
