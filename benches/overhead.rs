use std::io::{self, Write as _};
use std::time::Instant;

use nn::Losses;
use train::{AdamW, Drawn, Evidence, Loaded, Task, TrainConfig, TrainError};

use crate::fit::fit;
use crate::lesson::Lesson;
use crate::recipe::{Recipe, TokenizerRecipe};

/// Steps are timed from the end of the first to the end of the last, so that neither the start of a run nor the checkpoint at
/// its end is in them.
const STEPS: u64 = 16;
/// How often both loops are timed, in turn: what else the machine does meets both.
const ROUNDS: usize = 15;
const LEARNING_RATE: f64 = 1e-6;

/// Steps of a bare loop (loss, backward, clipping, fused AdamW) against those of `train::fit`, which checks and seeds in each
/// of them and logs as often as the preset says, on the same model with its data in memory: one clip, a quarter of what the
/// presets have in a step.
pub(crate) fn bench() -> io::Result<()> {
    let lvmae = Recipe::new(include_str!("../presets/lvmae-tiny-128f.toml"), 128);
    let tokenizer = TokenizerRecipe::new(include_str!("../presets/tokenizer-tiny.toml"));
    for (name, lesson) in
        [("lvmae-tiny-128f", Lesson::pretraining(lvmae)), ("tokenizer-tiny", Lesson::tokenizer(tokenizer))]
    {
        let config = TrainConfig {
            steps: STEPS,
            batch: 1,
            learning_rate: LEARNING_RATE,
            min_learning_rate: LEARNING_RATE,
            warmup_steps: 0,
            ..lesson.train.clone()
        };
        let plan = config.check().expect("a preset with other lengths");
        let mut optimizer = AdamW::new(&lesson.vs, plan.adamw()).expect("an optimizer of float variables");
        let (mut bare, mut engine) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            bare.push(bare_secs(&lesson, &mut optimizer));
            engine.push(engine_secs(&lesson, &config, &mut optimizer));
        }
        let ratio = median(engine.iter().zip(&bare).map(|(engine, bare)| engine / bare).collect());
        let [bare, engine] = [bare, engine].map(|secs| 1e3 * median(secs));
        let line = format!("{bare:.2} ms a step bare, {engine:.2} ms in the engine, ratio {ratio:.4} (goal: 1.02)");
        writeln!(io::stdout(), "{name}: {line}, medians of {ROUNDS} rounds of {} steps", STEPS - 1)?;
    }
    Ok(())
}

/// Seconds per step.
fn bare_secs(lesson: &Lesson, optimizer: &mut AdamW) -> f64 {
    let mut began = Instant::now();
    for step in 1..=STEPS {
        optimizer.drop_gradients().expect("no failure on the CPU");
        (lesson.loss)(step).total.f_backward().expect("a scalar loss");
        optimizer
            .clip_grad_norm(lesson.train.check().expect("a preset").clip_grad_norm())
            .expect("no failure on the CPU");
        optimizer.step(LEARNING_RATE).expect("no failure on the CPU");
        if step == 1 {
            began = Instant::now();
        }
    }
    began.elapsed().as_secs_f64() / (STEPS - 1) as f64
}

/// Seconds per step.
fn engine_secs(lesson: &Lesson, config: &TrainConfig, optimizer: &mut AdamW) -> f64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut ends = Vec::new();
    let mut task = InMemory { loss: &lesson.loss };
    fit(folder.path(), config, (&lesson.vs, optimizer), (&mut task, |_| ends.push(Instant::now())));
    let timed = ends.last().zip(ends.first()).map(|(last, first)| last.duration_since(*first));
    timed.expect("the first step and the last are logged").as_secs_f64() / (STEPS - 1) as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

struct InMemory<'a> {
    loss: &'a dyn Fn(u64) -> Losses,
}

impl Task for InMemory<'_> {
    type Batch = u64;
    type Error = TrainError;

    fn next(&mut self, step: u64) -> Result<Loaded<u64>, TrainError> {
        Ok(Loaded { micro_batches: vec![step], num_frames: 1, wait_secs: 0.0 })
    }

    fn loss(&mut self, step: &u64) -> Result<Losses, TrainError> {
        Ok((self.loss)(*step))
    }

    fn evidence(&self, _: &u64) -> Evidence {
        Evidence::default()
    }

    fn pictures(&mut self, _: u64) -> Result<Vec<Drawn>, TrainError> {
        Ok(Vec::new())
    }
}
