//! Stores on their way. HDF5 cannot be interrupted safely: a process killed while it flushes leaves tables that do not
//! fit each other. So data grow in a plain file `NAME.part`, beside a journal `NAME.journal` with one JSON line per
//! finished row, and the HDF5 file is written in one go at the end, as `NAME.tmp`, and renamed.
//!
//! A line counts when it is whole and its data are all there, so kill -9 at any moment costs at most the row being
//! written. What is not covered before the end is a power cut: the plain files are left to the system to write.

#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::VideoError;
use crate::h5::{self, At};
use crate::lock::Lock;

/// Data are handed on in pieces of this size.
pub(crate) const PIECE_BYTES: usize = 4 << 20;
/// Room that is left on the disk for HDF5's own tables and for everybody else.
const DISK_MARGIN_BYTES: u64 = 16 << 20;

/// How an unfinished store was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begin {
    /// There was none.
    Fresh,
    /// An interrupted one is continued.
    Resumed,
    /// The journal of an interrupted one cannot be read, which this reason tells; everything is made again.
    Again(String),
}

/// One line of the journal after the header.
#[derive(Debug, Serialize, Deserialize)]
struct Line<R> {
    /// Bytes of data up to and including this row.
    data_bytes: u64,
    row: R,
}

/// Where a row ends.
#[derive(Clone, Copy, Debug)]
struct End {
    journal_bytes: u64,
    data_bytes: u64,
}

/// Data and journal of a store that is being written, locked against a second writer.
#[derive(Debug)]
pub(crate) struct Spool {
    final_path: PathBuf,
    data: (PathBuf, File),
    journal: (PathBuf, File),
    /// Ends of the header (first) and of each row.
    ends: Vec<End>,
    /// Data of the row being written, those in `pending` included.
    row_bytes: u64,
    pending: Vec<u8>,
    /// Held for as long as the spool lives.
    _lock: Lock,
}

impl Spool {
    /// Begins the store `path`, or goes on with an interrupted one. Returns the header found, which the caller compares
    /// with its own, and the rows that are whole.
    pub(crate) fn begin<H, R>(path: &Path, header: &H) -> Result<(Self, Begin, H, Vec<R>), VideoError>
    where
        H: Serialize + DeserializeOwned + Clone,
        R: DeserializeOwned,
    {
        let lock = Lock::take(path)?;
        if path.exists() {
            // Left by a process that was killed when the store had its name already.
            for done_with in [with_suffix(path, ".part"), journal_path(path)] {
                std::fs::remove_file(done_with).ok();
            }
            return Err(VideoError::Exists { path: path.to_owned() });
        }
        let data = open(with_suffix(path, ".part"))?;
        let mut journal = open(journal_path(path))?;
        let mut text = Vec::new();
        journal.1.read_to_end(&mut text).map_err(io_error("read", &journal.0))?;
        let data_bytes = data.1.metadata().map_err(io_error("read", &data.0))?.len();
        let (begin, found, ends, rows) = match whole_lines::<H, R>(&text, data_bytes) {
            None if text.contains(&b'\n') => {
                (Begin::Again("its first line is not ours".to_owned()), None, Vec::new(), Vec::new())
            }
            None => (Begin::Fresh, None, Vec::new(), Vec::new()),
            Some((found, ends, rows)) => (Begin::Resumed, Some(found), ends, rows),
        };
        let mut spool =
            Spool { final_path: path.to_owned(), data, journal, ends, row_bytes: 0, pending: Vec::new(), _lock: lock };
        let found = match found {
            Some(found) => found,
            None => {
                cut(&mut spool.journal, 0)?;
                let journal_bytes = spool.write_line(header)?;
                spool.ends = vec![End { journal_bytes, data_bytes: 0 }];
                header.clone()
            }
        };
        spool.keep(rows.len())?;
        Ok((spool, begin, found, rows))
    }

    /// The store as it will be called.
    pub(crate) fn final_path(&self) -> &Path {
        &self.final_path
    }

    /// Checks the header of an interrupted store field by field.
    pub(crate) fn expect_equal<const N: usize>(
        &self,
        found: &[(&'static str, String); N],
        wanted: &[(&'static str, String); N],
    ) -> Result<(), VideoError> {
        match found.iter().zip(wanted).find(|(found, wanted)| found != wanted) {
            None => Ok(()),
            Some(((field, found), (_, wanted))) => Err(VideoError::CannotResume {
                path: self.journal.0.clone(),
                field,
                found: found.clone(),
                wanted: wanted.clone(),
            }),
        }
    }

    /// Bytes of data of all whole rows.
    pub(crate) fn data_bytes(&self) -> u64 {
        self.ends.last().map_or(0, |end| end.data_bytes)
    }

    /// Drops everything but the first `num_rows` rows.
    pub(crate) fn keep(&mut self, num_rows: usize) -> Result<(), VideoError> {
        self.ends.truncate(num_rows + 1);
        let journal_bytes = self.ends.last().map_or(0, |end| end.journal_bytes);
        cut(&mut self.journal, journal_bytes)?;
        self.drop_row()
    }

    /// Drops the data of the row being written.
    pub(crate) fn drop_row(&mut self) -> Result<(), VideoError> {
        self.pending.clear();
        self.row_bytes = 0;
        let data_bytes = self.data_bytes();
        cut(&mut self.data, data_bytes)
    }

    /// Adds data to the row being written.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), VideoError> {
        self.pending.extend_from_slice(bytes);
        self.row_bytes += bytes.len() as u64;
        if self.pending.len() >= PIECE_BYTES { self.write_pending() } else { Ok(()) }
    }

    /// Completes the row being written.
    pub(crate) fn commit<R: Serialize>(&mut self, row: &R) -> Result<(), VideoError> {
        self.write_pending()?;
        let data_bytes = self.data_bytes() + self.row_bytes;
        let journal_bytes = self.write_line(&Line { data_bytes, row })?;
        self.ends.push(End { journal_bytes, data_bytes });
        self.row_bytes = 0;
        Ok(())
    }

    /// Calls `piece` on all data from the beginning, piece by piece.
    pub(crate) fn read_data(
        &mut self,
        mut piece: impl FnMut(u64, &[u8]) -> Result<(), VideoError>,
    ) -> Result<(), VideoError> {
        let (data_bytes, mut start) = (self.data_bytes(), 0);
        let (path, file) = &mut self.data;
        file.seek(SeekFrom::Start(0)).map_err(io_error("read", path))?;
        let mut buffer = vec![0; PIECE_BYTES];
        while start < data_bytes {
            let len = (data_bytes - start).min(PIECE_BYTES as u64) as usize;
            file.read_exact(&mut buffer[..len]).map_err(io_error("read", path))?;
            piece(start, &buffer[..len])?;
            start += len as u64;
        }
        Ok(())
    }

    /// Writes the HDF5 file by `write`, brings it to the disk, gives it its name and removes data and journal.
    pub(crate) fn finish(
        mut self,
        write: impl FnOnce(&mut Self, &hdf5::File) -> Result<(), VideoError>,
    ) -> Result<(), VideoError> {
        self.drop_row()?;
        let tmp = with_suffix(&self.final_path, ".tmp");
        self.expect_room(self.data_bytes())?;
        let file = h5::create(&tmp)?;
        write(&mut self, &file)?;
        file.flush().at(&tmp, "flush")?;
        file.close().at(&tmp, "close")?;
        File::open(&tmp).and_then(|file| file.sync_all()).map_err(io_error("sync", &tmp))?;
        std::fs::rename(&tmp, &self.final_path).map_err(io_error("rename", &tmp))?;
        // The new name itself is safe once its folder is on the disk.
        let folder = self.final_path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|dir| dir.sync_all()).map_err(io_error("sync", folder))?;
        self.discard()
    }

    /// Removes data and journal: there is nothing to go on with.
    pub(crate) fn discard(self) -> Result<(), VideoError> {
        for path in [&self.data.0, &self.journal.0] {
            std::fs::remove_file(path).map_err(io_error("remove", path))?;
        }
        Ok(())
    }

    fn write_pending(&mut self) -> Result<(), VideoError> {
        // The HDF5 file will take as much again: better to stop now than after hours.
        self.expect_room(self.data_bytes() + self.row_bytes + self.pending.len() as u64)?;
        self.data.1.write_all(&self.pending).map_err(io_error("write", &self.data.0))?;
        self.pending.clear();
        Ok(())
    }

    /// Writes a line of the journal; returns its new length.
    fn write_line(&mut self, line: &impl Serialize) -> Result<u64, VideoError> {
        let (path, file) = &mut self.journal;
        let mut text = serde_json::to_vec(line).map_err(|err| io_error("write", path)(err.into()))?;
        text.push(b'\n');
        file.write_all(&text).map_err(io_error("write", path))?;
        file.stream_position().map_err(io_error("write", path))
    }

    fn expect_room(&self, write_bytes: u64) -> Result<(), VideoError> {
        // A file system that cannot tell is not a reason to stop.
        let Ok(free_bytes) = free_bytes(&self.data.0) else { return Ok(()) };
        let needed_bytes = write_bytes + DISK_MARGIN_BYTES;
        if free_bytes < needed_bytes {
            return Err(VideoError::DiskFull { path: self.final_path.clone(), free_bytes, needed_bytes });
        }
        Ok(())
    }
}

/// Header, ends and rows of the lines that are whole and whose data are there; `None` without a header.
fn whole_lines<H: DeserializeOwned, R: DeserializeOwned>(
    text: &[u8],
    data_bytes: u64,
) -> Option<(H, Vec<End>, Vec<R>)> {
    let mut lines = text.split_inclusive(|byte| *byte == b'\n').take_while(|line| line.ends_with(b"\n"));
    let first = lines.next()?;
    let header = serde_json::from_slice(first).ok()?;
    let mut ends = vec![End { journal_bytes: first.len() as u64, data_bytes: 0 }];
    let mut rows = Vec::new();
    for line in lines {
        let last = ends[ends.len() - 1];
        let Ok(Line { data_bytes: end, row }) = serde_json::from_slice(line) else { break };
        if end < last.data_bytes || end > data_bytes {
            break;
        }
        ends.push(End { journal_bytes: last.journal_bytes + line.len() as u64, data_bytes: end });
        rows.push(row);
    }
    Some((header, ends, rows))
}

fn open(path: PathBuf) -> Result<(PathBuf, File), VideoError> {
    let opened = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
    let file = opened.map_err(io_error("create", &path))?;
    Ok((path, file))
}

/// Cuts a file and goes to its end.
fn cut((path, file): &mut (PathBuf, File), len: u64) -> Result<(), VideoError> {
    file.set_len(len).and_then(|()| file.seek(SeekFrom::Start(len))).map_err(io_error("cut", path)).map(drop)
}

/// The journal that tells that a store is unfinished.
pub(crate) fn journal_path(store: &Path) -> PathBuf {
    with_suffix(store, ".journal")
}

pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Adds path and action to an error of the system; a full disk becomes [`VideoError::DiskFull`].
pub(crate) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> VideoError {
    move |source| match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => VideoError::DiskFull {
            path: path.to_owned(),
            free_bytes: free_bytes(path).unwrap_or(0),
            needed_bytes: DISK_MARGIN_BYTES,
        },
        _ => VideoError::Io { action, path: path.to_owned(), source },
    }
}

/// Bytes that this user may still write on the disk of `path`.
///
/// # Errors
/// [`VideoError::Io`] when `path` does not exist or its file system does not tell.
pub fn free_bytes(path: &Path) -> Result<u64, VideoError> {
    let failed = |source| VideoError::Io { action: "ask for the free space of", path: path.to_owned(), source };
    let disk = rustix::fs::statvfs(path).map_err(|err| failed(err.into()))?;
    Ok(disk.f_bavail * disk.f_frsize)
}
