//! The token store: codes and priorities of every segment of a clip store, in one HDF5 file.
//!
//! | dataset        | type | length       | meaning                                                                  |
//! | -------------- | ---- | ------------ | ------------------------------------------------------------------------ |
//! | `codes`        | u32  | all tokens   | code of each token, segments end to end, `(t, h, w)` row-major           |
//! | `priorities`   | f32  | all tokens   | priority of each token                                                   |
//! | `offset`       | u64  | segments + 1 | segment `k` has tokens `offset[k]..offset[k + 1]`                         |
//! | `segment_id`   | text | segments     | id of the segment in the clip store                                      |
//! | `source_hash`  | text | segments     | [`crate::ClipStore::source_hash`]: which frames it shows                  |
//! | `segment_hash` | text | segments     | BLAKE3 of its tokens, each its code and its priority, little endian, hex |
//! | `codebook`     | f32  | `[S, K, D]`  | values of the codes, where the quantizer has learned them                |
//!
//! The root attributes are the fields of [`TokenHeader`] and `store_id`, a hash over all of it.

mod header;
mod merge;
mod stats;
mod store;
#[cfg(test)]
pub(crate) mod tests;
mod writer;

pub use header::{Codebook, EncodedCrop, EncodedLayout, LongVideos, TokenHeader};
pub use merge::{MergedTokens, merge_tokens};
pub use stats::{CodeStats, PriorityStats, TokenStats};
pub use store::TokenStore;
pub use writer::{EncodedSegment, TokenWriter};

use crate::h5::Kind;

/// The kind of this store. Version 3 names what every segment shows and holds the quantizer.
pub(crate) const KIND: Kind = Kind { name: "token store", version: 3, again: "encode it again" };

/// Tokens of consecutive latent frames, `(t, h, w)` row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Tokens {
    /// Code of each token.
    pub codes: Vec<u32>,
    /// Priority of each token; higher is more important.
    pub priorities: Vec<f32>,
}

/// Bytes of one token: its code, then its priority, both little endian.
const TOKEN_BYTES: usize = 8;

impl Tokens {
    /// The tokens of a part of every latent frame.
    ///
    /// * `grid` - rows and columns of a latent frame
    /// * `place` - rows above the part and columns to its left
    /// * `size` - its rows and columns; it lies inside the grid
    pub(crate) fn cut(&self, grid: [usize; 2], (place, size): ([usize; 2], [usize; 2])) -> Tokens {
        let ([top, left], [height, width], columns) = (place, size, grid[1]);
        let frames = 0..self.codes.len() / (grid[0] * columns);
        let rows = frames.flat_map(|frame| (top..top + height).map(move |row| frame * grid[0] + row));
        let spans = rows.map(|row| row * columns + left..row * columns + left + width);
        let (mut codes, mut priorities) = (Vec::new(), Vec::new());
        for span in spans {
            codes.extend_from_slice(&self.codes[span.clone()]);
            priorities.extend_from_slice(&self.priorities[span]);
        }
        Tokens { codes, priorities }
    }

    /// [`TOKEN_BYTES`] for each token.
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.codes.len() * TOKEN_BYTES);
        for (code, priority) in self.codes.iter().zip(&self.priorities) {
            bytes.extend(code.to_le_bytes());
            bytes.extend(priority.to_le_bytes());
        }
        bytes
    }

    /// The inverse of [`Tokens::to_bytes`].
    fn from_bytes(bytes: &[u8]) -> Tokens {
        let word = |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let tokens = bytes.chunks_exact(TOKEN_BYTES);
        Tokens {
            codes: tokens.clone().map(|token| word(&token[..4])).collect(),
            priorities: tokens.map(|token| f32::from_bits(word(&token[4..]))).collect(),
        }
    }
}
