//! `PREFIX_ids.txt` (or `PREFIX_narration_ids.txt`), one name a line, and beside it for each label space
//! `PREFIX_SPACE_f32le_CLASSES.bin`: logits, little endian, a row for each name.

use std::path::Path;

use eval::{ScoreHeader, ScoreValues, StoredViews};

use super::{Parts, SpaceRows, wrong};
use crate::exit::BadInput;

pub(super) fn prefix(stem: &str) -> Option<&str> {
    stem.strip_suffix("_narration_ids").or_else(|| stem.strip_suffix("_ids"))
}

pub(super) fn read(path: &Path) -> anyhow::Result<Parts> {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let prefix = prefix(stem).ok_or_else(|| wrong(path, "a list of names of raw scores is called PREFIX_ids.txt"))?;
    let unreadable = |path: &Path, err: std::io::Error| BadInput(format!("cannot read {path:?}: {err}"));
    let text = std::fs::read_to_string(path).map_err(|err| unreadable(path, err))?;
    let ids: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let mut spaces = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|err| unreadable(folder, err))? {
        let file = entry.map_err(|err| unreadable(folder, err))?.path();
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let rest = name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_')?.strip_suffix(".bin"));
        let Some((space, num_classes)) = rest.and_then(|rest| rest.split_once("_f32le_")) else { continue };
        let num_classes = num_classes.parse().ok().filter(|classes: &usize| (2..1 << 20).contains(classes));
        let num_classes = num_classes.ok_or_else(|| wrong(&file, "its name ends in no number of classes"))?;
        let bytes = std::fs::read(&file).map_err(|err| unreadable(&file, err))?;
        let row_bytes = 4 * num_classes;
        if bytes.len() != ids.len() * row_bytes {
            let (found, num_ids) = (bytes.len(), ids.len());
            return Err(wrong(&file, &format!("has {found} bytes: {num_ids} names of {path:?} need {row_bytes} each")));
        }
        let values = bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
        spaces.push(SpaceRows { name: space.to_owned(), shape: vec![ids.len(), num_classes], values });
    }
    if spaces.is_empty() {
        return Err(wrong(path, &format!("there is no {prefix}_SPACE_f32le_CLASSES.bin beside it")));
    }
    spaces.sort_by(|a, b| a.name.cmp(&b.name));
    let scores = ScoreHeader {
        values: ScoreValues::Logits,
        views: "1x1".to_owned(),
        stored_views: StoredViews::Kept,
        num_failed: 0,
        partial: false,
        source: prefix.to_owned(),
    };
    Ok(Parts { scores, ids, offset: None, spaces })
}
