//! Any bytes as a token store: refused with an error, or opened, compared with its checksums and summed up.
#![no_main]

use std::io::Write;
use std::ops::ControlFlow;

use libfuzzer_sys::fuzz_target;
use video::TokenStore;

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("room for it");
    if let Ok(store) = TokenStore::open(file.path()) {
        store.verify(&mut |_| ControlFlow::Continue(())).ok();
        store.stats(&mut |_| ControlFlow::Continue(())).ok();
    }
});
