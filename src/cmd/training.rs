//! What every training command does around the method: run folder, loop, progress, the end.

mod remedy;

use std::collections::BTreeMap;
use std::io::Write as _;

use tch::nn::VarStore;
use torch_ext::Group;
use train::{AdamW, Ema, Fit, Outcome, RunDir, RunEnd, RunInfo, Start, StepLog, Task, TrainPlan};
use video::ClipSource;

pub(crate) use self::remedy::{Room, with_remedy};
use crate::cli::RunArgs;
use crate::exit::{Interrupted, one_line};
use crate::progress::Progress;
use crate::provenance::provenance;
use crate::session::Session;

/// A run about to start.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    /// `tokenizer`, `lvmae`, `arvideo`, `finetuning`.
    pub(crate) kind: &'static str,
    /// What was typed.
    pub(crate) args: &'a RunArgs,
    /// The resolved preset.
    pub(crate) config_toml: &'a str,
    /// How to train.
    pub(crate) plan: &'a TrainPlan,
    /// The processes that train together.
    pub(crate) ranks: &'a Group,
    /// What the run's numbers come from beside clips and tokens: content hashes by what they are to the run.
    pub(crate) more_data: BTreeMap<String, String>,
}

impl Job<'_> {
    /// Enters the run folder.
    pub(crate) fn open(&self, session: &Session, source: &ClipSource) -> anyhow::Result<RunDir> {
        if !self.ranks.is_first() {
            return Ok(RunDir::of_other_rank(&self.args.out, self.config_toml));
        }
        let mut provenance = provenance(session, source, self.ranks);
        provenance.data.extend(self.more_data.clone());
        let info = RunInfo {
            kind: self.kind,
            preset: &self.args.preset,
            version: env!("CARGO_PKG_VERSION"),
            command: &session.command,
            device: &session.device_name(),
            steps_planned: self.plan.steps(),
            config_toml: self.config_toml,
            clips_per_step: self.plan.split(self.ranks.num_ranks())?.to_string(),
            provenance,
        };
        let start = if self.args.resume { Start::Resume } else { Start::Fresh };
        Ok(RunDir::open(&self.args.out, &info, start)?)
    }

    /// Trains to the last step; tells on stderr how it goes. In the end the model holds the averaged weights, where the
    /// plan has an average.
    ///
    /// # Errors
    /// [`Interrupted`] after a checkpoint; whatever the task and the run folder fail with.
    pub(crate) fn fit<T: Task<Error = anyhow::Error>>(
        &self,
        (run, vs): (&RunDir, &VarStore),
        session: &Session,
        task: &mut T,
    ) -> anyhow::Result<()> {
        let ended = self.train((run, vs), session, task);
        if let Err(err) = &ended
            && !err.is::<Interrupted>()
        {
            self.ranks.stop(&one_line(err));
        }
        if run.has_begun() {
            let end = match &ended {
                Ok(Outcome::Finished) => RunEnd::Finished,
                Ok(Outcome::Interrupted { step }) => RunEnd::Interrupted { step: *step },
                Err(err) => RunEnd::Failed { said: one_line(err) },
            };
            // A full disk has no room for this either: what the run failed with says more.
            end.write(run.root()).ok();
        }
        match ended? {
            Outcome::Finished => Ok(()),
            Outcome::Interrupted { step } => {
                let out = self.args.out.display();
                Err(Interrupted(format!("a checkpoint of step {step} is in {out}: add --resume to go on")).into())
            }
        }
    }

    fn train<T: Task<Error = anyhow::Error>>(
        &self,
        (run, vs): (&RunDir, &VarStore),
        session: &Session,
        task: &mut T,
    ) -> anyhow::Result<Outcome> {
        let mut optimizer = AdamW::new(vs, self.plan.adamw())?;
        let mut ema = Ema::new(self.plan.model_of(vs), self.plan.ema())?;
        let job = Fit {
            plan: self.plan,
            vs,
            optimizer: &mut optimizer,
            ema: ema.as_mut(),
            ranks: self.ranks,
            run,
            interrupt: &session.interrupt,
        };
        let task_name = format!("training {}", self.kind);
        let split = self.plan.split(self.ranks.num_ranks())?;
        if self.ranks.is_first() && split.num_ranks * split.accumulate > 1 {
            tell(&format!("{task_name}: {split} in each step"));
        }
        let mut progress = self.ranks.is_first().then(|| Progress::new(&task_name, self.plan.steps()));
        let mut last = "finished before".to_owned();
        let outcome = train::fit(job, task, |log| {
            last = note(log);
            if let Some(progress) = &mut progress {
                progress.set(log.step, &last);
            }
        })?;
        if let Some(ema) = &ema
            && outcome == Outcome::Finished
        {
            ema.copy_into_model()?;
        }
        let said = match outcome {
            Outcome::Finished => format!("{} steps, {last}", self.plan.steps()),
            Outcome::Interrupted { step } => format!("stopped after step {step}, {last}"),
        };
        if let Some(progress) = progress {
            progress.finish(&said);
        }
        Ok(outcome)
    }
}

/// The loss and the terms that tell most, for the progress line.
fn note(log: &StepLog) -> String {
    let mut text = format!("loss {:.4}", log.loss);
    for key in ["psnr_db", "explained", "code_usage", "accuracy"] {
        if let Some(value) = log.terms.get(key) {
            text.push_str(&format!(", {key} {value:.3}"));
        }
    }
    let waited = 100.0 * log.wait_secs / log.step_secs.max(1e-9);
    text.push_str(&format!(", {:.2} s/step, {waited:.0} % waiting", log.step_secs));
    text
}

/// A line on stderr, for people. Nothing sensible is left to do when stderr is closed.
pub(crate) fn tell(text: &str) {
    writeln!(std::io::stderr(), "{text}").ok();
}

/// Prints a line of a command's result to stdout.
///
/// # Errors
/// When stdout is closed or its disk is full.
pub(crate) fn say(text: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{text}")
}
