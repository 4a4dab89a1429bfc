use std::cell::Cell;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nn::Losses;
use tch::{Kind, Tensor};
use train::{AdamW, Drawn, Evidence, Loaded, Task, TrainConfig, TrainError};

use crate::fit::fit;
use crate::lesson::Lesson;
use crate::recipe::Recipe;

/// A checkpoint follows each of these steps; the last one's is not timed.
const STEPS: u64 = 6;

/// Checkpoints of ViT-B with its moments, in the temporary folder (`TMPDIR`): how long training stands still, and how long it
/// takes until the file has its name.
pub(crate) fn bench() -> io::Result<()> {
    let lesson = Lesson::pretraining(Recipe::new(include_str!("../presets/lvmae-b-128f.toml"), 16));
    let config = TrainConfig {
        steps: STEPS,
        batch: 1,
        warmup_steps: 0,
        log_every: 1,
        checkpoint_every: 1,
        ..lesson.train.clone()
    };
    let plan = config.check().expect("a preset with other lengths");
    let mut optimizer = AdamW::new(&lesson.vs, plan.adamw()).expect("an optimizer of float variables");
    let weights: Vec<Tensor> = train::named(&lesson.vs).into_values().filter(Tensor::requires_grad).collect();
    let millions = weights.iter().map(Tensor::numel).sum::<usize>() as f64 / 1e6;

    let folder = tempfile::tempdir().expect("a temporary folder");
    let step_ended = Cell::new(None);
    let mut watch = Watch { weights, folder: folder.path(), step_ended: &step_ended };
    let on_log = |_: &_| step_ended.set(Some(Instant::now()));
    fit(folder.path(), &config, (&lesson.vs, &mut optimizer), (&mut watch, on_log));
    let gib = std::fs::metadata(watch.checkpoint(STEPS))?.len() as f64 / f64::from(1 << 30);
    writeln!(
        io::stdout(),
        "encoder and decoder of {millions:.0} M parameters, a file of {gib:.2} GiB in {:?}",
        folder.path()
    )
}

/// Looks at the checkpoint of each step when the next one begins.
struct Watch<'a> {
    weights: Vec<Tensor>,
    folder: &'a Path,
    step_ended: &'a Cell<Option<Instant>>,
}

impl Watch<'_> {
    fn checkpoint(&self, step: u64) -> PathBuf {
        self.folder.join(format!("checkpoints/step_{step:09}.safetensors"))
    }
}

impl Task for Watch<'_> {
    type Batch = ();
    type Error = TrainError;

    fn next(&mut self, step: u64) -> Result<Loaded<()>, TrainError> {
        if let Some(ended) = self.step_ended.take() {
            let stall_secs = ended.elapsed().as_secs_f64();
            while !self.checkpoint(step - 1).exists() {
                std::thread::sleep(Duration::from_millis(1));
            }
            let all_secs = ended.elapsed().as_secs_f64();
            let line = format!("training waited {stall_secs:.2} s, in place after {all_secs:.2} s (goal: 3 s)");
            writeln!(io::stdout(), "checkpoint of step {}: {line}", step - 1).expect("a terminal or a file");
        }
        Ok(Loaded { micro_batches: vec![()], num_frames: 1, wait_secs: 0.0 })
    }

    /// Something with a gradient for every weight that costs next to nothing.
    fn loss(&mut self, (): &()) -> Result<Losses, TrainError> {
        let squares = self.weights.iter().map(|weight| weight.square().sum(Kind::Float));
        Ok(Losses { total: squares.sum::<Tensor>() * 1e-6, terms: Vec::new(), features: None, codes: None })
    }

    fn evidence(&self, (): &()) -> Evidence {
        Evidence::default()
    }

    fn pictures(&mut self, _: u64) -> Result<Vec<Drawn>, TrainError> {
        Ok(Vec::new())
    }
}
