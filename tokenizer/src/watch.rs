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

/// A forward pass as the watch sees it; all detached.
pub(crate) struct Seen {
    /// `[B, F, H, W, 3]` f32 in `[-1, 1]`.
    pub(crate) frames: Tensor,
    /// Before quantization, `[B, T, H, W, D]`.
    pub(crate) latents: Tensor,
    /// Codes of all tokens, `[B, T, H, W]`.
    pub(crate) codes: Tensor,
    /// Scores, `[B, T, H, W]`.
    pub(crate) scores: Tensor,
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
    /// * `tokenizer` - whose forward pass this is
    /// * `step` - of the run, from 1
    pub(crate) fn terms(
        &self,
        tokenizer: &Tokenizer,
        seen: &Seen,
        step: u64,
    ) -> Result<Vec<(&'static str, Tensor)>, NnError> {
        let mut terms = vec![("score_evenness", evenness(&seen.scores)?)];
        if let Some(last_seen) = &self.last_seen {
            let since = step.saturating_sub(DEAD_AFTER_STEPS) as f64;
            let dead = || last_seen.f_lt(since.max(1.0))?.f_to_kind(Kind::Float)?.f_mean(Kind::Float);
            terms.push(("dead_codes", dead().during("counting dead codes")?));
        }
        let first = |x: &Tensor| x.f_narrow(0, 0, 1).during("the scorer's drift");
        let slow = tch::no_grad(|| {
            let window = (&first(&seen.frames)?, &first(&seen.latents)?);
            self.slow.scores(&tokenizer.clues_by(&self.slow, window, true)?)
        })?;
        let keep_share = tokenizer.checked.config().top_k.keep.mean();
        let drift = drift(&first(&seen.scores)?, &slow, keep_share).during("the scorer's drift")?;
        terms.extend(drift.map(|drift| ("scorer_drift", drift)));
        Ok(terms)
    }

    /// Takes a batch in, whose step may yet be left out.
    pub(crate) fn collect(&mut self, seen: &Seen, quantizer: &Quantizer, share: Share) -> Result<(), TokenizerError> {
        if let Some(more) = quantizer.statistics(&seen.latents, &seen.codes, share)? {
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
                let mut hits = last_seen.f_zeros_like()?;
                for codes in &self.codes {
                    hits = hits.f_index_fill_(0, codes, 1.0)?;
                }
                Ok(hits)
            };
            let hits = hits().during("watching codes")?;
            ranks.sum(std::slice::from_ref(&hits))?;
            let mut mark = || last_seen.f_masked_fill_(&hits.f_gt(0.0)?, step as f64);
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
mod tests {
    use tch::Device;
    use tch::nn::VarStore;
    use vector_quantize::{Bound, Gradient, QuantizerConfig, VqConfig};

    use super::*;
    use crate::tests::{PATCH, noise, tiny};
    use crate::{Beside, Critics, Place, TokenizerConfig};

    fn watched(quantizer: QuantizerConfig) -> (VarStore, Tokenizer, Beside) {
        let checked = TokenizerConfig { quantizer, ..tiny() }.check(PATCH).unwrap();
        let vs = VarStore::new(Device::Cpu);
        let tokenizer = Tokenizer::new(&vs.root(), &checked).unwrap();
        let watch = Watch::new(&vs.root(), &tokenizer).unwrap();
        (vs, tokenizer, Beside { critics: Critics::none(), watch: Some(watch) })
    }

    fn small_fsq() -> QuantizerConfig {
        QuantizerConfig::Fsq { levels: vec![3, 3], bound: Bound::Official }
    }

    fn term(terms: &[(&'static str, Tensor)], name: &str) -> f64 {
        terms.iter().find(|(known, _)| *known == name).unwrap().1.double_value(&[])
    }

    #[test]
    fn codes_are_dead_a_hundred_steps_after_they_were_last_seen() {
        let (_vs, tokenizer, mut beside) = watched(small_fsq());
        let seen = |codes: &[i64]| Seen {
            frames: Tensor::zeros([1, 4, 16, 16, 3], (Kind::Float, Device::Cpu)),
            latents: Tensor::zeros([1, 2, 2, 2, 2], (Kind::Float, Device::Cpu)),
            codes: Tensor::from_slice(codes),
            scores: Tensor::ones([1, 2, 2, 2], (Kind::Float, Device::Cpu)),
        };
        let watch = beside.watch.as_mut().unwrap();
        let dead = |watch: &Watch, step| term(&watch.terms(&tokenizer, &seen(&[]), step).unwrap(), "dead_codes");
        assert_eq!(dead(watch, 1), 1.0);
        for (step, codes) in [(1, &[0, 1, 2][..]), (50, &[2, 3])] {
            watch.collect(&seen(codes), &tokenizer.quantizer, Share::WHOLE).unwrap();
            watch.after_step(&tokenizer, step, &Group::alone()).unwrap();
        }
        // A step that was not taken says nothing.
        watch.collect(&seen(&[8]), &tokenizer.quantizer, Share::WHOLE).unwrap();
        watch.drop_collected();
        watch.after_step(&tokenizer, 51, &Group::alone()).unwrap();
        // Of 9 codes 0 to 3 have been seen; at step 102 those of step 1 have been gone for more than 100 steps.
        for (step, alive) in [(52, 4.0), (101, 4.0), (102, 2.0), (150, 2.0), (151, 0.0)] {
            assert!((dead(watch, step) - (1.0 - alive / 9.0)).abs() < 1e-6, "at {step}");
        }
    }

    #[test]
    fn drift_is_the_share_of_the_top_tokens_that_is_new() {
        // After the first latent frame: scores (5, 4, 1, 2) against (5, 1, 4, 2); the top two share one token.
        let a = Tensor::from_slice(&[9.0f32, 9.0, 9.0, 9.0, 5.0, 4.0, 1.0, 2.0]).view([1, 2, 2, 2]);
        let b = Tensor::from_slice(&[0.0f32, 0.0, 0.0, 0.0, 5.0, 1.0, 4.0, 2.0]).view([1, 2, 2, 2]);
        let drift_at = |share| drift(&a, &b, share).unwrap().map(|drift| drift.double_value(&[]));
        assert_eq!(drift_at(0.5), Some(0.5));
        assert_eq!(drift_at(0.25), Some(0.0));
        assert_eq!(drift_at(1.0), None, "there is nothing to choose");
    }

    #[test]
    fn evenness_of_four_scores_worked_by_hand() {
        let even = |scores: &[f32]| evenness(&Tensor::from_slice(scores).view([1, 1, 2, 2])).unwrap().double_value(&[]);
        assert!((even(&[3.0; 4]) - 1.0).abs() < 1e-6);
        assert!((even(&[0.0; 4]) - 1.0).abs() < 1e-6);
        assert!(even(&[0.0, 5.0, 0.0, 0.0]).abs() < 1e-6);
        // p = (1/2, 1/4, 1/4, 0): entropy 1.5 ln 2 over 2 ln 2.
        assert!((even(&[2.0, 1.0, 1.0, 0.0]) - 0.75).abs() < 1e-6);
    }

    #[test]
    fn the_slow_scorer_follows_and_then_there_is_no_drift() {
        let (_vs, tokenizer, mut beside) = watched(small_fsq());
        let clip = noise(1, 16);
        let drift = |beside: &mut Beside| {
            let losses = tokenizer.loss(&clip, beside, Place::of_step(1)).unwrap();
            term(&losses.terms, "scorer_drift")
        };
        assert_eq!(drift(&mut beside), 0.0, "it starts as a copy");
        for weight in tokenizer.scorer.variables() {
            drop(tch::no_grad(|| weight.shallow_clone().f_mul_(&Tensor::rand_like(weight)).unwrap()));
        }
        assert!(drift(&mut beside) > 0.0);
        for step in 1..=2000 {
            beside.watch.as_mut().unwrap().codes = vec![Tensor::from_slice(&[0i64])];
            beside.after_step(&tokenizer, step, &Group::alone()).unwrap();
        }
        assert_eq!(drift(&mut beside), 0.0);
    }

    #[test]
    fn a_learned_codebook_moves_by_the_windows_of_its_step_in_one_piece_or_two() {
        let vq = QuantizerConfig::Vq(VqConfig {
            codes: 8,
            width: 3,
            decay: 0.5,
            commitment_weight: 0.25,
            dead_below: 0.0,
            gradient: Gradient::StraightThrough,
            kmeans_iterations: 5,
        });
        let clips = noise(2, 16);
        let codebook_after = |parts: &[Tensor]| {
            let (_vs, tokenizer, mut beside) = watched(vq.clone());
            for (i, (_, mut weight)) in std::collections::BTreeMap::from_iter(_vs.variables()).into_iter().enumerate() {
                let wave = (Tensor::arange(weight.numel() as i64, (Kind::Float, Device::Cpu)) * 0.7 + i as f64).sin();
                if weight.size().len() == 5 || weight.size() == [8, 3] {
                    tch::no_grad(|| weight.copy_(&wave.view(&weight.size()[..])));
                }
            }
            let before = tokenizer.quantizer.codebook_tables().unwrap();
            let of = parts.len() as i64;
            for (index, part) in parts.iter().enumerate() {
                let place = Place { step: 1, share: Share { index: index as i64, of } };
                let losses = tokenizer.loss(part, &mut beside, place).unwrap();
                assert!(term(&losses.terms, "commitment") > 0.0);
            }
            assert_eq!(
                tokenizer.quantizer.codebook_tables().unwrap(),
                before,
                "nothing moves before the step is taken"
            );
            beside.after_step(&tokenizer, 1, &Group::alone()).unwrap();
            let after = tokenizer.quantizer.codebook_tables().unwrap();
            assert!((&after - before).abs().max().double_value(&[]) > 1e-3);
            after
        };
        let (whole, halves) = (codebook_after(&[clips.shallow_clone()]), codebook_after(&clips.split(1, 0)));
        assert!((whole - halves).abs().max().double_value(&[]) < 1e-5);
    }
}
