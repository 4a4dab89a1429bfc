use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{KIND, TokenHeader, Tokens};
use crate::VideoError;
use crate::h5::{self, At};
use crate::spool::{Begin, Spool};

/// Bytes of one token in `NAME.part`: its code, then its priority, both little endian.
const TOKEN_BYTES: usize = 8;

/// First line of the journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Header {
    kind: String,
    format_version: u32,
    tokens: TokenHeader,
}

/// One line of the journal: a segment.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    num_tokens: u64,
    hash: String,
}

/// Writes a token store, segment by segment in the clip store's order. Until [`TokenWriter::finish`] it is `NAME.part`
/// and `NAME.journal`, and every segment appended before this process ends, however it ends, is kept.
#[derive(Debug)]
pub struct TokenWriter {
    spool: Spool,
    header: TokenHeader,
    /// End of each segment, counted in tokens; 0 first.
    offset: Vec<u64>,
    /// Checksum of each segment.
    hashes: Vec<String>,
}

impl TokenWriter {
    /// Begins the store `path`, or goes on with an interrupted one after [`TokenWriter::num_segments`] segments.
    ///
    /// # Errors
    /// [`VideoError::Exists`], [`VideoError::Busy`], [`VideoError::CannotResume`] when a field of the header differs,
    /// and what the disk says.
    pub fn begin(path: &Path, header: &TokenHeader) -> Result<(Self, Begin), VideoError> {
        let tokens = header.clone();
        let wanted = Header { kind: KIND.to_owned(), format_version: h5::FORMAT_VERSION, tokens };
        let (spool, begin, found, rows) = Spool::begin::<Header, Row>(path, &wanted)?;
        let version =
            |header: &Header| [("kind", header.kind.clone()), ("format_version", header.format_version.to_string())];
        spool.expect_equal(&version(&found), &version(&wanted))?;
        spool.expect_equal(&found.tokens.fields(), &wanted.tokens.fields())?;
        let mut writer = TokenWriter { spool, header: wanted.tokens, offset: vec![0], hashes: Vec::new() };
        rows.into_iter().for_each(|row| writer.add(row));
        Ok((writer, begin))
    }

    /// Segments that are complete.
    pub fn num_segments(&self) -> usize {
        self.offset.len() - 1
    }

    /// Adds the tokens of the next segment's whole timeline.
    ///
    /// # Errors
    /// [`VideoError::TokenCount`], [`VideoError::DiskFull`], and what the disk says.
    pub fn append(&mut self, tokens: &Tokens) -> Result<(), VideoError> {
        let (codes, priorities, step) = (tokens.codes.len(), tokens.priorities.len(), self.header.tokens_per_frame());
        if codes != priorities || codes == 0 || !codes.is_multiple_of(step) {
            return Err(VideoError::TokenCount { segment: self.num_segments(), codes, priorities, step });
        }
        let mut bytes = Vec::with_capacity(codes * TOKEN_BYTES);
        for (code, priority) in tokens.codes.iter().zip(&tokens.priorities) {
            bytes.extend(code.to_le_bytes());
            bytes.extend(priority.to_le_bytes());
        }
        self.spool.push(&bytes)?;
        let row = Row { num_tokens: codes as u64, hash: hash(tokens) };
        self.spool.commit(&row)?;
        self.add(row);
        Ok(())
    }

    fn add(&mut self, row: Row) {
        self.offset.push(self.num_tokens() + row.num_tokens);
        self.hashes.push(row.hash);
    }

    /// Writes the HDF5 file and gives it its final name.
    ///
    /// # Errors
    /// [`VideoError::DiskFull`], and what the disk and HDF5 say.
    pub fn finish(self) -> Result<(), VideoError> {
        let num_tokens = self.num_tokens() as usize;
        let TokenWriter { spool, header, offset, hashes } = self;
        spool.finish(|spool, file| {
            let path = spool.final_path().to_owned();
            let tables = || {
                h5::describe(file, KIND)?;
                header.write(file)?;
                h5::write_column(file, "offset", &offset)?;
                h5::write_texts(file, "segment_hash", hashes.iter())?;
                Ok((
                    h5::create_column::<u32>(file, "codes", num_tokens)?,
                    h5::create_column::<f32>(file, "priorities", num_tokens)?,
                ))
            };
            let (codes, priorities) = tables().at(&path, "write")?;
            spool.read_data(|start, bytes| {
                let start = start as usize / TOKEN_BYTES;
                let piece = unpack(bytes);
                let stop = start + piece.codes.len();
                codes.write_slice(&piece.codes, start..stop).at(&path, "write")?;
                priorities.write_slice(&piece.priorities, start..stop).at(&path, "write")
            })
        })
    }

    fn num_tokens(&self) -> u64 {
        self.offset.last().copied().unwrap_or(0)
    }
}

/// BLAKE3 of codes, then priorities, all little endian, hex.
pub(super) fn hash(tokens: &Tokens) -> String {
    let mut hasher = blake3::Hasher::new();
    tokens.codes.iter().for_each(|code| _ = hasher.update(&code.to_le_bytes()));
    tokens.priorities.iter().for_each(|priority| _ = hasher.update(&priority.to_le_bytes()));
    hasher.finalize().to_hex().to_string()
}

/// Takes apart a piece of `NAME.part`; pieces are whole tokens, as their size is a multiple of [`TOKEN_BYTES`].
fn unpack(bytes: &[u8]) -> Tokens {
    let word = |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let tokens = bytes.chunks_exact(TOKEN_BYTES);
    Tokens {
        codes: tokens.clone().map(|token| word(&token[..4])).collect(),
        priorities: tokens.map(|token| f32::from_bits(word(&token[4..]))).collect(),
    }
}
