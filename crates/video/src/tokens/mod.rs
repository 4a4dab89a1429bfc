//! The token store: codes and priorities of every segment of a clip store, in one HDF5 file.
//!
//! | dataset      | type | length       | meaning                                                        |
//! | ------------ | ---- | ------------ | -------------------------------------------------------------- |
//! | `codes`      | u32  | all tokens   | code of each token, segments end to end, `(t, h, w)` row-major |
//! | `priorities` | f32  | all tokens   | priority of each token                                         |
//! | `segment_hash` | text | segments   | BLAKE3 of its codes, then its priorities, little endian, hex   |
//! | `offset`     | u64  | segments + 1 | segment `k` has tokens `offset[k]..offset[k + 1]`               |
//!
//! The root attributes are the fields of [`TokenHeader`].

#[cfg(test)]
mod tests;
mod writer;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use hdf5::{Dataset, File};
use serde::{Deserialize, Serialize};
use spec::{ClipGeometry, Sampling, Short};
pub use writer::TokenWriter;

use crate::h5::{self, At};
use crate::{Damaged, VideoError};

/// The kind of this store, the end of its `format` attribute.
pub(crate) const KIND: &str = "token store";

/// What the tokens of a store were made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenHeader {
    /// Hash of the tokenizer's weights.
    pub tokenizer_id: String,
    /// [`crate::ClipStore::id`] of the clip store whose segments these are.
    pub clip_store_id: String,
    /// Cube under one token: frames, pixels, pixels.
    pub patch: [i64; 3],
    /// Levels of each code dimension; their product is the number of codes.
    pub levels: Vec<i64>,
    /// Side of the square frames, pixels.
    pub size_px: i64,
    /// How timelines were sampled.
    pub sampling: Sampling,
    /// Frames per clip, which short timelines were filled up to.
    pub num_frames: i64,
    /// What they were filled with.
    pub short: Short,
}

impl TokenHeader {
    /// Rows and columns of tokens in one latent frame.
    pub fn grid(&self) -> [usize; 2] {
        [(self.size_px / self.patch[1]) as usize, (self.size_px / self.patch[2]) as usize]
    }

    /// Tokens of one latent frame.
    pub fn tokens_per_frame(&self) -> usize {
        self.grid().iter().product()
    }

    /// Checks that these tokens cover the clips of `geometry` cut from the clip store `clip_store_id`. The encoded square
    /// may be larger than the clip, which then shows whole tokens of it.
    ///
    /// # Errors
    /// [`VideoError::TokenMismatch`] names the first field that differs, both values and what to do.
    pub fn expect_matches(&self, clip_store_id: &str, geometry: &ClipGeometry) -> Result<(), VideoError> {
        let encode = "encode the clip store again with this preset (`longvid tokenizer encode`), or use the preset that the tokens were made with";
        let other = "encode this clip store (`longvid tokenizer encode`), or give the clip store that the tokens were made from";
        let patch = geometry.patch();
        let patch = [patch.t, patch.h, patch.w];
        expect_equal("clip_store_id", &self.clip_store_id, &clip_store_id.to_owned(), other)?;
        expect_equal("patch", &self.patch, &patch, encode)?;
        if self.size_px < geometry.size_px() {
            expect_equal("size_px", &self.size_px, &geometry.size_px(), encode)?;
        }
        expect_equal("sampling", &self.sampling, &geometry.sampling(), encode)?;
        expect_equal("num_frames", &self.num_frames, &geometry.num_frames(), encode)?;
        expect_equal("short", &self.short, &geometry.short(), encode)
    }

    /// Name and value of every field, as compared when an unfinished store is continued.
    fn fields(&self) -> [(&'static str, String); 8] {
        [
            ("tokenizer_id", self.tokenizer_id.clone()),
            ("clip_store_id", self.clip_store_id.clone()),
            ("patch", format!("{:?}", self.patch)),
            ("levels", format!("{:?}", self.levels)),
            ("size_px", self.size_px.to_string()),
            ("sampling", format!("{:?}", self.sampling)),
            ("num_frames", self.num_frames.to_string()),
            ("short", format!("{:?}", self.short)),
        ]
    }

    fn write(&self, file: &File) -> hdf5::Result<()> {
        h5::set_text(file, "tokenizer_id", &self.tokenizer_id)?;
        h5::set_text(file, "clip_store_id", &self.clip_store_id)?;
        file.new_attr_builder().with_data(&self.patch).create("patch")?;
        file.new_attr_builder().with_data(&self.levels).create("levels")?;
        h5::set_number(file, "size_px", self.size_px)?;
        h5::set_text(file, "sampling", &to_json(&self.sampling)?)?;
        h5::set_number(file, "num_frames", self.num_frames)?;
        h5::set_text(file, "short", &to_json(&self.short)?)
    }

    fn read(file: &File) -> hdf5::Result<Self> {
        let patch: Vec<i64> = file.attr("patch")?.read_raw()?;
        let header = TokenHeader {
            tokenizer_id: h5::text(file, "tokenizer_id")?,
            clip_store_id: h5::text(file, "clip_store_id")?,
            patch: patch.try_into().map_err(|_len| hdf5::Error::from("patch is not three numbers"))?,
            levels: file.attr("levels")?.read_raw()?,
            size_px: h5::number(file, "size_px")?,
            sampling: from_json(&h5::text(file, "sampling")?)?,
            num_frames: h5::number(file, "num_frames")?,
            short: from_json(&h5::text(file, "short")?)?,
        };
        let [_, height, width] = header.patch;
        // What `ClipSpec::check` allows: products of these cannot overflow.
        let whole = header.patch.iter().all(|step| (1..=1 << 16).contains(step))
            && (1..=1 << 16).contains(&header.size_px)
            && header.size_px % height == 0
            && header.size_px % width == 0;
        if whole { Ok(header) } else { Err(hdf5::Error::from("patch or size_px is out of range")) }
    }
}

fn to_json<T: Serialize>(value: &T) -> hdf5::Result<String> {
    serde_json::to_string(value).map_err(|err| hdf5::Error::from(err.to_string().as_str()))
}

fn from_json<T: for<'de> Deserialize<'de>>(text: &str) -> hdf5::Result<T> {
    serde_json::from_str(text).map_err(|err| hdf5::Error::from(err.to_string().as_str()))
}

fn expect_equal<T: PartialEq + std::fmt::Debug>(
    field: &'static str,
    found: &T,
    wanted: &T,
    remedy: &'static str,
) -> Result<(), VideoError> {
    if found == wanted {
        return Ok(());
    }
    Err(VideoError::TokenMismatch { field, found: format!("{found:?}"), wanted: format!("{wanted:?}"), remedy })
}

/// Tokens of consecutive latent frames, `(t, h, w)` row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Tokens {
    /// Code of each token.
    pub codes: Vec<u32>,
    /// Priority of each token; higher is more important.
    pub priorities: Vec<f32>,
}

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
}

/// A finished token store, open for reading; any number of threads may use it.
#[derive(Debug)]
pub struct TokenStore {
    path: PathBuf,
    header: TokenHeader,
    codes: Dataset,
    priorities: Dataset,
    offset: Vec<u64>,
    hashes: Vec<String>,
}

impl TokenStore {
    /// Opens a store and reads its header.
    ///
    /// # Errors
    /// [`VideoError::Unfinished`], [`VideoError::NotAStore`], [`VideoError::WrongKind`],
    /// [`VideoError::NewerFormat`], each with the path.
    pub fn open(path: &Path) -> Result<Self, VideoError> {
        let file = h5::open_finished(path, KIND, "encode it again")?;
        let problem = |problem: String| VideoError::NotAStore { path: path.to_owned(), wanted: KIND, problem };
        let read = || -> hdf5::Result<TokenStore> {
            Ok(TokenStore {
                path: path.to_owned(),
                header: TokenHeader::read(&file)?,
                codes: h5::open_column(&file, "codes")?,
                priorities: h5::open_column(&file, "priorities")?,
                offset: h5::read_column(&file, "offset")?,
                hashes: h5::read_texts(&file, "segment_hash")?,
            })
        };
        let store = read().map_err(|err| problem(format!("a table cannot be read: {err}")))?;
        let num_tokens = store.codes.size().min(store.priorities.size()) as u64;
        let fits = store.offset.is_sorted() && store.offset.len() == store.hashes.len() + 1;
        if !fits || store.offset.last().is_none_or(|end| *end > num_tokens) {
            return Err(problem("its tables do not fit each other".to_owned()));
        }
        Ok(store)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the tokens were made from.
    pub fn header(&self) -> &TokenHeader {
        &self.header
    }

    /// Number of segments.
    pub fn num_segments(&self) -> usize {
        self.offset.len() - 1
    }

    /// Number of tokens of all segments.
    pub fn num_tokens(&self) -> u64 {
        self.offset.last().copied().unwrap_or(0)
    }

    /// Latent frames of a segment's timeline.
    ///
    /// # Errors
    /// [`VideoError::OutOfRange`].
    pub fn num_latent_frames(&self, segment: usize) -> Result<usize, VideoError> {
        let (start, stop) = self.span(segment)?;
        Ok((stop - start) / self.header.tokens_per_frame())
    }

    /// Tokens of `latent_frames` latent frames of a segment, from `latent_start` on.
    ///
    /// # Errors
    /// [`VideoError::OutOfRange`] for a segment or latent frame that is not there; what HDF5 says.
    pub fn read(&self, segment: usize, latent_start: usize, latent_frames: usize) -> Result<Tokens, VideoError> {
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

    /// Compares the tokens of every segment with the checksum that was written with them. `on_segment` is told how many
    /// segments are done and may stop.
    ///
    /// # Errors
    /// What HDF5 says when the store cannot be read at all. What can be read and is wrong is in the list.
    pub fn verify(&self, on_segment: &mut dyn FnMut(usize) -> ControlFlow<()>) -> Result<Vec<Damaged>, VideoError> {
        let mut damaged = Vec::new();
        for (segment, expected) in self.hashes.iter().enumerate() {
            if writer::hash(&self.read(segment, 0, self.num_latent_frames(segment)?)?) != *expected {
                let problem = "its tokens do not have the checksum that was written as segment_hash".to_owned();
                damaged.push(Damaged { part: format!("segment {segment}"), problem });
            }
            if on_segment(segment + 1).is_break() {
                break;
            }
        }
        Ok(damaged)
    }

    fn span(&self, segment: usize) -> Result<(usize, usize), VideoError> {
        if segment >= self.num_segments() {
            let len = self.num_segments() as u64;
            return Err(VideoError::OutOfRange { what: "segment".to_owned(), index: segment as u64, len });
        }
        Ok((self.offset[segment] as usize, self.offset[segment + 1] as usize))
    }
}
