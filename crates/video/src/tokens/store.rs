use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use hdf5::{Dataset, File};
use spec::ClipGeometry;

use super::{Codebook, KIND, TokenHeader, Tokens, writer};
use crate::h5::{self, At};
use crate::{ClipStore, Damaged, VideoError};

/// Most tokens that [`TokenStore::pieces`] hands out at a time, unless a single latent frame has more.
const PIECE_TOKENS: usize = 1 << 20;

/// A finished token store, open for reading; any number of threads may use it.
#[derive(Debug)]
pub struct TokenStore {
    path: PathBuf,
    header: TokenHeader,
    id: String,
    created_by: String,
    codebook: Option<Codebook>,
    codes: Dataset,
    priorities: Dataset,
    offset: Vec<u64>,
    segment_ids: Vec<String>,
    source_hashes: Vec<String>,
    hashes: Vec<String>,
}

impl TokenStore {
    /// Opens a store and reads its header.
    ///
    /// # Errors
    /// [`VideoError::Unfinished`], [`VideoError::NotAStore`], [`VideoError::WrongKind`], [`VideoError::OlderFormat`],
    /// [`VideoError::NewerFormat`], each with the path.
    pub fn open(path: &Path) -> Result<Self, VideoError> {
        let file = h5::open_finished(path, KIND)?;
        let problem = |problem: String| VideoError::NotAStore { path: path.to_owned(), wanted: KIND.name, problem };
        let store = read_tables(path, &file).map_err(|err| problem(format!("a table cannot be read: {err}")))?;
        if store.tables_fit() { Ok(store) } else { Err(problem("its tables do not fit each other".to_owned())) }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the tokens were made from.
    pub fn header(&self) -> &TokenHeader {
        &self.header
    }

    /// Names the store by its contents: equal ids, equal tokens.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Program and version that wrote it.
    pub fn created_by(&self) -> &str {
        &self.created_by
    }

    /// Values of the codes; `None` for a quantizer whose codes follow from its settings.
    pub fn codebook(&self) -> Option<&Codebook> {
        self.codebook.as_ref()
    }

    /// Number of segments.
    pub fn num_segments(&self) -> usize {
        self.offset.len() - 1
    }

    /// Number of tokens of all segments.
    pub fn num_tokens(&self) -> u64 {
        self.offset.last().copied().unwrap_or(0)
    }

    /// Segment `k` has the tokens `offset[k]..offset[k + 1]`; one more than there are segments.
    pub fn offset(&self) -> &[u64] {
        &self.offset
    }

    /// Ids of the segments in the clip store.
    pub fn segment_ids(&self) -> &[String] {
        &self.segment_ids
    }

    /// [`ClipStore::source_hash`] of each segment.
    pub fn source_hashes(&self) -> &[String] {
        &self.source_hashes
    }

    /// BLAKE3 of each segment's tokens, each its code and its priority, little endian, hex.
    pub fn segment_hashes(&self) -> &[String] {
        &self.hashes
    }

    /// Latent frames of a segment's timeline.
    ///
    /// # Errors
    /// [`VideoError::OutOfRange`].
    pub fn num_latent_frames(&self, segment: usize) -> Result<usize, VideoError> {
        let (start, stop) = self.span(segment)?;
        Ok((stop - start) / self.header.tokens_per_frame())
    }

    /// Checks that these are the tokens of `clips` and that they cover the clips of `geometry`.
    ///
    /// # Errors
    /// [`VideoError::StaleTokens`] for tokens of an earlier version of the clip store; else as
    /// [`TokenHeader::expect_matches`].
    pub fn expect_matches(&self, clips: &ClipStore, geometry: &ClipGeometry) -> Result<(), VideoError> {
        let matched = self.header.expect_matches(clips.id(), geometry);
        let Err(VideoError::TokenMismatch { field: "clip_store_id", .. }) = matched else { return matched };
        let encoded: BTreeSet<&String> = self.source_hashes.iter().collect();
        let num_segments = clips.segments().len();
        let num_encoded = (0..num_segments).filter(|segment| encoded.contains(&clips.source_hash(*segment))).count();
        if num_encoded == 0 {
            return matched;
        }
        Err(VideoError::StaleTokens { path: self.path.clone(), num_encoded, num_segments })
    }

    /// Tokens of `latent_frames` latent frames of a segment, from `latent_start` on.
    ///
    /// # Errors
    /// [`VideoError::OutOfRange`] for a segment or latent frame that is not there; [`VideoError::UnknownCode`] for a code
    /// outside the codebook; what HDF5 says.
    pub fn read(&self, segment: usize, latent_start: usize, latent_frames: usize) -> Result<Tokens, VideoError> {
        let tokens = self.read_unchecked(segment, latent_start, latent_frames)?;
        match self.unknown_code(&tokens) {
            None => Ok(tokens),
            Some(code) => {
                let (path, segment) = (self.path.clone(), self.segment_ids[segment].clone());
                Err(VideoError::UnknownCode { path, segment, code, codebook_size: self.header.codebook_size })
            }
        }
    }

    /// A segment's tokens, whole latent frames at a time, so that memory does not depend on its length.
    ///
    /// # Errors
    /// [`VideoError::OutOfRange`] for a segment that is not there; of each piece, as [`TokenStore::read`].
    pub fn pieces(&self, segment: usize) -> Result<impl Iterator<Item = Result<Tokens, VideoError>>, VideoError> {
        Ok(self.piece_spans(segment)?.map(move |(start, len)| self.read(segment, start, len)))
    }

    /// Compares the store with the checksums that were written with it, and codes with the codebook. `on_segment` is told
    /// how many segments are done and may stop.
    ///
    /// # Errors
    /// What HDF5 says when the store cannot be read at all. What can be read and is wrong is in the list.
    pub fn verify(&self, on_segment: &mut dyn FnMut(usize) -> ControlFlow<()>) -> Result<Vec<Damaged>, VideoError> {
        let mut damaged = Vec::new();
        let rows = writer::Rows {
            offset: self.offset.clone(),
            segment_ids: self.segment_ids.clone(),
            source_hashes: self.source_hashes.clone(),
            hashes: self.hashes.clone(),
        };
        if rows.store_id(&self.header, self.codebook.as_ref()) != self.id {
            let problem = "header and tables do not have the checksum that was written as store_id".to_owned();
            damaged.push(Damaged { part: "tables".to_owned(), problem });
        }
        for segment in 0..self.num_segments() {
            damaged
                .extend(self.damage(segment)?.map(|problem| Damaged { part: format!("segment {segment}"), problem }));
            if on_segment(segment + 1).is_break() {
                break;
            }
        }
        Ok(damaged)
    }

    /// What is wrong with a segment's tokens; `None` when they are what was written.
    fn damage(&self, segment: usize) -> Result<Option<String>, VideoError> {
        let (mut hasher, mut unknown) = (blake3::Hasher::new(), None);
        for (start, len) in self.piece_spans(segment)? {
            let tokens = self.read_unchecked(segment, start, len)?;
            unknown = unknown.or(self.unknown_code(&tokens));
            hasher.update(&tokens.to_bytes());
        }
        let same = hasher.finalize().to_hex().as_str() == self.hashes[segment];
        let size = self.header.codebook_size;
        Ok(match unknown {
            _ if !same => Some("its tokens do not have the checksum that was written as segment_hash".to_owned()),
            Some(code) => Some(format!("it has the code {code}, and the codebook {size} codes")),
            None => None,
        })
    }

    /// First latent frame and number of latent frames of each piece of a segment.
    fn piece_spans(&self, segment: usize) -> Result<impl Iterator<Item = (usize, usize)> + use<>, VideoError> {
        let len = self.num_latent_frames(segment)?;
        let at_once = (PIECE_TOKENS / self.header.tokens_per_frame()).max(1);
        Ok((0..len).step_by(at_once).map(move |start| (start, at_once.min(len - start))))
    }

    fn read_unchecked(&self, segment: usize, latent_start: usize, latent_frames: usize) -> Result<Tokens, VideoError> {
        let (first, _) = self.span(segment)?;
        let len = self.num_latent_frames(segment)?;
        if latent_start.saturating_add(latent_frames) > len {
            let what = format!("latent frame of segment {segment}");
            let index = latent_start.saturating_add(latent_frames).saturating_sub(1) as u64;
            return Err(VideoError::OutOfRange { what, index, len: len as u64 });
        }
        let start = first + latent_start * self.header.tokens_per_frame();
        let stop = start + latent_frames * self.header.tokens_per_frame();
        let read = || -> hdf5::Result<Tokens> {
            Ok(Tokens {
                codes: h5::read_range(&self.codes, start, stop)?,
                priorities: h5::read_range(&self.priorities, start, stop)?,
            })
        };
        read().at(&self.path, "read")
    }

    fn unknown_code(&self, tokens: &Tokens) -> Option<u32> {
        tokens.codes.iter().copied().find(|code| u64::from(*code) >= self.header.codebook_size)
    }

    fn span(&self, segment: usize) -> Result<(usize, usize), VideoError> {
        if segment >= self.num_segments() {
            let len = self.num_segments() as u64;
            return Err(VideoError::OutOfRange { what: "segment".to_owned(), index: segment as u64, len });
        }
        Ok((self.offset[segment] as usize, self.offset[segment + 1] as usize))
    }

    /// Everything that readers rely on without looking again.
    fn tables_fit(&self) -> bool {
        let num_tokens = self.codes.size().min(self.priorities.size()) as u64;
        let step = self.header.tokens_per_frame() as u64;
        let (Some(first), Some(last)) = (self.offset.first(), self.offset.last()) else { return false };
        let lens = [&self.segment_ids, &self.source_hashes, &self.hashes].map(Vec::len);
        let codebook_fits = self.codebook.as_ref().is_none_or(|Codebook { shape_skd: [s, k, d], values }| {
            s.checked_mul(*k).and_then(|sk| sk.checked_mul(*d)) == Some(values.len())
        });
        lens == [self.offset.len() - 1; 3]
            && (*first, *last) == (0, num_tokens)
            && self.offset.is_sorted()
            && self.offset.iter().all(|end| end.is_multiple_of(step))
            && codebook_fits
    }
}

fn read_tables(path: &Path, file: &File) -> hdf5::Result<TokenStore> {
    Ok(TokenStore {
        path: path.to_owned(),
        header: TokenHeader::read(file)?,
        id: h5::text(file, "store_id")?,
        created_by: h5::text(file, "created_by")?,
        codebook: Codebook::read(file)?,
        codes: h5::open_column(file, "codes")?,
        priorities: h5::open_column(file, "priorities")?,
        offset: h5::read_column(file, "offset")?,
        segment_ids: h5::read_texts(file, "segment_id")?,
        source_hashes: h5::read_texts(file, "source_hash")?,
        hashes: h5::read_texts(file, "segment_hash")?,
    })
}
