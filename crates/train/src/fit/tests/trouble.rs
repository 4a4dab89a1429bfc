use super::*;

/// Trains with a loss that goes wrong in step 7 and returns the error; the checkpoint of step 5 must be intact and the
/// weights must be those of step 6.
#[track_caller]
fn fail_in_step_7(wrong: impl Fn(&Tensor) -> Tensor) -> TrainError {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(example());
    let broken = |step, net: &nn::Sequential, x: &Tensor| {
        let good = squares(step, net, x);
        if step == 7 { wrong(&good) } else { good }
    };
    let error = bench.fit(&open(dir.path(), Start::Fresh), broken, |_| {}).unwrap_err();

    let six_dir = tempfile::tempdir().unwrap();
    let mut six = Bench { interrupt_at: 6, ..Bench::new(example()) };
    six.fit(&open(six_dir.path(), Start::Fresh), squares, |_| {}).unwrap();
    assert_eq!(bench.state(), six.state());
    let resumed = Bench::new(example());
    let run = open(dir.path(), Start::Resume);
    let state = state(&resumed.vs, &resumed.optimizer, None);
    assert_eq!(Checkpoints::of(&run, 2).load(&state).unwrap().step, 5);
    error
}

#[test]
fn a_loss_that_is_not_a_number_stops_the_run_and_names_step_clips_and_culprit() {
    let error = fail_in_step_7(|loss| (loss - 1e9).log());
    let TrainError::NotFinite { what: "loss", step: 7, culprit, clips, .. } = &error else { panic!("{error}") };
    assert!(culprit.contains("aten::log"), "{culprit}");
    assert_eq!(clips, "clip of step 7");
}

#[test]
fn an_infinite_gradient_of_a_finite_loss_stops_the_run() {
    // The root's slope at zero is infinite.
    let error = fail_in_step_7(|loss| (loss - loss.detach()).sqrt());
    let TrainError::NotFinite { what: "gradient norm", step: 7, culprit, .. } = &error else { panic!("{error}") };
    assert!(culprit.contains("Sqrt") || culprit.contains("sqrt"), "{culprit}");
}

#[test]
fn the_batch_of_a_step_that_went_wrong_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(example());
    let wrong = |step, net: &nn::Sequential, x: &Tensor| squares(step, net, x) * if step == 3 { f64::NAN } else { 1.0 };
    bench.fit(&open(dir.path(), Start::Fresh), wrong, |_| {}).unwrap_err();
    let folder = dir.path().join("trouble/step_000000003_rank_0");
    let batch = crate::weights::load(&folder.join("batch.safetensors"), "batch").unwrap();
    assert_eq!(batch.tensors()["x"], numbers(1003, &[2, 8]));
    let record: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(folder.join("trouble.json")).unwrap()).unwrap();
    assert_eq!((record["step"].as_u64(), record["what"].as_str()), (Some(3), Some("loss")));
}

#[test]
fn skipped_steps_leave_the_weights_are_counted_and_end_the_run_when_they_are_too_many() {
    let dir = tempfile::tempdir().unwrap();
    let config = TrainConfig { non_finite: NonFinitePolicy::Skip { at_most: 2 }, log_every: 1, ..example() };
    let mut bench = Bench::new(config.clone());
    let wrong = |step, net: &nn::Sequential, x: &Tensor| {
        squares(step, net, x) * if [3, 6].contains(&step) { f64::INFINITY } else { 1.0 }
    };
    let outcome = bench.fit(&open(dir.path(), Start::Fresh), wrong, |_| {}).unwrap();
    assert_eq!(outcome, Outcome::Finished);
    let lines = lines(dir.path());
    let skipped: Vec<u64> = lines.iter().map(|line| line["skipped"].as_u64().unwrap()).collect();
    assert_eq!(skipped, [0, 0, 1, 1, 1, 2, 2, 2, 2, 2]);
    assert!(lines[2]["loss"].is_null() && lines[2]["grad_norm"].is_null(), "{}", lines[2]);
    // Eight steps were taken.
    assert_eq!(bench.optimizer.state()["num_steps.a.weight"].double_value(&[]), 8.0);

    let mut third = Bench::new(config);
    let dir = tempfile::tempdir().unwrap();
    let wrong = |step, net: &nn::Sequential, x: &Tensor| squares(step, net, x) * if step > 2 { f64::NAN } else { 1.0 };
    let error = third.fit(&open(dir.path(), Start::Fresh), wrong, |_| {}).unwrap_err();
    assert!(matches!(error, TrainError::NotFinite { step: 5, .. }), "{error}");
}

#[test]
fn running_out_of_memory_in_an_operator_is_its_own_error() {
    let error = fail_in_step_7(|loss| loss * Tensor::zeros([1 << 50], (Kind::Float, Device::Cpu)).sum(Kind::Float));
    assert!(matches!(error, TrainError::OutOfMemory { step: 7, .. }), "{error}");
}

#[test]
fn a_cpp_exception_and_a_bug_of_our_own_are_told_apart() {
    let error = fail_in_step_7(|loss| loss.reshape([2, 3]));
    let TrainError::Step { step: 7, source } = &error else { panic!("{error}") };
    let cause = std::error::Error::source(source).unwrap().to_string();
    assert!(cause.contains("shape '[2, 3]' is invalid for input of size 1"), "{cause}");
    let error = fail_in_step_7(|_| panic!("an empty codebook"));
    assert!(matches!(&error, TrainError::Panicked { step: 7, said } if said.contains("an empty codebook")), "{error}");
}
