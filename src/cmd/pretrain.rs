//! `longvid pretrain`: clips, and the tokens of the same frames, into an encoder.

use std::path::Path;

use lvmae::{CheckedLvmae, Cue};
use nn::Losses;
use spec::ClipGeometry;
use tch::nn::VarStore;
use tch::{Device, Tensor};
use train::{BatchSplit, Drawn, Evidence, Loaded, Task, TrainPlan};
use vector_quantize::Quantizer;
use video::{Augment, ClipSource, LoadedClip};

use super::training::{Job, Room, say, with_remedy};
use crate::album::Album;
use crate::cli::{PretrainArgs, RunArgs};
use crate::clips::{self, ClipPlan, Draw};
use crate::feed::ClipFeed;
use crate::method::{CODE_WIDTH, Method, Model, PretrainBatch};
use crate::pictures;
use crate::presets::{self, PretrainPreset};
use crate::report::picture::Picture;
use crate::session::Session;
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
    method: Method,
    plan: TrainPlan,
}

impl Setup {
    fn check(preset: &PretrainPreset) -> anyhow::Result<Self> {
        let geometry = preset.clip.check()?;
        let augment = preset.augment.check()?;
        let method = Method::check(preset, &geometry)?;
        Ok(Setup { geometry, augment, method, plan: preset.train.check()? })
    }
}

/// A step on noise under changed settings.
fn try_step(run: &RunArgs, session: &Session, sets: &[String]) -> anyhow::Result<()> {
    let preset: PretrainPreset = presets::load(&run.preset, &[&run.sets[..], sets].concat())?.parse()?;
    let Setup { geometry, method, plan, .. } = Setup::check(&preset)?;
    let code_width = method.targets_codes().then_some(CODE_WIDTH);
    let vs = VarStore::new(session.device);
    let model = method.build(&vs.root(), code_width)?;
    let batch = PretrainBatch::noise(&geometry, plan.split(1)?.num_clips as i64, code_width, session.device);
    train::trial_step(&plan, &vs, || model.loss(&batch, plan.seed()))
}

fn train_encoder(
    args: &PretrainArgs,
    session: &Session,
    (setup, split, config_toml, initial): (Setup, BatchSplit, &str, Option<Initial>),
) -> anyhow::Result<()> {
    let Setup { geometry, augment, method, plan } = setup;
    let ranks = session.ranks()?;
    let source = ClipSource { with_flow: method.needs_flow(), ..open(args, geometry, augment)? };
    let quantizer = method.quantizer(source.tokens.as_deref(), session.device)?;
    let frames_per_clip = geometry.num_frames() as u64;
    let clip_plan = ClipPlan::new(&source, geometry.num_frames() as usize, (plan.seed(), plan.batch()))?;
    let more_data = initial.iter().map(|initial| ("initial weights".to_owned(), initial.id().to_owned())).collect();
    let job = Job { kind: method.kind(), args: &args.run, config_toml, plan: &plan, ranks, frames_per_clip, more_data };
    let run = job.open(session, &source)?;

    tch::manual_seed(plan.seed() as i64);
    let vs = VarStore::new(session.device);
    let model = method.build(&vs.root(), quantizer.as_ref().map(Quantizer::num_channels))?;
    if let Some(initial) = initial {
        // A resumed run takes its checkpoint's in their place.
        initial.copy_into(&vs)?;
    }
    let feed = ClipFeed::new(source, clip_plan, (split, ranks.rank()), plan.steps());
    let (seed, device) = (plan.seed(), session.device);
    let album = Album::open(&run.pictures())?;
    let mut task = PretrainTask { feed, method, model, quantizer, geometry, seed, device, album };
    if ranks.is_first() && !args.run.resume {
        task.draw_masks(1, None)?;
    }
    job.fit((&run, &vs), session, &mut task)?;
    if !ranks.is_first() {
        return Ok(());
    }
    let weights = args.run.out.join("encoder.safetensors");
    let encoder = train::named(&vs).into_iter().filter(|(name, _)| name.starts_with("encoder.")).collect();
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

struct PretrainTask {
    feed: ClipFeed,
    method: Method,
    model: Model,
    quantizer: Option<Quantizer>,
    geometry: ClipGeometry,
    /// Masks and orders follow from it and the clip.
    seed: u64,
    device: Device,
    album: Album,
}

impl Task for PretrainTask {
    type Batch = PretrainBatch;
    type Error = anyhow::Error;

    fn next(&mut self, step: u64) -> anyhow::Result<Loaded<PretrainBatch>> {
        let (clips, wait_secs) = self.feed.next(step)?;
        let to_tensors = |clips: &crate::feed::Clips| {
            let place = (self.geometry.size_px(), self.device);
            PretrainBatch::new(&clips.loaded, &clips.draws, self.quantizer.as_ref(), place)
        };
        Ok(Loaded { micro_batches: clips.iter().map(to_tensors).collect::<anyhow::Result<_>>()?, wait_secs })
    }

    fn loss(&mut self, batch: &PretrainBatch) -> anyhow::Result<Losses> {
        self.model.loss(batch, self.seed)
    }

    fn evidence(&self, batch: &PretrainBatch) -> Evidence {
        let mut tensors = train::NamedTensors::from([("clip_bthwc".to_owned(), batch.clip_bthwc.shallow_clone())]);
        tensors.extend(batch.codes_bnc.as_ref().map(|codes| ("codes_bnc".to_owned(), codes.shallow_clone())));
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

    fn pictures(&mut self, step: u64) -> anyhow::Result<Vec<Drawn>> {
        self.draw_masks(step, Some(step))
    }
}

impl PretrainTask {
    /// Pictures of what the masks of a step's first clips hide and choose: the masks that training uses.
    ///
    /// * `named_after` - the step in the pictures' names
    fn draw_masks(&mut self, step: u64, named_after: Option<u64>) -> anyhow::Result<Vec<Drawn>> {
        let source = self.feed.source();
        let mut drawn = Vec::new();
        for (i, draw) in self.feed.plan().draws(step).into_iter().take(NUM_PICTURES).enumerate() {
            let clip = video::load_clip(source, draw.request)?;
            let (picture, rows) = match &self.method {
                Method::Lvmae(checked) => self.draw_mask(&clip, draw, checked)?,
                Method::Arvideo(checked) => {
                    let plan = checked.plan((self.seed, draw.epoch, draw.item));
                    let picture = pictures::cluster_picture(&clip, &plan, checked.clusters(), &self.geometry)?;
                    (picture, "frames, order of the clusters (dark first), tokens that the encoder reads".to_owned())
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
    fn draw_mask(&self, clip: &LoadedClip, draw: Draw, checked: &CheckedLvmae) -> anyhow::Result<(Picture, String)> {
        let Model::Lvmae(model, _) = &self.model else { anyhow::bail!("the model is of another method") };
        let place = (self.geometry.size_px(), self.device);
        let batch = PretrainBatch::new(std::slice::from_ref(clip), &[draw], None, place)?;
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
        Ok((pictures::mask_picture(clip, &mask, &cues_n, &self.geometry)?, rows.join(", ")))
    }
}

/// Opens the encoder of a run: its preset and a freshly built model with the weights in it, or at random.
pub(crate) fn load_encoder(path: &Path) -> anyhow::Result<(PretrainPreset, train::weights::Weights)> {
    let weights = train::weights::load(path, "encoder")?;
    let preset = spec::Preset::from_text(&path.display().to_string(), weights.config_toml())?.parse()?;
    Ok((preset, weights))
}
