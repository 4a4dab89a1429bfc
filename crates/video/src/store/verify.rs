use std::ops::ControlFlow;

use super::tables::store_id;
use crate::h5::{self, At};
use crate::spool::PIECE_BYTES;
use crate::{ClipStore, VideoError};

/// A part of a store that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// A video's name, or `tables`.
    pub part: String,
    /// What is wrong with it.
    pub problem: String,
}

/// Takes the offsets of some whole frames, one more than frames, and their JPEG bytes end to end.
pub(super) type OnPiece<'a> = dyn FnMut(&[u64], &[u8]) -> Result<(), VideoError> + 'a;

impl ClipStore {
    /// Compares tables and frames with the checksums that were written with them; nothing is decoded. `on_video` is told
    /// how many videos are done and may stop. Memory holds one piece of one video.
    ///
    /// # Errors
    /// What HDF5 says when a part cannot be read at all. What can be read and is wrong is in the list.
    pub fn verify(&self, on_video: &mut dyn FnMut(usize) -> ControlFlow<()>) -> Result<Vec<Damaged>, VideoError> {
        let offset: Vec<u64> = self.offset.read_raw().at(self.path(), "read")?;
        let mut damaged = Vec::new();
        if store_id((self.videos(), self.segments()), self.label_spaces(), &offset) != self.id() {
            let problem = "the tables do not have the checksum that was written as store_id".to_owned();
            damaged.push(Damaged { part: "tables".to_owned(), problem });
        }
        for (i, video) in self.videos().iter().enumerate() {
            damaged.extend(self.damage(i).map(|problem| Damaged { part: video.name.clone(), problem }));
            if on_video(i + 1).is_break() {
                break;
            }
        }
        Ok(damaged)
    }

    /// What is wrong with the stored frames of a video by their checksum; `None` when they are what was written.
    pub(crate) fn damage(&self, video: usize) -> Option<String> {
        let mut hasher = blake3::Hasher::new();
        let read = self.read_frame_bytes(video, &mut |_, bytes| {
            hasher.update(bytes);
            Ok(())
        });
        match read {
            Ok(()) if hasher.finalize().to_hex().as_str() == self.videos()[video].frames_hash => None,
            Ok(()) => Some("its frames do not have the checksum that was written as frames_hash".to_owned()),
            Err(err) => Some(err.to_string()),
        }
    }

    /// Hands the stored frames of a video to `piece`, some megabytes at a time.
    pub(super) fn read_frame_bytes(&self, video: usize, piece: &mut OnPiece<'_>) -> Result<(), VideoError> {
        let row = &self.videos()[video];
        let first = row.first_frame as usize;
        let ends = first..first + row.num_frames as usize + 1;
        let ends: Vec<u64> = h5::read_range(&self.offset, ends.start, ends.end).at(self.path(), "read")?;
        self.expect_inside(row, &ends)?;
        let mut start = 0;
        while start + 1 < ends.len() {
            let in_piece = ends[start + 1..].partition_point(|end| end - ends[start] <= PIECE_BYTES as u64).max(1);
            let ends = &ends[start..=start + in_piece];
            let bytes: Vec<u8> =
                h5::read_range(&self.blob, ends[0] as usize, ends[in_piece] as usize).at(self.path(), "read")?;
            piece(ends, &bytes)?;
            start += in_piece;
        }
        Ok(())
    }
}
