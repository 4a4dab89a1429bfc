//! A plain table, for everybody's own videos.
//!
//! | column                      | meaning                                                          |
//! | --------------------------- | ---------------------------------------------------------------- |
//! | `path`                      | the video, a path below the folder of videos                     |
//! | `label`                     | name of the class, or empty                                      |
//! | `start_secs`, `stop_secs`   | a part of the video; both or neither are filled (optional)       |
//! | `start`, `end`              | other names for the two                                          |
//! | `group`                     | what must not be divided (optional; empty means the path)        |
//! | `subject`                   | who is filmed or films (optional)                                |
//!
//! Times are seconds or `HH:MM:SS.ss`. Other columns are ignored, but told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::csv_file::{Column, CsvFile, CsvRow};
use super::{Row, Rows, Span, relative, timestamp};
use crate::{LabelSpace, VideoError};

/// Every column that means something.
const COLUMNS: [&str; 8] = ["path", "label", "group", "subject", "start_secs", "stop_secs", "start", "end"];

/// Reads a table. Its classes are the names in `label`, sorted; without any there is no label space.
///
/// # Errors
/// [`VideoError::Annotation`] for a missing column, a path that leads out of the folder, times that are no times or out
/// of order, and a segment that was there before.
pub fn rows(path: &Path, bytes: &[u8]) -> Result<Rows, VideoError> {
    let file = CsvFile::new(path, bytes)?;
    let [video, label] = file.columns(["path", "label"])?;
    let (group, subject, times) = (file.column("group"), file.column("subject"), time_columns(&file)?);
    let (mut rows, mut names, mut seen) = (Vec::new(), Vec::new(), BTreeMap::new());
    for row in file.rows() {
        let row = row?;
        let name = relative(row.get(video)).ok_or_else(|| row.wrong(video, "a path below the folder of videos"))?;
        let span = times.map_or(Ok(Span::Whole), |times| span(&row, times))?;
        let id = match span {
            Span::Secs(start, stop) => format!("{name}@{start}-{stop}"),
            _ => name.clone(),
        };
        if let Some(before) = seen.insert(id.clone(), row.offset()) {
            let line = row.line_of(before);
            return Err(row.wrong(video, format!("a segment that does not stand on line {line} already")));
        }
        let text = |column: Option<Column>| column.map(|column| row.get(column)).unwrap_or_default().to_owned();
        let group = Some(text(group)).filter(|group| !group.is_empty()).unwrap_or_else(|| name.clone());
        names.push(row.get(label).to_owned());
        rows.push(Row { id, video: name, labels: Vec::new(), group, subject: text(subject), span });
    }
    let classes: BTreeSet<String> = names.iter().filter(|name| !name.is_empty()).cloned().collect();
    let space = LabelSpace::of_classes(classes);
    let mut label_spaces = Vec::new();
    if !space.classes.is_empty() {
        for (row, name) in rows.iter_mut().zip(&names) {
            row.labels = vec![space.classes.binary_search(name).ok()];
        }
        label_spaces.push(space);
    }
    Ok(Rows { label_spaces, rows, ignored_columns: file.others(&COLUMNS) })
}

/// The columns of start and stop: both, under either pair of names, or none.
fn time_columns(file: &CsvFile<'_>) -> Result<Option<[Column; 2]>, VideoError> {
    const PAIRS: [[&str; 2]; 2] = [["start_secs", "stop_secs"], ["start", "end"]];
    let is_there = |pair: &[&'static str; 2]| pair.iter().any(|name| file.column(name).is_some());
    // A column without its other half is an error, and so are both pairs at once: which one counts?
    match PAIRS.iter().filter(|pair| is_there(pair)).collect::<Vec<_>>()[..] {
        [] => Ok(None),
        [pair] => file.columns(*pair).map(Some),
        _ => Err(file.header_wrong("start_secs and stop_secs, or start and end")),
    }
}

fn span(row: &CsvRow<'_>, [start, stop]: [Column; 2]) -> Result<Span, VideoError> {
    if row.fields([start, stop]) == ["", ""] {
        return Ok(Span::Whole);
    }
    let secs = |column| {
        let expected = "seconds, or HH:MM:SS.ss, or nothing in both columns";
        timestamp::secs(row.get(column)).ok_or_else(|| row.wrong(column, expected))
    };
    let (start_secs, stop_secs) = (secs(start)?, secs(stop)?);
    if stop_secs > start_secs {
        Ok(Span::Secs(start_secs, stop_secs))
    } else {
        Err(row.wrong(stop, format!("a time after {:?}", row.get(start))))
    }
}
