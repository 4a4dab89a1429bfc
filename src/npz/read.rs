use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use zip::ZipArchive;

use crate::exit::BadInput;

/// Bytes of one array that are read; beyond it a file is no table of scores.
const MAX_BYTES: u64 = 1 << 34;

/// The arrays of a file, as bytes.
#[derive(Debug)]
pub(crate) struct NpzFile {
    path: PathBuf,
    arrays: BTreeMap<String, Array>,
}

/// An array, little endian and row-major.
#[derive(Debug, PartialEq, Eq)]
struct Array {
    descr: String,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl NpzFile {
    /// # Errors
    /// [`BadInput`] for what is no `.npz`; the system's when the file cannot be read.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let wrong = |what: String| BadInput(format!("{path:?} is no .npz of arrays: {what}"));
        let file = File::open(path).map_err(|err| BadInput(format!("cannot read {path:?}: {err}")))?;
        let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|err| wrong(err.to_string()))?;
        let mut arrays = BTreeMap::new();
        for entry in 0..zip.len() {
            let entry = zip.by_index(entry).map_err(|err| wrong(err.to_string()))?;
            let name = entry.name().map_err(|err| wrong(err.to_string()))?.into_owned();
            let mut bytes = Vec::new();
            let read = entry.take(MAX_BYTES + 1).read_to_end(&mut bytes);
            let whole = read.with_context(|| format!("{path:?} is damaged: its {name:?}"))? as u64 <= MAX_BYTES;
            let array = Some(bytes).filter(|_| whole).ok_or_else(|| "more than 16 GiB".to_owned()).and_then(parse);
            let array = array.map_err(|what| wrong(format!("{name:?} has {what}")))?;
            arrays.insert(name.trim_end_matches(".npy").to_owned(), array);
        }
        Ok(NpzFile { path: path.to_owned(), arrays })
    }

    /// Whether there is an array of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.arrays.contains_key(name)
    }

    /// Shape and items of an array of `float32`.
    pub(crate) fn f32s(&self, name: &str) -> anyhow::Result<(&[usize], Vec<f32>)> {
        let array = self.array(name, "<f4")?;
        Ok((&array.shape, array.bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()))
    }

    /// Items of an array of `uint64` or `int64` with one axis; none of them negative.
    pub(crate) fn counts(&self, name: &str) -> anyhow::Result<Vec<u64>> {
        let array = self.array(name, "<u8").or_else(|_| self.array(name, "<i8"))?;
        let items: Vec<u64> = array.bytes.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        let fits = array.shape.len() == 1 && items.iter().all(|item| i64::try_from(*item).is_ok());
        if fits { Ok(items) } else { Err(self.wrong(name, "counts with one axis")) }
    }

    /// Items of an array of texts with one axis or none.
    pub(crate) fn texts(&self, name: &str) -> anyhow::Result<Vec<String>> {
        let array = self.arrays.get(name).filter(|array| array.shape.len() <= 1);
        let width = |array: &Array| array.descr.strip_prefix("<U").and_then(|width| width.parse::<usize>().ok());
        let (array, width) = array
            .and_then(|array| Some((array, width(array).filter(|width| *width > 0)?)))
            .ok_or_else(|| self.wrong(name, "texts (<U) with one axis or none"))?;
        let text = |bytes: &[u8]| {
            let chars = bytes.as_chunks().0.iter().map(|four| u32::from_le_bytes(*four)).take_while(|c| *c != 0);
            chars.map(char::from_u32).collect::<Option<String>>()
        };
        let texts: Option<Vec<String>> = array.bytes.chunks_exact(4 * width).map(text).collect();
        texts.ok_or_else(|| self.wrong(name, "texts of Unicode characters"))
    }

    fn array(&self, name: &str, descr: &str) -> anyhow::Result<&Array> {
        let found = self.arrays.get(name).filter(|array| array.descr == descr);
        found.ok_or_else(|| self.wrong(name, descr))
    }

    fn wrong(&self, name: &str, expected: &str) -> anyhow::Error {
        let found = match self.arrays.get(name) {
            Some(Array { descr, shape, .. }) => format!("is {descr} of the shape {shape:?}"),
            None => "is not there".to_owned(),
        };
        let names: Vec<&str> = self.arrays.keys().map(String::as_str).collect();
        let (path, names) = (&self.path, names.join(", "));
        BadInput(format!("{path:?}: the array {name:?} {found}, expected {expected}; the file has: {names}")).into()
    }
}

/// One `.npy`; otherwise what is wrong with it.
fn parse(mut bytes: Vec<u8>) -> Result<Array, String> {
    let (len, start) = match bytes.get(..8) {
        Some([0x93, b'N', b'U', b'M', b'P', b'Y', 1, _]) => {
            let len = bytes.get(8..10).map(|len| usize::from(u16::from_le_bytes([len[0], len[1]])));
            (len, 10)
        }
        Some([0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, _]) => {
            let len = bytes.get(8..12).map(|len| u32::from_le_bytes([len[0], len[1], len[2], len[3]]) as usize);
            (len, 12)
        }
        _ => return Err("no .npy header of version 1 to 3".to_owned()),
    };
    let end = len.and_then(|len| len.checked_add(start)).ok_or("a header without a length")?;
    let header = bytes.get(start..end).and_then(|header| std::str::from_utf8(header).ok());
    let header = header.ok_or("a header that is cut off")?;
    let after = |key: &str| header.split_once(key).map(|(_, rest)| rest.trim_start());
    let descr = after("'descr':").and_then(|rest| rest.strip_prefix('\'')).and_then(|rest| rest.split_once('\''));
    let descr = descr.map(|(descr, _)| descr.replace('|', "<")).ok_or("a header without a plain 'descr'")?;
    if !after("'fortran_order':").is_some_and(|rest| rest.starts_with("False")) {
        return Err("its columns end to end (fortran_order): save numpy.ascontiguousarray of it".to_owned());
    }
    let axes = after("'shape':").and_then(|rest| rest.strip_prefix('(')).and_then(|rest| rest.split_once(')'));
    let axes = axes.map(|(axes, _)| axes.split(',').map(str::trim).filter(|axis| !axis.is_empty()));
    let shape: Option<Vec<usize>> = axes.and_then(|axes| axes.map(|axis| axis.parse().ok()).collect());
    let shape = shape.ok_or("a header without a 'shape'")?;
    let item_bytes = item_bytes(&descr)
        .ok_or_else(|| format!("items of the type {descr}, which is none of text, integers and floats"))?;
    let expected = shape.iter().try_fold(item_bytes, |product, len| product.checked_mul(*len));
    bytes.drain(..end);
    if expected != Some(bytes.len()) {
        return Err(format!("{} bytes of items, which the shape {shape:?} of {descr} does not make", bytes.len()));
    }
    Ok(Array { descr, shape, bytes })
}

/// Bytes of an item of a little-endian type; `None` for types that are not read.
fn item_bytes(descr: &str) -> Option<usize> {
    let (kind, size) = descr.strip_prefix('<')?.split_at_checked(1)?;
    let size: usize = size.parse().ok()?;
    match kind {
        "U" => size.checked_mul(4),
        "f" | "i" | "u" => Some(size),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npz::NpzWriter;

    fn written(folder: &Path) -> PathBuf {
        let path = folder.join("a.npz");
        let mut npz = NpzWriter::create(&path).unwrap();
        npz.texts("ids", ["a", "\u{e9}bc"].into_iter()).unwrap();
        npz.text("header", "{}").unwrap();
        npz.array("x", &[2, 2], &[1.0f32, -2.5, 3.0, 4.0]).unwrap();
        npz.array("offset", &[3], &[0u64, 1, 2]).unwrap();
        npz.finish().unwrap();
        path
    }

    #[test]
    fn what_was_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let npz = NpzFile::read(&written(folder.path())).unwrap();
        assert_eq!(npz.texts("ids").unwrap(), ["a", "\u{e9}bc"]);
        assert_eq!(npz.texts("header").unwrap(), ["{}"]);
        assert_eq!(npz.f32s("x").unwrap(), (&[2, 2][..], vec![1.0, -2.5, 3.0, 4.0]));
        assert_eq!(npz.counts("offset").unwrap(), [0, 1, 2]);
    }

    #[test]
    fn an_array_of_another_type_is_named_with_all_that_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        let said = NpzFile::read(&path).unwrap().f32s("offset").unwrap_err().to_string();
        assert!(said.contains("\"offset\" is <u8 of the shape [3], expected <f4"), "{said}");
        assert!(said.ends_with("the file has: header, ids, offset, x"), "{said}");
    }

    #[test]
    fn numpys_own_headers_are_read() {
        // numpy 2.4: np.save(file, np.array([[1, 2]], "<f4")), and with order "F" for two rows.
        let npy = |dictionary: &str, items: &[u8]| {
            let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
            bytes.extend(format!("{dictionary:<117}\n").into_bytes());
            bytes.extend(items);
            parse(bytes)
        };
        let plain = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }", &[0; 8]).unwrap();
        assert_eq!((plain.descr.as_str(), &plain.shape[..]), ("<f4", &[1, 2][..]));
        let said = npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2), }", &[0; 16]).unwrap_err();
        assert!(said.contains("fortran_order"), "{said}");
        let said = npy("{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", &[0; 16]).unwrap_err();
        assert!(said.contains("the type <O"), "{said}");
        let huge = "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }";
        assert!(npy(huge, &[]).unwrap_err().contains("does not make"));
    }

    #[test]
    fn no_damage_panics() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = std::fs::read(written(folder.path())).unwrap();
        let path = folder.path().join("damaged.npz");
        for at in (0..bytes.len()).step_by(3) {
            std::fs::write(&path, &bytes[..at]).unwrap();
            assert!(NpzFile::read(&path).is_err(), "cut at {at}");
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x55;
            std::fs::write(&path, &flipped).unwrap();
            // The file may still be whole: a date was hit.
            NpzFile::read(&path).ok();
        }
    }
}
