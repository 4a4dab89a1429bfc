//! Diving48's lists are refused or give rows within the vocabulary.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use video::annotations::{Span, diving48};

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new("list.json");
    // The vocabulary alone, and the same bytes as both files.
    let vocabulary = diving48::vocabulary(path, bytes).ok();
    let Ok(parsed) = diving48::entries(path, bytes, vocabulary.as_deref()) else { return };
    for row in &parsed.rows {
        assert!(row.labels[0].is_some_and(|label| label < parsed.label_spaces[0].classes.len()));
        assert!(matches!(row.span, Span::Frames(start, stop) if start < stop));
    }
});
