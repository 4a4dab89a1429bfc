//! `longvid eval`: what a frozen encoder's features are worth, beside an encoder of the same shape with random weights.

pub(super) mod export;
pub(super) mod score;
pub(super) mod submit;

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use eval::{Features, Knn, LinearProbe, Pool, ResultRow, RidgeSearch, Run, Scores, Split, Vote, expect_disjoint, pool};
use nn::{Cubes, Mode, Vit, VitConfig};
use serde::{Deserialize, Serialize};
use spec::{ClipGeometry, ClipSpec};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use video::{Batch, ClipRequest, Loader, VideoError, Views, timeline};

use super::pretrain::load_encoder;
use super::training::say;
use crate::cli::{PoolArg, ProbeArgs};
use crate::clips;
use crate::exit::{BadInput, Interrupted};
use crate::labelled::Labelled;
use crate::presets::PretrainPreset;
use crate::progress::Progress;
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
    if train.classes() != test.classes() || train.classes().len() < 2 {
        return Err(BadInput(format!(
            "{:?} has classes {:?} and {:?} has {:?}: both must have the same two or more",
            train.store.path(),
            train.classes(),
            test.store.path(),
            test.classes()
        ))
        .into());
    }
    expect_disjoint(&train.groups(), &test.groups())?;
    let mut rows = Vec::new();
    for (name, trained) in [(preset.model.kind(), true), ("random weights", false)] {
        // The random encoder differs from the trained one in its weights alone.
        tch::manual_seed(args.seed as i64);
        let vs = VarStore::new(session.device);
        let vit = Vit::new(vs.root() / "encoder", &vit_config, geometry.patch())?;
        if trained {
            weights.copy_into(&vs)?;
        }
        let encoder = Encoder { vit, geometry, pool: args.pool.pool(), views: args.views, device: session.device };
        let features = |clips| encoder.features(clips, name, session);
        let split = Split::new(features(&train)?, features(&test)?, train.classes().len())?;
        let (scores, settings) = probe.scores(&split, args.seed)?;
        // A clip that cannot be read ends the command with an error: none is left out of a result.
        let run = Run { encoder: name.to_owned(), probe: settings, seed: args.seed, num_failed: 0 };
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
    device: Device,
}

impl Encoder {
    /// Features of every labelled segment: the mean over its views.
    fn features(&self, clips: &Labelled, name: &str, session: &Session) -> anyhow::Result<Features> {
        let store = &clips.store;
        let segments: Vec<Vec<ClipRequest>> = self.requests(clips)?;
        let plan: Vec<ClipRequest> = segments.concat();
        if plan.is_empty() {
            return Err(BadInput(format!("{:?} holds no labelled segment", store.path())).into());
        }
        let source = clips::unvaried(store.clone(), self.geometry);
        let steps = 0..plan.len() as u64;
        let mut loader =
            Loader::start(source, Arc::new(move |step| vec![plan[step as usize]]), steps, clips::loader_options())?;
        let mut progress = Progress::new(&format!("features, {name}"), segments.len() as u64);
        let (mut x_nd, mut labels, mut groups) = (Vec::new(), Vec::new(), Vec::new());
        for views in &segments {
            let mut seen = Vec::with_capacity(views.len());
            for _ in views {
                if session.interrupted() {
                    return Err(Interrupted("no result was written".to_owned()).into());
                }
                seen.push(self.encode(&loader.next().context("the loader ended before the store")??)?);
            }
            let mean = Tensor::stack(&seen, 0).mean_dim([0i64].as_slice(), false, Kind::Float);
            x_nd.extend(Vec::<f32>::try_from(mean)?);
            let index = views[0].segment;
            let segment = &store.segments()[index];
            labels.extend(clips.label(index));
            groups.push(segment.group.clone());
            progress.set(labels.len() as u64, &segment.id);
        }
        let (num_clips, width) = (labels.len(), x_nd.len() / labels.len());
        progress.finish(&format!("{num_clips} clips of {}", store.path().display()));
        Ok(Features::new(x_nd, width, labels, groups)?)
    }

    /// Features of one clip, `[d]`.
    fn encode(&self, batch: &Batch) -> anyhow::Result<Tensor> {
        let pixels = clips::pixels(&batch.clips, self.geometry.size_px(), self.device);
        tch::no_grad(|| {
            let cubes = Cubes::new(&pixels, self.geometry.grid(), self.geometry.patch())?;
            let features = pool(&self.vit.encode_all(&cubes, Mode::Eval)?, self.geometry.grid(), self.pool)?;
            Ok(features.flatten(0, 1).to_kind(Kind::Float).to_device(Device::Cpu))
        })
    }

    /// The views of every labelled segment; each has at least one.
    fn requests(&self, clips: &Labelled) -> Result<Vec<Vec<ClipRequest>>, VideoError> {
        let store = &clips.store;
        let views = |segment: usize| {
            let row = &store.segments()[segment];
            let timeline = timeline(&store.videos()[row.video as usize], row, &self.geometry);
            self.views.requests(segment, &timeline, &self.geometry)
        };
        clips.segments().map(views).collect()
    }
}
