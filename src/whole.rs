//! Files that are there whole or not at all: a run that is killed while it writes leaves the file of before.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Writes `NAME.tmp` and gives it the name once it is whole; a file that had the name is replaced, a device or pipe
/// (`-o /dev/stdout`) is written to.
///
/// # Errors
/// With the path, when the disk refuses.
pub(crate) fn write(path: &Path, bytes: impl AsRef<[u8]>) -> anyhow::Result<()> {
    let is_place = path.metadata().is_ok_and(|found| !found.is_file());
    if is_place {
        return std::fs::write(path, bytes).with_context(|| format!("cannot write {path:?}"));
    }
    let mut tmp = path.as_os_str().to_owned();
    tmp.push(".tmp");
    let tmp = PathBuf::from(tmp);
    let written = std::fs::write(&tmp, bytes).and_then(|()| std::fs::rename(&tmp, path));
    written.with_context(|| format!("cannot write {path:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_a_device_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (file, device) = (dir.path().join("a.html"), dir.path().join("null"));
        std::os::unix::fs::symlink("/dev/null", &device).unwrap();
        for text in ["one", "two"] {
            write(&file, text).unwrap();
            write(&device, text).unwrap();
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        }
        assert_eq!(std::fs::read_link(&device).unwrap(), Path::new("/dev/null"));
        let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }
}
