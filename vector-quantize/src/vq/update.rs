use tch::TchError;

use super::Vq;
use crate::codes::during;
use crate::statistics::StageStatistics;
use crate::{Statistics, VqError};

/// Laplace smoothing of the counts, as in VQ-VAE's code.
const EPS: f64 = 1e-5;

impl Vq {
    /// One update from the summed statistics of all micro-batches and ranks; the same on every rank that applies the same
    /// sums, since nothing is drawn. With decay g and the batch's counts c and sums s of each code k:
    ///
    /// ```text
    /// n_k <- g n_k + (1 - g) c_k        m_k <- g m_k + (1 - g) s_k
    /// e_k <- m_k / ((n_k + 1e-5) / (n + K 1e-5) n)        n = sum_k n_k
    /// where n_k < dead_below: e_k <- the candidate in slot k, n_k <- dead_below, m_k <- dead_below e_k
    /// ```
    ///
    /// # Errors
    /// [`VqError::OtherStatistics`] when they are of another codebook; [`VqError::Torch`].
    pub fn update(&self, statistics: &Statistics) -> Result<(), VqError> {
        match &statistics.stages[..] {
            [stage] if stage.sums.size() == self.sums.size() => self.update_stage(stage),
            _ => Err(VqError::OtherStatistics {
                got: statistics.stages.iter().map(|stage| stage.sums.size()).collect(),
                want: vec![self.sums.size()],
            }),
        }
    }

    /// [`Vq::update`] with the statistics of this codebook.
    pub(crate) fn update_stage(&self, stage: &StageStatistics) -> Result<(), VqError> {
        tch::no_grad(|| self.average(stage)).map_err(during("updating a codebook"))
    }

    fn average(&self, stage: &StageStatistics) -> Result<(), TchError> {
        let new = 1.0 - self.config.decay;
        let mut counts_k1 = self.counts.f_lerp(&stage.counts, new)?.f_unsqueeze(-1)?;
        let mut sums = self.sums.f_lerp(&stage.sums, new)?;
        let total = counts_k1.f_sum(tch::Kind::Float)?;
        let share = counts_k1.f_add_scalar(EPS)?.f_div(&total.f_add_scalar(self.config.codes as f64 * EPS)?)?;
        let mut codebook = sums.f_div(&share.f_mul(&total)?)?;

        if self.config.dead_below > 0.0 {
            let (candidates, filled) = stage.candidates()?;
            let dead = counts_k1.f_lt(self.config.dead_below)?.f_logical_and(&filled)?;
            codebook = candidates.f_where_self(&dead, &codebook)?;
            sums = candidates.f_mul_scalar(self.config.dead_below)?.f_where_self(&dead, &sums)?;
            counts_k1 = counts_k1.f_full_like(self.config.dead_below)?.f_where_self(&dead, &counts_k1)?;
        }
        self.store(&codebook, &counts_k1.f_squeeze_dim(-1)?, &sums)
    }
}
