use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{TrainError, atomic};

const END: &str = "end.json";
/// What [`crate::RunDir`] holds.
const LOCK: &str = "run.lock";

/// `end.json`: how the process that trained in a run folder ended. A killed one leaves no such file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum RunEnd {
    /// All steps are done.
    Finished,
    /// It was asked to stop and left a checkpoint.
    Interrupted {
        /// Steps done.
        step: u64,
    },
    /// It gave up.
    Failed {
        /// The error on one line.
        said: String,
    },
}

impl RunEnd {
    /// Writes the end of the run in `root`.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn write(&self, root: &Path) -> Result<(), TrainError> {
        atomic::write(&root.join(END), &serde_json::to_string_pretty(self).expect("strings and numbers"))
    }

    /// Takes back the end of a run that goes on.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn take_back(root: &Path) -> Result<(), TrainError> {
        let path = root.join(END);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(TrainError::Io { doing: "remove", path, source })
            }
            _ => Ok(()),
        }
    }

    /// The end of the run in `root`; `None` while it goes on, and when it was killed: [`is_running`] tells which.
    ///
    /// # Errors
    /// [`TrainError::Io`]; [`TrainError::RunRecord`] for a damaged file.
    pub fn read(root: &Path) -> Result<Option<Self>, TrainError> {
        let path = root.join(END);
        match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).map(Some).map_err(|source| TrainError::RunRecord { path, source }),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(TrainError::Io { doing: "read", path, source }),
        }
    }
}

/// Whether a process trains in the folder: it holds the lock, whichever way it may end.
///
/// # Errors
/// [`TrainError::Io`].
pub fn is_running(root: &Path) -> Result<bool, TrainError> {
    let path = root.join(LOCK);
    let file = match File::open(&path) {
        Ok(file) => file,
        // A copy of a run folder may come without it.
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(TrainError::Io { doing: "read", path, source }),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(source)) => Err(TrainError::Io { doing: "lock", path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::tests::info;
    use crate::{RunDir, Start};

    #[test]
    fn a_run_is_running_as_long_as_its_folder_is_held() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_running(dir.path()).unwrap(), "no run was ever here");
        let root = dir.path().join("run");
        let run = RunDir::open(&root, &info("train.steps = 10\n"), Start::Fresh).unwrap();
        assert!(is_running(&root).unwrap());
        drop(run);
        assert!(!is_running(&root).unwrap());
    }

    #[test]
    fn an_end_is_read_back_until_the_run_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(RunEnd::read(dir.path()).unwrap(), None);
        for end in [RunEnd::Finished, RunEnd::Interrupted { step: 7 }, RunEnd::Failed { said: "no \"disk\"".into() }] {
            end.write(dir.path()).unwrap();
            assert_eq!(RunEnd::read(dir.path()).unwrap(), Some(end));
        }
        RunEnd::take_back(dir.path()).unwrap();
        assert_eq!(RunEnd::read(dir.path()).unwrap(), None);
        RunEnd::take_back(dir.path()).unwrap();
        fs::write(dir.path().join(END), "{\"outcome\": \"lost\"}").unwrap();
        assert!(matches!(RunEnd::read(dir.path()), Err(TrainError::RunRecord { .. })));
    }
}
