//! Diving48 V2 (Li et al., RESOUND, ECCV 2018; labels of 2020): `Diving48_V2_train.json`, `Diving48_V2_test.json`,
//! `Diving48_vocab.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::{Place, Row, Rows, Span, relative, without_byte_order_mark};
use crate::{LabelSpace, VideoError};

/// Classes where no vocabulary says how many.
const NUM_CLASSES: usize = 48;

/// One entry, its fields still text so that each can be refused by its line.
#[derive(Deserialize)]
struct RawEntry<'a> {
    #[serde(borrow)]
    vid_name: &'a RawValue,
    #[serde(borrow)]
    label: &'a RawValue,
    #[serde(borrow)]
    start_frame: &'a RawValue,
    #[serde(borrow)]
    end_frame: &'a RawValue,
}

/// Reads the list of entries. A video's group is its source competition: what stands before the last `_` of its name.
/// Without a vocabulary the 48 classes are called by number.
///
/// # Errors
/// [`VideoError::Annotation`] for what is no JSON list of entries, a label outside the vocabulary, an end that is not after
/// its start, and a `vid_name` that is no name of a file or was there before.
pub fn entries(path: &Path, bytes: &[u8], vocabulary: Option<&[String]>) -> Result<Rows, VideoError> {
    let file = JsonList::new(path, bytes)?;
    let by_number = || (0..NUM_CLASSES).map(|label| label.to_string()).collect();
    let classes: Vec<String> = vocabulary.map_or_else(by_number, <[String]>::to_vec);
    let mut seen = BTreeMap::new();
    let mut rows = Vec::with_capacity(file.items.len());
    for item in &file.items {
        let row = entry(&file, item, classes.len())?;
        if let Some(before) = seen.insert(row.id.clone(), file.offset(item)) {
            let line = Place::at(path, file.text.as_bytes(), before).line;
            return Err(file.wrong("vid_name", item, format!("a vid_name other than {:?} of line {line}", row.id)));
        }
        rows.push(row);
    }
    let label_spaces = vec![LabelSpace { name: LabelSpace::CLASS.to_owned(), classes }];
    Ok(Rows { label_spaces, rows, ignored_columns: Vec::new() })
}

fn entry(file: &JsonList<'_>, item: &RawValue, num_classes: usize) -> Result<Row, VideoError> {
    let expected = "an object with vid_name, label, start_frame and end_frame";
    let raw: RawEntry<'_> = serde_json::from_str(item.get()).map_err(|_other| file.wrong("entry", item, expected))?;
    let id: String = file.field("vid_name", raw.vid_name, "the name of a video without .mp4")?;
    if relative(&id).as_deref() != Some(&id) || id.contains('\0') {
        return Err(file.wrong("vid_name", raw.vid_name, "the name of a video without .mp4"));
    }
    let label: usize = file.field("label", raw.label, "a whole number, at least 0")?;
    if label >= num_classes {
        return Err(file.wrong("label", raw.label, format!("one below {num_classes}, the number of classes")));
    }
    let start: u32 = file.field("start_frame", raw.start_frame, "a whole number, at least 0")?;
    let end: u32 = file.field("end_frame", raw.end_frame, "a whole number, at least 0")?;
    if end <= start {
        return Err(file.wrong("end_frame", raw.end_frame, format!("a frame after start_frame {start}")));
    }
    let group = id.rsplit_once('_').map_or(id.as_str(), |(competition, _)| competition).to_owned();
    let (video, labels, subject) = (id.clone(), vec![Some(label)], String::new());
    Ok(Row { id, video, labels, group, subject, span: Span::Frames(start, end) })
}

/// Reads the vocabulary: `[["Back", "15som", "05Twis", "FREE"], ...]` becomes `Back 15som 05Twis FREE`.
///
/// # Errors
/// [`VideoError::Annotation`] for a class that is not four words (takeoff, somersault, twist, position) or stood before.
pub fn vocabulary(path: &Path, bytes: &[u8]) -> Result<Vec<String>, VideoError> {
    let file = JsonList::new(path, bytes)?;
    let (mut classes, mut seen) = (Vec::with_capacity(file.items.len()), BTreeSet::new());
    for item in &file.items {
        let words: [String; 4] = file.field("class", item, "a list of four words")?;
        let is_word = |word: &String| !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || c.is_control());
        if !words.iter().all(is_word) {
            return Err(file.wrong("class", item, "a list of four words"));
        }
        let class = words.join(" ");
        if !seen.insert(class.clone()) {
            return Err(file.wrong("class", item, "a class that does not stand in the list already"));
        }
        classes.push(class);
    }
    Ok(classes)
}

/// A JSON file that is a list.
struct JsonList<'a> {
    path: &'a Path,
    text: &'a str,
    /// Parts of `text`.
    items: Vec<&'a RawValue>,
}

impl<'a> JsonList<'a> {
    fn new(path: &'a Path, bytes: &'a [u8]) -> Result<Self, VideoError> {
        let bytes = without_byte_order_mark(bytes);
        let text = std::str::from_utf8(bytes).map_err(|err| {
            Place::at(path, bytes, err.valid_up_to()).wrong("JSON", "bytes that are not UTF-8", "text")
        })?;
        let items = serde_json::from_str(text).map_err(|err| {
            let place = Place { path, line: err.line().max(1) as u64 };
            place.wrong("JSON", &err.to_string(), "a list")
        })?;
        Ok(JsonList { path, text, items })
    }

    /// Where a part of the text begins, bytes.
    fn offset(&self, part: &RawValue) -> usize {
        part.get().as_ptr().addr().saturating_sub(self.text.as_ptr().addr())
    }

    fn field<T: DeserializeOwned>(&self, name: &str, value: &RawValue, expected: &str) -> Result<T, VideoError> {
        serde_json::from_str(value.get()).map_err(|_other| self.wrong(name, value, expected))
    }

    fn wrong(&self, field: &str, value: &RawValue, expected: impl Into<String>) -> VideoError {
        Place::at(self.path, self.text.as_bytes(), self.offset(value)).wrong(field, value.get(), expected)
    }
}
