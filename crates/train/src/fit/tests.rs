mod trouble;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use ::nn::Losses;
use rand::Rng as _;
use spec::{Purpose, rng_for};
use tch::nn::{self, Module};
use tch::{Device, Kind, Tensor};

use super::*;
use crate::checkpoint::Checkpoints;
use crate::config::example;
use crate::run_dir::tests::info;
use crate::{Drawn, EmaConfig, Evidence, Loaded, NonFinitePolicy, Side, Start, TrainConfig, TrainError};

/// A small net with fixed first weights, and how it is trained.
struct Bench {
    plan: TrainPlan,
    vs: VarStore,
    net: nn::Sequential,
    /// A running mean of the clips, `[8]`, which no gradient moves.
    seen: Tensor,
    optimizer: AdamW,
    ema: Option<Ema>,
    /// The step during which the interrupt arrives; 0 for never.
    interrupt_at: u64,
}

/// Trains on batches that depend on the step alone.
struct Lesson<'a, L> {
    net: &'a nn::Sequential,
    seen: &'a mut Tensor,
    /// Sum of this step's clips, `[8]`.
    collected: Option<Tensor>,
    plan: &'a TrainPlan,
    interrupt: &'a AtomicBool,
    interrupt_at: u64,
    loss: L,
}

impl<L: Fn(u64, &nn::Sequential, &Tensor) -> Tensor> Task for Lesson<'_, L> {
    type Batch = (u64, Tensor);
    type Error = TrainError;

    fn next(&mut self, step: u64) -> Result<Loaded<Self::Batch>, TrainError> {
        self.interrupt.store(step == self.interrupt_at, Ordering::Relaxed);
        self.collected = None;
        let split = self.plan.split(1)?;
        let clips = numbers(1000 + step, &[self.plan.batch(), 8]);
        let micro_batches = clips.split(split.num_clips as i64, 0).into_iter().map(|x| (step, x)).collect();
        Ok(Loaded { micro_batches, num_frames: 16, wait_secs: 0.0 })
    }

    fn loss(&mut self, (step, x): &Self::Batch) -> Result<Losses, TrainError> {
        let total = (self.loss)(*step, self.net, x);
        let terms = vec![("half", total.detach() * 0.5)];
        let sum = x.sum_dim_intlist(0, false, Kind::Float);
        self.collected = Some(self.collected.take().map_or(sum.shallow_clone(), |collected| collected + &sum));
        Ok(Losses { total, terms, features: None, codes: None })
    }

    fn after_step(&mut self, _step: u64, ranks: &Group) -> Result<(), TrainError> {
        let sum = self.collected.take().expect("a loss was computed");
        ranks.sum(std::slice::from_ref(&sum))?;
        *self.seen *= 0.75;
        *self.seen += sum * (0.25 / self.plan.batch() as f64);
        Ok(())
    }

    fn evidence(&self, (step, x): &Self::Batch) -> Evidence {
        Evidence { clips: vec![format!("clip of step {step}")], tensors: [("x".to_owned(), x.shallow_clone())].into() }
    }

    fn pictures(&mut self, step: u64) -> Result<Vec<Drawn>, TrainError> {
        Ok(vec![Drawn { tag: format!("picture {step}"), png: vec![1], width: 1, height: 1 }])
    }
}

impl Bench {
    fn new(config: TrainConfig) -> Self {
        let plan = config.check().unwrap();
        let vs = VarStore::new(Device::Cpu);
        let root = vs.root();
        let net = nn::seq()
            .add(nn::linear(&root / "a", 8, 32, Default::default()))
            .add_fn(Tensor::tanh)
            .add(nn::linear(&root / "b", 32, 4, Default::default()));
        for (i, (_, value)) in named(&vs).into_iter().enumerate() {
            let fixed = numbers(i as u64, &value.size());
            tch::no_grad(|| value.shallow_clone().copy_(&fixed));
        }
        let seen = root.zeros_no_train("seen", &[8]);
        let optimizer = AdamW::new(&vs, plan.adamw()).unwrap();
        let ema = Ema::new(plan.model_of(&vs), plan.ema()).unwrap();
        Bench { plan, vs, net, seen, optimizer, ema, interrupt_at: 0 }
    }

    fn fit(
        &mut self,
        run: &RunDir,
        loss: impl Fn(u64, &nn::Sequential, &Tensor) -> Tensor,
        on_log: impl FnMut(&StepLog),
    ) -> Result<Outcome, TrainError> {
        let interrupt = AtomicBool::new(false);
        let Bench { plan, vs, net, seen, optimizer, ema, interrupt_at } = self;
        let interrupt_at = *interrupt_at;
        let mut lesson = Lesson { net, seen, collected: None, plan, interrupt: &interrupt, interrupt_at, loss };
        let ema = ema.as_mut();
        let ranks = &Group::alone();
        let job = Fit { plan, vs, optimizer, ema, ranks, run, interrupt: &interrupt };
        fit(job, &mut lesson, on_log)
    }

    /// A copy of everything that training changes.
    fn state(&self) -> NamedTensors {
        let all = state(&self.vs, &self.optimizer, self.ema.as_ref());
        all.into_iter().map(|(name, value)| (name, value.copy())).collect()
    }
}

/// Numbers in -0.5..0.5 that depend on `seed` alone.
fn numbers(seed: u64, size: &[i64]) -> Tensor {
    let mut rng = rng_for(seed, 0, 0, Purpose::Synth);
    let count: i64 = size.iter().product();
    let values: Vec<f32> = (0..count).map(|_| (rng.next_u64() >> 40) as f32 / (1 << 24) as f32 - 0.5).collect();
    Tensor::from_slice(&values).view(size)
}

fn squares(_: u64, net: &nn::Sequential, x: &Tensor) -> Tensor {
    (net.forward(x) - 1.0).square().mean(Kind::Float)
}

fn open(root: &Path, start: Start) -> RunDir {
    RunDir::open(root, &info("test = true\n"), start).unwrap()
}

/// The checkpoint of a step.
fn checkpoint(root: &Path, step: u64) -> Vec<u8> {
    fs::read(root.join(format!("checkpoints/step_{step:09}.safetensors"))).unwrap()
}

fn lines(root: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(root.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn logged_steps(root: &Path) -> Vec<u64> {
    lines(root).iter().map(|line| line["step"].as_u64().unwrap()).collect()
}

#[test]
fn ten_steps_equal_five_saved_and_resumed_for_five_more_bit_for_bit() {
    let config = || TrainConfig { checkpoint_every: 100, ema: EmaConfig::Decay { decay: 0.9 }, ..example() };
    let (whole_dir, halves_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut whole = Bench::new(config());
    let before = whole.state();
    assert_eq!(whole.fit(&open(whole_dir.path(), Start::Fresh), squares, |_| {}).unwrap(), Outcome::Finished);
    assert_ne!(whole.state(), before);

    let mut first = Bench { interrupt_at: 5, ..Bench::new(config()) };
    let outcome = first.fit(&open(halves_dir.path(), Start::Fresh), squares, |_| {}).unwrap();
    assert_eq!(outcome, Outcome::Interrupted { step: 5 });
    assert_ne!(first.state(), whole.state());
    let mut second = Bench::new(config());
    let outcome = second.fit(&open(halves_dir.path(), Start::Resume), squares, |_| {}).unwrap();
    assert_eq!(outcome, Outcome::Finished);

    assert_eq!(second.state(), whole.state());
    assert!(checkpoint(halves_dir.path(), 10) == checkpoint(whole_dir.path(), 10), "the last checkpoints differ");
    assert_eq!(logged_steps(halves_dir.path()), logged_steps(whole_dir.path()));
}

#[test]
fn the_loss_falls_and_each_logged_step_carries_every_key() {
    let dir = tempfile::tempdir().unwrap();
    let mut seen = Vec::new();
    let mut bench = Bench::new(TrainConfig { steps: 60, ..example() });
    bench.fit(&open(dir.path(), Start::Fresh), squares, |log| seen.push(log.clone())).unwrap();
    let lines = lines(dir.path());
    assert_eq!(lines.len(), seen.len());
    assert!(seen.last().unwrap().loss < 0.5 * seen[0].loss, "{seen:?}");
    for (line, log) in lines.iter().zip(&seen) {
        for key in ["loss", "half", "learning_rate", "grad_norm", "step_secs", "wait_secs", "frames_per_sec"] {
            assert!(line[key].is_f64(), "{key} in {line}");
        }
        assert!((line["half"].as_f64().unwrap() - log.loss / 2.0).abs() < 1e-9, "{line}");
        let frames = line["frames_per_sec"].as_f64().unwrap() * line["step_secs"].as_f64().unwrap();
        assert!((frames - 16.0).abs() < 1e-9, "{frames}");
        assert_eq!(log.learning_rate, bench.plan.schedule().learning_rate(log.step));
    }
}

#[test]
fn a_finished_run_resumes_to_the_same_end_without_a_step() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(example());
    bench.fit(&open(dir.path(), Start::Fresh), squares, |_| {}).unwrap();
    let mut again = Bench::new(example());
    let never = |_, _: &nn::Sequential, _: &Tensor| panic!("no step is left");
    assert_eq!(again.fit(&open(dir.path(), Start::Resume), never, |_| {}).unwrap(), Outcome::Finished);
    assert_eq!(again.state(), bench.state());
}

#[test]
fn micro_batches_add_up_to_the_gradient_of_the_whole_batch() {
    let train = |accumulate| {
        let dir = tempfile::tempdir().unwrap();
        let mut bench = Bench::new(TrainConfig { batch: 12, accumulate, steps: 1, warmup_steps: 0, ..example() });
        let mut norm = 0.0;
        bench.fit(&open(dir.path(), Start::Fresh), squares, |log| norm = log.grad_norm).unwrap();
        (bench.optimizer.gradients(), norm, lines(dir.path())[0]["loss"].as_f64().unwrap())
    };
    let (whole, whole_norm, whole_loss) = train(1);
    for accumulate in [2, 3, 12] {
        let (parts, norm, loss) = train(accumulate);
        assert!((norm - whole_norm).abs() < 1e-6 && (loss - whole_loss).abs() < 1e-6, "{norm}, {loss}");
        for (part, whole) in parts.iter().zip(&whole) {
            let apart = (part - whole).abs().max().double_value(&[]);
            assert!(apart < 1e-7 && whole.abs().max().double_value(&[]) > 1e-3, "{apart}");
        }
    }
}

#[test]
fn what_no_gradient_moves_takes_in_the_clips_of_the_steps_that_were_taken_however_these_are_split() {
    for accumulate in [1, 2, 4] {
        let dir = tempfile::tempdir().unwrap();
        let non_finite = NonFinitePolicy::Skip { at_most: 9 };
        let mut bench = Bench::new(TrainConfig { batch: 4, accumulate, non_finite, ..example() });
        let wrong = |step, net: &nn::Sequential, x: &Tensor| {
            squares(step, net, x) * if [3, 7].contains(&step) { f64::NAN } else { 1.0 }
        };
        bench.fit(&open(dir.path(), Start::Fresh), wrong, |_| {}).unwrap();
        let mut want = Tensor::zeros([8], (Kind::Float, Device::Cpu));
        for step in (1..=10).filter(|step| ![3, 7].contains(step)) {
            want = want * 0.75 + numbers(1000 + step, &[4, 8]).mean_dim(0, false, Kind::Float) * 0.25;
        }
        let apart = (&bench.seen - want).abs().max().double_value(&[]);
        assert!(apart < 1e-7 && bench.seen.abs().max().double_value(&[]) > 0.05, "{apart}");
    }
}

#[test]
fn a_side_is_in_the_checkpoint_but_neither_in_the_model_nor_in_its_average() {
    let side =
        Side { prefix: "b.", grad_norm_key: Some("grad_norm_b"), learning_rate_scale: 1.0, clip_grad_norm: None };
    let plan = example().check().unwrap().with_side(side);
    let bench = Bench::new(example());
    assert_eq!(plan.model_of(&bench.vs).into_keys().collect::<Vec<_>>(), ["a.bias", "a.weight", "seen"]);
    let ema = Ema::new(plan.model_of(&bench.vs), EmaConfig::Decay { decay: 0.5 }).unwrap();
    let names: Vec<String> = state(&bench.vs, &bench.optimizer, ema.as_ref()).into_keys().collect();
    assert!(names.contains(&"weights.b.weight".to_owned()) && names.contains(&"exp_avg.b.weight".to_owned()));
    assert!(names.contains(&"ema.a.weight".to_owned()) && !names.contains(&"ema.b.weight".to_owned()), "{names:?}");
}

#[test]
fn the_average_of_the_weights_follows_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(TrainConfig { ema: EmaConfig::Decay { decay: 0.0 }, ..example() });
    bench.fit(&open(dir.path(), Start::Fresh), squares, |_| {}).unwrap();
    for (name, value) in named(&bench.vs) {
        assert_eq!(bench.ema.as_ref().unwrap().averages()[&name], value.detach());
    }
}

/// Names the run folder to the process that the next test kills.
const CHILD_ROOT: &str = "LONGVID_TEST_KILLED_RUN";
const KILL_STEPS: u64 = 24;

/// Not a test by itself: the process that trains in the next one.
#[test]
fn child_of_the_kill_test() {
    let Some(root) = std::env::var_os(CHILD_ROOT) else { return };
    let root = Path::new(&root);
    let start = if root.join("run.json").exists() { Start::Resume } else { Start::Fresh };
    let tell = || writeln!(std::io::stdout(), "\n@").unwrap();
    let mut bench = Bench::new(TrainConfig { steps: KILL_STEPS, log_every: 1, checkpoint_every: 1, ..example() });
    // Dropout draws from libtorch's own generator.
    let loss = |step, net: &nn::Sequential, x: &Tensor| {
        tell();
        squares(step, net, &x.dropout(0.25, true))
    };
    bench.fit(&open(root, start), loss, |_| tell()).unwrap();
}

/// Trains in a process of its own and kills it once it has spoken `kill_after` times: odd in the middle of a step, even
/// in the middle of a checkpoint. Whether it came to its end.
fn train_in_a_process(root: &Path, kill_after: Option<u64>) -> bool {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "fit::tests::child_of_the_kill_test", "--nocapture"])
        .env(CHILD_ROOT, root)
        // More threads than cores would spin.
        .env("OMP_NUM_THREADS", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        told += u64::from(line.unwrap() == "@");
        if Some(told) == kill_after {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap().success()
}

#[test]
fn a_run_killed_at_any_moment_ends_at_the_same_bits() {
    let (whole, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert!(train_in_a_process(whole.path(), None));
    for kill_after in [1, 2, 7, 10, 4] {
        assert!(!train_in_a_process(killed.path(), Some(kill_after)), "it was to be killed");
    }
    assert!(train_in_a_process(killed.path(), None));
    assert!(checkpoint(killed.path(), KILL_STEPS) == checkpoint(whole.path(), KILL_STEPS), "the last ones differ");
    assert_eq!(logged_steps(killed.path()), (1..=KILL_STEPS).collect::<Vec<_>>());
}
