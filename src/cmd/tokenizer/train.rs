//! `longvid tokenizer train`: codes and priorities, learned together from windows of 16 frames (17 where the first stands for
//! itself).

use std::collections::BTreeMap;

use nn::Losses;
use spec::ClipGeometry;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use tokenizer::{Beside, CheckedTokenizer, Place, Share, Tokenizer, TokenizerError, Watch};
use torch_ext::Group;
use train::{BatchSplit, Drawn, Evidence, Loaded, Side, Task, TrainError, TrainPlan};
use video::{Augment, ClipSource};

use super::critics::{PerceptualWeights, side};
use super::draw::{Artist, spread};
use crate::album::Album;
use crate::cli::{RunArgs, TokenizerTrainArgs};
use crate::clips::{self, ClipPlan};
use crate::cmd::training::{Job, Room, say, with_remedy};
use crate::curriculum::FrameCounts;
use crate::exit::BadInput;
use crate::feed::ClipFeed;
use crate::frozen::TOKENIZER;
use crate::presets::{self, TokenizerPreset};
use crate::report::picture::Picture;
use crate::session::Session;

/// Segments that are drawn on a schedule.
const NUM_PICTURES: usize = 2;

const CODE_USE_CAPTION: &str = "use of the codes of these segments: a row per digit of the code (per channel of an FSQ, per stage \
                                of a residual), a cell per value; dark is never, teal an even share, yellow twice that or more";

pub(crate) fn train(args: &TokenizerTrainArgs, session: &Session) -> anyhow::Result<()> {
    let (preset, config_toml): (TokenizerPreset, String) = presets::resolve(&args.run)?;
    let setup = Setup::check(&preset)?;
    if args.run.dry_run {
        say(config_toml.trim_end())?;
        let codes: i64 = setup.checked.quantizer().codebook_size();
        return Ok(say(&format!("# {codes} codes; windows of {} frames", setup.checked.window_frames()))?);
    }
    let split = setup.plan.split(session.ranks()?.num_ranks())?;
    train_tokenizer(args, session, (setup, split, &config_toml))
        .map_err(|err| with_remedy(err, Room::of(split, None), session, |sets| try_step(&args.run, session, sets)))
}

/// The watch over training has variables, but none that a gradient moves.
const WATCH: Side = Side { prefix: Watch::PREFIX, grad_norm_key: None, learning_rate_scale: 1.0, clip_grad_norm: None };

/// A checked preset.
struct Setup {
    geometry: ClipGeometry,
    augment: Augment,
    checked: CheckedTokenizer,
    plan: TrainPlan,
}

impl Setup {
    fn check(preset: &TokenizerPreset) -> anyhow::Result<Self> {
        let geometry = preset.clip.check()?;
        let augment = preset.augment.check()?;
        let checked = preset.tokenizer.check(geometry.patch())?;
        // Timelines are whole multiples of 16 frames and at least a clip long: one of the next multiple holds the window.
        if geometry.num_frames() < checked.window_frames() {
            let (num_frames, window) = (geometry.num_frames(), checked.window_frames());
            let text =
                format!("clip.num_frames = {num_frames} is shorter than a window of {window} frames: set 32 or more");
            return Err(BadInput(text).into());
        }
        let mut plan = preset.train.check()?.with_side(WATCH);
        if let Some(side) = side(&preset.tokenizer.loss) {
            plan = plan.with_side(side);
        }
        Ok(Setup { geometry, augment, checked, plan })
    }
}

/// A step on noise under changed settings.
fn try_step(run: &RunArgs, session: &Session, sets: &[String]) -> anyhow::Result<()> {
    let preset: TokenizerPreset = presets::read(&run.preset, &[&run.sets[..], sets].concat())?;
    let Setup { geometry, checked, plan, .. } = Setup::check(&preset)?;
    let vs = VarStore::new(session.device);
    let model = Tokenizer::new(&vs.root(), &checked)?;
    let loss = &checked.config().loss;
    let (num_clips, side) = (plan.split(1)?.num_clips as i64, geometry.size_px());
    let critics = PerceptualWeights::read(loss)?.critics(&vs.root(), loss, side)?;
    let mut beside = Beside { critics, watch: None };
    let shape = [num_clips, checked.window_frames(), side, side, 3];
    let noise = Tensor::randint(256, shape, (Kind::Uint8, session.device));
    ::train::trial_step(&plan, &vs, || Ok(model.loss(&noise, &mut beside, Place::of_step(loss.full_from_step()))?))
}

fn train_tokenizer(
    args: &TokenizerTrainArgs,
    session: &Session,
    (setup, split, config_toml): (Setup, BatchSplit, &str),
) -> anyhow::Result<()> {
    let Setup { geometry, augment, checked, plan } = setup;
    let ranks = session.ranks()?;
    let source =
        ClipSource { store: clips::open_clips(&args.run.clips)?, tokens: None, geometry, augment, with_flow: false };
    let window = FrameCounts::constant(checked.window_frames());
    let clip_plan = ClipPlan::new(&source, window, (plan.seed(), plan.batch()))?;
    let loss = &checked.config().loss;
    let perceptual = PerceptualWeights::read(loss)?;
    let more_data = BTreeMap::from([("perceptual".to_owned(), perceptual.id.clone())]);
    let job = Job { kind: "tokenizer", args: &args.run, config_toml, plan: &plan, ranks, more_data };

    tch::manual_seed(plan.seed() as i64);
    let vs = VarStore::new(session.device);
    let model = Tokenizer::new(&vs.root(), &checked)?;
    let critics = perceptual.critics(&vs.root(), loss, geometry.size_px())?;
    let watch = Some(Watch::new(&vs.root(), &model)?);
    // Not before: perceptual weights that do not fit leave no folder.
    let run = job.open(session, &source)?;
    let mut task = TokenizerTask {
        model,
        beside: Beside { critics, watch },
        feed: ClipFeed::new(source, clip_plan, (split, ranks.rank()), plan.steps()),
        split,
        ranks,
        geometry,
        keep_ratio: checked.config().top_k.keep.mean(),
        device: session.device,
        album: Album::open(&run.pictures())?,
    };
    job.fit((&run, &vs), session, &mut task)?;
    if !ranks.is_first() {
        return Ok(());
    }
    let weights = args.run.out.join(TOKENIZER);
    ::train::weights::save(&weights, "tokenizer", config_toml, &plan.model_of(&vs))?;
    Ok(say(&format!("wrote {}", weights.display()))?)
}

struct TokenizerTask<'a> {
    model: Tokenizer,
    beside: Beside,
    feed: ClipFeed,
    split: BatchSplit,
    ranks: &'a Group,
    geometry: ClipGeometry,
    keep_ratio: f64,
    device: Device,
    album: Album,
}

/// Windows `[B, F, S, S, 3]` u8, and their names.
struct Windows {
    clip_bthwc: Tensor,
    names: Vec<String>,
    place: Place,
}

impl Task for TokenizerTask<'_> {
    type Batch = Windows;
    type Error = anyhow::Error;

    fn next(&mut self, step: u64) -> anyhow::Result<Loaded<Windows>> {
        self.beside.drop_collected();
        let (clips, wait_secs) = self.feed.next(step)?;
        let BatchSplit { num_ranks, accumulate, .. } = self.split;
        let windows = |(i, clips): (usize, &crate::feed::Clips)| {
            let index = (self.ranks.rank() * accumulate + i) as i64;
            Windows {
                clip_bthwc: clips::pixels(&clips.loaded, self.geometry.size_px(), self.device),
                names: self.feed.describe(&clips.draws),
                place: Place { step, share: Share { index, of: (num_ranks * accumulate) as i64 } },
            }
        };
        let micro_batches: Vec<Windows> = clips.iter().enumerate().map(windows).collect();
        if let Some(first) = micro_batches.first() {
            self.model.start_codebook(&first.clip_bthwc, self.ranks).map_err(ranks_apart)?;
        }
        let num_frames = micro_batches.iter().map(|windows| clips::num_frames(&windows.clip_bthwc)).sum();
        Ok(Loaded { micro_batches, num_frames, wait_secs })
    }

    fn loss(&mut self, batch: &Windows) -> anyhow::Result<Losses> {
        Ok(self.model.loss(&batch.clip_bthwc, &mut self.beside, batch.place)?)
    }

    fn after_step(&mut self, step: u64, ranks: &Group) -> anyhow::Result<()> {
        self.beside.after_step(&self.model, step, ranks).map_err(ranks_apart)
    }

    fn evidence(&self, batch: &Windows) -> Evidence {
        let tensors = [("clip_bthwc".to_owned(), batch.clip_bthwc.shallow_clone())].into();
        Evidence { clips: batch.names.clone(), tensors }
    }

    fn pictures(&mut self, step: u64) -> anyhow::Result<Vec<Drawn>> {
        let store = &self.feed.source().store;
        let artist =
            Artist { model: &self.model, geometry: self.geometry, keep_ratio: self.keep_ratio, device: self.device };
        let (mut drawn, mut codes) = (Vec::new(), Vec::new());
        for segment in spread(NUM_PICTURES, store.segments().len()) {
            let sketch = artist.draw(store, segment)?;
            let tag = format!("tokens_{}", sketch.id);
            drawn.push(self.album.add(&tag, Some(step), &sketch.caption, &sketch.picture)?);
            codes.extend(sketch.codes);
        }
        let levels = Picture::code_use(&codes, &self.model.code_digits())?;
        drawn.push(self.album.add("code_use", Some(step), CODE_USE_CAPTION, &levels)?);
        Ok(drawn)
    }
}

/// A rank that is missing is the training's affair, which says so on every rank.
fn ranks_apart(err: TokenizerError) -> anyhow::Error {
    match err {
        TokenizerError::Ranks(err) => TrainError::Ranks(err).into(),
        err => err.into(),
    }
}
