use nn::cost::Computing;
use serde::Serialize;
use tch::Device;

use crate::cli::{MaskArg, PlanArgs, RecomputeArg};
use crate::exit::BadInput;
use crate::method::Method;
use crate::planned::{Clips, Planned, fused};
use crate::presets::{self, ModelConfig, PretrainPreset};

/// The longest clip that is looked for, frames.
pub(super) const MOST: i64 = 1 << 16;

/// LVMAE's decoder budget, as a share of all tokens.
const PAPERS_BUDGET: f64 = 0.15;

/// A preset and how it would compute here.
pub(super) struct Candidate {
    preset: PretrainPreset,
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
    /// [`BadInput`] for a tokenizer's preset and a batch below 1; what is wrong with the preset.
    pub(super) fn load(args: &PlanArgs, device: Device) -> anyhow::Result<Self> {
        if args.batch.is_some_and(|batch| batch < 1) {
            return Err(BadInput("--batch must be at least 1".to_owned()).into());
        }
        let preset: PretrainPreset = presets::read(&args.preset, &sets(args, &[]))?;
        let computing = fused(preset.train.check()?.precision().on(device).into());
        Ok(Candidate { preset, computing })
    }

    pub(super) fn preset(&self) -> &PretrainPreset {
        &self.preset
    }

    pub(super) fn computing(&self) -> Computing {
        self.computing
    }

    /// What the preset comes to, in words.
    pub(super) fn describe(&self) -> anyhow::Result<String> {
        let clip = self.preset.clip.check()?;
        let method = Method::check(&self.preset, &clip)?;
        Ok(format!("{} frames of {} pixels, {}", clip.num_frames(), clip.size_px(), method.describe()))
    }

    pub(super) fn clips(&self, preset: &PretrainPreset) -> anyhow::Result<Clips> {
        let split = preset.train.check()?.split(1)?;
        Ok(Clips { at_once: split.num_clips as i64, accumulate: split.accumulate as i64 })
    }

    pub(super) fn planned(&self, preset: &PretrainPreset) -> anyhow::Result<Planned> {
        let (geometry, train) = (preset.clip.check()?, preset.train.check()?);
        let method = Method::check(preset, &geometry)?;
        Ok(Planned::new(&method, (&geometry, &train), self.clips(preset)?, self.computing))
    }

    /// Frames of the longest clip that fits.
    pub(super) fn largest_num_frames(&self, memory_bytes: i64) -> Option<i64> {
        let clusters = match &self.preset.model {
            ModelConfig::Arvideo(cfg) => cfg.cluster[0],
            ModelConfig::Lvmae(_) => 1,
        };
        let unit = self.preset.clip.patch[0] * clusters;
        let of = |count: i64| {
            let mut preset = self.preset.clone();
            preset.clip.num_frames = count * unit;
            preset
        };
        Some(unit * self.largest(MOST / unit, memory_bytes, of)?)
    }

    /// Most clips that fit at once.
    pub(super) fn largest_clips_at_once(&self, memory_bytes: i64) -> Option<i64> {
        let of = |count: i64| {
            let mut preset = self.preset.clone();
            (preset.train.batch, preset.train.accumulate) = (count, 1);
            preset
        };
        self.largest(MOST, memory_bytes, of)
    }

    /// The largest count up to `most` whose preset fits, by bisection: memory grows with it. A preset too small to be
    /// possible (no token left to predict) is taken to fit.
    fn largest(&self, most: i64, memory_bytes: i64, of: impl Fn(i64) -> PretrainPreset) -> Option<i64> {
        let fits = |count: i64| self.planned(&of(count)).map_or(true, |planned| planned.peak_bytes() <= memory_bytes);
        let (mut fitting, mut beyond) = (0, 1);
        while beyond <= most && fits(beyond) {
            (fitting, beyond) = (beyond, 2 * beyond);
        }
        beyond = beyond.min(most + 1);
        while beyond - fitting > 1 {
            let middle = (fitting + beyond) / 2;
            if fits(middle) { fitting = middle } else { beyond = middle }
        }
        Some(fitting).filter(|count| *count > 0 && self.planned(&of(*count)).is_ok())
    }

    /// Changes that save memory, those that cost least first.
    pub(super) fn advice(&self, args: &PlanArgs, memory_bytes: i64) -> anyhow::Result<Vec<Advice>> {
        let now = self.planned(&self.preset)?.peak_bytes();
        let peak = |more: &[String]| {
            Ok::<_, anyhow::Error>(self.planned(&presets::read(&args.preset, &sets(args, more))?)?.peak_bytes())
        };
        let mut before: Vec<String> = Vec::new();
        let mut advice = Vec::new();
        let changes = [
            (self.smaller_budget()?, "fewer tokens are learned from in a step; LVMAE's own budget"),
            (self.recomputing(), "a step takes about a third longer; the result stays"),
        ];
        for (set, costs) in changes {
            let Some(set) = set else { continue };
            let saves_bytes = now - peak(std::slice::from_ref(&set))?;
            before.push(set.clone());
            advice.push(Advice { sets: vec![set], costs, saves_bytes, peak_bytes: peak(&before)? });
        }
        let clips = self.clips(&self.preset)?;
        let all = clips.at_once * clips.accumulate;
        let splits: Vec<i64> = (clips.accumulate + 1..=all).filter(|parts| all % parts == 0).collect();
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

    /// A decoder mask at the paper's budget, where more is decoded.
    fn smaller_budget(&self) -> anyhow::Result<Option<String>> {
        let clip = self.preset.clip.check()?;
        let method = Method::check(&self.preset, &clip)?;
        let Method::Lvmae(checked) = &method else { return Ok(None) };
        if checked.num_asked() as f64 <= PAPERS_BUDGET * clip.grid().num_tokens() as f64 {
            return Ok(None);
        }
        // Where there are tokens there are priorities.
        let mask = if method.needs_tokens().is_some() { MaskArg::Adaptive } else { MaskArg::Random };
        Ok(mask.setting())
    }

    /// Running every block again, where activations are kept.
    fn recomputing(&self) -> Option<String> {
        let kept = self.preset.model.encoder().recompute != nn::Recompute::EveryBlock;
        kept.then(|| RecomputeArg::EveryBlock.setting())
    }
}

/// What was typed, and more.
fn sets(args: &PlanArgs, more: &[String]) -> Vec<String> {
    let batch = args.batch.map(|batch| [format!("train.batch={batch}"), "train.accumulate=1".to_owned()]);
    [&args.sets[..], batch.as_ref().map_or(&[], |sets| &sets[..]), more].concat()
}
