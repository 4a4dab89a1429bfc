use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::VideoError;
use crate::spool::{io_error, with_suffix};

/// How often, and how long apart, a lock that is held is tried again. A process that is killed just while it starts
/// ffmpeg leaves its lock to that child until it runs.
const TRIES: u32 = 20;
const TRY_EVERY: Duration = Duration::from_millis(25);

/// An exclusive lock on `NAME.lock`, which the system frees even after kill -9.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// Takes the lock of a store.
    ///
    /// # Errors
    /// [`VideoError::Busy`] when another process holds it.
    pub(crate) fn take(store: &Path) -> Result<Self, VideoError> {
        let path = with_suffix(store, ".lock");
        for _ in 0..TRIES {
            let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
            let file = opened.map_err(io_error("create", &path))?;
            match file.try_lock() {
                // The one who held it before removes the name: then this is the lock of a file that nobody else sees.
                Ok(()) => {
                    let same = |named: Metadata| file.metadata().is_ok_and(|own| own.ino() == named.ino());
                    if std::fs::metadata(&path).is_ok_and(same) {
                        return Ok(Lock { path, file });
                    }
                }
                Err(TryLockError::WouldBlock) => thread::sleep(TRY_EVERY),
                Err(TryLockError::Error(source)) => return Err(VideoError::Io { action: "lock", path, source }),
            }
        }
        Err(VideoError::Busy { path: store.to_owned() })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // An empty file that stays behind does no harm.
        std::fs::remove_file(&self.path).ok();
        // Said aloud, as a child process just being started may hold a copy of the descriptor for a moment.
        self.file.unlock().ok();
    }
}
