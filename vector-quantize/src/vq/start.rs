use tch::{Kind, TchError, Tensor};

use super::{Vq, nearest};
use crate::codes::{during, expect_width};
use crate::statistics::{slots, totals};
use crate::{Share, VqError};

impl Vq {
    /// Sets the codebook by k-means on a batch: `kmeans_iterations` rounds from entries drawn from the batch by libtorch's
    /// generator. An entry that no vector is nearest to stays where it is. With fewer vectors than codes some entries are
    /// copies with a little noise.
    ///
    /// * `z` - `[.., D]`, at least one vector
    ///
    /// # Errors
    /// [`VqError::Width`], [`VqError::NoVectors`], [`VqError::Torch`].
    pub fn start(&self, z: &Tensor) -> Result<(), VqError> {
        self.start_over_ranks(z, Share::WHOLE, |_| Ok(()))
    }

    /// [`Vq::start`] on a batch that is spread over ranks; all of them end with the same codebook.
    ///
    /// * `z` - this rank's part, `[.., D]`; may be empty on some
    /// * `share` - this rank's number and how many there are
    /// * `sum` - sums a tensor in place over the ranks; called with the same shapes in the same order on each
    ///
    /// # Errors
    /// [`VqError::Width`], [`VqError::Share`]; [`VqError::NoVectors`] when all parts are empty; [`VqError::Torch`]; those of
    /// `sum`.
    pub fn start_over_ranks<E: From<VqError>>(
        &self,
        z: &Tensor,
        share: Share,
        mut sum: impl FnMut(&Tensor) -> Result<(), E>,
    ) -> Result<(), E> {
        expect_width(z, self.config.width)?;
        share.check()?;
        let num_codes = self.config.codes;
        let z_nd = torch(z.detach().f_to_kind(Kind::Float).and_then(|z| z.f_reshape([-1, self.config.width])))?;

        let (drawn, filled) = torch(slots(&z_nd, num_codes, share))?;
        sum(&drawn)?;
        sum(&filled)?;
        if torch(filled.f_sum(Kind::Float).and_then(|n| f64::try_from(&n)))? == 0.0 {
            return Err(VqError::NoVectors.into());
        }
        // A rank without vectors leaves its slots empty: those entries stay as they are.
        let mut codebook =
            torch(filled.f_unsqueeze(-1).and_then(|f| drawn.f_where_self(&f.f_gt(0.0)?, &self.codebook)))?;
        let mut counts = filled;
        for _ in 0..self.config.kmeans_iterations {
            let codes = torch(nearest(&z_nd, &codebook))?;
            let (round_counts, sums) = torch(totals(&z_nd, &codes, num_codes))?;
            sum(&round_counts)?;
            sum(&sums)?;
            codebook = torch(centres(&round_counts, &sums, &codebook))?;
            counts = round_counts;
        }
        torch(self.begin_at(&codebook, &counts))
    }

    /// Sets the entries as means of `counts` vectors, at least one each, and marks the codebook as started.
    pub(super) fn begin_at(&self, codebook_kd: &Tensor, counts_k: &Tensor) -> Result<(), TchError> {
        let counts = counts_k.f_clamp_min(1.0)?;
        self.store(codebook_kd, &counts, &codebook_kd.f_mul(&counts.f_unsqueeze(-1)?)?)?;
        _ = tch::no_grad(|| self.started.shallow_clone().f_fill_(1.0))?;
        Ok(())
    }
}

/// Mean of each entry's vectors; the entry itself where there is none.
fn centres(counts_k: &Tensor, sums_kd: &Tensor, codebook_kd: &Tensor) -> Result<Tensor, TchError> {
    let counts_k1 = counts_k.f_unsqueeze(-1)?;
    sums_kd.f_div(&counts_k1.f_clamp_min(1.0)?)?.f_where_self(&counts_k1.f_gt(0.0)?, codebook_kd)
}

fn torch<T, E: From<VqError>>(result: Result<T, TchError>) -> Result<T, E> {
    result.map_err(|source| during("k-means")(source).into())
}
