//! `longvid pretrain`: clips, and the tokens of the same frames, into an encoder.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use spec::ClipGeometry;
use tch::nn::VarStore;
use train::RunDir;
use vector_quantize::Fsq;
use video::{Augment, ClipSource};

use super::training::{Job, say};
use crate::cli::PretrainArgs;
use crate::clips::{self, ClipPlan};
use crate::method::{Method, Model, PretrainBatch};
use crate::pictures;
use crate::presets::{self, PretrainPreset};
use crate::session::Session;

/// Clips whose masks are drawn before training.
const NUM_PICTURES: u64 = 2;

pub(crate) fn run(args: &PretrainArgs, session: &Session) -> anyhow::Result<()> {
    let (preset, config_toml): (PretrainPreset, String) = presets::resolve(&args.run)?;
    let geometry = preset.clip.check()?;
    let augment = preset.augment.check()?;
    let method = Method::check(&preset, &geometry)?;
    let train = preset.train.check()?;
    if args.run.dry_run {
        say(config_toml.trim_end())?;
        return Ok(say(&format!("# {}", method.describe()))?);
    }
    let source = open(args, geometry, augment)?;
    let quantizer = method.quantizer(source.tokens.as_deref().map(video::TokenStore::header))?;
    let seed = train.seed();
    let plan = ClipPlan::new(&source, geometry.num_frames() as usize, (seed, train.batch()))?;

    let frames_per_step = (train.batch() * geometry.num_frames()) as u64;
    let job = Job { kind: method.kind(), args: &args.run, config_toml: &config_toml, plan: &train, frames_per_step };
    let run = job.open(session)?;
    if !args.run.resume {
        draw_masks(&run, &source, &plan, &method)?;
    }
    tch::manual_seed(seed as i64);
    let vs = VarStore::new(session.device);
    let model = method.build(&vs.root(), quantizer.as_ref())?;
    train_model(&job, (&run, &vs), (&model, quantizer.as_ref()), (source, plan, geometry), session)?;

    let weights = args.run.out.join("encoder.safetensors");
    let encoder = train::named(&vs).into_iter().filter(|(name, _)| name.starts_with("encoder.")).collect();
    train::weights::save(&weights, "encoder", &config_toml, &encoder)?;
    Ok(say(&format!("wrote {}", weights.display()))?)
}

fn open(args: &PretrainArgs, geometry: ClipGeometry, augment: Augment) -> anyhow::Result<ClipSource> {
    let store = clips::open_clips(&args.run.clips)?;
    let tokens = args.tokens.as_deref().map(clips::open_tokens).transpose()?;
    let source = ClipSource { store, tokens, geometry, augment };
    source.check()?;
    Ok(source)
}

fn train_model(
    job: &Job,
    (run, vs): (&RunDir, &VarStore),
    (model, quantizer): (&Model, Option<&Fsq>),
    (source, plan, geometry): (ClipSource, ClipPlan, ClipGeometry),
    session: &Session,
) -> anyhow::Result<()> {
    let seed = plan.seed;
    let mut loader = None;
    let next = |step| {
        // The first step asked for is where the run begins or goes on.
        let loader = match &mut loader {
            Some(loader) => loader,
            None => loader.insert(plan.load(source.clone(), step..=job.plan.steps())?),
        };
        let batch = loader.next().context("the loader ended before the run")??;
        let draws = plan.draws(step);
        let tensors = PretrainBatch::new(&batch, &draws, quantizer, (geometry.size_px(), session.device))?;
        Ok((tensors, batch.wait_secs))
    };
    job.fit((run, vs), session, next, |batch| model.loss(batch, seed))
}

/// Pictures of what the first clips' masks hide and choose: the masks that training uses, in the first epoch.
fn draw_masks(run: &RunDir, source: &ClipSource, plan: &ClipPlan, method: &Method) -> anyhow::Result<()> {
    let mut captions = BTreeMap::new();
    for draw in plan.draws(1).into_iter().take(NUM_PICTURES as usize) {
        let clip = video::load_clip(source, draw.request)?;
        let item = (plan.seed, draw.epoch, draw.item);
        let (picture, rows) = match method {
            Method::Lvmae(checked) => {
                let priorities = clip.tokens.as_ref().map(|tokens| tokens.priorities.as_slice());
                let mask = checked.mask(priorities, item)?;
                let rows = if priorities.is_some() { "priorities, " } else { "" };
                let picture = pictures::mask_picture(&clip, &mask, &source.geometry)?;
                (picture, format!("frames, visible tokens, {rows}tokens that the decoder predicts"))
            }
            Method::Arvideo(checked) => {
                let plan = checked.plan(item);
                let picture = pictures::cluster_picture(&clip, &plan, checked.clusters(), &source.geometry)?;
                (picture, "frames, order of the clusters (dark first), tokens that the encoder reads".to_owned())
            }
        };
        let id = &source.store.segments()[draw.request.segment].id;
        save_picture(&run.pictures(), (&format!("mask_{id}"), &format!("{id}: {rows}")), &picture, &mut captions)?;
    }
    save_captions(&run.pictures(), &captions)
}

/// Writes a picture and remembers its caption.
pub(crate) fn save_picture(
    folder: &Path,
    (name, caption): (&str, &str),
    picture: &crate::report::picture::Picture,
    captions: &mut BTreeMap<String, String>,
) -> anyhow::Result<()> {
    let safe: String = name.chars().map(|c| if c.is_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect();
    let file = format!("{safe}.png");
    let path = folder.join(&file);
    std::fs::write(&path, picture.png()).with_context(|| format!("cannot write {path:?}"))?;
    captions.insert(file, caption.to_owned());
    Ok(())
}

/// Writes `captions.json` beside the pictures.
pub(crate) fn save_captions(folder: &Path, captions: &BTreeMap<String, String>) -> anyhow::Result<()> {
    let path = folder.join("captions.json");
    std::fs::write(&path, serde_json::to_string_pretty(captions)?).with_context(|| format!("cannot write {path:?}"))
}

/// Opens the encoder of a run: its preset and a freshly built model with the weights in it, or at random.
pub(crate) fn load_encoder(path: &Path) -> anyhow::Result<(PretrainPreset, train::weights::Weights)> {
    let weights = train::weights::load(path, "encoder")?;
    let preset = spec::Preset::from_text(&path.display().to_string(), weights.config_toml())?.parse()?;
    Ok((preset, weights))
}
