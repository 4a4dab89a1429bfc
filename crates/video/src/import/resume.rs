use std::path::Path;

use rayon::prelude::*;

use super::Source;
use crate::{ClipStoreWriter, Done, VideoError};

/// Keeps what an interrupted import left for the first of `files`, as far as names and contents agree, and drops the
/// rest. Returns the number of files that need not be decoded again.
pub(super) fn keep_unchanged(writer: &mut ClipStoreWriter, files: &[Source]) -> Result<usize, VideoError> {
    let same = |(done, file): (&Done, &Source)| {
        done.name == file.name && hash_file(&file.path).is_ok_and(|hash| hash == done.content_hash)
    };
    let same: Vec<bool> = writer.done().par_iter().zip(files).map(same).collect();
    let num_kept = same.iter().take_while(|same| **same).count();
    writer.keep(num_kept)?;
    Ok(num_kept)
}

/// BLAKE3 of a file, hex. A pipe or a device, which may never end, is refused.
pub(crate) fn hash_file(path: &Path) -> std::io::Result<String> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(std::fs::File::open(path)?)?;
    Ok(hasher.finalize().to_hex().to_string())
}
