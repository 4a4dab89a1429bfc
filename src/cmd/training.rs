//! What every training command does around the method: run folder, loop, progress, the end.

use std::io::Write as _;

use nn::Losses;
use tch::nn::VarStore;
use train::{AdamW, Fit, Outcome, RunDir, RunInfo, Start, StepLog, TrainPlan};

use crate::cli::RunArgs;
use crate::exit::Interrupted;
use crate::progress::Progress;
use crate::session::Session;

/// A run about to start.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    /// `tokenizer`, `lvmae`, `arvideo`.
    pub(crate) kind: &'static str,
    /// What was typed.
    pub(crate) args: &'a RunArgs,
    /// The resolved preset.
    pub(crate) config_toml: &'a str,
    /// How to train.
    pub(crate) plan: &'a TrainPlan,
    /// Frames in one batch.
    pub(crate) frames_per_step: u64,
}

impl Job<'_> {
    /// Enters the run folder.
    pub(crate) fn open(&self, session: &Session) -> anyhow::Result<RunDir> {
        let info = RunInfo {
            kind: self.kind,
            preset: &self.args.preset,
            version: env!("CARGO_PKG_VERSION"),
            command: &session.command,
            device: &session.device_name(),
            steps_planned: self.plan.steps(),
            config_toml: self.config_toml,
        };
        let start = if self.args.resume { Start::Resume } else { Start::Fresh };
        Ok(RunDir::open(&self.args.out, &info, start)?)
    }

    /// Trains to the last step; tells on stderr how it goes.
    ///
    /// # Errors
    /// [`Interrupted`] after a checkpoint; whatever the closures and the run folder fail with.
    pub(crate) fn fit<B>(
        &self,
        (run, vs): (&RunDir, &VarStore),
        session: &Session,
        next: impl FnMut(u64) -> anyhow::Result<(B, f64)>,
        loss: impl FnMut(&B) -> anyhow::Result<Losses>,
    ) -> anyhow::Result<()> {
        let mut optimizer = AdamW::new(vs, self.plan.adamw())?;
        let job = Fit {
            plan: self.plan,
            vs,
            optimizer: &mut optimizer,
            run,
            frames_per_step: self.frames_per_step,
            interrupt: &session.interrupt,
        };
        let mut progress = Progress::new(&format!("training {}", self.kind), self.plan.steps());
        let mut last = "finished before".to_owned();
        let outcome = train::fit(job, next, loss, |log| {
            last = note(log);
            progress.set(log.step, &last);
        })?;
        match outcome {
            Outcome::Finished => {
                progress.finish(&format!("{} steps, {last}", self.plan.steps()));
                Ok(())
            }
            Outcome::Interrupted { step } => {
                progress.finish(&format!("stopped after step {step}, {last}"));
                let out = self.args.out.display();
                Err(Interrupted(format!("a checkpoint of step {step} is in {out}: add --resume to go on")).into())
            }
        }
    }
}

/// The loss and the terms that tell most, for the progress line.
fn note(log: &StepLog) -> String {
    let mut text = format!("loss {:.4}", log.loss);
    for key in ["psnr_db", "explained", "code_usage"] {
        if let Some(value) = log.terms.get(key) {
            text.push_str(&format!(", {key} {value:.3}"));
        }
    }
    let waited = 100.0 * log.wait_secs / log.step_secs.max(1e-9);
    text.push_str(&format!(", {:.2} s/step, {waited:.0} % waiting", log.step_secs));
    text
}

/// Prints a line of a command's result to stdout.
///
/// # Errors
/// When stdout is closed or its disk is full.
pub(crate) fn say(text: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{text}")
}
