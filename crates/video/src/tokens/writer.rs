use std::path::Path;

use hdf5::{Dataset, File};

use super::{KIND, TokenHeader, Tokens};
use crate::VideoError;
use crate::h5::{self, At, Begin, Unfinished};

/// Tokens per HDF5 chunk: about one 128-frame clip.
const TOKEN_CHUNK: usize = 1 << 14;

/// Writes a token store, segment by segment in the clip store's order. Until [`TokenWriter::finish`] it is
/// `NAME.tmp`, and every segment appended before this process ends, however it ends, is kept.
#[derive(Debug)]
pub struct TokenWriter {
    unfinished: Unfinished,
    codes: Dataset,
    priorities: Dataset,
    offset: Dataset,
    num_segments: usize,
    tokens_per_frame: usize,
}

impl TokenWriter {
    /// Begins the store `path`, or goes on with an interrupted one after [`TokenWriter::num_segments`] segments.
    ///
    /// # Errors
    /// [`VideoError::Exists`], [`VideoError::Busy`], [`VideoError::CannotResume`] when a field of the header differs,
    /// and what the disk and HDF5 say.
    pub fn begin(path: &Path, header: &TokenHeader) -> Result<(Self, Begin), VideoError> {
        let (mut unfinished, mut begin) = Unfinished::begin(path)?;
        if begin == Begin::Resumed && h5::text(unfinished.file(), "format").is_err() {
            // It was stopped before its tables were there.
            unfinished = unfinished.again()?;
            begin = Begin::Fresh;
        }
        let tmp = unfinished.path().to_owned();
        if begin != Begin::Resumed {
            create_tables(unfinished.file(), header).at(&tmp, "create")?;
            unfinished.flush()?;
        }
        expect_header(&unfinished, header)?;
        let num_segments = cut_to_whole(unfinished.file()).at(&tmp, "read")?;
        unfinished.flush()?;
        let [codes, priorities, offset] = columns(unfinished.file()).at(&tmp, "read")?;
        let tokens_per_frame = header.tokens_per_frame();
        Ok((TokenWriter { unfinished, codes, priorities, offset, num_segments, tokens_per_frame }, begin))
    }

    /// Segments that are complete.
    pub fn num_segments(&self) -> usize {
        self.num_segments
    }

    /// Adds the tokens of the next segment's whole timeline and makes them safe.
    ///
    /// # Errors
    /// [`VideoError::TokenCount`], [`VideoError::DiskFull`], and what HDF5 says.
    pub fn append(&mut self, tokens: &Tokens) -> Result<(), VideoError> {
        let (codes, priorities, step) = (tokens.codes.len(), tokens.priorities.len(), self.tokens_per_frame);
        if codes != priorities || codes == 0 || codes % step != 0 {
            return Err(VideoError::TokenCount { segment: self.num_segments, codes, priorities, step });
        }
        self.unfinished.expect_room(8 * codes as u64)?;
        let write = || {
            h5::append(&self.codes, &tokens.codes)?;
            h5::append(&self.priorities, &tokens.priorities)?;
            h5::append(&self.offset, &[self.codes.size() as u64])
        };
        write().at(self.unfinished.path(), "write")?;
        self.num_segments += 1;
        self.unfinished.flush()
    }

    /// Brings the store to the disk and gives it its final name.
    ///
    /// # Errors
    /// What the disk and HDF5 say.
    pub fn finish(self) -> Result<(), VideoError> {
        let TokenWriter { unfinished, codes, priorities, offset, .. } = self;
        drop((codes, priorities, offset));
        unfinished.finish()
    }
}

fn create_tables(file: &File, header: &TokenHeader) -> hdf5::Result<()> {
    h5::create_column::<u32>(file, "codes", TOKEN_CHUNK)?;
    h5::create_column::<f32>(file, "priorities", TOKEN_CHUNK)?;
    h5::create_table_column::<u64>(file, "offset")?;
    h5::append(&file.dataset("offset")?, &[0_u64])?;
    header.write(file)?;
    // Last: a file without it was stopped before it was a store.
    h5::describe(file, KIND)
}

fn columns(file: &File) -> hdf5::Result<[Dataset; 3]> {
    Ok([file.dataset("codes")?, file.dataset("priorities")?, file.dataset("offset")?])
}

fn expect_header(unfinished: &Unfinished, header: &TokenHeader) -> Result<(), VideoError> {
    let path = unfinished.path();
    let kind = h5::text(unfinished.file(), "format").at(path, "read")?;
    let found = TokenHeader::read(unfinished.file()).at(path, "read")?;
    let kinds = (("format", kind), ("format", format!("longvid {KIND}")));
    let pairs = found.fields().into_iter().zip(header.fields());
    match std::iter::once(kinds).chain(pairs).find(|((_, found), (_, wanted))| found != wanted) {
        None => Ok(()),
        Some(((field, found), (_, wanted))) => {
            Err(VideoError::CannotResume { path: path.to_owned(), field, found, wanted })
        }
    }
}

/// Cuts the columns after the last segment that is whole in all of them; returns the number of segments.
fn cut_to_whole(file: &File) -> hdf5::Result<usize> {
    let [codes, priorities, offset] = columns(file)?;
    let ends: Vec<u64> = offset.read_raw()?;
    let num_tokens = codes.size().min(priorities.size()) as u64;
    let whole = ends
        .iter()
        .zip(std::iter::once(&0).chain(&ends))
        .take_while(|(end, last)| *last <= *end && **end <= num_tokens);
    let num_ends = whole.count();
    let Some(last) = num_ends.checked_sub(1) else { return Err(hdf5::Error::from("the offsets are empty")) };
    offset.resize((num_ends,))?;
    codes.resize((ends[last] as usize,))?;
    priorities.resize((ends[last] as usize,))?;
    Ok(last)
}
