use nn::{During, NnError};
use tch::nn::Path;
use tch::{Kind, TchError, Tensor};
use torch_ext::Group;
use vector_quantize::{Quantizer, Share, Statistics};

use crate::scorer::Scorer;
use crate::topk::{after_first, budget, hard};
use crate::{Tokenizer, TokenizerError};

/// A code is dead when it did not occur in so many steps. Our own choice.
pub const DEAD_AFTER_STEPS: u64 = 100;

/// What the slow copy of the scorer keeps of itself in a step. Our own choice: it lags some 100 steps behind.
const SLOW_DECAY: f64 = 0.99;

/// Larger codebooks are not watched code by code.
const MAX_WATCHED_CODES: i64 = 1 << 24;

/// What training keeps an eye on beside the tokenizer, and the part of it that no gradient moves: which codes are still in
/// use, how far the scorer has moved, and what learned codebooks are to be updated with.
///
/// Its tensors are variables, so that checkpoints hold them; a trained tokenizer does without.
#[derive(Debug)]
pub struct Watch {
    /// The scorer as it was a while ago.
    slow: Scorer,
    /// The step in which each code last occurred, `[K]` f32, 0 for never; `None` above [`MAX_WATCHED_CODES`].
    last_seen: Option<Tensor>,
    /// Codes since the last step.
    codes: Vec<Tensor>,
    /// Statistics of learned codebooks since the last step.
    statistics: Option<Statistics>,
}

/// Which batch of a run is being looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Of the run, from 1.
    pub step: u64,
    /// Which of the step's micro-batches over all ranks.
    pub share: Share,
}

/// A forward pass as the watch sees it; all detached.
pub(crate) struct Seen<'a> {
    /// `[B, F, H, W, 3]` f32 in `[-1, 1]`.
    pub(crate) frames: &'a Tensor,
    /// Before quantization, `[B, T, H, W, D]`.
    pub(crate) latents: &'a Tensor,
    /// Codes of all tokens, `[B, T, H, W]`.
    pub(crate) codes: &'a Tensor,
    /// Scores, `[B, T, H, W]`.
    pub(crate) scores: &'a Tensor,
}

impl Watch {
    /// What the variables' names begin with.
    pub const PREFIX: &str = "watch.";

    /// Adds its variables to `root`; those of the slow scorer begin as the scorer's.
    ///
    /// # Errors
    /// [`TokenizerError::Nn`] when libtorch fails.
    pub fn new(root: &Path, tokenizer: &Tokenizer) -> Result<Self, TokenizerError> {
        let path = root / Watch::PREFIX.trim_end_matches('.');
        let checked = &tokenizer.checked;
        let slow = Scorer::new(&(&path / "scorer"), &checked.config().scorer, checked.quantizer().num_channels())?;
        let num_codes = checked.quantizer().codebook_size();
        let make = || {
            for (to, from) in slow.variables().zip(tokenizer.scorer.variables()) {
                to.f_set_requires_grad(false)?.f_copy_(&from.f_detach()?)?;
            }
            let watched = num_codes <= MAX_WATCHED_CODES;
            watched.then(|| path.f_zeros_no_train("last_seen", &[num_codes])).transpose()
        };
        let last_seen = make().during("making the watch over training")?;
        Ok(Watch { slow, last_seen, codes: Vec::new(), statistics: None })
    }

    /// Scalars for the log: `dead_codes`, the share of the codes that did not occur in the last [`DEAD_AFTER_STEPS`] steps;
    /// `score_evenness`, how evenly scores spread over a window's tokens, from 0 (one has everything) to 1 (all the same);
    /// `scorer_drift`, of the tokens that pass in this batch's first window, the share that would not have passed by the
    /// scorer of some 100 steps ago.
    ///
    /// * `keep_share` - of the tokens after the first latent frame, for the drift
    pub(crate) fn terms(
        &self,
        seen: &Seen<'_>,
        keep_share: f64,
        step: u64,
    ) -> Result<Vec<(&'static str, Tensor)>, NnError> {
        let mut terms = vec![("score_evenness", evenness(seen.scores)?)];
        if let Some(last_seen) = &self.last_seen {
            let since = step.saturating_sub(DEAD_AFTER_STEPS) as f64;
            let dead = || last_seen.f_lt(since.max(1.0))?.f_to_kind(Kind::Float)?.f_mean(Kind::Float);
            terms.push(("dead_codes", dead().during("counting dead codes")?));
        }
        let first = |x: &Tensor| x.f_narrow(0, 0, 1).during("the scorer's drift");
        let slow = tch::no_grad(|| self.slow.clues(&first(seen.frames)?, &first(seen.latents)?))?;
        let slow = tch::no_grad(|| self.slow.scores(&slow))?;
        let drift = drift(&first(seen.scores)?, &slow, keep_share).during("the scorer's drift")?;
        terms.extend(drift.map(|drift| ("scorer_drift", drift)));
        Ok(terms)
    }

    /// Takes a batch in, whose step may yet be left out.
    pub(crate) fn collect(
        &mut self,
        seen: &Seen<'_>,
        quantizer: &Quantizer,
        share: Share,
    ) -> Result<(), TokenizerError> {
        if let Some(more) = quantizer.statistics(seen.latents, seen.codes, share)? {
            match &mut self.statistics {
                Some(sum) => sum.add(&more)?,
                None => self.statistics = Some(more),
            }
        }
        self.codes.push(seen.codes.f_flatten(0, -1).during("watching codes")?);
        Ok(())
    }

    /// Forgets the batches since the last [`Watch::after_step`]: their step was not taken.
    pub fn drop_collected(&mut self) {
        self.codes.clear();
        self.statistics = None;
    }

    /// Moves by the batches since the last call, those of all ranks, what no gradient moves: learned codebooks, the slow
    /// scorer, when codes were last seen.
    ///
    /// # Errors
    /// [`TokenizerError::Ranks`] when a rank is missing; [`TokenizerError::Nn`] and [`TokenizerError::Vq`] when libtorch fails.
    pub fn after_step(&mut self, tokenizer: &Tokenizer, step: u64, ranks: &Group) -> Result<(), TokenizerError> {
        if let Some(statistics) = self.statistics.take() {
            let tensors: Vec<Tensor> = statistics.tensors().map(Tensor::shallow_clone).collect();
            ranks.sum(&tensors)?;
            tokenizer.quantizer.update(&statistics)?;
        }
        if let Some(last_seen) = &mut self.last_seen {
            let hits = || {
                let codes = Tensor::f_cat(&self.codes, 0)?;
                last_seen.f_zeros_like()?.f_index_fill(0, &codes, 1.0)
            };
            let hits = hits().during("watching codes")?;
            ranks.sum(std::slice::from_ref(&hits))?;
            let mark = || last_seen.f_masked_fill_(&hits.f_gt(0.0)?, step as f64);
            drop(mark().during("watching codes")?);
        }
        self.codes.clear();
        let follow = || {
            for (slow, fast) in self.slow.variables().zip(tokenizer.scorer.variables()) {
                drop(slow.shallow_clone().f_lerp_(fast, 1.0 - SLOW_DECAY)?);
            }
            Ok(())
        };
        Ok(tch::no_grad(follow).during("following the scorer")?)
    }
}

/// How evenly scores spread over a window's tokens: the entropy of `s / sum s` over its largest value, ln N. 1 where all are
/// equal (or none is above 0), 0 where one token has everything. The mean over the windows.
///
/// * `scores_bthw` - `[B, T, H, W]`, at least 0
fn evenness(scores_bthw: &Tensor) -> Result<Tensor, NnError> {
    let entropy = || {
        let scores = scores_bthw.f_flatten(1, -1)?.f_to_kind(Kind::Float)?.f_add_scalar(1e-12)?;
        let p = scores.f_div(&scores.f_sum_dim_intlist(1, true, Kind::Float)?)?;
        let entropy = p.f_log()?.f_mul(&p)?.f_sum_dim_intlist(1, false, Kind::Float)?.f_neg()?;
        entropy.f_div_scalar((p.size()[1].max(2) as f64).ln())?.f_mean(Kind::Float)
    };
    entropy().during("the scores' entropy")
}

/// Of the top tokens by one score, the share that is not among the top by another; `None` where all or none pass.
///
/// * `a_bthw`, `b_bthw` - `[B, T, H, W]`
fn drift(a_bthw: &Tensor, b_bthw: &Tensor, share: f64) -> Result<Option<Tensor>, TchError> {
    let (a, b) = (after_first(a_bthw)?, after_first(b_bthw)?);
    let (rows, n) = a.size2()?;
    let k = budget(share, n);
    if k == 0 || k == n {
        return Ok(None);
    }
    let k_b = Tensor::f_full([rows], k, (Kind::Int64, a.device()))?;
    let both = hard(&a, &k_b)?.f_mul(&hard(&b, &k_b)?)?.f_mean(Kind::Float)?;
    both.f_mul_scalar(-(n as f64) / k as f64)?.f_add_scalar(1.0).map(Some)
}

#[cfg(test)]
mod tests;
