//! Probes: what a frozen encoder's features are worth, beside an encoder of the same shape with random weights.

mod encoder;
mod export;
mod kinds;

use std::path::{Path, PathBuf};

use eval::{AttentiveSearch, Pool, ResultRow, Run, expect_disjoint};
use nn::{Vit, VitConfig};
use serde::{Deserialize, Serialize};
use spec::{ClipGeometry, ClipSpec};
use tch::nn::VarStore;
use video::Views;

pub(crate) use self::encoder::{Encoder, Read, Samples};
pub(crate) use self::kinds::Probe;
use super::seen::How;
use crate::cli::{AttentiveArgs, FitArg, LinearArgs, PoolArg, PooledArgs, ProbeArgs, TokensArg};
use crate::clips;
use crate::cmd::pretrain::load_encoder;
use crate::cmd::training::say;
use crate::exit::BadInput;
use crate::labelled::Labelled;
use crate::presets::PretrainPreset;
use crate::session::Session;
use crate::weights::{in_folder, on_clip};
use crate::whole;

/// What results call the encoder that was not trained.
const RANDOM: &str = "random weights";

/// Clips per step of the attentive probe; not published at this size: our default.
const ATTENTIVE_BATCH: usize = 16;
/// Weight decay of the attentive probe, V-JEPA's.
const ATTENTIVE_WEIGHT_DECAY: f64 = 0.01;

/// A results file.
#[derive(Debug, Serialize)]
struct Results {
    probe: &'static str,
    /// How tokens became what the probe reads.
    reads: Read,
    /// Clips and crops per segment; a segment's features are the mean over them.
    views: Views,
    train_clips: String,
    test_clips: String,
    rows: Vec<ResultRow>,
}

pub(crate) fn knn(args: &PooledArgs, session: &Session) -> anyhow::Result<()> {
    run((&Probe::Knn, Read::Pooled(args.pool.pool())), &args.probe, session)
}

pub(crate) fn linear(args: &LinearArgs, session: &Session) -> anyhow::Result<()> {
    let probe = match args.fit {
        FitArg::Ridge => Probe::Ridge,
        FitArg::Sgd => Probe::Sgd,
    };
    run((&probe, Read::Pooled(args.pooled.pool.pool())), &args.pooled.probe, session)
}

pub(crate) fn attentive(args: &AttentiveArgs, session: &Session) -> anyhow::Result<()> {
    let heads = match args.heads {
        Some(heads) => heads,
        None => load_encoder(&encoder_file(&args.probe))?.0.model.encoder().heads,
    };
    let search = AttentiveSearch {
        depth: args.depth,
        heads,
        rates: args.rates.clone(),
        epochs: args.epochs,
        batch: ATTENTIVE_BATCH,
        weight_decay: ATTENTIVE_WEIGHT_DECAY,
        num_folds: kinds::NUM_FOLDS,
    };
    let read = match args.tokens {
        TokensArg::Frames => Read::Frames,
        TokensArg::All => Read::Tokens,
    };
    run((&Probe::Attentive(search), read), &args.probe, session)
}

impl PoolArg {
    fn pool(self) -> Pool {
        match self {
            PoolArg::Mean => Pool::Mean {},
            PoolArg::Time8 => Pool::TimeParts { parts: 8 },
        }
    }
}

fn encoder_file(args: &ProbeArgs) -> PathBuf {
    in_folder(&args.encoder, "encoder.safetensors")
}

fn run((probe, read): (&Probe, Read), args: &ProbeArgs, session: &Session) -> anyhow::Result<()> {
    let file = encoder_file(args);
    let (preset, weights) = load_encoder(&file)?;
    let (vit_config, geometry) = on_clips(&preset, &args.sets)?;
    let sides = open_sides((&args.train_clips, &args.test_clips), args.labels.as_deref())?;
    sides[0].expect_common(args.rare_classes, "--rare-classes keep")?;
    if let Some(path) = &args.export {
        export::check(path)?;
    }
    let samples = |name: &str, seed: u64| -> anyhow::Result<Samples> {
        // The random encoder differs from the trained one in its weights alone.
        tch::manual_seed(seed as i64);
        let vs = VarStore::new(session.device);
        let vit = Vit::new(vs.root() / "encoder", &vit_config, geometry.patch())?;
        if name != RANDOM {
            weights.copy_into(&vs)?;
        }
        let encoder = Encoder { vit: &vit, how: How { geometry, views: args.views }, read };
        encoder.samples([&sides[0], &sides[1]], (&format!("features, {name}"), session))
    };
    let seeds = args.seed..args.seed + args.seeds.max(1);
    let trained = samples(preset.model.kind(), args.seed)?;
    if let Some(path) = &args.export {
        export::write(path, &trained, sides[0].classes())?;
    }
    let mut rows = Vec::new();
    for seed in seeds.clone() {
        rows.push(row(probe, preset.model.kind(), &trained, seed)?);
    }
    drop(trained);
    for seed in seeds {
        rows.push(row(probe, RANDOM, &samples(RANDOM, seed)?, seed)?);
    }
    let path = |path: &Path| path.display().to_string();
    let (train_clips, test_clips) = (path(&args.train_clips), path(&args.test_clips));
    let results = Results { probe: probe.name(), reads: read, views: args.views, train_clips, test_clips, rows };
    let out = args.out.clone().unwrap_or_else(|| file.with_file_name(format!("eval_{}.json", probe.name())));
    whole::write(&out, serde_json::to_string_pretty(&results)?)?;
    print(&results)?;
    Ok(say(&format!("wrote {}", out.display()))?)
}

/// Training and test clips of the same classes and other groups.
///
/// # Errors
/// [`BadInput`] and [`eval::EvalError`] say where they are not.
pub(crate) fn open_sides((train, test): (&Path, &Path), labels: Option<&str>) -> anyhow::Result<[Labelled; 2]> {
    let open = |path| Labelled::of(clips::open_clips(path)?, labels);
    let sides = [open(train)?, open(test)?];
    sides[0].expect_same_classes(&sides[1])?;
    expect_disjoint(&sides[0].groups(), &sides[1].groups())?;
    Ok(sides)
}

/// What a probe makes of an encoder.
fn row(probe: &Probe, encoder: &str, samples: &Samples, seed: u64) -> anyhow::Result<ResultRow> {
    let (scores, settings) = probe.scores(samples, seed)?;
    let run = Run { encoder: encoder.to_owned(), probe: settings, seed, num_failed: samples.num_failed };
    Ok(ResultRow::of(run, &samples.tested(&scores)))
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
        "{:16} {:>4} {:>8} {:>17} {:>10} {:>8}  probe",
        "encoder", "seed", "top-1", "95 % interval", "mean class", "chance"
    ))?;
    for row in &results.rows {
        let interval = format!("{:.3} to {:.3}", row.low, row.high);
        say(&format!(
            "{:16} {:4} {:8.3} {interval:>17} {:10.3} {:8.3}  {}",
            row.encoder, row.seed, row.accuracy, row.mean_class, row.chance, row.probe
        ))?;
    }
    for of_encoder in results.rows.chunk_by(|a, b| a.encoder == b.encoder).filter(|rows| rows.len() > 1) {
        let n = of_encoder.len() as f64;
        let mean = of_encoder.iter().map(|row| row.accuracy).sum::<f64>() / n;
        let variance = of_encoder.iter().map(|row| (row.accuracy - mean).powi(2)).sum::<f64>() / (n - 1.0);
        say(&format!("{:16} {mean:.3} +- {:.3} over {n} seeds", of_encoder[0].encoder, variance.sqrt()))?;
    }
    let Some(row) = results.rows.first() else { return Ok(()) };
    let counts = format!("{} training clips, {} test clips, {} failed", row.num_train, row.num_test, row.num_failed);
    Ok(say(&format!("{counts}; {} views of each", results.views))?)
}
