//! `longvid eval finetune`: an encoder and classifiers on it, trained together, and tested in the end.

mod record;
mod task;
mod test;

use std::collections::BTreeMap;

use anyhow::Context as _;
use eval::{Classifier, Heads, TokenDrop, expect_disjoint};
use nn::MixConfig;
use spec::{ClipGeometry, rng_for};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use train::{BatchSplit, TrainPlan};
use video::{Augment, ClipSource};

pub(crate) use self::record::test_saved;
use self::record::{Record, say_rows};
use self::task::FinetuneTask;
use self::test::Tested;
use super::seen::How;
use crate::cli::{FinetuneArgs, RunArgs};
use crate::clips::{self, ClipPlan};
use crate::cmd::training::{Job, Room, say, with_remedy};
use crate::curriculum::FrameCounts;
use crate::exit::BadInput;
use crate::feed::ClipFeed;
use crate::labelled::Labelled;
use crate::presets::{self, FinetunePreset};
use crate::session::Session;
use crate::weights::Initial;

/// What results call an encoder that was not pre-trained.
const FROM_SCRATCH: &str = "from scratch";

pub(crate) fn run(args: &FinetuneArgs, session: &Session) -> anyhow::Result<()> {
    let initial = args.start.encoder.as_deref().map(Initial::open).transpose()?;
    let preset = resolve(args, initial.as_ref(), &[])?;
    let config_toml = preset.to_toml();
    let preset: FinetunePreset = presets::typed(&args.preset, &preset)?;
    let setup = Setup::check(&preset)?;
    if args.dry_run {
        say(config_toml.trim_end())?;
        return Ok(say(&format!("# {}", setup.preset.describe(setup.geometry.grid())))?);
    }
    let sides = Sides::open(args, &preset)?;
    let split = setup.plan.split(session.ranks()?.num_ranks())?;
    let room = Room::of(split, Some("model.encoder.recompute"));
    let classes = sides.num_classes();
    finetune((args, session), &setup, (sides, split, &config_toml, initial))
        .map_err(|err| with_remedy(err, room, session, |sets| try_step(args, session, (sets, &classes))))
}

/// The preset with the shape of the encoder that it begins with.
///
/// # Errors
/// [`BadInput`] where that shape was set by hand.
fn resolve(args: &FinetuneArgs, initial: Option<&Initial>, sets: &[String]) -> anyhow::Result<spec::Preset> {
    let preset = presets::load(&args.preset, &[&args.sets[..], sets].concat())?;
    let Some(initial) = initial else { return Ok(preset) };
    let of_encoder = ["width", "depth", "heads", "position"].map(|key| format!("model.encoder.{key}="));
    if let Some(set) = args.sets.iter().find(|set| of_encoder.iter().any(|key| set.starts_with(key.as_str()))) {
        return Err(
            BadInput(format!("--set {set}: with --encoder its shape is that of the file; leave this out")).into()
        );
    }
    let typed: FinetunePreset = presets::typed(&args.preset, &preset)?;
    Ok(preset.set(&initial.encoder_sets(&typed.clip)?)?)
}

/// A checked preset.
struct Setup {
    preset: FinetunePreset,
    geometry: ClipGeometry,
    augment: Augment,
    plan: TrainPlan,
}

impl Setup {
    fn check(preset: &FinetunePreset) -> anyhow::Result<Self> {
        preset.model.check()?;
        preset.mix.check()?;
        if preset.labels.spaces.is_empty() {
            return Err(BadInput("labels.spaces is empty: name the label spaces to learn".to_owned()).into());
        }
        let (geometry, augment) = (preset.clip.check()?, preset.augment.check()?);
        Ok(Setup { preset: preset.clone(), geometry, augment, plan: preset.train.check()? })
    }

    fn build(&self, heads: &Heads, device: Device) -> anyhow::Result<(VarStore, Classifier)> {
        let vs = VarStore::new(device);
        let place = (self.geometry.grid(), self.geometry.patch());
        let classifier = Classifier::new(&vs.root(), &self.preset.model, heads, place)?;
        Ok((vs, classifier))
    }
}

/// Labelled clips to learn from and to test on.
struct Sides {
    train: Labelled,
    test: Labelled,
    heads: Heads,
}

impl Sides {
    /// # Errors
    /// [`BadInput`] for stores that do not have the preset's label spaces, the same classes, labelled segments, and groups
    /// of their own; for a class with one training clip, unless the preset keeps it.
    fn open(args: &FinetuneArgs, preset: &FinetunePreset) -> anyhow::Result<Self> {
        let open = |path| Labelled::of_spaces(clips::open_clips(path)?, &preset.labels.spaces);
        let (train, test) = (open(&args.train_clips)?, open(&args.test_clips)?);
        train.expect_same_classes(&test)?;
        expect_disjoint(&train.groups(), &test.groups())?;
        train.expect_common(preset.labels.rare_classes, "--set labels.rare_classes=keep")?;
        let labels: Vec<Vec<i64>> = train.segments().filter_map(|segment| train.labels(segment)).collect();
        let heads = Heads::new(preset.model.heads, &num_classes(&train), &labels)?;
        Ok(Sides { train, test, heads })
    }

    fn num_classes(&self) -> Vec<usize> {
        num_classes(&self.train)
    }
}

fn num_classes(clips: &Labelled) -> Vec<usize> {
    clips.spaces().map(|space| space.classes.len()).collect()
}

/// A step on noise under changed settings.
///
/// * `classes` - of each label space
fn try_step(args: &FinetuneArgs, session: &Session, (sets, classes): (&[String], &[usize])) -> anyhow::Result<()> {
    let initial = args.start.encoder.as_deref().map(Initial::open).transpose()?;
    let setup = Setup::check(&resolve(args, initial.as_ref(), sets)?.parse()?)?;
    let heads = Heads::new(setup.preset.model.heads, classes, &[vec![0; classes.len()]])?;
    let (vs, classifier) = setup.build(&heads, session.device)?;
    let (num_clips, side) = (setup.plan.split(1)?.num_clips as i64, setup.geometry.size_px());
    let clip_bthwc =
        Tensor::randint(256, [num_clips, setup.geometry.num_frames(), side, side, 3], (Kind::Uint8, session.device));
    let mut rng = rng_for(0, 0, 0, spec::Purpose::EncoderMask);
    let visible = setup.preset.model.token_drop.visible(setup.geometry.grid(), &mut rng);
    let visible_bi = Tensor::from_slice(&visible).to_device(session.device).expand([num_clips, -1], false);
    let uniform = |n: &i64| Tensor::full([num_clips, *n], 1.0 / *n as f64, (Kind::Float, session.device));
    let targets: Vec<Tensor> = heads.widths().iter().map(uniform).collect();
    train::trial_step(&setup.plan, &vs, || Ok(classifier.loss(&clip_bthwc, &visible_bi, &targets)?))
}

fn finetune(
    (args, session): (&FinetuneArgs, &Session),
    setup: &Setup,
    (sides, split, config_toml, initial): (Sides, BatchSplit, &str, Option<Initial>),
) -> anyhow::Result<()> {
    let (ranks, plan, recipe) = (session.ranks()?, &setup.plan, Recipe::of(setup, split)?);
    let store = sides.train.store.clone();
    let source = ClipSource { augment: setup.augment.clone(), ..clips::unvaried(store, setup.geometry) };
    let frame_counts = FrameCounts::constant(setup.geometry.num_frames());
    let clip_plan = ClipPlan::new(&source, frame_counts, (plan.seed(), plan.batch()))?
        .of_segments(sides.train.segments().collect());
    tch::manual_seed(plan.seed() as i64);
    let (vs, classifier) = setup.build(&sides.heads, session.device)?;
    let encoder = initial.as_ref().map_or(FROM_SCRATCH, Initial::method);
    let mut more_data = BTreeMap::from([("test clips".to_owned(), sides.test.store.id().to_owned())]);
    if let Some(initial) = initial {
        more_data.insert("encoder".to_owned(), initial.id().to_owned());
        initial.copy_encoder_into(&vs).context("--encoder does not fit model.encoder")?;
    }
    let run_args = RunArgs::of_finetuning(args);
    let job = Job { kind: "finetuning", args: &run_args, config_toml, plan, ranks, more_data };
    let run = job.open(session, &source)?;
    let feed = ClipFeed::new(source, clip_plan, (split, ranks.rank()), plan.steps());
    let Sides { train, test, heads } = sides;
    let num_train = train.segments().count();
    let mut task = FinetuneTask { feed, classifier, labels: train, heads, recipe, device: session.device };
    job.fit((&run, &vs), session, &mut task)?;
    if !ranks.is_first() {
        return Ok(());
    }
    let FinetuneTask { classifier, heads, labels, .. } = task;
    let record = Record::new(&setup.preset, heads, &labels, (encoder, num_train));
    let id = record.save(&args.out.join(record::CLASSIFIER), &vs)?;
    let how = How { geometry: setup.geometry, views: args.views };
    let tested = Tested::of((&classifier, &record.heads, &id), (&test, how), session)?;
    let results = record.results(&tested, (&test, args.views))?;
    results.write(&args.out, &tested.table)?;
    say_rows(&results)
}

/// What a step of training follows from beside its clips.
#[derive(Clone, Copy, Debug)]
struct Recipe {
    mix: MixConfig,
    /// [`FinetunePreset::clips_mixed_together`]: so a step is the same however it is split.
    mixed_together: usize,
    token_drop: TokenDrop,
    geometry: ClipGeometry,
    seed: u64,
}

impl Recipe {
    /// # Errors
    /// [`BadInput`] where clips are mixed and a micro-batch is no whole number of pairs.
    fn of(setup: &Setup, split: BatchSplit) -> Result<Self, BadInput> {
        let (mix, token_drop) = (setup.preset.mix, setup.preset.model.token_drop);
        let mixed_together = setup.preset.clips_mixed_together();
        if !split.num_clips.is_multiple_of(mixed_together) {
            return Err(BadInput(format!(
                "clips are mixed in groups of {mixed_together}, but {split}: change train.batch or train.accumulate, or set \
                 mix.probability=0"
            )));
        }
        Ok(Recipe { mix, mixed_together, token_drop, geometry: setup.geometry, seed: setup.plan.seed() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_layer_of_a_classifier_learns_three_quarters_as_fast_as_the_one_above() {
        let sets = [r#"model.pool={ kind = "class_attention", heads = 2 }"#.to_owned()];
        let preset: FinetunePreset = presets::load("finetune-tiny-128f", &sets).unwrap().parse().unwrap();
        assert_eq!(preset.train.layer_decay, 0.75);
        let heads = Heads::new(preset.model.heads, &[4], &[]).unwrap();
        let (vs, _) = Setup::check(&preset).unwrap().build(&heads, Device::Cpu).unwrap();
        let variables = train::named(&vs);
        let scales = train::layer_scales(variables.keys().map(String::as_str), preset.train.layer_decay);
        // Four blocks below the head, and the cubes' map below these.
        for (begin, layers_above) in [
            ("encoder.embed.", 5),
            ("encoder.blocks.0.", 4),
            ("encoder.blocks.1.", 3),
            ("encoder.blocks.2.", 2),
            ("encoder.blocks.3.", 1),
            ("head.", 0),
        ] {
            let of_layer: Vec<f64> =
                scales.iter().filter(|(name, _)| name.starts_with(begin)).map(|(_, scale)| *scale).collect();
            assert!(of_layer.len() > 1 && of_layer.iter().all(|s| *s == 0.75f64.powi(layers_above)), "{begin}");
        }
        let begins = ["encoder.embed.", "encoder.blocks.", "head."];
        assert!(scales.keys().all(|name| begins.iter().any(|begin| name.starts_with(begin))));
        let decays = |name: &str| train::decays(name, &variables[name].size());
        assert!(decays("head.outputs.0.weight") && decays("head.attention.cross.cross.q.weight"));
        assert!(!decays("head.attention.query_token") && !decays("head.norm.weight"));
    }
}
