//! Arrays as `numpy.load` reads them: a ZIP file of `.npy` arrays (NEP 1, version 1.0), neither compressed nor held in memory.
//! Reading them also takes what `numpy.savez_compressed` writes.

mod read;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::exit::BadInput;
pub(crate) use read::NpzFile;

/// An element type of arrays.
pub(crate) trait Element: Copy {
    /// Its name in a `.npy` header.
    const DESCR: &'static str;
    fn append_to(self, bytes: &mut Vec<u8>);
}

macro_rules! element {
    ($($kind:ty: $descr:literal),*) => {$(
        impl Element for $kind {
            const DESCR: &'static str = $descr;
            fn append_to(self, bytes: &mut Vec<u8>) {
                bytes.extend(self.to_le_bytes());
            }
        }
    )*};
}

element!(u32: "<u4", u64: "<u8", i32: "<i4", i64: "<i8", f32: "<f4");

/// A file of arrays on its way: `NAME.tmp` until it is whole.
pub(crate) struct NpzWriter {
    path: PathBuf,
    tmp: PathBuf,
    zip: ZipWriter<BufWriter<File>>,
}

impl NpzWriter {
    /// # Errors
    /// [`BadInput`] when the file exists.
    pub(crate) fn create(path: &Path) -> anyhow::Result<Self> {
        if path.exists() {
            return Err(BadInput(format!("{path:?} already exists; remove it or choose another name")).into());
        }
        let mut tmp = path.as_os_str().to_owned();
        tmp.push(".tmp");
        let tmp = PathBuf::from(tmp);
        let file = File::create(&tmp).with_context(|| format!("cannot create {tmp:?}"))?;
        Ok(NpzWriter { path: path.to_owned(), tmp, zip: ZipWriter::new(BufWriter::new(file)) })
    }

    /// Begins an array; its items follow by [`NpzWriter::write`], row-major.
    pub(crate) fn begin<T: Element>(&mut self, name: &str, shape: &[usize]) -> anyhow::Result<()> {
        self.begin_as(name, T::DESCR, shape)
    }

    /// The next items of the array that was begun.
    pub(crate) fn write<T: Element>(&mut self, items: &[T]) -> anyhow::Result<()> {
        let mut bytes = Vec::with_capacity(size_of_val(items));
        items.iter().for_each(|item| item.append_to(&mut bytes));
        self.write_bytes(&bytes)
    }

    /// A whole array.
    pub(crate) fn array<T: Element>(&mut self, name: &str, shape: &[usize], items: &[T]) -> anyhow::Result<()> {
        self.begin::<T>(name, shape)?;
        self.write(items)
    }

    /// An array of texts, `[len]`, each as many characters long as the longest.
    pub(crate) fn texts<'a>(
        &mut self,
        name: &str,
        texts: impl ExactSizeIterator<Item = &'a str> + Clone,
    ) -> anyhow::Result<()> {
        let width = widest(texts.clone());
        self.begin_as(name, &format!("<U{width}"), &[texts.len()])?;
        texts.into_iter().try_for_each(|text| self.write_bytes(&utf32(text, width)))
    }

    /// A single text, as an array without axes.
    pub(crate) fn text(&mut self, name: &str, text: &str) -> anyhow::Result<()> {
        let width = widest(std::iter::once(text));
        self.begin_as(name, &format!("<U{width}"), &[])?;
        self.write_bytes(&utf32(text, width))
    }

    /// Completes the file and gives it its name.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        let NpzWriter { path, tmp, zip } = self;
        let file = zip.finish().map_err(std::io::Error::from).and_then(|file| Ok(file.into_inner()?));
        let written = file.and_then(|file| file.sync_all()).and_then(|()| std::fs::rename(&tmp, &path));
        written.with_context(|| format!("cannot write {path:?}"))
    }

    fn begin_as(&mut self, name: &str, descr: &str, shape: &[usize]) -> anyhow::Result<()> {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
        self.zip.start_file(format!("{name}.npy"), options).with_context(|| format!("cannot write {:?}", self.tmp))?;
        self.write_bytes(&header(descr, shape))
    }

    fn write_bytes(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.zip.write_all(bytes).with_context(|| format!("cannot write {:?}", self.tmp))
    }
}

/// What stands before the items of an array: a Python dictionary, filled up so that they begin at a multiple of 64 bytes.
fn header(descr: &str, shape: &[usize]) -> Vec<u8> {
    // A tuple of one element needs its comma, and none of the others minds it.
    let axes: String = shape.iter().map(|len| format!("{len},")).collect();
    let dictionary = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({axes}), }}");
    const BEFORE: usize = 10;
    let len = (BEFORE + dictionary.len() + 1).next_multiple_of(64) - BEFORE;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((len as u16).to_le_bytes());
    bytes.extend(format!("{dictionary:<width$}\n", width = len - 1).into_bytes());
    bytes
}

/// Characters of the longest text; numpy has no texts of none.
fn widest<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(|text| text.chars().count()).max().unwrap_or(0).max(1)
}

/// `width` characters of four bytes, zeros behind the text.
fn utf32(text: &str, width: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
    bytes.resize(4 * width, 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_those_that_numpy_writes() {
        // numpy 2.3: np.save(file, np.zeros((3, 2), "u4")), up to numpy's own lack of the comma after the last axis.
        let header = header("<u4", &[3, 2]);
        assert_eq!(header.len(), 128);
        assert_eq!(&header[..10], b"\x93NUMPY\x01\x00\x76\x00");
        let text = String::from_utf8(header[10..].to_vec()).unwrap();
        assert_eq!(text.trim_end(), "{'descr': '<u4', 'fortran_order': False, 'shape': (3,2,), }");
        assert!(text.ends_with(" \n"));
    }

    #[test]
    fn texts_are_utf32_of_one_width() {
        assert_eq!(utf32("a\u{1f3ca}", 3), [97, 0, 0, 0, 0xca, 0xf3, 1, 0, 0, 0, 0, 0]);
        assert_eq!(widest(["", "ab", "é"].into_iter()), 2);
        assert_eq!(widest(std::iter::empty()), 1);
    }
}
