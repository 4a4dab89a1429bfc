//! Any bytes as a clip store: refused with an error, or opened and compared with its checksums.
#![no_main]

use std::io::Write;
use std::ops::ControlFlow;

use libfuzzer_sys::fuzz_target;
use video::ClipStore;

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("room for it");
    if let Ok(store) = ClipStore::open(file.path()) {
        store.verify(&mut |_| ControlFlow::Continue(())).ok();
    }
});
