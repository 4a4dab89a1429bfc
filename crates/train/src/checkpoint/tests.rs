use std::fs;

use tch::{Device, Kind, Tensor};

use super::*;
use crate::run_dir::tests::info;
use crate::{AdamWConfig, Start};

const CONFIG: &str = "width = 4\n";

/// A run with one variable `x` of `width` values, and its optimizer.
struct Trained {
    vs: VarStore,
    optimizer: AdamW,
}

impl Trained {
    fn new(width: i64) -> Self {
        let vs = VarStore::new(Device::Cpu);
        drop(vs.root().zeros("x", &[width]));
        let optimizer = AdamW::new(&vs, AdamWConfig { betas: [0.9, 0.95], weight_decay: 0.0 }).unwrap();
        Trained { vs, optimizer }
    }

    /// Sets all of the model to `value`.
    fn set(&self, value: f64) {
        drop(tch::no_grad(|| self.x().fill_(value)));
    }

    fn x(&self) -> Tensor {
        named(&self.vs).remove("x").unwrap()
    }

    /// Checkpoints of step 5, where the model is all 5, and of step 10, where it is all 10.
    fn save_5_and_10(&self, run: &RunDir) {
        for step in [5, 10] {
            self.set(step as f64);
            run.save_checkpoint(step, &self.vs, &self.optimizer).unwrap();
        }
    }

    fn load(&mut self, run: &RunDir) -> Result<u64, TrainError> {
        run.load_checkpoint(&self.vs, &mut self.optimizer)
    }

    #[track_caller]
    fn expect(&mut self, run: &RunDir, step: u64) {
        self.set(-1.0);
        assert_eq!(self.load(run).unwrap(), step);
        assert_eq!(self.x(), Tensor::full([4], step as f64, (Kind::Float, Device::Cpu)));
    }
}

fn run() -> (tempfile::TempDir, RunDir) {
    let dir = tempfile::tempdir().unwrap();
    let run = RunDir::open(dir.path(), &info(CONFIG), Start::Fresh).unwrap();
    (dir, run)
}

fn flip_last_byte(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(path, bytes).unwrap();
}

fn truncate(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

#[test]
fn a_run_without_checkpoint_starts_at_step_zero() {
    let (_dir, run) = run();
    let mut model = Trained::new(4);
    model.set(3.0);
    assert_eq!(model.load(&run).unwrap(), 0);
    assert_eq!(model.x().double_value(&[0]), 3.0);
}

#[test]
fn a_damaged_checkpoint_gives_way_to_the_one_before() {
    for damage in [flip_last_byte, truncate, |path: &Path| fs::write(path, "no weights at all").unwrap()] {
        let (_dir, run) = run();
        let mut model = Trained::new(4);
        model.save_5_and_10(&run);
        model.expect(&run, 10);
        damage(&run.checkpoint());
        model.expect(&run, 5);
        // It took the last one's place, so that it is found again and the next save keeps it.
        model.expect(&run, 5);
        assert!(run.root().join("checkpoint.damaged.safetensors").exists());
        model.set(6.0);
        run.save_checkpoint(6, &model.vs, &model.optimizer).unwrap();
        assert_eq!(tensor_file::read(&run.previous_checkpoint(), KIND).unwrap().label.step, Some(5));
    }
}

#[test]
fn a_kill_between_the_two_renames_loses_nothing() {
    let (_dir, run) = run();
    let mut model = Trained::new(4);
    model.save_5_and_10(&run);
    fs::rename(run.checkpoint(), run.root().join("checkpoint.safetensors.tmp")).unwrap();
    model.expect(&run, 5);
}

#[test]
fn two_damaged_checkpoints_are_an_error_that_names_the_second() {
    let (_dir, run) = run();
    let mut model = Trained::new(4);
    model.save_5_and_10(&run);
    flip_last_byte(&run.checkpoint());
    truncate(&run.previous_checkpoint());
    let refused = model.load(&run).unwrap_err();
    assert!(refused.to_string().contains("checkpoint.prev.safetensors"), "{refused}");
    assert!(matches!(&refused, TrainError::NoCheckpointLeft { source, .. }
        if matches!(**source, TrainError::Truncated { .. })));
}

#[test]
fn a_damaged_checkpoint_without_predecessor_is_an_error() {
    let (_dir, run) = run();
    let mut model = Trained::new(4);
    run.save_checkpoint(5, &model.vs, &model.optimizer).unwrap();
    flip_last_byte(&run.checkpoint());
    assert!(matches!(model.load(&run), Err(TrainError::Damaged { .. })));
}

#[test]
fn a_newer_version_is_refused_and_not_replaced_by_an_older_checkpoint() {
    let (_dir, run) = run();
    let mut model = Trained::new(4);
    model.save_5_and_10(&run);
    let bytes = fs::read(run.checkpoint()).unwrap();
    let (from, to) = (&br#""format_version":"1""#[..], &br#""format_version":"9""#[..]);
    let at = bytes.windows(from.len()).position(|w| w == from).unwrap();
    fs::write(run.checkpoint(), [&bytes[..at], to, &bytes[at + to.len()..]].concat()).unwrap();
    assert!(matches!(model.load(&run), Err(TrainError::NewerVersion { .. })));
}

#[test]
fn a_checkpoint_of_another_model_or_other_settings_is_refused() {
    let (_dir, run) = run();
    Trained::new(4).save_5_and_10(&run);
    let mut wider = Trained::new(8);
    wider.set(3.0);
    let said = wider.load(&run).unwrap_err().to_string();
    assert_eq!(said, "variable exp_avg.x has shape [4] in the weights, [8] in the model");
    assert_eq!(wider.x().double_value(&[0]), 3.0);

    let other_dir = tempfile::tempdir().unwrap();
    let other = RunDir::open(other_dir.path(), &info("width = 5\n"), Start::Fresh).unwrap();
    fs::copy(run.checkpoint(), other.checkpoint()).unwrap();
    let said = Trained::new(4).load(&other).unwrap_err().to_string();
    assert!(said.contains("(width: 4 there, 5 here)"), "{said}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_leaves_the_checkpoints_as_they_were() {
    let (_dir, run) = run();
    let mut model = Trained::new(4);
    model.save_5_and_10(&run);
    std::os::unix::fs::symlink("/dev/full", run.root().join("checkpoint.safetensors.tmp")).unwrap();
    model.set(15.0);
    let Err(TrainError::Io { source, .. }) = run.save_checkpoint(15, &model.vs, &model.optimizer) else {
        panic!("the disk is full")
    };
    assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
    model.expect(&run, 10);
    assert_eq!(tensor_file::read(&run.previous_checkpoint(), KIND).unwrap().label.step, Some(5));
}
