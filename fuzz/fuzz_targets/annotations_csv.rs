//! A plain table is refused or gives rows with valid labels and times.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use video::annotations::{Span, table};

fuzz_target!(|bytes: &[u8]| {
    let Ok(parsed) = table::rows(Path::new("rows.csv"), bytes) else { return };
    for row in &parsed.rows {
        assert_eq!(row.labels.len(), parsed.label_spaces.len());
        let labels = row.labels.iter().zip(&parsed.label_spaces);
        assert!(labels.into_iter().all(|(label, space)| label.is_none_or(|label| label < space.classes.len())));
        assert!(!row.video.starts_with('/') && !row.video.split('/').any(|part| part == ".."));
        if let Span::Secs(start, stop) = row.span {
            assert!(start >= 0.0 && start < stop && stop.is_finite());
        }
    }
});
