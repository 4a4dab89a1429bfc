//! EPIC-KITCHENS-100's files are refused or give rows that fit the class lists.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use video::annotations::Span;
use video::annotations::epic100::{self, ClassList, Known};

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new("rows.csv");
    let names: Vec<String> = ["take", "put", "wash"].map(str::to_owned).to_vec();
    for list in [ClassList::Verbs, ClassList::Nouns] {
        if let Ok(ids) = epic100::tail(path, bytes, list, names.len()) {
            assert!(ids.iter().all(|id| *id < names.len()));
        }
    }
    epic100::classes(path, bytes).ok();
    epic100::video_info(path, bytes).ok();
    epic100::participants(path, bytes).ok();
    let Ok(parsed) = epic100::segments(path, bytes, &Known { verbs: &names, nouns: &names, videos: None }) else {
        return;
    };
    for row in &parsed.rows {
        assert!(row.labels.len() == 2 && row.labels.iter().flatten().all(|label| *label < names.len()));
        assert!(row.id.starts_with(&row.video) && row.video.starts_with(&row.subject));
        assert!(matches!(row.span, Span::Secs(start, stop) if start < stop && stop.is_finite()));
    }
});
