use std::path::Path;

use train::RunEnd;

use crate::report::ReportError;

/// What became of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RunState {
    /// A process trains in the folder.
    Running,
    /// All steps are done.
    Finished,
    /// It was asked to stop and left a checkpoint.
    Interrupted {
        /// Steps done.
        step: u64,
    },
    /// It gave up.
    Failed {
        /// The error.
        said: String,
    },
    /// It left no word: killed, or the machine went down.
    Killed {
        /// The last step that was logged.
        step: u64,
    },
}

impl RunState {
    /// * `steps` - the last step that was logged, and how many were planned
    pub(super) fn read(path: &Path, steps: (u64, u64)) -> Result<Self, ReportError> {
        let (step, planned) = steps;
        if train::is_running(path)? {
            return Ok(RunState::Running);
        }
        Ok(match RunEnd::read(path)? {
            Some(RunEnd::Finished) => RunState::Finished,
            Some(RunEnd::Interrupted { step }) => RunState::Interrupted { step },
            Some(RunEnd::Failed { said }) => RunState::Failed { said },
            // As a run of version 0.1.0 ends.
            None if step == planned => RunState::Finished,
            None => RunState::Killed { step },
        })
    }

    /// In two or three words.
    pub(crate) fn text(&self) -> String {
        match self {
            RunState::Running => "still training".to_owned(),
            RunState::Finished => "finished".to_owned(),
            RunState::Interrupted { step } => format!("interrupted after step {step}"),
            RunState::Failed { .. } => "failed".to_owned(),
            RunState::Killed { step } => format!("killed after step {step}"),
        }
    }
}
