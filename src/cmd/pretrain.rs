//! `longvid pretrain`: clips, and the tokens of the same frames, into an encoder.

mod clusters;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use lvmae::{CheckedLvmae, Cue};
use nn::Losses;
use spec::{ClipGeometry, ClipSpec};
use tch::nn::VarStore;
use tch::{Device, Tensor};
use train::{BatchSplit, Drawn, Evidence, Loaded, Task, TrainPlan};
use video::{Augment, ClipSource, LoadedClip};

use super::eval::schedule::Probing;
use super::training::{Job, Room, say, tell, with_remedy};
use crate::album::Album;
use crate::cli::{PretrainArgs, RunArgs};
use crate::clips::{self, ClipPlan, Draw};
use crate::curriculum::{FrameCounts, StageConfig};
use crate::exit::BadInput;
use crate::feed::ClipFeed;
use crate::frozen::Frozen;
use crate::method::{Method, Model, PretrainBatch};
use crate::pictures;
use crate::presets::{self, PretrainPreset};
use crate::report::picture::Picture;
use crate::session::Session;
use crate::targets::{TargetMaker, TargetShape};
use crate::weights::Initial;

/// Clips whose masks are drawn, before training and on a schedule.
const NUM_PICTURES: usize = 2;

pub(crate) fn run(args: &PretrainArgs, session: &Session) -> anyhow::Result<()> {
    let initial = args.init.as_deref().map(Initial::open).transpose()?;
    let (preset, config_toml): (PretrainPreset, String) = match &initial {
        Some(initial) => initial.resolve(&args.run)?,
        None => presets::resolve(&args.run)?,
    };
    let setup = Setup::check(&preset)?;
    if args.run.dry_run {
        say(config_toml.trim_end())?;
        return Ok(say(&format!("# {}", setup.method.describe()))?);
    }
    let split = setup.plan.split(session.ranks()?.num_ranks())?;
    let room = Room::of(split, Some("model.encoder.recompute"));
    train_encoder(args, session, (setup, split, &config_toml, initial))
        .map_err(|err| with_remedy(err, room, session, |sets| try_step(&args.run, session, sets)))
}

/// A checked preset.
struct Setup {
    geometry: ClipGeometry,
    augment: Augment,
    /// On the whole clip.
    method: Method,
    plan: TrainPlan,
    stages: Stages,
}

impl Setup {
    fn check(preset: &PretrainPreset) -> anyhow::Result<Self> {
        let geometry = preset.clip.check()?;
        let augment = preset.augment.check()?;
        let method = Method::check(preset, &geometry)?;
        let plan = preset.train.check()?;
        let stages = Stages::check(preset, &geometry, plan.steps())?;
        Ok(Setup { geometry, augment, method, plan, stages })
    }
}

/// The stages of the curriculum: one, unless the preset has more.
struct Stages {
    frame_counts: FrameCounts,
    /// Of each stage, its clips and the method on them.
    each: Vec<(ClipGeometry, Method)>,
}

impl Stages {
    fn check(preset: &PretrainPreset, geometry: &ClipGeometry, steps: u64) -> anyhow::Result<Self> {
        let frame_counts = preset.curriculum.check((geometry.num_frames(), geometry.patch()), steps)?;
        let on = |(i, stage): (usize, &StageConfig)| {
            let geometry = ClipSpec { num_frames: stage.num_frames, ..preset.clip.clone() }.check()?;
            let method = Method::check(preset, &geometry);
            let frames = stage.num_frames;
            Ok((geometry, method.with_context(|| format!("curriculum.stages[{i}] has clips of {frames} frames"))?))
        };
        let each = frame_counts.stages().iter().enumerate().map(on).collect::<anyhow::Result<_>>()?;
        Ok(Stages { frame_counts, each })
    }

    /// Clips and method of a step.
    fn at(&self, step: u64) -> &(ClipGeometry, Method) {
        &self.each[self.frame_counts.stage_of(step)]
    }
}

/// A step on noise under changed settings.
fn try_step(run: &RunArgs, session: &Session, sets: &[String]) -> anyhow::Result<()> {
    let preset: PretrainPreset = presets::read(&run.preset, &[&run.sets[..], sets].concat())?;
    let Setup { geometry, method, plan, .. } = Setup::check(&preset)?;
    let shape = TargetShape::usual(method.target());
    let vs = VarStore::new(session.device);
    let model = method.build(&vs.root(), &shape)?;
    let batch = PretrainBatch::noise(&geometry, plan.split(1)?.num_clips as i64, &shape, session.device);
    train::trial_step(&plan, &vs, || model.loss(&batch, plan.seed()))
}

fn train_encoder(
    args: &PretrainArgs,
    session: &Session,
    (setup, split, config_toml, initial): (Setup, BatchSplit, &str, Option<Initial>),
) -> anyhow::Result<()> {
    let Setup { geometry, augment, method, plan, stages } = setup;
    let ranks = session.ranks()?;
    let source = ClipSource { with_flow: method.needs_flow(), ..open(args, geometry, augment)? };
    let (maker, mut more_data) = target_maker(args, session, (&method, &source))?;
    let probing = Probing::of(&args.probing, geometry, (plan.steps(), plan.seed()), session)?;
    let clip_plan = ClipPlan::new(&source, stages.frame_counts.clone(), (plan.seed(), plan.batch()))?;

    tch::manual_seed(plan.seed() as i64);
    let vs = VarStore::new(session.device);
    let model = method.build(&vs.root(), maker.shape())?;
    if let (Some(initial), Some(path)) = (initial, &args.init) {
        let fitted = initial.copy_into(&vs);
        fitted
            .with_context(|| format!("--init {}: its encoder is not the one of model.encoder here", path.display()))?;
        more_data.insert("init".to_owned(), initial.id().to_owned());
    }
    let job = Job { kind: method.kind(), args: &args.run, config_toml, plan: &plan, ranks, more_data };
    // Not before: weights that do not fit leave no folder.
    let run = job.open(session, &source)?;
    let feed = ClipFeed::new(source, clip_plan, (split, ranks.rank()), plan.steps());
    let album = Album::open(&run.pictures())?;
    let (seed, device, is_first) = (plan.seed(), session.device, ranks.is_first());
    let stage = stages.each.len() - 1;
    let mut task = PretrainTask { feed, stages, stage, model, maker, seed, device, is_first, album, probing };
    if is_first && !args.run.resume {
        task.draw_masks(1, None)?;
    }
    job.fit((&run, &vs), session, &mut task)?;
    if !is_first {
        return Ok(());
    }
    let weights = args.run.out.join("encoder.safetensors");
    let encoder = train::named(&vs).into_iter().filter(|(name, _)| name.starts_with(ENCODER)).collect();
    train::weights::save(&weights, "encoder", config_toml, &encoder)?;
    Ok(say(&format!("wrote {}", weights.display()))?)
}

fn open(args: &PretrainArgs, geometry: ClipGeometry, augment: Augment) -> anyhow::Result<ClipSource> {
    let store = clips::open_clips(&args.run.clips)?;
    let tokens = args.tokens.as_deref().map(clips::open_tokens).transpose()?;
    let source = ClipSource { store, tokens, geometry, augment, with_flow: false };
    source.check()?;
    Ok(source)
}

/// What makes targets and priorities, and what is to be recorded of it beside the token store.
///
/// # Errors
/// [`BadInput`] when the method needs tokens and there are none, when a tokenizer was given for nothing, or does not fit.
fn target_maker(
    args: &PretrainArgs,
    session: &Session,
    (method, source): (&Method, &ClipSource),
) -> anyhow::Result<(TargetMaker, BTreeMap<String, String>)> {
    let (target, device) = (method.target(), session.device);
    let refuse = |said: String| Err(BadInput(said).into());
    match (&args.tokenizer, &source.tokens, method.needs_tokens()) {
        (None, None, None) => Ok((TargetMaker::of_pixels(), BTreeMap::new())),
        (None, None, Some(what)) => refuse(format!(
            "this preset needs {what}: make them with `longvid tokenizer encode` and give them with --tokens, or give the \
             tokenizer with --tokenizer"
        )),
        (None, Some(tokens), _) => Ok((TargetMaker::of_store(target, tokens, device)?, BTreeMap::new())),
        (Some(path), _, None) => {
            refuse(format!("this preset needs neither codes nor priorities: leave out --tokenizer {}", path.display()))
        }
        (Some(path), _, Some(_)) => {
            let frozen = Frozen::load_for_clips(path, &source.geometry, device)?;
            let more_data = BTreeMap::from([("live tokenizer".to_owned(), frozen.id.clone())]);
            Ok((TargetMaker::of_tokenizer(target, frozen)?, more_data))
        }
    }
}

/// Variables of the ViT that is kept.
const ENCODER: &str = "encoder.";

struct PretrainTask {
    feed: ClipFeed,
    stages: Stages,
    /// The one that the model is in.
    stage: usize,
    model: Model,
    maker: TargetMaker,
    /// Masks and orders follow from it and the clip.
    seed: u64,
    device: Device,
    /// Whether this rank tells how it goes.
    is_first: bool,
    album: Album,
    probing: Option<Probing>,
}

impl Task for PretrainTask {
    type Batch = PretrainBatch;
    type Error = anyhow::Error;

    fn next(&mut self, step: u64) -> anyhow::Result<Loaded<PretrainBatch>> {
        self.enter_stage_of(step)?;
        let (clips, wait_secs) = self.feed.next(step)?;
        let to_tensors = |clips: &crate::feed::Clips| {
            let place = (self.stages.at(step).0.size_px(), self.device);
            PretrainBatch::new(&clips.loaded, &clips.draws, &self.maker, place)
        };
        let micro_batches = clips.iter().map(to_tensors).collect::<anyhow::Result<Vec<_>>>()?;
        let num_frames = micro_batches.iter().map(|batch| clips::num_frames(&batch.clip_bthwc)).sum();
        Ok(Loaded { micro_batches, num_frames, wait_secs })
    }

    fn loss(&mut self, batch: &PretrainBatch) -> anyhow::Result<Losses> {
        let mut losses = self.model.loss(batch, self.seed)?;
        if self.stages.each.len() > 1 {
            losses.terms.push(("num_frames", Tensor::from(batch.clip_bthwc.size()[1])));
        }
        Ok(losses)
    }

    fn evidence(&self, batch: &PretrainBatch) -> Evidence {
        let mut tensors = train::NamedTensors::from([("clip_bthwc".to_owned(), batch.clip_bthwc.shallow_clone())]);
        tensors.extend(batch.targets.tensor().map(|targets| ("targets_bnc".to_owned(), targets.shallow_clone())));
        if !batch.flows.is_empty() {
            let flows: Vec<Tensor> = batch.flows.iter().map(|flow| Tensor::from_slice(&flow.xy)).collect();
            tensors.insert("flow_bm".to_owned(), Tensor::stack(&flows, 0));
        }
        // Masks follow from them.
        let priorities: Vec<Tensor> = batch.priorities_bn.iter().map(|clip| Tensor::from_slice(clip)).collect();
        if !priorities.is_empty() {
            tensors.insert("priorities_bn".to_owned(), Tensor::stack(&priorities, 0));
        }
        Evidence { clips: self.feed.describe(&batch.draws), tensors }
    }

    fn measures_at(&self, step: u64) -> bool {
        self.probing.as_ref().is_some_and(|probing| probing.is_at(step))
    }

    fn measure(&mut self, _step: u64) -> anyhow::Result<Vec<(&'static str, f64)>> {
        self.probing.as_ref().map_or(Ok(Vec::new()), |probing| probing.measure(self.model.encoder()))
    }

    fn pictures(&mut self, step: u64) -> anyhow::Result<Vec<Drawn>> {
        self.draw_masks(step, Some(step))
    }
}

impl PretrainTask {
    /// Brings the model to the clips of a step.
    fn enter_stage_of(&mut self, step: u64) -> anyhow::Result<()> {
        let stage = self.stages.frame_counts.stage_of(step);
        if stage == self.stage {
            return Ok(());
        }
        let (geometry, method) = &self.stages.each[stage];
        self.model.change_grid(method)?;
        if self.is_first {
            tell(&format!("from step {step} on clips have {} frames: {}", geometry.num_frames(), method.describe()));
        }
        self.stage = stage;
        Ok(())
    }

    /// Pictures of what the masks of a step's first clips hide and choose: the masks that training uses.
    ///
    /// * `named_after` - the step in the pictures' names
    fn draw_masks(&mut self, step: u64, named_after: Option<u64>) -> anyhow::Result<Vec<Drawn>> {
        self.enter_stage_of(step)?;
        let (source, (geometry, method)) = (self.feed.source(), self.stages.at(step));
        let mut drawn = Vec::new();
        for (i, draw) in self.feed.plan().draws(step).into_iter().take(NUM_PICTURES).enumerate() {
            let clip = video::load_clip(source, draw.request)?;
            let (picture, rows) = match method {
                Method::Lvmae(checked) => self.draw_mask(&clip, draw, (geometry, checked))?,
                Method::Arvideo(checked) => {
                    self.draw_clusters((&clip, draw), (geometry, checked), named_after.is_some())?
                }
            };
            let id = &source.store.segments()[draw.request.segment].id;
            // The clips are other ones each time: their place in the step makes the series.
            let tag = if named_after.is_some() { format!("mask_{i}") } else { format!("mask_{id}") };
            drawn.push(self.album.add(&tag, named_after, &format!("{id}: {rows}"), &picture)?);
        }
        Ok(drawn)
    }
}

impl PretrainTask {
    /// The mask of one clip with what it looks at, and the picture's rows in words.
    fn draw_mask(
        &self,
        clip: &LoadedClip,
        draw: Draw,
        (geometry, checked): (&ClipGeometry, &CheckedLvmae),
    ) -> anyhow::Result<(Picture, String)> {
        let Model::Lvmae(model, _) = &self.model else { anyhow::bail!("the model is of another method") };
        let place = (geometry.size_px(), self.device);
        let batch = PretrainBatch::new(std::slice::from_ref(clip), &[draw], &self.maker, place)?;
        let shown = [(Cue::Priorities, "priorities"), (Cue::Flow, "length of optical flow"), (Cue::Motion, "motion")];
        let shown = shown.into_iter().filter(|(cue, _)| checked.needs(*cue));
        let mut rows = vec!["frames", "visible tokens"];
        let mut cues_n = Vec::new();
        for (cue, name) in shown {
            rows.push(name);
            cues_n.extend(batch.with_cues((model, checked), |_, cues| checked.cue_n(cue, cues))?);
        }
        rows.push("tokens that the decoder predicts");
        let mask = batch.masks((model, checked), self.seed)?.remove(0);
        Ok((pictures::mask_picture(clip, &mask, &cues_n, geometry)?, rows.join(", ")))
    }
}

/// Opens the encoder of a run: its preset and a freshly built model with the weights in it, or at random.
pub(crate) fn load_encoder(path: &Path) -> anyhow::Result<(PretrainPreset, train::weights::Weights)> {
    let weights = train::weights::load(path, "encoder")?;
    let preset = spec::Preset::from_text(&path.display().to_string(), weights.config_toml())?.parse()?;
    Ok((preset, weights))
}
