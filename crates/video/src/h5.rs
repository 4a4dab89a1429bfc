//! What both kinds of store share: columns, root attributes, and a check of what is opened.

use std::path::Path;

use hdf5::types::VarLenUnicode;
use hdf5::{Dataset, File, H5Type};

use crate::spool::journal_path;
use crate::{Shard, VideoError};

/// A kind of store, and the layout of it that this program writes and reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// The end of its `format` attribute.
    pub(crate) name: &'static str,
    /// Its `format_version`.
    pub(crate) version: u32,
    /// How an older one is made anew: "import it again".
    pub(crate) again: &'static str,
}

/// Adds the store's path and what was attempted to HDF5's errors.
pub(crate) trait At<T> {
    fn at(self, path: &Path, action: &'static str) -> Result<T, VideoError>;
}

impl<T> At<T> for hdf5::Result<T> {
    fn at(self, path: &Path, action: &'static str) -> Result<T, VideoError> {
        self.map_err(|source| VideoError::Hdf5 { action, path: path.to_owned(), source })
    }
}

/// Creates a column that is filled later.
pub(crate) fn create_column<T: H5Type>(file: &File, name: &str, len: usize) -> hdf5::Result<Dataset> {
    // No times are stored, so that equal contents give equal files.
    file.new_dataset::<T>().shape(len).obj_track_times(false).create(name)
}

/// Writes a whole column.
pub(crate) fn write_column<T: H5Type>(file: &File, name: &str, items: &[T]) -> hdf5::Result<()> {
    create_column::<T>(file, name, items.len())?.write_raw(items)
}

/// Writes a whole column of variable-length UTF-8.
pub(crate) fn write_texts<'a>(file: &File, name: &str, texts: impl Iterator<Item = &'a String>) -> hdf5::Result<()> {
    write_column(file, name, &texts.map(|text| var_len(text)).collect::<hdf5::Result<Vec<_>>>()?)
}

pub(crate) fn read_texts(file: &File, name: &str) -> hdf5::Result<Vec<String>> {
    open_column(file, name)?.read_raw::<VarLenUnicode>()?.iter().map(checked).collect()
}

pub(crate) fn read_column<T: H5Type>(file: &File, name: &str) -> hdf5::Result<Vec<T>> {
    open_column(file, name)?.read_raw()
}

pub(crate) fn read_range<T: H5Type>(column: &Dataset, start: usize, stop: usize) -> hdf5::Result<Vec<T>> {
    Ok(column.read_slice_1d::<T, _>(start..stop)?.into_raw_vec_and_offset().0)
}

/// A column of the file, once it is sure that reading it takes no more memory than the file has bytes: its length may be
/// damaged, or a lie.
pub(crate) fn open_column(file: &File, name: &str) -> hdf5::Result<Dataset> {
    within_file(file.dataset(name)?)
}

fn within_file(column: Dataset) -> hdf5::Result<Dataset> {
    let num_bytes = (column.size() as u64).saturating_mul(column.dtype()?.size() as u64);
    let file_bytes = column.file()?.size();
    if num_bytes > file_bytes {
        let problem = format!("{} is said to hold {num_bytes} bytes, the file has {file_bytes}", column.name());
        return Err(problem.as_str().into());
    }
    Ok(column)
}

/// A damaged file may hold any bytes where a text should be.
pub(crate) fn checked(text: &VarLenUnicode) -> hdf5::Result<String> {
    String::from_utf8(text.as_bytes().to_vec()).map_err(|err| hdf5::Error::from(err.to_string().as_str()))
}

fn var_len(text: &str) -> hdf5::Result<VarLenUnicode> {
    text.parse().map_err(|_null| hdf5::Error::from(format!("a text holds a null character: {text:?}").as_str()))
}

pub(crate) fn set_text(file: &File, name: &str, text: &str) -> hdf5::Result<()> {
    file.new_attr::<VarLenUnicode>().create(name)?.write_scalar(&var_len(text)?)
}

pub(crate) fn text(file: &File, name: &str) -> hdf5::Result<String> {
    checked(&file.attr(name)?.read_scalar::<VarLenUnicode>()?)
}

pub(crate) fn set_number<T: H5Type>(file: &File, name: &str, number: T) -> hdf5::Result<()> {
    file.new_attr::<T>().create(name)?.write_scalar(&number)
}

pub(crate) fn number<T: H5Type>(file: &File, name: &str) -> hdf5::Result<T> {
    file.attr(name)?.read_scalar()
}

/// Which part of something larger a store is.
pub(crate) fn shard(file: &File) -> hdf5::Result<Shard> {
    text(file, "shard")?.parse().map_err(|err: VideoError| hdf5::Error::from(err.to_string().as_str()))
}

/// Creates an empty file that does not depend on the time.
pub(crate) fn create(path: &Path) -> Result<File, VideoError> {
    files().with_fcpl(|create| create.obj_track_times(false)).create(path).at(path, "create")
}

/// HDF5's own file locks are off: a child process that was started meanwhile inherits them, so an ffmpeg that outlives
/// its killed parent would keep the store locked.
fn files() -> hdf5::FileBuilder {
    let mut options = File::with_options();
    options.with_fapl(|access| access.file_locking(false));
    options
}

/// Opens a finished store for reading and checks that it is of the wanted kind and of the version read here.
pub(crate) fn open_finished(path: &Path, kind: Kind) -> Result<File, VideoError> {
    let Kind { name: wanted, version: known, again } = kind;
    if let Err(source) = std::fs::File::open(path) {
        let begun = source.kind() == std::io::ErrorKind::NotFound && journal_path(path).exists();
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
    if version > known {
        return Err(VideoError::NewerFormat { path: path.to_owned(), found: version, known });
    }
    if version < known {
        return Err(VideoError::OlderFormat { path: path.to_owned(), found: version, needed: known, remedy: again });
    }
    Ok(file)
}

/// Writes the attributes that name a store's kind and maker.
pub(crate) fn describe(file: &File, kind: Kind) -> hdf5::Result<()> {
    set_text(file, "format", &format!("longvid {}", kind.name))?;
    set_number(file, "format_version", kind.version)?;
    set_text(file, "created_by", concat!("longvid ", env!("CARGO_PKG_VERSION")))
}

/// Version of the HDF5 library inside the program, such as `1.14.6`.
pub fn hdf5_version() -> String {
    let (major, minor, micro) = hdf5::library_version();
    format!("{major}.{minor}.{micro}")
}
