//! Any bytes as a manifest: refused with an error, or read to something that writes and reads back the same.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use video::Manifest;

fuzz_target!(|bytes: &[u8]| {
    let parse = |bytes: &[u8]| Manifest::parse(Path::new("manifest.csv"), bytes);
    if let Ok(manifest) = parse(bytes) {
        let again = parse(manifest.to_csv().as_bytes()).expect("what was written can be read");
        assert_eq!(again, manifest);
    }
});
