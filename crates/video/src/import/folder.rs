use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::{ImportPlan, Source};
use crate::annotations::{Row, Span};
use crate::spool::io_error;
use crate::{LabelSpace, VideoError};

/// Endings of what lies beside videos and is none: annotations, notes and our own stores.
const SIDE_FILES: [&str; 9] = ["csv", "json", "txt", "md", "h5", "tmp", "lock", "part", "journal"];

/// All files of a folder and its sub-folders. Where none lies at the top, the first sub-folder's name is the class.
pub(super) fn plan(folder: &Path) -> Result<ImportPlan, VideoError> {
    let files = files(folder)?;
    let class_of = |name: &str| name.split_once('/').map(|(class, _)| class.to_owned());
    let classes: Option<BTreeSet<String>> = files.iter().map(|file| class_of(&file.name)).collect();
    let label_spaces: Vec<LabelSpace> = classes.map(LabelSpace::of_classes).into_iter().collect();
    let label_of = |space: &LabelSpace, name: &str| space.classes.binary_search(&class_of(name)?).ok();
    let whole = |file: &Source| Row {
        id: file.name.clone(),
        video: file.name.clone(),
        labels: label_spaces.iter().map(|space| label_of(space, &file.name)).collect(),
        group: file.name.clone(),
        subject: String::new(),
        span: Span::Whole,
    };
    let rows = files.iter().map(whole).collect();
    Ok(ImportPlan { files, rows, label_spaces, missing: Vec::new(), ignored_columns: Vec::new() })
}

/// What an import of the folder would decode, sorted by name.
pub(crate) fn files(folder: &Path) -> Result<Vec<Source>, VideoError> {
    let mut files = Vec::new();
    walk(folder, folder, &mut BTreeSet::new(), &mut files)?;
    if files.is_empty() {
        return Err(VideoError::NothingToImport { path: folder.to_owned(), problem: "the folder holds no files" });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// Adds the files below `dir`; `seen` keeps links from leading in a circle.
fn walk(root: &Path, dir: &Path, seen: &mut BTreeSet<PathBuf>, files: &mut Vec<Source>) -> Result<(), VideoError> {
    let real = dir.canonicalize().map_err(io_error("read", dir))?;
    if !seen.insert(real) {
        return Ok(());
    }
    for entry in std::fs::read_dir(dir).map_err(io_error("read", dir))? {
        let path = entry.map_err(io_error("read", dir))?.path();
        if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
            continue;
        }
        if path.is_dir() {
            walk(root, &path, seen, files)?;
        } else if !is_side_file(&path) {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            files.push(Source { name, path });
        }
    }
    Ok(())
}

fn is_side_file(path: &Path) -> bool {
    let ending = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    SIDE_FILES.iter().any(|side| side.eq_ignore_ascii_case(ending))
}
