use nn::cost::Computing;
use serde::Serialize;
use tch::Device;

use super::preset::TrainingPreset;
use crate::cli::{PlanArgs, RecomputeArg};
use crate::exit::BadInput;
use crate::planned::{Planned, fused};

/// The longest clip that is looked for, frames.
pub(super) const MOST: i64 = 1 << 16;

/// A preset and how it would compute here.
pub(super) struct Candidate {
    preset: TrainingPreset,
    computing: Computing,
}

/// A change of settings.
#[derive(Debug, Serialize)]
pub(super) struct Advice {
    pub(super) sets: Vec<String>,
    /// In words.
    pub(super) costs: &'static str,
    /// What it takes off the peak, all else as it is.
    pub(super) saves_bytes: i64,
    /// The peak with it and the changes before it.
    pub(super) peak_bytes: i64,
}

impl Candidate {
    /// # Errors
    /// [`BadInput`] for a batch below 1; [`TrainingPreset::read`].
    pub(super) fn load(args: &PlanArgs, device: Device) -> anyhow::Result<Self> {
        if args.batch.is_some_and(|batch| batch < 1) {
            return Err(BadInput("--batch must be at least 1".to_owned()).into());
        }
        let preset = TrainingPreset::read(args, &[])?;
        let computing = fused(preset.train_plan()?.precision().on(device).into());
        Ok(Candidate { preset, computing })
    }

    pub(super) fn preset(&self) -> &TrainingPreset {
        &self.preset
    }

    pub(super) fn computing(&self) -> Computing {
        self.computing
    }

    pub(super) fn planned(&self) -> anyhow::Result<Planned> {
        self.preset.planned(self.computing)
    }

    /// Frames of the longest clip that fits.
    pub(super) fn largest_num_frames(&self, memory_bytes: i64) -> Option<i64> {
        self.largest(self.preset.frames_unit(), memory_bytes, |num_frames| self.preset.with_frames(num_frames))
    }

    /// Most clips that fit at once.
    pub(super) fn largest_clips_at_once(&self, memory_bytes: i64) -> Option<i64> {
        self.largest(self.preset.clips_unit(), memory_bytes, |num_clips| self.preset.with_clips(num_clips))
    }

    /// The largest number up to [`MOST`], a multiple of `unit`, whose preset fits, by bisection: memory grows with it. A
    /// preset too small to be possible (no token left to predict) is taken to fit.
    fn largest(&self, unit: i64, memory_bytes: i64, of: impl Fn(i64) -> TrainingPreset) -> Option<i64> {
        let planned = |count: i64| of(count * unit).planned(self.computing);
        let fits = |count: i64| planned(count).map_or(true, |planned| planned.peak_bytes() <= memory_bytes);
        let most = MOST / unit;
        let (mut fitting, mut beyond) = (0, 1);
        while beyond <= most && fits(beyond) {
            (fitting, beyond) = (beyond, 2 * beyond);
        }
        beyond = beyond.min(most + 1);
        while beyond - fitting > 1 {
            let middle = (fitting + beyond) / 2;
            if fits(middle) { fitting = middle } else { beyond = middle }
        }
        (fitting > 0 && planned(fitting).is_ok()).then_some(fitting * unit)
    }

    /// Changes that save memory, those that cost least first.
    pub(super) fn advice(&self, args: &PlanArgs, memory_bytes: i64) -> anyhow::Result<Vec<Advice>> {
        let now = self.planned()?.peak_bytes();
        let peak = |more: &[String]| {
            Ok::<_, anyhow::Error>(TrainingPreset::read(args, more)?.planned(self.computing)?.peak_bytes())
        };
        let mut before: Vec<String> = Vec::new();
        let mut advice = Vec::new();
        let recomputing = self.preset.keeps_activations().then(|| RecomputeArg::EveryBlock.setting());
        let changes = [
            (self.preset.smaller_budget()?, "fewer tokens are learned from in a step; LVMAE's own budget"),
            (recomputing, "a step takes about a third longer; the result stays"),
        ];
        for (set, costs) in changes {
            let Some(set) = set else { continue };
            let saves_bytes = now - peak(std::slice::from_ref(&set))?;
            before.push(set.clone());
            advice.push(Advice { sets: vec![set], costs, saves_bytes, peak_bytes: peak(&before)? });
        }
        let (clips, unit) = (self.preset.clips()?, self.preset.clips_unit());
        let all = clips.at_once * clips.accumulate;
        let splits: Vec<i64> =
            (clips.accumulate + 1..=all).filter(|parts| all % parts == 0 && all / parts % unit == 0).collect();
        for (i, parts) in splits.iter().enumerate() {
            let set = format!("train.accumulate={parts}");
            let peak_bytes = peak(&[&before[..], std::slice::from_ref(&set)].concat())?;
            // The fewest micro-batches that fit, else the most there can be.
            if peak_bytes <= memory_bytes || i + 1 == splits.len() {
                let saves_bytes = now - peak(std::slice::from_ref(&set))?;
                let costs = "small products use the machine less; the result stays";
                advice.push(Advice { sets: vec![set], costs, saves_bytes, peak_bytes });
                break;
            }
        }
        Ok(advice)
    }
}
