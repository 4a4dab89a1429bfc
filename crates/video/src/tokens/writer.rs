use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Codebook, KIND, TOKEN_BYTES, TokenHeader, Tokens};
use crate::VideoError;
use crate::h5::{self, At};
use crate::spool::{Begin, Spool};

/// First line of the journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Header {
    kind: String,
    format_version: u32,
    tokens: TokenHeader,
}

/// Which segment tokens belong to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncodedSegment {
    /// Its id in the clip store.
    pub id: String,
    /// [`crate::ClipStore::source_hash`].
    pub source_hash: String,
}

/// One line of the journal: a segment.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    segment: EncodedSegment,
    num_tokens: u64,
    hash: String,
}

/// What is known of all segments.
#[derive(Debug)]
pub(super) struct Rows {
    /// End of each segment, counted in tokens; 0 first.
    pub(super) offset: Vec<u64>,
    pub(super) segment_ids: Vec<String>,
    pub(super) source_hashes: Vec<String>,
    /// Checksum of each segment's tokens.
    pub(super) hashes: Vec<String>,
}

/// Writes a token store, segment by segment in the clip store's order. Until [`TokenWriter::finish`] it is `NAME.part`
/// and `NAME.journal`, and every segment committed before this process ends, however it ends, is kept.
#[derive(Debug)]
pub struct TokenWriter {
    spool: Spool,
    header: TokenHeader,
    rows: Rows,
    /// Tokens of the segment being written, and their hash so far.
    pushed: u64,
    hasher: blake3::Hasher,
}

impl TokenWriter {
    /// Begins the store `path`, or goes on with an interrupted one after [`TokenWriter::num_segments`] segments.
    ///
    /// # Errors
    /// [`VideoError::Exists`], [`VideoError::Busy`], [`VideoError::CannotResume`] when a field of the header differs,
    /// and what the disk says.
    pub fn begin(path: &Path, header: &TokenHeader) -> Result<(Self, Begin), VideoError> {
        let tokens = header.clone();
        let wanted = Header { kind: KIND.name.to_owned(), format_version: KIND.version, tokens };
        let (spool, begin, found, rows) = Spool::begin::<Header, Row>(path, &wanted)?;
        let version =
            |header: &Header| [("kind", header.kind.clone()), ("format_version", header.format_version.to_string())];
        spool.expect_equal(&version(&found), &version(&wanted))?;
        spool.expect_equal(&found.tokens.fields(), &wanted.tokens.fields())?;
        let mut writer =
            TokenWriter { spool, header: wanted.tokens, rows: Rows::none(), pushed: 0, hasher: blake3::Hasher::new() };
        rows.into_iter().for_each(|row| writer.rows.add(row));
        Ok((writer, begin))
    }

    /// Segments that are complete.
    pub fn num_segments(&self) -> usize {
        self.rows.hashes.len()
    }

    /// Hashes of the complete segments' tokens.
    pub fn segment_hashes(&self) -> &[String] {
        &self.rows.hashes
    }

    /// [`crate::ClipStore::source_hash`] of the complete segments.
    pub fn source_hashes(&self) -> &[String] {
        &self.rows.source_hashes
    }

    /// Drops everything but the first `num_segments` segments.
    ///
    /// # Errors
    /// What the disk says.
    pub fn keep(&mut self, num_segments: usize) -> Result<(), VideoError> {
        self.forget_pushed();
        self.spool.keep(num_segments)?;
        let Rows { offset, segment_ids, source_hashes, hashes } = &mut self.rows;
        offset.truncate(num_segments + 1);
        [segment_ids, source_hashes, hashes].into_iter().for_each(|column| column.truncate(num_segments));
        Ok(())
    }

    /// Takes the next latent frames of the segment that is being written.
    ///
    /// # Errors
    /// [`VideoError::TokenCount`], [`VideoError::DiskFull`], and what the disk says.
    pub fn push(&mut self, tokens: &Tokens) -> Result<(), VideoError> {
        let (codes, priorities, step) = (tokens.codes.len(), tokens.priorities.len(), self.header.tokens_per_frame());
        if codes != priorities || codes == 0 || !codes.is_multiple_of(step) {
            return Err(VideoError::TokenCount { segment: self.num_segments(), codes, priorities, step });
        }
        let bytes = tokens.to_bytes();
        self.hasher.update(&bytes);
        self.pushed += codes as u64;
        self.spool.push(&bytes)
    }

    /// Completes the segment whose tokens were pushed.
    ///
    /// # Errors
    /// [`VideoError::TokenCount`] when there are none, [`VideoError::DiskFull`], and what the disk says.
    pub fn commit(&mut self, segment: EncodedSegment) -> Result<(), VideoError> {
        if self.pushed == 0 {
            let step = self.header.tokens_per_frame();
            return Err(VideoError::TokenCount { segment: self.num_segments(), codes: 0, priorities: 0, step });
        }
        let row = Row { segment, num_tokens: self.pushed, hash: self.pushed_hash() };
        self.forget_pushed();
        self.spool.commit(&row)?;
        self.rows.add(row);
        Ok(())
    }

    /// Writes the HDF5 file, named by its contents, and gives it its final name. Returns the store's id.
    ///
    /// * `codebook` - values of the codes, where the quantizer has learned them
    ///
    /// # Errors
    /// [`VideoError::DiskFull`], and what the disk and HDF5 say.
    pub fn finish(self, codebook: Option<&Codebook>) -> Result<String, VideoError> {
        let TokenWriter { spool, header, rows, .. } = self;
        let num_tokens = rows.num_tokens() as usize;
        let store_id = rows.store_id(&header, codebook);
        spool.finish(|spool, file| {
            let path = spool.final_path().to_owned();
            let tables = || {
                h5::describe(file, KIND)?;
                h5::set_text(file, "store_id", &store_id)?;
                header.write(file)?;
                codebook.map_or(Ok(()), |codebook| codebook.write(file))?;
                rows.write(file)?;
                Ok((
                    h5::create_column::<u32>(file, "codes", num_tokens)?,
                    h5::create_column::<f32>(file, "priorities", num_tokens)?,
                ))
            };
            let (codes, priorities) = tables().at(&path, "write")?;
            spool.read_data(|start, bytes| {
                // Pieces are whole tokens: their size is a multiple of a token's.
                let start = start as usize / TOKEN_BYTES;
                let piece = Tokens::from_bytes(bytes);
                let stop = start + piece.codes.len();
                codes.write_slice(&piece.codes, start..stop).at(&path, "write")?;
                priorities.write_slice(&piece.priorities, start..stop).at(&path, "write")
            })
        })?;
        Ok(store_id)
    }

    /// BLAKE3 of the tokens pushed since the last commit, hex.
    pub(super) fn pushed_hash(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }

    fn forget_pushed(&mut self) {
        self.pushed = 0;
        self.hasher.reset();
    }
}

impl Rows {
    fn none() -> Self {
        Rows { offset: vec![0], segment_ids: Vec::new(), source_hashes: Vec::new(), hashes: Vec::new() }
    }

    fn add(&mut self, Row { segment, num_tokens, hash }: Row) {
        self.offset.push(self.num_tokens() + num_tokens);
        self.segment_ids.push(segment.id);
        self.source_hashes.push(segment.source_hash);
        self.hashes.push(hash);
    }

    fn num_tokens(&self) -> u64 {
        self.offset.last().copied().unwrap_or(0)
    }

    fn write(&self, file: &hdf5::File) -> hdf5::Result<()> {
        h5::write_column(file, "offset", &self.offset)?;
        h5::write_texts(file, "segment_id", self.segment_ids.iter())?;
        h5::write_texts(file, "source_hash", self.source_hashes.iter())?;
        h5::write_texts(file, "segment_hash", self.hashes.iter())
    }

    /// BLAKE3 over everything that a reader sees; the tokens through the hash that each segment has of its own.
    pub(super) fn store_id(&self, header: &TokenHeader, codebook: Option<&Codebook>) -> String {
        let mut hasher = blake3::Hasher::new();
        let mut add = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        // `Debug` prints floats so that they read back bit for bit.
        add(&format!("{header:?}"));
        self.segment_ids.iter().chain(&self.source_hashes).chain(&self.hashes).for_each(|text| add(text));
        self.offset.iter().for_each(|end| _ = hasher.update(&end.to_le_bytes()));
        codebook.inspect(|codebook| codebook.add_to(&mut hasher));
        hasher.finalize().to_hex().to_string()
    }
}
