use ::eval::{EvalError, FeatureSet, Fidelity, Interval, bootstrap_mean, frechet_distance, psnr_db};
use tokenizer::{Keep, Selection};

use super::SEED;
use crate::report::kept::{Gain, KeptRow, SelectionName};

/// One way to choose tokens at one budget.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Setting {
    pub(super) name: SelectionName,
    /// Share of the tokens after each window's first latent frame.
    pub(super) kept: f64,
    /// Number of the draw; 0 where nothing is drawn.
    draw: u64,
}

impl Setting {
    /// * `clip` - the clip's number, for which the random selection draws
    pub(super) fn keep(self, clip: u64) -> Keep {
        let by = match self.name {
            SelectionName::All => return Keep::All,
            SelectionName::Adaptive => Selection::Adaptive,
            SelectionName::Random => Selection::Random { seed: self.draw, clip },
            SelectionName::Uniform => Selection::Uniform,
            SelectionName::Motion => Selection::Motion,
        };
        Keep::Share { share: self.kept, by }
    }
}

/// All tokens, then each share below 1, ascending, by each selection.
pub(super) fn settings(shares: &[f64], num_draws: u64) -> Vec<Setting> {
    let mut shares: Vec<f64> = shares.iter().copied().filter(|share| *share < 1.0).collect();
    shares.sort_by(f64::total_cmp);
    shares.dedup();
    let mut settings = vec![Setting { name: SelectionName::All, kept: 1.0, draw: 0 }];
    for kept in shares {
        for name in SelectionName::SOME {
            let num_draws = if name == SelectionName::Random { num_draws } else { 1 };
            settings.extend((0..num_draws).map(|draw| Setting { name, kept, draw }));
        }
    }
    settings
}

/// What was measured so far: a few numbers for each clip and setting.
pub(super) struct Tally {
    settings: Vec<Setting>,
    /// For each setting, each clip.
    clips: Vec<Vec<Fidelity>>,
    /// Features of the clips themselves, and for each setting of what was drawn; empty without a network for them.
    real: FeatureSet,
    drawn: Vec<FeatureSet>,
}

impl Tally {
    pub(super) fn new(settings: Vec<Setting>) -> Self {
        let (clips, drawn) = settings.iter().map(|_| Default::default()).unzip();
        Tally { settings, clips, real: FeatureSet::default(), drawn }
    }

    pub(super) fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// Adds a clip: what was measured of it by each setting, and the features of itself.
    pub(super) fn push(
        &mut self,
        measured: Vec<(Fidelity, Option<Vec<f64>>)>,
        real: Option<Vec<f64>>,
    ) -> Result<(), EvalError> {
        for (i, (fidelity, features)) in measured.into_iter().enumerate() {
            self.clips[i].push(fidelity);
            features.map_or(Ok(()), |features| self.drawn[i].push(&features))?;
        }
        real.map_or(Ok(()), |real| self.real.push(&real))
    }

    pub(super) fn num_clips(&self) -> usize {
        self.clips.first().map_or(0, Vec::len)
    }

    /// One row for each selection and budget.
    ///
    /// * `kept_of_all` - from the share kept after each window's first latent frame to that of all tokens
    ///
    /// # Errors
    /// What [`frechet_distance`] refuses.
    pub(super) fn rows(&self, kept_of_all: &dyn Fn(f64) -> f64) -> Result<Vec<KeptRow>, EvalError> {
        let groups = self.groups();
        groups.iter().map(|(setting, draws)| self.row(*setting, draws, kept_of_all(setting.kept))).collect()
    }

    fn row(
        &self,
        Setting { name, kept, .. }: Setting,
        draws: &[usize],
        kept_of_all: f64,
    ) -> Result<KeptRow, EvalError> {
        let of_clips = self.psnr_of_clips(draws);
        let Interval { low, high } = bootstrap_mean(&of_clips, SEED);
        let every = || draws.iter().flat_map(|draw| &self.clips[*draw]);
        let mean_of = |value: fn(&Fidelity) -> f64| mean(every().map(value));
        let of_draws = || draws.iter().map(|draw| mean(self.clips[*draw].iter().map(Fidelity::psnr_db)));
        let psnr_of_draws_db = (name == SelectionName::Random)
            .then(|| [of_draws().fold(f64::INFINITY, f64::min), of_draws().fold(f64::NEG_INFINITY, f64::max)]);
        let rfvd = match self.real.num_clips() {
            0 => None,
            _ => {
                let distances = draws.iter().map(|draw| frechet_distance(&self.real, &self.drawn[*draw]));
                Some(mean(distances.collect::<Result<Vec<_>, _>>()?.into_iter()))
            }
        };
        Ok(KeptRow {
            selection: name,
            kept,
            kept_of_all,
            psnr_db: mean(of_clips.iter().copied()),
            psnr_low_db: low,
            psnr_high_db: high,
            psnr_pooled_db: psnr_db(mean_of(|fidelity| fidelity.mse)),
            psnr_of_draws_db,
            ssim: mean_of(|fidelity| fidelity.ssim),
            diff_psnr_db: mean_of(Fidelity::diff_psnr_db),
            rfvd,
        })
    }

    /// What the learned selection gains over each other at each budget, paired by clip.
    pub(super) fn gains(&self) -> Vec<Gain> {
        let groups = self.groups();
        let adaptive = |kept: f64| {
            let of =
                |(setting, _): &&(Setting, Vec<usize>)| setting.kept == kept && setting.name == SelectionName::Adaptive;
            groups.iter().find(of).map(|(_, draws)| self.psnr_of_clips(draws))
        };
        let gain = |(Setting { name, kept, .. }, draws): &(Setting, Vec<usize>)| {
            if matches!(name, SelectionName::All | SelectionName::Adaptive) {
                return None;
            }
            let ours = adaptive(*kept)?;
            let gains: Vec<f64> = ours.iter().zip(self.psnr_of_clips(draws)).map(|(a, b)| a - b).collect();
            let Interval { low, high } = bootstrap_mean(&gains, SEED);
            let psnr_db = mean(gains.into_iter());
            Some(Gain { over: *name, kept: *kept, psnr_db, low_db: low, high_db: high })
        };
        groups.iter().filter_map(gain).collect()
    }

    /// PSNR of each clip, mean over the draws.
    fn psnr_of_clips(&self, draws: &[usize]) -> Vec<f64> {
        let of_clip = |clip: usize| mean(draws.iter().map(|draw| self.clips[*draw][clip].psnr_db()));
        (0..self.num_clips()).map(of_clip).collect()
    }

    /// The first setting of each selection and budget, with the places of all its draws.
    fn groups(&self) -> Vec<(Setting, Vec<usize>)> {
        let mut groups: Vec<(Setting, Vec<usize>)> = Vec::new();
        for (i, setting) in self.settings.iter().enumerate() {
            match groups.last_mut() {
                Some((first, draws)) if (first.name, first.kept) == (setting.name, setting.kept) => draws.push(i),
                _ => groups.push((*setting, vec![i])),
            }
        }
        groups
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    sum / f64::from(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two shares, two clips; PSNR in dB is 48.13 minus 10 for each factor of ten in the error.
    fn tally() -> Tally {
        let mut tally = Tally::new(settings(&[0.5, 1.0, 0.1], 2));
        // All; adaptive, motion, uniform, two draws at 0.1; the same at 0.5.
        let first = [1.0, 10.0, 100.0, 100.0, 100.0, 10_000.0, 1.0, 1.0, 1.0, 1.0, 1.0];
        let second = [10.0, 10.0, 1000.0, 100.0, 100.0, 1000.0, 1.0, 1.0, 1.0, 1.0, 1.0];
        for mse in [first, second] {
            let measured = mse.map(|mse| (Fidelity { mse, diff_mse: 2.0 * mse, ssim: 1.0 / mse }, None));
            tally.push(measured.to_vec(), None).unwrap();
        }
        tally
    }

    #[test]
    fn settings_are_all_tokens_and_each_selection_at_each_share() {
        let got: Vec<String> = settings(&[0.5, 1.0, 0.1, 0.5], 2)
            .iter()
            .map(|s| format!("{} {} {}", s.name.text(), s.kept, s.draw))
            .collect();
        let at = |kept: &str| {
            ["adaptive", "motion", "uniform", "random"]
                .map(|name| format!("{name} {kept} 0"))
                .into_iter()
                .chain([format!("random {kept} 1")])
        };
        let want: Vec<String> = ["all 1 0".to_owned()].into_iter().chain(at("0.1")).chain(at("0.5")).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn rows_are_means_over_clips_and_draws() {
        let rows = tally().rows(&|kept| kept / 2.0).unwrap();
        assert_eq!(rows.len(), 1 + 2 * 4);
        let peak = 20.0 * 255.0_f64.log10();
        let near = |got: f64, want: f64| assert!((got - want).abs() < 1e-9, "{got} is not {want}");
        near(rows[0].psnr_db, peak - 5.0);
        near(rows[0].psnr_pooled_db, peak - 10.0 * 5.5_f64.log10());
        near(rows[0].ssim, 0.55);
        near(rows[0].diff_psnr_db, peak - 5.0 - 10.0 * 2.0_f64.log10());
        let random = &rows[4];
        assert_eq!((random.selection, random.kept, random.kept_of_all), (SelectionName::Random, 0.1, 0.05));
        // Draws: 20 and 20 below the peak, 40 and 30.
        near(random.psnr_db, peak - 27.5);
        let [low, high] = random.psnr_of_draws_db.unwrap();
        near(low, peak - 35.0);
        near(high, peak - 20.0);
        assert_eq!(rows[1].psnr_of_draws_db, None);
        assert!(rows.iter().all(|row| row.rfvd.is_none()));
    }

    #[test]
    fn gains_are_paired_by_clip() {
        let gains = tally().gains();
        assert_eq!(gains.len(), 2 * 3);
        let motion = gains[0];
        assert_eq!((motion.over, motion.kept), (SelectionName::Motion, 0.1));
        // 10 dB on one clip, 20 on the other; samples of two clips have means 10, 15 and 20.
        assert!((motion.psnr_db - 15.0).abs() < 1e-9);
        assert!((motion.low_db - 10.0).abs() < 1e-9 && (motion.high_db - 20.0).abs() < 1e-9);
        // Uniform loses 10 on both.
        assert!((gains[1].low_db - 10.0).abs() < 1e-9 && (gains[1].high_db - 10.0).abs() < 1e-9);
        assert!(gains[3..].iter().all(|gain| gain.psnr_db.abs() < 1e-9 && gain.kept == 0.5));
    }
}
