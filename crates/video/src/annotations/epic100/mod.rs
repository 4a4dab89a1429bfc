//! EPIC-KITCHENS-100 action recognition (Damen et al., IJCV 2022), the files of `epic-kitchens-100-annotations`.
//!
//! | file                                           | read by          |
//! | ---------------------------------------------- | ---------------- |
//! | `EPIC_100_{train,validation}.csv` (15 columns)   | [`segments`]     |
//! | `EPIC_100_test_timestamps.csv` (8, no labels)    | [`segments`]     |
//! | `EPIC_100_{verb,noun}_classes.csv`               | [`classes`]      |
//! | `EPIC_100_video_info.csv`                        | [`video_info`]   |
//! | `EPIC_100_tail_{verbs,nouns}.csv`                | [`tail`]         |
//! | `EPIC_100_unseen_participant_ids_*.csv`          | [`participants`] |
//!
//! Segments are taken by time: frame columns count by rates that drift from the videos' own, so only their form is
//! checked. A segment's group is its video, not its participant, whom official training and validation rows share; the
//! participant is its subject.

mod lists;

use std::collections::BTreeMap;
use std::path::Path;

pub use lists::{ClassList, VideoInfo, classes, participants, tail, video_info};

use super::csv_file::{Column, CsvFile, CsvRow};
use super::{Row, Rows, Span, python, timestamp, whole_number};
use crate::{LabelSpace, VideoError};

/// The columns of all rows.
pub(crate) const COLUMNS: [&str; 8] = [
    "narration_id",
    "participant_id",
    "video_id",
    "narration_timestamp",
    "start_timestamp",
    "stop_timestamp",
    "start_frame",
    "stop_frame",
];
/// What rows with labels have on top.
pub(crate) const LABEL_COLUMNS: [&str; 7] =
    ["narration", "verb", "verb_class", "noun", "noun_class", "all_nouns", "all_noun_classes"];
const CLOCK: &str = "HH:MM:SS.ss";

/// What rows refer to.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Keys of the verb classes, by id.
    pub verbs: &'a [String],
    /// Keys of the noun classes, by id.
    pub nouns: &'a [String],
    /// All videos, where known.
    pub videos: Option<&'a BTreeMap<String, VideoInfo>>,
}

/// Reads the rows of a split; those of the test split, which have no label columns, get no labels.
///
/// # Errors
/// [`VideoError::Annotation`] for a missing column, ids that do not fit each other or stood before, times of another form
/// or order, classes that the lists do not have, and a video that is not among the known ones or ends before the segment.
pub fn segments(path: &Path, bytes: &[u8], known: &Known<'_>) -> Result<Rows, VideoError> {
    let file = CsvFile::new(path, bytes)?;
    let columns = file.columns(COLUMNS)?;
    let has_labels = LABEL_COLUMNS.iter().any(|name| file.column(name).is_some());
    let label_columns = has_labels.then(|| file.columns(LABEL_COLUMNS)).transpose()?;
    let (mut rows, mut seen) = (Vec::new(), BTreeMap::new());
    for row in file.rows() {
        let row = row?;
        let mut segment = segment(&row, columns, known)?;
        if let Some(before) = seen.insert(segment.id.clone(), row.offset()) {
            let line = row.line_of(before);
            return Err(row.wrong(columns[0], format!("a narration_id that does not stand on line {line} already")));
        }
        segment.labels = label_columns.map_or(Ok(vec![None, None]), |columns| labels(&row, columns, known))?;
        rows.push(segment);
    }
    let space = |name: &str, classes: &[String]| LabelSpace { name: name.to_owned(), classes: classes.to_vec() };
    let label_spaces = vec![space("verb", known.verbs), space("noun", known.nouns)];
    Ok(Rows { label_spaces, rows, ignored_columns: file.others(&[&COLUMNS[..], &LABEL_COLUMNS].concat()) })
}

/// A row without its labels.
fn segment(row: &CsvRow<'_>, columns: [Column; 8], known: &Known<'_>) -> Result<Row, VideoError> {
    let [id_column, participant_column, video_column, narrated, start, stop, start_frame, stop_frame] = columns;
    let [id, participant, video] = row.fields([id_column, participant_column, video_column]);
    // Both become parts of a path.
    let is_word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !is_word(participant) {
        return Err(row.wrong(participant_column, "letters and digits"));
    }
    if !is_word(video) || !video.strip_prefix(participant).is_some_and(|rest| rest.starts_with('_')) {
        return Err(row.wrong(video_column, format!("{participant}_ and a number")));
    }
    let number = id.strip_prefix(video).and_then(|rest| rest.strip_prefix('_'));
    if number.and_then(|number| whole_number(number, u32::MAX)).is_none() {
        return Err(row.wrong(id_column, format!("{video}_ and a number")));
    }
    // The official rows leave it empty 183 times of 51,782.
    if !row.get(narrated).is_empty() && timestamp::clock_secs(row.get(narrated)).is_none() {
        return Err(row.wrong(narrated, format!("{CLOCK}, or nothing")));
    }
    for column in [start_frame, stop_frame] {
        row.index(column, u32::MAX as usize)?;
    }
    let secs = |column| timestamp::clock_secs(row.get(column)).ok_or_else(|| row.wrong(column, CLOCK));
    let (start_secs, stop_secs) = (secs(start)?, secs(stop)?);
    if stop_secs <= start_secs {
        return Err(row.wrong(stop, format!("a time after {}", row.get(start))));
    }
    if let Some(videos) = known.videos {
        let info = videos.get(video).ok_or_else(|| row.wrong(video_column, "a video of the list of videos"))?;
        if start_secs >= info.duration_secs {
            return Err(row.wrong(start, format!("a time before the video's end, {:.2} s", info.duration_secs)));
        }
    }
    Ok(Row {
        id: id.to_owned(),
        video: video.to_owned(),
        labels: Vec::new(),
        group: video.to_owned(),
        subject: participant.to_owned(),
        span: Span::Secs(start_secs, stop_secs),
    })
}

/// Verb and noun of a row. That a narration's own `verb` and `noun` are among the `instances` of their classes is not
/// checked: two of the official 38,690 rows with labels break it.
fn labels(row: &CsvRow<'_>, columns: [Column; 7], known: &Known<'_>) -> Result<Vec<Option<usize>>, VideoError> {
    let [narration, verb, verb_class, noun, noun_class, all_nouns, all_classes] = columns;
    for column in [narration, verb, noun] {
        row.filled(column)?;
    }
    let labels = [row.index(verb_class, known.verbs.len())?, row.index(noun_class, known.nouns.len())?];
    let nouns = python::texts(row.get(all_nouns)).ok_or_else(|| row.wrong(all_nouns, "a list ['...', '...']"))?;
    if nouns.first().is_none_or(|first| first != row.get(noun)) {
        return Err(row.wrong(all_nouns, format!("a list that begins with the noun {:?}", row.get(noun))));
    }
    let classes = python::numbers(row.get(all_classes)).ok_or_else(|| row.wrong(all_classes, "a list [0, 1]"))?;
    let num_nouns = known.nouns.len();
    if classes.first().is_none_or(|first| *first as usize != labels[1]) {
        return Err(row.wrong(all_classes, format!("a list that begins with the noun_class {}", labels[1])));
    }
    if classes.len() != nouns.len() || classes.iter().any(|class| *class as usize >= num_nouns) {
        return Err(row.wrong(all_classes, format!("{} classes below {num_nouns}, one for each noun", nouns.len())));
    }
    Ok(labels.map(Some).to_vec())
}
