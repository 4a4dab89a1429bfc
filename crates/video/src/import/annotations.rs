use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::{Listing, Source, Span, Wanted};
use crate::spool::io_error;
use crate::{LabelSpace, VideoError};

/// Where labels and groups come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Annotations {
    /// A table with a header and at least the columns `path` (relative to the folder), `label` (a class name or
    /// empty) and `group`; with `start_secs` and `stop_secs`, where both are filled, a part of the video. Other
    /// columns are ignored.
    Csv(PathBuf),
    /// Diving48 V2: a list of `{vid_name, label, start_frame, end_frame}`, the video being `vid_name.mp4` and its
    /// group, the source competition, what stands before the last `_`.
    Diving48 {
        /// `Diving48_V2_train.json` or `Diving48_V2_test.json`.
        entries: PathBuf,
        /// `Diving48_vocab.json`; without it, one beside the entries is taken, else classes are called by number.
        vocabulary: Option<PathBuf>,
    },
}

impl Annotations {
    /// Chooses the format by the file's ending, `.csv` or `.json`.
    ///
    /// # Errors
    /// [`VideoError::Option`] for any other ending.
    pub fn from_path(path: &Path, vocabulary: Option<&Path>) -> Result<Self, VideoError> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("csv") => Ok(Annotations::Csv(path.to_owned())),
            Some("json") => {
                Ok(Annotations::Diving48 { entries: path.to_owned(), vocabulary: vocabulary.map(Path::to_owned) })
            }
            _ => Err(VideoError::Option {
                option: "annotations",
                value: format!("{path:?}"),
                rule: "a .csv table or a Diving48 .json file",
            }),
        }
    }

    /// What the annotations ask for, found in `folder`.
    pub(super) fn list(&self, folder: &Path) -> Result<Listing, VideoError> {
        let (segments, classes) = match self {
            Annotations::Csv(path) => read_csv(path)?,
            Annotations::Diving48 { entries, vocabulary } => read_diving48(entries, vocabulary.as_deref())?,
        };
        std::fs::read_dir(folder).map_err(io_error("read", folder))?;
        let names: BTreeSet<&String> = segments.iter().map(|segment| &segment.file).collect();
        let source = |name: &&String| Source { name: (*name).clone(), path: folder.join(name) };
        let (files, missing): (Vec<_>, Vec<_>) = names.iter().map(source).partition(|file| file.path.is_file());
        let missing = missing.into_iter().map(|file| file.name).collect();
        let name = LabelSpace::CLASS.to_owned();
        Ok(Listing { files, segments, label_spaces: vec![LabelSpace { name, classes }], missing })
    }
}

fn wrong(path: &Path, place: String, field: &str, problem: impl Into<String>) -> VideoError {
    VideoError::Annotation { path: path.to_owned(), place, field: field.to_owned(), problem: problem.into() }
}

fn read_csv(path: &Path) -> Result<(Vec<Wanted>, Vec<String>), VideoError> {
    let file = std::fs::File::open(path).map_err(io_error("read", path))?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
    let header = reader.headers().map_err(|err| wrong(path, "line 1".to_owned(), "header", err.to_string()))?.clone();
    let column = |name: &str| header.iter().position(|field| field.trim_start_matches('\u{feff}') == name);
    let needed = |name: &str| {
        let known = header.iter().collect::<Vec<_>>().join(", ");
        column(name).ok_or_else(|| wrong(path, "line 1".to_owned(), name, format!("the header has only: {known}")))
    };
    let (file, label, group) = (needed("path")?, needed("label")?, needed("group")?);
    let times = column("start_secs").zip(column("stop_secs"));
    let (mut segments, mut labels) = (Vec::new(), Vec::new());
    let mut first_line = BTreeMap::new();
    for row in reader.records() {
        let row = row.map_err(|err| {
            let line = err.position().map_or(0, csv::Position::line);
            wrong(path, format!("line {line}"), "row", err.to_string())
        })?;
        let line = row.position().map_or(0, csv::Position::line);
        let refuse = |field: &str, problem: String| wrong(path, format!("line {line}"), field, problem);
        let name = relative(&row[file]).map_err(|problem| refuse("path", problem))?;
        let span = match times {
            Some((start, stop)) => span(&row[start], &row[stop]).map_err(|(field, problem)| refuse(field, problem))?,
            None => Span::Whole,
        };
        let id = match span {
            Span::Secs(start, stop) => format!("{name}@{start}-{stop}"),
            _ => name.clone(),
        };
        if let Some(before) = first_line.insert(id.clone(), line) {
            return Err(refuse("path", format!("{id:?} stands on line {before} already")));
        }
        let group = if row[group].is_empty() { name.clone() } else { row[group].to_owned() };
        labels.push(row[label].to_owned());
        segments.push(Wanted { id, file: name, labels: vec![None], group, subject: String::new(), span });
    }
    let classes: BTreeSet<&String> = labels.iter().filter(|label| !label.is_empty()).collect();
    let classes: Vec<String> = classes.into_iter().cloned().collect();
    for (segment, label) in segments.iter_mut().zip(&labels) {
        segment.labels = vec![classes.binary_search(label).ok()];
    }
    Ok((segments, classes))
}

/// A path that stays below the folder, with `/` and without `.`.
fn relative(text: &str) -> Result<String, String> {
    let part = |component: Component<'_>| match component {
        Component::Normal(part) => Some(part.to_string_lossy().into_owned()),
        _ => None,
    };
    let inside = Path::new(text).components().filter(|c| *c != Component::CurDir);
    let parts: Option<Vec<String>> = inside.map(part).collect();
    match parts {
        Some(parts) if !parts.is_empty() => Ok(parts.join("/")),
        _ => Err(format!("{text:?} is not a path below the folder")),
    }
}

fn span(start: &str, stop: &str) -> Result<Span, (&'static str, String)> {
    if start.is_empty() && stop.is_empty() {
        return Ok(Span::Whole);
    }
    let secs = |field, text: &str| match text.parse::<f64>() {
        Ok(secs) if secs.is_finite() && secs >= 0.0 => Ok(secs),
        _ => Err((field, format!("{text:?} is not a number of seconds"))),
    };
    let (start, stop) = (secs("start_secs", start)?, secs("stop_secs", stop)?);
    if stop > start { Ok(Span::Secs(start, stop)) } else { Err(("stop_secs", format!("{stop} is not after {start}"))) }
}

fn read_json(path: &Path) -> Result<Vec<Value>, VideoError> {
    let text = std::fs::read_to_string(path).map_err(io_error("read", path))?;
    let value: Value = serde_json::from_str(&text)
        .map_err(|err| wrong(path, format!("line {}", err.line()), "JSON", err.to_string()))?;
    match value {
        Value::Array(entries) => Ok(entries),
        _ => Err(wrong(path, "line 1".to_owned(), "JSON", "a list is expected")),
    }
}

fn read_diving48(path: &Path, vocabulary: Option<&Path>) -> Result<(Vec<Wanted>, Vec<String>), VideoError> {
    let beside = path.with_file_name("Diving48_vocab.json");
    let vocabulary = vocabulary.or_else(|| beside.is_file().then_some(beside.as_path()));
    let named = vocabulary.map(read_vocabulary).transpose()?;
    let mut segments = Vec::new();
    let mut seen = BTreeSet::new();
    for (i, entry) in read_json(path)?.iter().enumerate() {
        let refuse = |field: &str, problem: String| wrong(path, format!("entry {}", i + 1), field, problem);
        let number = |field: &str| {
            let value = entry.get(field).and_then(Value::as_u64).filter(|number| *number < 1 << 31);
            value.ok_or_else(|| refuse(field, "a whole number, at least 0, is expected".to_owned()))
        };
        let id = entry.get("vid_name").and_then(Value::as_str).filter(|name| relative(name).as_deref() == Ok(*name));
        let id = id.ok_or_else(|| refuse("vid_name", "the name of a video is expected".to_owned()))?;
        if !seen.insert(id.to_owned()) {
            return Err(refuse("vid_name", format!("{id:?} stands in the list twice")));
        }
        let (label, start, stop) = (number("label")? as usize, number("start_frame")?, number("end_frame")?);
        if let Some(classes) = named.as_ref().filter(|classes| label >= classes.len()) {
            return Err(refuse("label", format!("{label} is not below the vocabulary's {}", classes.len())));
        }
        if stop <= start {
            return Err(refuse("end_frame", format!("{stop} is not after start_frame {start}")));
        }
        let group = id.rsplit_once('_').map_or(id, |(competition, _)| competition).to_owned();
        let span = Span::Frames(start as f64, stop as f64);
        segments.push(Wanted {
            id: id.to_owned(),
            file: format!("{id}.mp4"),
            labels: vec![Some(label)],
            group,
            subject: String::new(),
            span,
        });
    }
    let num_labels = segments.iter().filter_map(|segment| segment.labels[0]).max().map_or(0, |label| label + 1);
    Ok((segments, named.unwrap_or_else(|| (0..num_labels).map(|label| label.to_string()).collect())))
}

/// `[["Back", "15som", "05Twis", "FREE"], ...]` as `Back 15som 05Twis FREE`.
fn read_vocabulary(path: &Path) -> Result<Vec<String>, VideoError> {
    let class = |(i, entry): (usize, &Value)| {
        let words: Option<Vec<&str>> = entry.as_array().and_then(|words| words.iter().map(Value::as_str).collect());
        let problem = || wrong(path, format!("entry {}", i + 1), "class", "a list of words is expected");
        words.map(|words| words.join(" ")).ok_or_else(problem)
    };
    read_json(path)?.iter().enumerate().map(class).collect()
}
