//! Tables of scores as files (docs/formats.md): `.npz`, `.safetensors`, and raw binaries beside a list of names.

mod npz;
mod raw;
mod tensors;

use std::path::Path;

use eval::{ScoreHeader, ScoreTable};
use serde::{Deserialize, Serialize};

use crate::exit::BadInput;
use crate::whole;

/// What `format` of a header says.
const FORMAT: &str = "longvid scores";
const FORMAT_VERSION: u32 = 1;

/// The JSON text that both kinds of file have.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileHeader {
    format: String,
    format_version: u32,
    /// Names of the label spaces in their order.
    spaces: Vec<String>,
    /// What is known of the scores.
    scores: ScoreHeader,
    /// Names of the clips; only where arrays of text are not to be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ids: Option<Vec<String>>,
}

/// What a file holds, before it is put together.
struct Parts {
    scores: ScoreHeader,
    ids: Vec<String>,
    /// `[n + 1]`; none means a row for each clip.
    offset: Option<Vec<u64>>,
    spaces: Vec<SpaceRows>,
}

/// Scores of one label space, `[rows, C]`.
struct SpaceRows {
    name: String,
    shape: Vec<usize>,
    values: Vec<f32>,
}

/// Reads a table: `.npz`, `.safetensors`, or the list of names of a raw one (`PREFIX_ids.txt`).
///
/// # Errors
/// [`BadInput`] and [`eval::EvalError`] name the file and the clip.
pub(crate) fn read(path: &Path) -> anyhow::Result<ScoreTable> {
    let parts = match ending(path) {
        "npz" => npz::read(path),
        "safetensors" => tensors::read(path),
        "txt" => raw::read(path),
        _ => Err(wrong(path, "scores are a .npz, a .safetensors, or the _ids.txt of raw ones")),
    }?;
    parts.table(path)
}

/// Writes a table as `.npz` or `.safetensors`, whole or not at all.
///
/// # Errors
/// [`BadInput`] for another ending and for a file that exists.
pub(crate) fn write(path: &Path, table: &ScoreTable) -> anyhow::Result<()> {
    match ending(path) {
        "npz" => npz::write(path, table),
        "safetensors" => tensors::write(path, table),
        _ => Err(wrong(path, "scores are written as .npz or .safetensors")),
    }
}

/// What a file of scores is called, without its ending and what says that it is one.
pub(crate) fn name(path: &Path) -> String {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    match ending(path) {
        "txt" => raw::prefix(&stem).map_or(stem.clone(), str::to_owned),
        _ => stem,
    }
}

fn ending(path: &Path) -> &str {
    path.extension().and_then(|ending| ending.to_str()).unwrap_or_default()
}

fn wrong(path: &Path, what: &str) -> anyhow::Error {
    BadInput(format!("{path:?}: {what}")).into()
}

impl FileHeader {
    fn of(table: &ScoreTable, ids: Option<Vec<String>>) -> Self {
        FileHeader {
            format: FORMAT.to_owned(),
            format_version: FORMAT_VERSION,
            spaces: table.spaces().map(|(name, _)| name.to_owned()).collect(),
            scores: table.header().clone(),
            ids,
        }
    }

    fn parse(path: &Path, text: &str) -> anyhow::Result<Self> {
        let header: FileHeader = serde_json::from_str(text)
            .map_err(|err| wrong(path, &format!("the header of scores is damaged: {err}")))?;
        if header.format != FORMAT || header.format_version != FORMAT_VERSION {
            let FileHeader { format, format_version, .. } = header;
            let what =
                format!("is {format:?} of version {format_version}; {FORMAT:?} of version {FORMAT_VERSION} is read");
            return Err(wrong(path, &what));
        }
        Ok(header)
    }
}

/// Numbers of the clips' first rows, and of all rows, for a file.
fn offset(table: &ScoreTable) -> Vec<u64> {
    table.offset().iter().map(|row| *row as u64).collect()
}

impl Parts {
    fn table(self, path: &Path) -> anyhow::Result<ScoreTable> {
        let Parts { scores, ids, offset, spaces } = self;
        let offset = offset.unwrap_or_else(|| (0..=ids.len() as u64).collect());
        let num_rows = offset.last().copied().unwrap_or(0);
        let ascends = offset.first() == Some(&0) && offset.is_sorted_by(|a, b| a < b);
        if offset.len() != ids.len() + 1 || !ascends {
            let what =
                format!("offset is not {} ascending numbers from 0: one for each clip and the end", ids.len() + 1);
            return Err(wrong(path, &what));
        }
        for space in &spaces {
            if space.shape.len() != 2 || space.shape[0] as u64 != num_rows {
                let what = format!("{} scores are of the shape {:?}, for {num_rows} rows", space.name, space.shape);
                return Err(wrong(path, &what));
            }
        }
        let named: Vec<(&str, usize)> = spaces.iter().map(|space| (space.name.as_str(), space.shape[1])).collect();
        let mut table = ScoreTable::new(scores, &named)?;
        for (clip, id) in ids.iter().enumerate() {
            let rows = |space: &SpaceRows, at: usize| offset[at] as usize * space.shape[1];
            let of_space = |space: &'_ SpaceRows| rows(space, clip)..rows(space, clip + 1);
            let scores: Vec<&[f32]> = spaces.iter().map(|space| &space.values[of_space(space)]).collect();
            table
                .push(id, &scores)
                .map_err(|err| anyhow::Error::from(err).context(format!("{path:?}, clip {clip}")))?;
        }
        Ok(table)
    }
}

/// Never over another file.
fn write_new(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if path.exists() {
        return Err(wrong(path, "already exists; remove it or choose another name"));
    }
    whole::write(path, bytes)
}

#[cfg(test)]
mod tests;
