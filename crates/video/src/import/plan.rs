use std::collections::BTreeSet;
use std::path::PathBuf;

use super::{ImportOptions, Strict, filter, folder};
use crate::annotations::Row;
use crate::{LabelSpace, Shard, VideoError};

/// A file to decode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Path relative to the folder; what is not UTF-8 in it is replaced.
    pub name: String,
    /// The file.
    pub path: PathBuf,
}

/// What an import is going to do.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportPlan {
    /// The files, sorted by name.
    pub files: Vec<Source>,
    /// The segments. Their `video` is the name of their file, or, where that is missing, as the annotations name it.
    pub rows: Vec<Row>,
    /// What they are labelled with.
    pub label_spaces: Vec<LabelSpace>,
    /// Videos that segments name and that are not in the folder, sorted.
    pub missing: Vec<String>,
    /// Columns of the annotations that mean nothing here.
    pub ignored_columns: Vec<String>,
}

/// Reads and checks everything but the videos: what [`import`](super::import()) would do.
///
/// # Errors
/// [`VideoError::Annotation`], [`VideoError::Option`] for a filter that names what is not there,
/// [`VideoError::NothingToImport`] where the filters leave nothing, [`VideoError::Strict`] for missing videos in a strict
/// import, and what the disk says.
pub fn plan_import(options: &ImportOptions) -> Result<ImportPlan, VideoError> {
    let mut plan = match &options.annotations {
        None => folder::plan(&options.folder)?,
        Some(annotations) => annotations.plan(&options.folder)?,
    };
    filter::expect_known("group", options.groups.iter().flatten(), plan.rows.iter().map(|row| &row.group))?;
    let excluded = filter::excluded(&options.exclude_labels, &plan.label_spaces)?;
    let grouped = |row: &Row| options.groups.as_ref().is_none_or(|groups| groups.contains(&row.group));
    plan.rows.retain(grouped);
    filter::remove_classes(&mut plan, &excluded);
    let wanted: BTreeSet<&str> = plan.rows.iter().map(|row| row.video.as_str()).collect();
    plan.files.retain(|file| wanted.contains(file.name.as_str()));
    plan.missing.retain(|name| wanted.contains(name.as_str()));
    if plan.rows.is_empty() {
        let problem = match options.annotations.is_some() {
            true => "the annotations and filters leave no segment",
            false => "the filters leave no file",
        };
        return Err(VideoError::NothingToImport { path: options.folder.clone(), problem });
    }
    Strict(options.strict).expect_none("annotated videos missing", plan.missing.iter().cloned())?;
    take_shard(&mut plan, options)?;
    Ok(plan)
}

/// Keeps the shard's files and their segments; missing videos go with the first shard.
fn take_shard(plan: &mut ImportPlan, options: &ImportOptions) -> Result<(), VideoError> {
    if options.shard == Shard::WHOLE {
        return Ok(());
    }
    plan.files = plan.files[options.shard.range(plan.files.len())].to_vec();
    let files: BTreeSet<&str> = plan.files.iter().map(|file| file.name.as_str()).collect();
    let takes_missing = options.shard.index() == 0;
    plan.missing.retain(|_| takes_missing);
    let is_missing = |name: &String| plan.missing.binary_search(name).is_ok();
    plan.rows.retain(|row| files.contains(row.video.as_str()) || is_missing(&row.video));
    if plan.files.is_empty() {
        let problem = "there are fewer files than shards";
        return Err(VideoError::NothingToImport { path: options.folder.clone(), problem });
    }
    Ok(())
}
