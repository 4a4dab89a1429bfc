use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::metrics::Metrics;
use crate::{RunEnd, TrainError, atomic, settings};

/// Names of what a run folder holds beside its checkpoints.
const RECORD: &str = "run.json";
const CONFIG: &str = "resolved.toml";
const LOCK: &str = "run.lock";
const METRICS: &str = "metrics.jsonl";
const PICTURES: &str = "pictures";
const CHECKPOINTS: &str = "checkpoints";

/// Whether a run begins or goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// In a new or empty folder.
    Fresh,
    /// In the folder of a run of the same settings, from its last checkpoint.
    Resume,
}

/// What is known of a run before it starts.
#[derive(Clone, Debug)]
pub struct RunInfo<'a> {
    /// The command's kind of training: `tokenizer`, `pretrain`, ...
    pub kind: &'a str,
    /// Preset name or file.
    pub preset: &'a str,
    /// Version of the program.
    pub version: &'a str,
    /// The command line.
    pub command: &'a str,
    /// The device in words.
    pub device: &'a str,
    /// Steps of the whole run.
    pub steps_planned: u64,
    /// The resolved preset, TOML.
    pub config_toml: &'a str,
    /// How a step's clips are shared out, in words.
    pub clips_per_step: String,
    /// What the run's numbers come from.
    pub provenance: Provenance,
}

/// What a run's numbers come from, beside its config: whoever makes the run again needs the same of each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// The program's commit, with `+` after it where its sources had been changed.
    pub commit: String,
    /// Versions of the libraries that compute and store.
    pub libraries: BTreeMap<String, String>,
    /// Processor, cores, memory, GPU, operating system.
    pub hardware: BTreeMap<String, String>,
    /// Content hash of each data set, by what it is to the run.
    pub data: BTreeMap<String, String>,
    /// Processes that train together.
    pub ranks: usize,
}

/// A later start of the same run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumption {
    /// When, RFC 3339 in UTC.
    pub started: String,
    /// The command line.
    pub command: String,
    /// Version of the program.
    pub version: String,
    /// What its numbers come from since then.
    #[serde(flatten)]
    pub provenance: Provenance,
}

/// `run.json`: how a run was started, and each time it went on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The command's kind of training.
    pub kind: String,
    /// Preset name or file.
    pub preset: String,
    /// Version of the program.
    pub version: String,
    /// The command line.
    pub command: String,
    /// The device in words.
    pub device: String,
    /// When, RFC 3339 in UTC.
    pub started: String,
    /// Steps of the whole run.
    pub steps_planned: u64,
    /// Hash of the settings in `resolved.toml` that the run is bound to, whatever their layout.
    pub config_hash: String,
    /// How a step's clips are shared out, in words.
    #[serde(default)]
    pub clips_per_step: String,
    /// What the run's numbers come from.
    #[serde(flatten)]
    pub provenance: Provenance,
    /// Each time the run went on.
    #[serde(default)]
    pub resumptions: Vec<Resumption>,
}

/// The folder of one run, held by this process alone while the value lives.
///
/// ```text
/// resolved.toml  run.json  metrics.jsonl  events.out.tfevents.*  checkpoints/  pictures/  trouble/  run.lock
/// ```
#[derive(Debug)]
pub struct RunDir {
    root: PathBuf,
    config_toml: String,
    /// What is added to the record once a resumed run goes on.
    resumption: Option<Resumption>,
    begun: Cell<bool>,
    /// The system lets go of the lock with the process, however it ends. `None` on a rank that is not the first.
    _lock: Option<File>,
}

impl RunDir {
    /// Makes or enters a run folder and locks it.
    ///
    /// # Errors
    /// Fresh: [`TrainError::HoldsRun`], [`TrainError::NotEmpty`]. Resume: [`TrainError::NoRun`],
    /// [`TrainError::OtherConfig`] with the keys that differ, [`TrainError::OtherData`], [`TrainError::RunRecord`]. Both: [`TrainError::InUse`],
    /// [`TrainError::ConfigText`], [`TrainError::Io`].
    pub fn open(root: &Path, info: &RunInfo<'_>, start: Start) -> Result<Self, TrainError> {
        let here = settings::settings("of this run", info.config_toml)?;
        let record_path = root.join(RECORD);
        match (start, record_path.exists()) {
            (Start::Fresh, true) => return Err(TrainError::HoldsRun { path: root.to_owned() }),
            (Start::Fresh, false) => refuse_foreign_files(root)?,
            (Start::Resume, false) => return Err(TrainError::NoRun { path: root.to_owned() }),
            (Start::Resume, true) => {}
        }
        for folder in [PICTURES, CHECKPOINTS].map(|name| root.join(name)) {
            fs::create_dir_all(&folder).map_err(|source| TrainError::Io { doing: "create", path: folder, source })?;
        }
        let lock = lock(root)?;
        let config_hash = settings::hash(&here);
        let config_path = root.join(CONFIG);
        match (start, record_path.exists()) {
            (Start::Fresh, false) => {
                atomic::write(&config_path, info.config_toml)?;
                // Last, since a folder holds a run exactly when it holds this file.
                let record = serde_json::to_string_pretty(&info.record(config_hash)).expect("strings and numbers");
                atomic::write(&record_path, &record)?;
            }
            // Another process was quicker between the first look and the lock.
            (Start::Fresh, true) => return Err(TrainError::HoldsRun { path: root.to_owned() }),
            (Start::Resume, _) if read_record(&record_path)?.config_hash == config_hash => {
                expect_same_data(root, &read_record(&record_path)?.provenance, &info.provenance)?;
            }
            (Start::Resume, _) => {
                let there = settings::settings(CONFIG, &read(&config_path)?)?;
                let differences = match settings::differences(&there, &here) {
                    none if none.is_empty() => format!("{CONFIG} was edited since the start"),
                    some => some,
                };
                return Err(TrainError::OtherConfig { path: root.to_owned(), differences });
            }
        }
        let resumption = Some(info.resumption()).filter(|_| start == Start::Resume);
        let config_toml = info.config_toml.to_owned();
        Ok(RunDir { root: root.to_owned(), config_toml, resumption, begun: Cell::new(false), _lock: Some(lock) })
    }

    /// The run folder as a rank sees it that is not the first: nothing is locked or written, but for what is kept of a
    /// batch that went wrong. The folder need not be there.
    pub fn of_other_rank(root: &Path, config_toml: &str) -> Self {
        let (root, config_toml) = (root.to_owned(), config_toml.to_owned());
        RunDir { root, config_toml, resumption: None, begun: Cell::new(false), _lock: None }
    }

    /// Whether training has begun or gone on here: the checkpoint, if there was one, was not refused.
    pub fn has_begun(&self) -> bool {
        self.begun.get()
    }

    /// Notes that training begins or goes on: adds a resumption to the record and takes back how the run ended before.
    pub(crate) fn begin(&self) -> Result<(), TrainError> {
        if let Some(resumption) = &self.resumption {
            let path = self.root.join(RECORD);
            let mut record = read_record(&path)?;
            record.resumptions.push(resumption.clone());
            atomic::write(&path, &serde_json::to_string_pretty(&record).expect("strings and numbers"))?;
        }
        RunEnd::take_back(&self.root)?;
        self.begun.set(true);
        Ok(())
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder for pictures; it exists.
    pub fn pictures(&self) -> PathBuf {
        self.root.join(PICTURES)
    }

    /// The folder for checkpoints; it exists.
    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.root.join(CHECKPOINTS)
    }

    /// The resolved preset, TOML.
    pub fn config_toml(&self) -> &str {
        &self.config_toml
    }

    /// Opens `metrics.jsonl` to go on after `step`.
    pub(crate) fn metrics_through(&self, step: u64) -> Result<Metrics, TrainError> {
        Metrics::open_through(&self.root.join(METRICS), step)
    }
}

impl RunInfo<'_> {
    fn record(&self, config_hash: String) -> RunRecord {
        RunRecord {
            kind: self.kind.to_owned(),
            preset: self.preset.to_owned(),
            version: self.version.to_owned(),
            command: self.command.to_owned(),
            device: self.device.to_owned(),
            started: now(),
            steps_planned: self.steps_planned,
            config_hash,
            clips_per_step: self.clips_per_step.clone(),
            provenance: self.provenance.clone(),
            resumptions: Vec::new(),
        }
    }

    fn resumption(&self) -> Resumption {
        Resumption {
            started: now(),
            command: self.command.to_owned(),
            version: self.version.to_owned(),
            provenance: self.provenance.clone(),
        }
    }
}

impl RunRecord {
    /// Reads the record of the run in `root`.
    ///
    /// # Errors
    /// [`TrainError::NoRun`], [`TrainError::RunRecord`], [`TrainError::Io`].
    pub fn read(root: &Path) -> Result<Self, TrainError> {
        let path = root.join(RECORD);
        if !path.exists() {
            return Err(TrainError::NoRun { path: root.to_owned() });
        }
        read_record(&path)
    }
}

fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// Clips and tokenizer must be those that the run began with: which clips a step sees follows from them.
fn expect_same_data(root: &Path, there: &Provenance, here: &Provenance) -> Result<(), TrainError> {
    let keys = there.data.keys().chain(here.data.keys());
    let of = |data: &Provenance, key: &String| data.data.get(key).cloned().unwrap_or_else(|| "none".to_owned());
    match keys.into_iter().find(|key| there.data.get(*key) != here.data.get(*key)) {
        None => Ok(()),
        Some(key) => Err(TrainError::OtherData {
            path: root.to_owned(),
            data: key.clone(),
            found: of(there, key),
            wanted: of(here, key),
        }),
    }
}

fn read_record(path: &Path) -> Result<RunRecord, TrainError> {
    serde_json::from_str(&read(path)?).map_err(|source| TrainError::RunRecord { path: path.to_owned(), source })
}

fn read(path: &Path) -> Result<String, TrainError> {
    fs::read_to_string(path).map_err(|source| TrainError::Io { doing: "read", path: path.to_owned(), source })
}

fn lock(root: &Path) -> Result<File, TrainError> {
    let path = root.join(LOCK);
    let failed = |source| TrainError::Io { doing: "lock", path: path.clone(), source };
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(TrainError::InUse { path: root.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// A fresh run goes into an empty folder, or into one that a run left before it got to write its record.
fn refuse_foreign_files(root: &Path) -> Result<(), TrainError> {
    let failed = |source| TrainError::Io { doing: "read", path: root.to_owned(), source };
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(err) => return Err(failed(err)),
    };
    for entry in entries {
        let entry = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        let own =
            [LOCK, CONFIG, PICTURES, CHECKPOINTS].contains(&entry.trim_end_matches(".tmp")) || entry == "run.json.tmp";
        if !own {
            return Err(TrainError::NotEmpty { path: root.to_owned(), entry });
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
