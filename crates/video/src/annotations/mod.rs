//! Annotations in the form in which they are published. Pure: bytes in, checked rows out; nothing is opened or decoded.
//!
//! | module       | reads                                                                             |
//! | ------------ | --------------------------------------------------------------------------------- |
//! | [`table`]    | a plain CSV: path, label, group, times                                             |
//! | [`diving48`] | Diving48 V2: a JSON list of entries and a vocabulary                               |
//! | [`epic100`]  | EPIC-KITCHENS-100: rows, class lists, tail lists, unseen participants, video info  |
//!
//! Every row is checked and the first wrong one is refused by file, line and field ([`VideoError::Annotation`]), with
//! what was found and what is expected: a row skipped in silence would change a published number. The paths that these
//! functions take serve errors alone. What they allocate is bounded by the length of the file, never by a number in it.

mod csv_file;
pub mod diving48;
pub mod epic100;
mod python;
pub mod table;
#[cfg(test)]
mod tests;
mod timestamp;

use std::path::{Component, Path};

use crate::{LabelSpace, VideoError};

/// One annotated segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its name, unique within the file.
    pub id: String,
    /// Its video as the annotations name it: a path below the folder of videos, a `vid_name`, a `video_id`.
    pub video: String,
    /// Label in each label space, below its number of classes; `None` without one.
    pub labels: Vec<Option<usize>>,
    /// What must not be divided between training and test.
    pub group: String,
    /// Who is filmed or films; empty where unknown.
    pub subject: String,
    /// The part of the video.
    pub span: Span,
}

/// A part of a video.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Span {
    /// From its first frame to its last.
    Whole,
    /// From one time to another, seconds; the second is greater.
    Secs(f64, f64),
    /// From one frame of the source file up to another, which is greater.
    Frames(u32, u32),
}

/// What an annotation file holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// What the rows are labelled with.
    pub label_spaces: Vec<LabelSpace>,
    /// The segments, in the order of the file.
    pub rows: Vec<Row>,
    /// Columns of a table that mean nothing here.
    pub ignored_columns: Vec<String>,
}

/// Where in an annotation file something is wrong.
struct Place<'a> {
    path: &'a Path,
    /// From 1.
    line: u64,
}

impl Place<'_> {
    /// The byte `offset` of a file, or what follows it where a line ends there.
    fn at<'a>(path: &'a Path, bytes: &[u8], offset: usize) -> Place<'a> {
        let (before, after) = bytes.split_at(offset.min(bytes.len()));
        let num_breaks = after.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let before = &bytes[..before.len() + num_breaks];
        // `\n`, `\r\n`, and the lone `\r` that the CSV reader takes for an end too.
        let ends = |i: &usize| before[*i] == b'\n' || before[*i] == b'\r' && before.get(i + 1) != Some(&b'\n');
        Place { path, line: 1 + (0..before.len()).filter(ends).count() as u64 }
    }

    /// The error; `found` is what stands in the file.
    fn wrong(&self, field: &str, found: &str, expected: impl Into<String>) -> VideoError {
        let (path, field, expected) = (self.path.to_owned(), field.to_owned(), expected.into());
        VideoError::Annotation { path, line: self.line, field, found: shown(found), expected }
    }
}

/// What was found, quoted and not longer than a line.
fn shown(found: &str) -> String {
    const MAX_CHARS: usize = 60;
    match found.char_indices().nth(MAX_CHARS) {
        None => format!("{found:?}"),
        Some((end, _)) => format!("{:?}...", &found[..end]),
    }
}

/// A number of ASCII digits alone, below `end`.
fn whole_number(text: &str, end: u32) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number < end)
}

/// A path that stays below the folder, with `/` and without `.`; `None` for any other.
fn relative(text: &str) -> Option<String> {
    let part = |component: Component<'_>| match component {
        Component::Normal(part) => Some(part.to_string_lossy().into_owned()),
        _ => None,
    };
    let inside = Path::new(text).components().filter(|component| *component != Component::CurDir);
    let parts: Vec<String> = inside.map(part).collect::<Option<_>>()?;
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// Editors on Windows put it before UTF-8.
fn without_byte_order_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}
