use std::path::Path;

use rayon::prelude::*;

use super::Source;
use crate::{ClipStoreWriter, VideoError};

/// Keeps what an interrupted import left for the first of `files`, as far as names and contents agree, and drops the
/// rest. Returns the number of files that need not be decoded again.
pub(super) fn keep_unchanged(writer: &mut ClipStoreWriter, files: &[Source]) -> Result<usize, VideoError> {
    // Both tables are in the order of the files, so together they are a prefix of it.
    let (mut videos, mut rejected) = (writer.videos().iter().peekable(), writer.rejected().iter().peekable());
    let mut before: Vec<(&Source, &str, bool)> = Vec::new();
    for file in files {
        if let Some(video) = videos.next_if(|video| video.name == file.name) {
            before.push((file, &video.content_hash, true));
        } else if let Some(row) = rejected.next_if(|row| row.name == file.name) {
            before.push((file, &row.content_hash, false));
        } else {
            break;
        }
    }
    let same: Vec<bool> =
        before.par_iter().map(|(file, hash, _)| hash_file(&file.path).is_ok_and(|now| now == *hash)).collect();
    let num_kept = same.iter().take_while(|same| **same).count();
    let num_videos = before[..num_kept].iter().filter(|(_, _, is_video)| *is_video).count();
    writer.keep(num_videos, num_kept - num_videos)?;
    Ok(num_kept)
}

/// BLAKE3 of a file, hex.
pub(super) fn hash_file(path: &Path) -> std::io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(std::fs::File::open(path)?)?;
    Ok(hasher.finalize().to_hex().to_string())
}
