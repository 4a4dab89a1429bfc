//! From an error to what the user sees: one line and an exit code.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitCode, ExitStatus};

use arvideo::ArvideoError;
use eval::EvalError;
use lvmae::LvmaeError;
use spec::SpecError;
use tokenizer::TokenizerError;
use train::TrainError;
use video::VideoError;

/// Something that was typed, or handed in, does not fit.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadInput(pub(crate) String);

/// The user stopped the command; what was done is kept.
#[derive(Debug, thiserror::Error)]
#[error("interrupted; {0}")]
pub(crate) struct Interrupted(pub(crate) String);

/// The first launched rank that failed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("rank {rank} {}", how(.status))]
pub(crate) struct RankFailed {
    pub(crate) rank: u16,
    pub(crate) status: ExitStatus,
}

fn how(status: &ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("failed with exit code {code}"),
        (None, Some(signal)) => {
            let name = signal_hook::low_level::signal_name(signal).unwrap_or("unknown");
            format!("was ended by signal {signal} ({name})")
        }
        (None, None) => "ended in an unknown way".to_owned(),
    }
}

/// The chain of causes on one line. A C++ message may carry a stack: only its first line is for the user.
pub(crate) fn one_line(err: &anyhow::Error) -> String {
    let mut causes: Vec<String> = Vec::new();
    for cause in err.chain() {
        let text = cause.to_string();
        let first = if is_torch(cause) { text.lines().next().unwrap_or_default() } else { &text };
        // A transparent error repeats its cause.
        if causes.last().is_none_or(|last| last != first) {
            causes.push(first.to_owned());
        }
    }
    causes.join(": ")
}

fn is_torch(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.is::<tch::TchError>() || cause.is::<torch_ext::Error>()
}

/// 2 for bad input, 130 for an interruption, 1 for anything else; a launched rank's own.
pub(crate) fn code(err: &anyhow::Error) -> ExitCode {
    let has = |test: fn(&(dyn std::error::Error + 'static)) -> bool| err.chain().any(test);
    if let Some(failed) = err.downcast_ref::<RankFailed>() {
        let code = failed.status.code().and_then(|code| u8::try_from(code).ok());
        return ExitCode::from(code.unwrap_or(1));
    }
    if has(|cause| cause.is::<Interrupted>() || matches!(cause.downcast_ref(), Some(VideoError::Interrupted { .. }))) {
        ExitCode::from(130)
    } else if has(is_bad_input) {
        ExitCode::from(2)
    } else {
        ExitCode::from(1)
    }
}

pub(crate) fn is_broken_pipe(err: &anyhow::Error) -> bool {
    err.chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
}

fn is_bad_input(cause: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(err) = cause.downcast_ref::<VideoError>() {
        return !matches!(
            err,
            VideoError::Hdf5 { .. }
                | VideoError::DiskFull { .. }
                | VideoError::Encode { .. }
                | VideoError::WorkerPanicked { .. }
        ) && !is_write_failure(err);
    }
    if let Some(err) = cause.downcast_ref::<TrainError>() {
        return is_bad_training_input(err);
    }
    if let Some(err) = cause.downcast_ref::<nn::NnError>() {
        return matches!(err, nn::NnError::Config { .. });
    }
    cause.is::<BadInput>()
        || cause.is::<SpecError>()
        || matches!(cause.downcast_ref(), Some(LvmaeError::Share { .. } | LvmaeError::Cue { .. }))
        || cause.downcast_ref::<ArvideoError>().is_some_and(|err| !matches!(err, ArvideoError::Nn(_)))
        || cause
            .downcast_ref::<TokenizerError>()
            .is_some_and(|err| !matches!(err, TokenizerError::Nn(_) | TokenizerError::Ranks(_)))
        || cause.is::<EvalError>()
        || cause.is::<crate::report::ReportError>()
}

fn is_bad_training_input(err: &TrainError) -> bool {
    match err {
        TrainError::Io { doing, .. } => *doing == "read",
        TrainError::DiskFull { .. }
        | TrainError::NotFinite { .. }
        | TrainError::OutOfMemory { .. }
        | TrainError::Step { .. }
        | TrainError::Panicked { .. }
        | TrainError::Ranks(_)
        | TrainError::Nn(_) => false,
        _ => true,
    }
}

fn is_write_failure(err: &VideoError) -> bool {
    matches!(err, VideoError::Io { action, .. } if *action != "read")
}
