use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::VideoError;
use crate::annotations::csv_file::CsvFile;
use crate::annotations::{python, whole_number};

/// What the dataset says of one video.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VideoInfo {
    /// Length, seconds.
    pub duration_secs: f64,
    /// Frame rate.
    pub frames_per_sec: f64,
    /// Width.
    pub width_px: u32,
    /// Height.
    pub height_px: u32,
}

/// Reads verb or noun classes (`id,key,instances,category`): their keys, by id.
///
/// # Errors
/// [`VideoError::Annotation`] for ids other than 0, 1, 2 ..., a key that is empty or stood before, and `instances` that are
/// no list of texts.
pub fn classes(path: &Path, bytes: &[u8]) -> Result<Vec<String>, VideoError> {
    let file = CsvFile::new(path, bytes)?;
    let [id, key, instances, category] = file.columns(["id", "key", "instances", "category"])?;
    let (mut keys, mut seen) = (Vec::new(), BTreeSet::new());
    for row in file.rows() {
        let row = row?;
        if whole_number(row.get(id), u32::MAX).is_none_or(|number| number as usize != keys.len()) {
            return Err(row.wrong(id, format!("{}: ids count up from 0", keys.len())));
        }
        if !seen.insert(row.filled(key)?.to_owned()) {
            return Err(row.wrong(key, "a key that no other class has"));
        }
        python::texts(row.get(instances)).ok_or_else(|| row.wrong(instances, "a list ['...', '...']"))?;
        row.filled(category)?;
        keys.push(row.get(key).to_owned());
    }
    Ok(keys)
}

/// Reads the list of videos (`video_id,duration,fps,resolution`).
///
/// # Errors
/// [`VideoError::Annotation`] for a video that stood before, and a duration, rate or resolution that is none.
pub fn video_info(path: &Path, bytes: &[u8]) -> Result<BTreeMap<String, VideoInfo>, VideoError> {
    let file = CsvFile::new(path, bytes)?;
    let [id, duration, rate, resolution] = file.columns(["video_id", "duration", "fps", "resolution"])?;
    let mut videos = BTreeMap::new();
    for row in file.rows() {
        let row = row?;
        let positive = |column| {
            let number = row.get(column).parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
            number.ok_or_else(|| row.wrong(column, "a positive number"))
        };
        let side = |px| whole_number(px, 1 << 16).filter(|px| *px > 0);
        let size = row.get(resolution).split_once('x').and_then(|(width, height)| side(width).zip(side(height)));
        let (width_px, height_px) = size.ok_or_else(|| row.wrong(resolution, "a size such as 1920x1080"))?;
        let (duration_secs, frames_per_sec) = (positive(duration)?, positive(rate)?);
        let info = VideoInfo { duration_secs, frames_per_sec, width_px, height_px };
        if videos.insert(row.filled(id)?.to_owned(), info).is_some() {
            return Err(row.wrong(id, "a video that does not stand in the list already"));
        }
    }
    Ok(videos)
}

/// The two lists of classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClassList {
    /// Verbs, the column `verb` of their tail list.
    Verbs,
    /// Nouns, the column `noun` of their tail list.
    Nouns,
}

/// Reads the ids of the tail classes: the smallest ones, which make up a fifth of the training segments.
///
/// # Errors
/// [`VideoError::Annotation`] for an id that is not below `num_classes` or stood before.
pub fn tail(path: &Path, bytes: &[u8], of: ClassList, num_classes: usize) -> Result<BTreeSet<usize>, VideoError> {
    let file = CsvFile::new(path, bytes)?;
    let [id] = file.columns([match of {
        ClassList::Verbs => "verb",
        ClassList::Nouns => "noun",
    }])?;
    let mut ids = BTreeSet::new();
    for row in file.rows() {
        let row = row?;
        if !ids.insert(row.index(id, num_classes)?) {
            return Err(row.wrong(id, "a class that does not stand in the list already"));
        }
    }
    Ok(ids)
}

/// Reads the participants of whom no training segment exists. Validation and test have a list each.
///
/// # Errors
/// [`VideoError::Annotation`] for one that is empty or stood before.
pub fn participants(path: &Path, bytes: &[u8]) -> Result<BTreeSet<String>, VideoError> {
    let file = CsvFile::new(path, bytes)?;
    let [id] = file.columns(["participant_id"])?;
    let mut participants = BTreeSet::new();
    for row in file.rows() {
        let row = row?;
        if !participants.insert(row.filled(id)?.to_owned()) {
            return Err(row.wrong(id, "a participant who does not stand in the list already"));
        }
    }
    Ok(participants)
}
