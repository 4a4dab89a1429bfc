//! Files that are there whole or not at all: a run that is killed while it writes leaves the file of before.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Writes `NAME.tmp` and gives it the name once it is whole; what had the name is replaced.
///
/// # Errors
/// With the path, when the disk refuses.
pub(crate) fn write(path: &Path, bytes: impl AsRef<[u8]>) -> anyhow::Result<()> {
    let mut tmp = path.as_os_str().to_owned();
    tmp.push(".tmp");
    let tmp = PathBuf::from(tmp);
    let written = std::fs::write(&tmp, bytes).and_then(|()| std::fs::rename(&tmp, path));
    written.with_context(|| format!("cannot write {path:?}"))
}
