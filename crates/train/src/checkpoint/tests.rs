use std::fs;

use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use super::*;
use crate::run_dir::tests::info;
use crate::{Start, named};

const CONFIG: &str = "width = 4\n";

/// A state of one tensor `x` of `width` values.
struct Trained {
    vs: VarStore,
}

impl Trained {
    fn new(width: i64) -> Self {
        let vs = VarStore::new(Device::Cpu);
        drop(vs.root().zeros("x", &[width]));
        Trained { vs }
    }

    /// Sets all of the model to `value`.
    fn set(&self, value: f64) {
        drop(tch::no_grad(|| self.x().fill_(value)));
    }

    fn x(&self) -> Tensor {
        named(&self.vs).remove("x").unwrap()
    }

    /// Scheduled checkpoints of the steps, in each of which the model is all `step`, with these mean losses.
    fn save(&self, run: &RunDir, steps: &[(u64, f64)]) -> Result<(), TrainError> {
        let mut writer = CheckpointWriter::start(checkpoints(run)).unwrap();
        for (step, loss) in steps {
            self.set(*step as f64);
            writer.write(progress(*step, *loss), true, &named(&self.vs))?;
            // The copy is made: what training does to the model from here on is not in it.
            self.set(f64::NAN);
        }
        writer.finish()
    }

    fn save_5_and_10(&self, run: &RunDir) {
        self.save(run, &[(5, 1.0), (10, 2.0)]).unwrap();
    }

    fn load(&mut self, run: &RunDir) -> Result<Progress, TrainError> {
        checkpoints(run).load(&named(&self.vs))
    }

    #[track_caller]
    fn expect(&mut self, run: &RunDir, step: u64) {
        self.set(-1.0);
        assert_eq!(self.load(run).unwrap().step, step);
        assert_eq!(self.x(), Tensor::full([4], step as f64, (Kind::Float, Device::Cpu)));
    }
}

fn progress(step: u64, loss: f64) -> Progress {
    Progress { step, loss_sum: 2.0 * loss, num_losses: 2, num_skipped: 3 }
}

fn checkpoints(run: &RunDir) -> Checkpoints {
    Checkpoints::of(run, 2)
}

/// The file of a step's checkpoint.
fn file(run: &RunDir, step: u64) -> PathBuf {
    checkpoints(run).path(step)
}

fn names(run: &RunDir) -> Vec<String> {
    let entries = fs::read_dir(run.checkpoints()).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
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
    assert_eq!(model.load(&run).unwrap(), Progress::default());
    assert_eq!(model.x().double_value(&[0]), 3.0);
}

#[test]
fn progress_comes_back_to_the_last_digit() {
    let (_dir, run) = run();
    let mut model = Trained::new(4);
    model.save(&run, &[(5, 0.1 + 0.2)]).unwrap();
    assert_eq!(model.load(&run).unwrap(), progress(5, 0.1 + 0.2));
}

#[test]
fn the_last_two_and_the_best_are_kept() {
    let (_dir, run) = run();
    let mut model = Trained::new(4);
    model.save(&run, &[(5, 3.0), (10, 1.0), (15, 2.0), (20, 1.0), (25, 4.0)]).unwrap();
    assert_eq!(names(&run), ["best.safetensors", "step_000000020.safetensors", "step_000000025.safetensors"]);
    // Of two that are equally good, the first.
    assert_eq!(tensor_file::read(&run.checkpoints().join(BEST), KIND).unwrap().label.notes["step"], "10");
    model.expect(&run, 25);
}

#[test]
fn one_that_an_interrupt_asked_for_is_never_the_best() {
    let (_dir, run) = run();
    let model = Trained::new(4);
    let mut writer = CheckpointWriter::start(checkpoints(&run)).unwrap();
    writer.write(progress(7, 0.0), false, &named(&model.vs)).unwrap();
    writer.finish().unwrap();
    assert_eq!(names(&run), ["step_000000007.safetensors"]);
}

#[test]
fn a_damaged_checkpoint_gives_way_to_the_one_before() {
    for damage in [flip_last_byte, truncate, |path: &Path| fs::write(path, "no weights at all").unwrap()] {
        let (_dir, run) = run();
        let mut model = Trained::new(4);
        model.save_5_and_10(&run);
        model.expect(&run, 10);
        damage(&file(&run, 10));
        model.expect(&run, 5);
        // It is out of the way, and kept.
        model.expect(&run, 5);
        assert_eq!(names(&run), ["best.safetensors", "step_000000005.safetensors", "step_000000010.damaged"]);
    }
}

#[test]
fn the_best_is_the_last_resort() {
    let (_dir, run) = run();
    let mut model = Trained::new(4);
    model.save(&run, &[(5, 1.0), (10, 2.0), (15, 2.0)]).unwrap();
    flip_last_byte(&file(&run, 10));
    flip_last_byte(&file(&run, 15));
    model.expect(&run, 5);
}

#[test]
fn a_kill_while_the_file_is_written_loses_nothing() {
    let (_dir, run) = run();
    let mut model = Trained::new(4);
    model.save_5_and_10(&run);
    let mut half = file(&run, 10).into_os_string();
    half.push(".tmp");
    fs::rename(file(&run, 10), half).unwrap();
    model.expect(&run, 5);
}

#[test]
fn what_a_kill_left_is_tidied_away() {
    let (_dir, run) = run();
    let mut model = Trained::new(4);
    model.save_5_and_10(&run);
    // Killed before the first one gave way to the last, and while the best one was renamed and another one written.
    fs::copy(file(&run, 5), file(&run, 3)).unwrap();
    for left in ["best.safetensors.tmp", "step_000000015.safetensors.tmp"] {
        fs::write(run.checkpoints().join(left), "half").unwrap();
    }
    checkpoints(&run).tidy().unwrap();
    assert_eq!(names(&run), ["best.safetensors", "step_000000005.safetensors", "step_000000010.safetensors"]);
    model.expect(&run, 10);
}

#[test]
fn a_damaged_best_one_does_not_keep_a_whole_one_out() {
    let (_dir, run) = run();
    let mut model = Trained::new(4);
    model.save(&run, &[(5, 2.0), (10, 1.0)]).unwrap();
    // Its other name is that of the best.
    flip_last_byte(&file(&run, 10));
    model.expect(&run, 5);
    model.save(&run, &[(10, 1.0)]).unwrap();
    let best = tensor_file::read(&run.checkpoints().join(BEST), KIND).unwrap();
    assert_eq!(best.label.notes["step"], "10");
}

#[test]
fn damaged_checkpoints_all_are_an_error_that_says_what_is_wrong_with_the_last() {
    let (_dir, run) = run();
    let mut model = Trained::new(4);
    model.save_5_and_10(&run);
    truncate(&file(&run, 10));
    // Its other name is that of the best.
    flip_last_byte(&file(&run, 5));
    let refused = model.load(&run).unwrap_err();
    assert!(matches!(&refused, TrainError::NoCheckpointLeft { source, .. }
        if matches!(**source, TrainError::Truncated { .. })));
    assert_eq!(names(&run).len(), 3, "nothing is renamed when nothing is left");
}

#[test]
fn a_newer_version_is_refused_by_name_and_the_older_checkpoint_offered() {
    let (_dir, run) = run();
    let mut model = Trained::new(4);
    model.save_5_and_10(&run);
    let bytes = fs::read(file(&run, 10)).unwrap();
    let (from, to) = (&br#""format_version":"1""#[..], &br#""format_version":"9""#[..]);
    let at = bytes.windows(from.len()).position(|w| w == from).unwrap();
    fs::write(file(&run, 10), [&bytes[..at], to, &bytes[at + to.len()..]].concat()).unwrap();
    let Err(TrainError::CheckpointRefused { path, offered, source }) = model.load(&run) else { panic!("version 9") };
    assert_eq!((path, offered), (file(&run, 10), file(&run, 5)));
    assert!(matches!(*source, TrainError::NewerVersion { .. }), "{source}");
}

#[test]
fn a_checkpoint_of_another_model_or_other_settings_is_refused() {
    let (_dir, run) = run();
    Trained::new(4).save(&run, &[(5, f64::INFINITY)]).unwrap();
    let mut wider = Trained::new(8);
    wider.set(3.0);
    let said = wider.load(&run).unwrap_err().to_string();
    assert_eq!(said, "variable x has shape [4] in the weights, [8] in the model");
    assert_eq!(wider.x().double_value(&[0]), 3.0);

    let other_dir = tempfile::tempdir().unwrap();
    let other = RunDir::open(other_dir.path(), &info("width = 5\n"), Start::Fresh).unwrap();
    fs::copy(file(&run, 5), file(&other, 5)).unwrap();
    let said = Trained::new(4).load(&other).unwrap_err().to_string();
    assert!(said.contains("(width: 4 there, 5 here)"), "{said}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_leaves_the_checkpoints_as_they_were() {
    let (_dir, run) = run();
    let mut model = Trained::new(4);
    model.save_5_and_10(&run);
    let mut temporary = file(&run, 15).into_os_string();
    temporary.push(".tmp");
    std::os::unix::fs::symlink("/dev/full", temporary).unwrap();
    let failed = model.save(&run, &[(15, 1.0)]).unwrap_err();
    assert!(matches!(failed, TrainError::DiskFull { .. }), "{failed}");
    model.expect(&run, 10);
    assert!(file(&run, 5).exists());
}
