//! What both kinds of store share: columns that grow, root attributes, and files that are written beside their name
//! and renamed when they are whole.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use hdf5::types::VarLenUnicode;
use hdf5::{Dataset, H5Type};

use crate::VideoError;

/// Newest layout of the stores that this program writes and reads.
pub(crate) const FORMAT_VERSION: u32 = 1;
/// Items per HDF5 chunk of a table's column.
const COLUMN_CHUNK: usize = 1024;
/// Room that is left on the disk for HDF5's own tables and for everybody else.
const DISK_MARGIN_BYTES: u64 = 16 << 20;

/// Adds the store's path and what was attempted to HDF5's errors.
pub(crate) trait At<T> {
    fn at(self, path: &Path, action: &'static str) -> Result<T, VideoError>;
}

impl<T> At<T> for hdf5::Result<T> {
    fn at(self, path: &Path, action: &'static str) -> Result<T, VideoError> {
        self.map_err(|source| VideoError::Hdf5 { action, path: path.to_owned(), source })
    }
}

pub(crate) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> VideoError {
    move |source| VideoError::Io { action, path: path.to_owned(), source }
}

/// Creates an empty column that can grow. No times are stored, so that equal contents give equal files.
pub(crate) fn create_column<T: H5Type>(file: &hdf5::File, name: &str, chunk: usize) -> hdf5::Result<()> {
    file.new_dataset::<T>().shape(0..).chunk(chunk).obj_track_times(false).create(name).map(drop)
}

/// Creates the columns of a table.
pub(crate) fn create_table_column<T: H5Type>(file: &hdf5::File, name: &str) -> hdf5::Result<()> {
    create_column::<T>(file, name, COLUMN_CHUNK)
}

/// Adds `items` at the end of a column.
pub(crate) fn append<T: H5Type>(column: &Dataset, items: &[T]) -> hdf5::Result<()> {
    let len = column.size();
    column.resize((len + items.len(),))?;
    column.write_slice(items, len..len + items.len())
}

/// Adds strings at the end of a column of variable-length UTF-8.
pub(crate) fn append_texts(column: &Dataset, texts: &[&str]) -> hdf5::Result<()> {
    append(column, &texts.iter().map(|text| var_len(text)).collect::<hdf5::Result<Vec<_>>>()?)
}

pub(crate) fn read_texts(file: &hdf5::File, name: &str) -> hdf5::Result<Vec<String>> {
    Ok(file.dataset(name)?.read_raw::<VarLenUnicode>()?.into_iter().map(|text| text.as_str().to_owned()).collect())
}

pub(crate) fn read_column<T: H5Type>(file: &hdf5::File, name: &str) -> hdf5::Result<Vec<T>> {
    file.dataset(name)?.read_raw()
}

pub(crate) fn read_range<T: H5Type>(column: &Dataset, start: usize, stop: usize) -> hdf5::Result<Vec<T>> {
    Ok(column.read_slice_1d::<T, _>(start..stop)?.into_raw_vec_and_offset().0)
}

fn var_len(text: &str) -> hdf5::Result<VarLenUnicode> {
    text.parse().map_err(|_null| hdf5::Error::from(format!("a text holds a null character: {text:?}").as_str()))
}

pub(crate) fn set_text(file: &hdf5::File, name: &str, text: &str) -> hdf5::Result<()> {
    let attr = match file.attr(name) {
        Ok(attr) => attr,
        Err(_) => file.new_attr::<VarLenUnicode>().create(name)?,
    };
    attr.write_scalar(&var_len(text)?)
}

pub(crate) fn text(file: &hdf5::File, name: &str) -> hdf5::Result<String> {
    Ok(file.attr(name)?.read_scalar::<VarLenUnicode>()?.as_str().to_owned())
}

pub(crate) fn set_number<T: H5Type>(file: &hdf5::File, name: &str, number: T) -> hdf5::Result<()> {
    file.new_attr::<T>().create(name)?.write_scalar(&number)
}

pub(crate) fn number<T: H5Type>(file: &hdf5::File, name: &str) -> hdf5::Result<T> {
    file.attr(name)?.read_scalar()
}

/// Opens a finished store for reading and checks that it is of the wanted kind and of a version known here.
pub(crate) fn open_finished(path: &Path, wanted: &'static str) -> Result<hdf5::File, VideoError> {
    if let Err(source) = File::open(path) {
        let begun = source.kind() == std::io::ErrorKind::NotFound && tmp_path(path).exists();
        let path = path.to_owned();
        return Err(if begun {
            VideoError::Unfinished { path }
        } else {
            VideoError::Io { action: "read", path, source }
        });
    }
    let problem = |problem: String| VideoError::NotAStore { path: path.to_owned(), wanted, problem };
    let file = files().open(path).map_err(|err| problem(format!("HDF5 cannot open it: {err}")))?;
    let found = text(&file, "format").map_err(|_absent| problem("it has no `format` attribute".to_owned()))?;
    if found != format!("longvid {wanted}") {
        let found = found.strip_prefix("longvid ").unwrap_or(&found).to_owned();
        return Err(VideoError::WrongKind { path: path.to_owned(), found, wanted });
    }
    let version: u32 = number(&file, "format_version").at(path, "read the version of")?;
    if version > FORMAT_VERSION {
        return Err(VideoError::NewerFormat { path: path.to_owned(), found: version, known: FORMAT_VERSION });
    }
    Ok(file)
}

/// Writes the attributes that name a store's kind and maker.
pub(crate) fn describe(file: &hdf5::File, kind: &str) -> hdf5::Result<()> {
    set_text(file, "format", &format!("longvid {kind}"))?;
    set_number(file, "format_version", FORMAT_VERSION)?;
    set_text(file, "created_by", concat!("longvid ", env!("CARGO_PKG_VERSION")))
}

/// Bytes that this user may still write on the disk of `path`.
///
/// # Errors
/// [`VideoError::Io`] when `path` does not exist or its file system does not tell.
pub fn free_bytes(path: &Path) -> Result<u64, VideoError> {
    let disk = rustix::fs::statvfs(path).map_err(|err| io_error("ask for the free space of", path)(err.into()))?;
    Ok(disk.f_bavail * disk.f_frsize)
}

/// Version of the HDF5 library inside the program, such as `1.14.6`.
pub fn hdf5_version() -> String {
    let (major, minor, micro) = hdf5::library_version();
    format!("{major}.{minor}.{micro}")
}

/// How an unfinished store was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begin {
    /// There was none.
    Fresh,
    /// An interrupted one is continued.
    Resumed,
    /// An interrupted one could not be opened, which this reason tells; everything is made again.
    Again(String),
}

/// A store on its way: `NAME.tmp` until it is whole, locked against a second writer.
#[derive(Debug)]
pub(crate) struct Unfinished {
    final_path: PathBuf,
    tmp_path: PathBuf,
    file: hdf5::File,
    lock: Lock,
}

impl Unfinished {
    /// Opens `NAME.tmp` to go on, or creates it.
    pub(crate) fn begin(path: &Path) -> Result<(Self, Begin), VideoError> {
        let lock = Lock::take(path)?;
        if path.exists() {
            return Err(VideoError::Exists { path: path.to_owned() });
        }
        let tmp = tmp_path(path);
        let (file, begin) = match tmp.exists().then(|| files().open_rw(&tmp)) {
            Some(Ok(file)) => (file, Begin::Resumed),
            Some(Err(err)) => (create(&tmp)?, Begin::Again(err.to_string())),
            None => (create(&tmp)?, Begin::Fresh),
        };
        Ok((Unfinished { final_path: path.to_owned(), tmp_path: tmp, file, lock }, begin))
    }

    /// Throws away what is there and begins with an empty file.
    pub(crate) fn again(self) -> Result<Self, VideoError> {
        let Unfinished { final_path, tmp_path, file, lock } = self;
        file.close().at(&tmp_path, "close")?;
        let file = create(&tmp_path)?;
        Ok(Unfinished { final_path, tmp_path, file, lock })
    }

    pub(crate) fn file(&self) -> &hdf5::File {
        &self.file
    }

    pub(crate) fn path(&self) -> &Path {
        &self.tmp_path
    }

    /// Makes what was written so far safe against the end of this process.
    pub(crate) fn flush(&self) -> Result<(), VideoError> {
        self.file.flush().at(&self.tmp_path, "flush")
    }

    /// Checks the room on the disk before a write: HDF5 cannot take back half a write.
    pub(crate) fn expect_room(&self, write_bytes: u64) -> Result<(), VideoError> {
        // A file system that cannot tell is not a reason to stop.
        let Ok(free_bytes) = free_bytes(&self.tmp_path) else { return Ok(()) };
        let needed_bytes = write_bytes + DISK_MARGIN_BYTES;
        if free_bytes < needed_bytes {
            return Err(VideoError::DiskFull { path: self.tmp_path.clone(), free_bytes, needed_bytes });
        }
        Ok(())
    }

    /// Closes the file, brings it to the disk and gives it its name.
    pub(crate) fn finish(self) -> Result<(), VideoError> {
        let Unfinished { final_path, tmp_path, file, lock } = self;
        file.flush().at(&tmp_path, "flush")?;
        file.close().at(&tmp_path, "close")?;
        File::open(&tmp_path).and_then(|file| file.sync_all()).map_err(io_error("sync", &tmp_path))?;
        std::fs::rename(&tmp_path, &final_path).map_err(io_error("rename", &tmp_path))?;
        // The new name itself is safe once its folder is on the disk.
        let folder = folder_of(&final_path);
        File::open(&folder).and_then(|dir| dir.sync_all()).map_err(io_error("sync", &folder))?;
        drop(lock);
        Ok(())
    }
}

fn create(tmp: &Path) -> Result<hdf5::File, VideoError> {
    // No times are stored, so that equal contents give equal files.
    files().with_fcpl(|create| create.obj_track_times(false)).create(tmp).at(tmp, "create")
}

/// HDF5's own file locks are off: a child process that was started meanwhile inherits them, so an ffmpeg that outlives
/// its killed parent would keep the store locked.
fn files() -> hdf5::FileBuilder {
    let mut options = hdf5::File::with_options();
    options.with_fapl(|access| access.file_locking(false));
    options
}

fn tmp_path(path: &Path) -> PathBuf {
    with_suffix(path, ".tmp")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// An exclusive lock on `NAME.lock`, which the system frees even after kill -9.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    fn take(store: &Path) -> Result<Self, VideoError> {
        let path = with_suffix(store, ".lock");
        loop {
            let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
            let file = opened.map_err(io_error("create", &path))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(std::fs::TryLockError::WouldBlock) => return Err(VideoError::Busy { path: store.to_owned() }),
                Err(std::fs::TryLockError::Error(source)) => {
                    return Err(VideoError::Io { action: "lock", path, source });
                }
            }
            // The one who held it before removes the name: then this is the lock of a file that nobody else sees.
            let same = |named: std::fs::Metadata| file.metadata().is_ok_and(|own| own.ino() == named.ino());
            if std::fs::metadata(&path).is_ok_and(same) {
                return Ok(Lock { path, file });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // An empty file that stays behind does no harm.
        std::fs::remove_file(&self.path).ok();
        // Said aloud, as a child process just being started may hold a copy of the descriptor for a moment.
        self.file.unlock().ok();
    }
}
