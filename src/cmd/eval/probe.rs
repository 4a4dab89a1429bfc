//! Probes: what a frozen encoder's features are worth, beside an encoder of the same shape with random weights.

use std::path::Path;

use anyhow::Context as _;
use eval::{Features, Knn, LinearProbe, Pool, ResultRow, RidgeSearch, Run, Scores, Split, Vote, expect_disjoint, pool};
use nn::{Cubes, Mode, Vit, VitConfig};
use serde::{Deserialize, Serialize};
use spec::{ClipGeometry, ClipSpec};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use video::Views;

use super::seen::{How, Seen};
use crate::cli::{PoolArg, ProbeArgs};
use crate::clips;
use crate::cmd::pretrain::load_encoder;
use crate::cmd::training::say;
use crate::exit::BadInput;
use crate::labelled::Labelled;
use crate::presets::PretrainPreset;
use crate::session::Session;
use crate::weights::on_clip;

/// What is put on top of the features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    Knn,
    Linear,
}

/// Neighbours that vote: few, since the sets that fit a laptop have few clips per class.
const NEIGHBOURS: usize = 5;
/// Temperature of their votes (Wu et al.).
const TEMPERATURE: f64 = 0.07;
/// Folds of the training clips by which the ridge penalty is chosen.
const NUM_FOLDS: usize = 5;

/// A results file.
#[derive(Debug, Serialize)]
struct Results {
    probe: &'static str,
    /// How tokens became features.
    pool: Pool,
    /// Clips and crops per segment; a segment's features are the mean over them.
    views: Views,
    train_clips: String,
    test_clips: String,
    rows: Vec<ResultRow>,
}

impl Probe {
    fn name(self) -> &'static str {
        match self {
            Probe::Knn => "knn",
            Probe::Linear => "linear",
        }
    }

    /// Scores of the test clips, and the settings they came by.
    fn scores(self, split: &Split, seed: u64) -> anyhow::Result<(Scores, String)> {
        match self {
            Probe::Knn => {
                let k = NEIGHBOURS.min(split.train().num_clips());
                let knn = Knn { k, vote: Vote::Exponential { temperature: TEMPERATURE } };
                Ok((knn.scores(split)?, format!("knn, k = {k}")))
            }
            Probe::Linear => {
                let lambdas = (-2..=6).map(|exponent| 10f64.powi(exponent)).collect();
                let search = RidgeSearch { lambdas, num_folds: NUM_FOLDS };
                let lambda = search.choose(split.train(), split.num_classes(), seed)?;
                let probe = LinearProbe::fit(split.train(), split.num_classes(), lambda)?;
                Ok((probe.scores(split.test())?, format!("ridge, penalty {lambda:e}")))
            }
        }
    }
}

pub(crate) fn run(probe: Probe, args: &ProbeArgs, session: &Session) -> anyhow::Result<()> {
    let (preset, weights) = load_encoder(&args.encoder)?;
    let (vit_config, geometry) = on_clips(&preset, &args.sets)?;
    let open = |path| Labelled::of(clips::open_clips(path)?, args.labels.as_deref());
    let (train, test) = (open(&args.train_clips)?, open(&args.test_clips)?);
    train.expect_same_classes(&test)?;
    expect_disjoint(&train.groups(), &test.groups())?;
    train.expect_common(args.rare_classes, "--rare-classes keep")?;
    let mut rows = Vec::new();
    for (name, trained) in [(preset.model.kind(), true), ("random weights", false)] {
        // The random encoder differs from the trained one in its weights alone.
        tch::manual_seed(args.seed as i64);
        let vs = VarStore::new(session.device);
        let vit = Vit::new(vs.root() / "encoder", &vit_config, geometry.patch())?;
        if trained {
            weights.copy_into(&vs)?;
        }
        let encoder = Encoder { vit, geometry, pool: args.pool.pool(), views: args.views };
        let features = |clips| encoder.features(clips, name, session);
        let ((train_x, train_failed), (test_x, test_failed)) = (features(&train)?, features(&test)?);
        let split = Split::new(train_x, test_x, train.classes().len())?;
        let (scores, settings) = probe.scores(&split, args.seed)?;
        let num_failed = train_failed + test_failed;
        let run = Run { encoder: name.to_owned(), probe: settings, seed: args.seed, num_failed };
        rows.push(ResultRow::new(run, &split, &scores));
    }
    let path = |path: &Path| path.display().to_string();
    let results = Results {
        probe: probe.name(),
        pool: args.pool.pool(),
        views: args.views,
        train_clips: path(&args.train_clips),
        test_clips: path(&args.test_clips),
        rows,
    };
    let out = args.out.clone().unwrap_or_else(|| args.encoder.with_file_name(format!("eval_{}.json", probe.name())));
    std::fs::write(&out, serde_json::to_string_pretty(&results)?).with_context(|| format!("cannot write {out:?}"))?;
    print(&results)?;
    Ok(say(&format!("wrote {}", out.display()))?)
}

/// The encoder and the clips that it is measured on, where some of `[clip]` is set anew.
fn on_clips(preset: &PretrainPreset, sets: &[String]) -> anyhow::Result<(VitConfig, ClipGeometry)> {
    let clip: ClipPart = spec::Preset::from_text("[clip]", &toml::to_string(&ClipPart { clip: preset.clip.clone() })?)?
        .set(sets)?
        .parse()?;
    let (learned, now) = (preset.clip.check()?, clip.clip.check()?);
    if learned.patch() != now.patch() {
        return Err(BadInput("clip.patch is part of the encoder and cannot be set for an evaluation".to_owned()).into());
    }
    let vit = preset.model.encoder();
    Ok((VitConfig { position: on_clip(vit.position, &learned, &now), ..vit.clone() }, now))
}

/// The section of a preset that an evaluation may change.
#[derive(Debug, Serialize, Deserialize)]
struct ClipPart {
    clip: ClipSpec,
}

fn print(results: &Results) -> anyhow::Result<()> {
    say(&format!(
        "{:16} {:>8} {:>17} {:>10} {:>8}  probe",
        "encoder", "top-1", "95 % interval", "mean class", "chance"
    ))?;
    for row in &results.rows {
        let interval = format!("{:.3} to {:.3}", row.low, row.high);
        say(&format!(
            "{:16} {:8.3} {interval:>17} {:10.3} {:8.3}  {}",
            row.encoder, row.accuracy, row.mean_class, row.chance, row.probe
        ))?;
    }
    let Some(row) = results.rows.first() else { return Ok(()) };
    let counts = format!("{} training clips, {} test clips, {} failed", row.num_train, row.num_test, row.num_failed);
    Ok(say(&format!("{counts}; {} views of each", results.views))?)
}

impl PoolArg {
    fn pool(self) -> Pool {
        match self {
            PoolArg::Mean => Pool::Mean {},
            PoolArg::Time8 => Pool::TimeParts { parts: 8 },
        }
    }
}

/// A ViT and how clips go through it.
struct Encoder {
    vit: Vit,
    geometry: ClipGeometry,
    pool: Pool,
    views: Views,
}

impl Encoder {
    /// Features of every labelled segment, the mean over its views, and the number of those that could not be read.
    fn features(&self, clips: &Labelled, name: &str, session: &Session) -> anyhow::Result<(Features, usize)> {
        let how = How { geometry: self.geometry, views: self.views };
        let doing = format!("features, {name}");
        let Seen { segments, num_failed } = how.see(clips, (&doing, session), |clip_bthwc| self.encode(clip_bthwc))?;
        let (mut x_nd, mut labels, mut groups) = (Vec::new(), Vec::new(), Vec::new());
        for (segment, views) in segments {
            let mean = Tensor::stack(&views, 0).mean_dim([0i64].as_slice(), false, Kind::Float);
            x_nd.extend(Vec::<f32>::try_from(mean)?);
            labels.extend(clips.label(segment));
            groups.push(clips.store.segments()[segment].group.clone());
        }
        let width = x_nd.len() / labels.len();
        Ok((Features::new(x_nd, width, labels, groups)?, num_failed))
    }

    /// Features of one clip, `[d]`.
    fn encode(&self, clip_bthwc: &Tensor) -> anyhow::Result<Tensor> {
        let cubes = Cubes::new(clip_bthwc, self.geometry.grid(), self.geometry.patch())?;
        let features = pool(&self.vit.encode_all(&cubes, Mode::Eval)?, self.geometry.grid(), self.pool)?;
        Ok(features.flatten(0, 1).to_kind(Kind::Float).to_device(Device::Cpu))
    }
}
