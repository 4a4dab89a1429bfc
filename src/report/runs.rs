//! Run folders as they lie on disk.

mod pictures;
mod state;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use eval::ResultRow;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use train::RunRecord;

use super::ReportError;
use super::kept::KeptResults;
use super::memory::Point;
use super::scored::Scored;
pub(crate) use pictures::Pictures;
pub(crate) use state::RunState;

/// What a run wrote, read and checked.
#[derive(Clone, Debug)]
pub(crate) struct RunFolder {
    /// The folder as given.
    pub(crate) path: PathBuf,
    /// `run.json`: how it was started.
    pub(crate) record: RunRecord,
    /// `run.json` as it stands, whichever version of the program wrote it.
    pub(crate) origin: serde_json::Map<String, serde_json::Value>,
    /// What became of it.
    pub(crate) state: RunState,
    /// `resolved.toml`: the preset with every override applied.
    pub(crate) config: toml::Table,
    /// The same as it stands in the file.
    pub(crate) config_text: String,
    /// `metrics.jsonl`, ascending in step.
    pub(crate) steps: Vec<Step>,
    /// `pictures/*.png`.
    pub(crate) pictures: Pictures,
    /// `eval_*.json` in order of their names.
    pub(crate) probes: Vec<Probe>,
    /// `score_*.json` in order of their names, each with the pictures of `score_*_errors/`.
    pub(crate) scored: Vec<(Scored, Pictures)>,
    /// `memory.json`.
    pub(crate) memory: Vec<Point>,
    /// `tokenizer_eval.json`.
    pub(crate) kept: Option<KeptResults>,
    /// What was missing or damaged and left out, each naming its file.
    pub(crate) notes: Vec<String>,
}

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    /// Number of the step.
    pub(crate) step: u64,
    /// Every other number of the line, by its key; NaN where the line has `null`.
    pub(crate) values: BTreeMap<String, f64>,
}

/// One `eval_*.json`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Probe {
    /// What was put on top of the frozen encoder: `knn`, `linear` ...
    pub(crate) probe: String,
    /// One row per encoder and seed.
    pub(crate) rows: Vec<ResultRow>,
}

/// Damaged lines of a file that are named one by one.
const MAX_NAMED_LINES: usize = 5;

impl RunFolder {
    /// Reads a folder that a run wrote, finished or not. What a killed run leaves behind (a torn last line, steps that
    /// were made again after a resume) is put right and noted; a damaged file is an error.
    ///
    /// # Errors
    /// [`ReportError::NotARun`], [`ReportError::Read`], [`ReportError::Json`], [`ReportError::Toml`],
    /// [`ReportError::State`].
    pub(crate) fn read(path: &Path) -> Result<Self, ReportError> {
        let not_a_run = || ReportError::NotARun { path: path.to_owned() };
        let record_path = path.join("run.json");
        let record: RunRecord = json(&record_path)?.ok_or_else(not_a_run)?;
        let origin = json(&record_path)?.ok_or_else(not_a_run)?;
        let mut notes = Vec::new();
        let config_path = path.join("resolved.toml");
        let config_text = match bytes(&config_path)? {
            Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            None => {
                notes.push(format!("{} is missing", config_path.display()));
                String::new()
            }
        };
        let config =
            config_text.parse().map_err(|source| ReportError::Toml { path: config_path, source: Box::new(source) })?;
        let metrics_path = path.join("metrics.jsonl");
        let steps = match bytes(&metrics_path)? {
            Some(bytes) => parse_metrics(&metrics_path.display().to_string(), &bytes, &mut notes),
            None => {
                notes.push(format!("{} is missing: nothing was logged", metrics_path.display()));
                Vec::new()
            }
        };
        let last_step = steps.last().map_or(0, |step| step.step);
        let state = RunState::read(path, (last_step, record.steps_planned))?;
        let pictures = Pictures::read(&path.join("pictures"), &mut notes)?;
        let mut probes = Vec::new();
        for file in files(path, "eval_", ".json")? {
            probes.extend(json::<Probe>(&file)?);
        }
        let scored = read_scored(path, &mut notes)?;
        let memory = json(&path.join("memory.json"))?.unwrap_or_default();
        let kept = json(&path.join("tokenizer_eval.json"))?;
        let path = path.to_owned();
        Ok(RunFolder {
            path,
            record,
            origin,
            state,
            config,
            config_text,
            steps,
            pictures,
            probes,
            scored,
            memory,
            kept,
            notes,
        })
    }

    /// Seconds of training: every step at the pace that was logged for it.
    pub(crate) fn train_secs(&self) -> f64 {
        let mut previous = 0;
        let mut secs = 0.0;
        for step in &self.steps {
            let num_steps = (step.step - previous).max(1);
            let pace = step.values.get("step_secs").copied().unwrap_or(0.0);
            secs += if pace.is_finite() { pace * num_steps as f64 } else { 0.0 };
            previous = step.step;
        }
        secs
    }
}

/// `score_*.json` of a folder in order of their names, each with the pictures of `score_*_errors/`.
///
/// # Errors
/// [`ReportError::Read`], [`ReportError::Json`].
pub(crate) fn read_scored(folder: &Path, notes: &mut Vec<String>) -> Result<Vec<(Scored, Pictures)>, ReportError> {
    let mut scored = Vec::new();
    for file in files(folder, "score_", ".json")? {
        if let Some(set) = json::<Scored>(&file)? {
            scored.push((set, Pictures::read(&errors_folder(&file), notes)?));
        }
    }
    Ok(scored)
}

/// Where the pictures of the worst errors of a `score_*.json` lie.
pub(crate) fn errors_folder(results: &Path) -> PathBuf {
    let stem = results.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    results.with_file_name(format!("{stem}_errors"))
}

/// Reads `metrics.jsonl`. Lines that do not parse are left out and noted; a last line without its end is what a killed
/// run leaves. Where steps go back, a resumed run made them again: the later lines hold.
fn parse_metrics(file: &str, bytes: &[u8], notes: &mut Vec<String>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut damaged = Vec::new();
    let mut remade = 0;
    for (i, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        match parse_step(line) {
            Ok(step) => {
                let before = steps.len();
                steps.truncate(steps.partition_point(|s| s.step < step.step));
                remade += before - steps.len();
                steps.push(step);
            }
            Err(_) if !line.ends_with(b"\n") => {
                notes.push(format!("{file}:{}: the last line is torn, as a killed run leaves it; left out", i + 1));
            }
            Err(why) => damaged.push(format!("{file}:{}: damaged line left out: {why}", i + 1)),
        }
    }
    if damaged.len() > MAX_NAMED_LINES {
        let more = damaged.len() - MAX_NAMED_LINES;
        damaged.truncate(MAX_NAMED_LINES);
        damaged.push(format!("{file}: {more} more damaged lines left out"));
    }
    notes.append(&mut damaged);
    if remade > 0 {
        notes.push(format!("{file}: {remade} log lines were made again after a resume; the later ones are shown"));
    }
    steps
}

fn parse_step(line: &[u8]) -> Result<Step, String> {
    let fields: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(line).map_err(|err| err.to_string())?;
    let step = fields.get("step").and_then(serde_json::Value::as_u64).ok_or("no whole number called \"step\"")?;
    let number = |value: &serde_json::Value| if value.is_null() { Some(f64::NAN) } else { value.as_f64() };
    let others = fields.iter().filter(|(key, _)| *key != "step");
    let values = others.filter_map(|(key, value)| Some((key.clone(), number(value)?))).collect();
    Ok(Step { step, values })
}

/// The file's content; `None` where there is no such file.
fn bytes(path: &Path) -> Result<Option<Vec<u8>>, ReportError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ReportError::Read { path: path.to_owned(), source }),
    }
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ReportError> {
    let Some(bytes) = bytes(path)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|source| ReportError::Json { path: path.to_owned(), source })
}

/// Files of a folder by the start and end of their names, sorted; none where there is no such folder.
fn files(folder: &Path, start: &str, end: &str) -> Result<Vec<PathBuf>, ReportError> {
    let unreadable = |source| ReportError::Read { path: folder.to_owned(), source };
    let entries = match std::fs::read_dir(folder) {
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unreadable)?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(start) && name.ends_with(end) {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests;
