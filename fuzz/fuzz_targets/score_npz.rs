//! Any bytes as a `.npz` of scores, and as an array in one: refused with an error, or read to as many items as its shape has.
#![no_main]

use std::io::{Cursor, Write};

use libfuzzer_sys::fuzz_target;
use read::NpzFile;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

// The program's own file: it is part of no library.
#[path = "../../src/npz/read.rs"]
mod read;

/// What the reader needs of the program.
mod exit {
    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    pub(crate) struct BadInput(pub(crate) String);
}

const ARRAY: &str = "scores_class";

fuzz_target!(|bytes: &[u8]| {
    look_at(bytes);
    // A ZIP file's checksums let hardly any change through to the array.
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file(format!("{ARRAY}.npy"), SimpleFileOptions::default()).expect("a name");
    zip.write_all(bytes).expect("room for it");
    look_at(zip.finish().expect("a file in memory").get_ref());
});

fn look_at(bytes: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("room for it");
    let Ok(npz) = NpzFile::read(file.path()) else { return };
    if let Ok((shape, values)) = npz.f32s(ARRAY) {
        assert!(npz.has(ARRAY) && values.len() == shape.iter().product::<usize>());
    }
    if let Ok(counts) = npz.counts(ARRAY) {
        assert!(counts.iter().all(|count| i64::try_from(*count).is_ok()));
    }
    npz.texts(ARRAY).ok();
}
