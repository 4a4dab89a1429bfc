use std::path::Path;
use std::sync::atomic::AtomicBool;

use tch::nn::VarStore;
use torch_ext::Group;
use train::{AdamW, Fit, Outcome, Provenance, RunDir, RunInfo, Start, StepLog, Task, TrainConfig, TrainError};

/// Trains in a new run folder as the program does.
pub(crate) fn fit<T: Task<Error = TrainError>>(
    folder: &Path,
    config: &TrainConfig,
    (vs, optimizer): (&VarStore, &mut AdamW),
    (task, on_log): (&mut T, impl FnMut(&StepLog)),
) {
    let plan = config.check().expect("a preset with other lengths");
    let info = RunInfo {
        kind: "bench",
        preset: "bench",
        version: env!("CARGO_PKG_VERSION"),
        command: "cargo bench --bench engine",
        device: "CPU",
        steps_planned: plan.steps(),
        config_toml: "",
        clips_per_step: String::new(),
        provenance: Provenance::default(),
    };
    let run = RunDir::open(folder, &info, Start::Fresh).expect("a new folder");
    let job = Fit {
        plan: &plan,
        vs,
        optimizer,
        ema: None,
        ranks: &Group::alone(),
        run: &run,
        interrupt: &AtomicBool::new(false),
    };
    let outcome = train::fit(job, task, on_log).expect("training works");
    assert_eq!(outcome, Outcome::Finished);
}
