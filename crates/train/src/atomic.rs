//! Files that appear whole or not at all: written beside, synced, renamed into place.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::TrainError;

/// A finished file under its temporary name.
#[must_use = "the file is not in place before `publish`"]
pub(crate) struct Staged {
    temporary: PathBuf,
    path: PathBuf,
}

/// Writes the file that is to stand at `path` under a temporary name beside it, down to the disk. When that fails, the
/// temporary file is removed and `path` is as it was.
pub(crate) fn stage(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<Staged, TrainError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let written = File::create(&temporary).and_then(|file| {
        let mut file = BufWriter::with_capacity(1 << 20, file);
        write(&mut file)?;
        file.flush()?;
        file.get_ref().sync_all()
    });
    match written {
        Ok(()) => Ok(Staged { temporary, path: path.to_owned() }),
        Err(source) => {
            // Best effort: the write error is what the user has to know.
            fs::remove_file(&temporary).ok();
            Err(TrainError::write(path, source))
        }
    }
}

impl Staged {
    /// Renames the file into place, over what stood there.
    pub(crate) fn publish(self) -> Result<(), TrainError> {
        rename(&self.temporary, &self.path)
    }
}

/// Renames within a folder and makes the new name durable.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), TrainError> {
    let failed = |source| TrainError::Io { doing: "rename into place", path: to.to_owned(), source };
    fs::rename(from, to).map_err(failed)?;
    let folder = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// Replaces a small file.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), TrainError> {
    stage(path, |file| file.write_all(text.as_bytes()))?.publish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_fails_half_way_leaves_the_old_file_and_no_temporary_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write(&path, "old").unwrap();
        let half = stage(&path, |file| {
            file.write_all(b"ne")?;
            Err(io::Error::other("pulled the plug"))
        });
        assert!(matches!(half, Err(TrainError::Io { doing: "write", .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_an_error_and_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write(&path, "old").unwrap();
        // Every write to /dev/full fails with ENOSPC.
        std::os::unix::fs::symlink("/dev/full", dir.path().join("file.tmp")).unwrap();
        assert!(matches!(write(&path, "new"), Err(TrainError::DiskFull { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    }

    #[test]
    fn a_target_that_is_a_folder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::create_dir(&path).unwrap();
        assert!(matches!(write(&path, "new"), Err(TrainError::Io { .. })));
        assert!(path.is_dir());
    }
}
