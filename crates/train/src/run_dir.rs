use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::metrics::Metrics;
use crate::{TrainError, atomic, settings};

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
    /// The system lets go of the lock with the process, however it ends. `None` on a rank that is not the first.
    _lock: Option<File>,
}

impl RunDir {
    /// Makes or enters a run folder and locks it.
    ///
    /// # Errors
    /// Fresh: [`TrainError::HoldsRun`], [`TrainError::NotEmpty`]. Resume: [`TrainError::NoRun`],
    /// [`TrainError::OtherConfig`] with the keys that differ, [`TrainError::RunRecord`]. Both: [`TrainError::InUse`],
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
                let mut record = read_record(&record_path)?;
                record.resumptions.push(info.resumption());
                atomic::write(&record_path, &serde_json::to_string_pretty(&record).expect("strings and numbers"))?;
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
        Ok(RunDir { root: root.to_owned(), config_toml: info.config_toml.to_owned(), _lock: Some(lock) })
    }

    /// The run folder as a rank sees it that is not the first: nothing is locked or written, but for what is kept of a
    /// batch that went wrong. The folder need not be there.
    pub fn of_other_rank(root: &Path, config_toml: &str) -> Self {
        RunDir { root: root.to_owned(), config_toml: config_toml.to_owned(), _lock: None }
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
pub(crate) mod tests {
    use super::*;

    pub(crate) fn info(config_toml: &str) -> RunInfo<'_> {
        RunInfo {
            kind: "pretrain",
            preset: "tiny",
            version: "0.1.0",
            command: "longvid pretrain --preset tiny",
            device: "CPU",
            steps_planned: 10,
            config_toml,
            clips_per_step: "2 clips".to_owned(),
            provenance: Provenance { commit: "c0ffee".to_owned(), ranks: 1, ..Provenance::default() },
        }
    }

    const CONFIG_TOML: &str = "train.steps = 10\nmodel.width = 8\n";

    #[test]
    fn a_fresh_run_records_how_it_was_started() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("runs/a");
        let run = RunDir::open(&root, &info(CONFIG_TOML), Start::Fresh).unwrap();
        assert!(run.pictures().is_dir());
        assert_eq!(read(&root.join("resolved.toml")).unwrap(), CONFIG_TOML);
        let record = RunRecord::read(&root).unwrap();
        let (kind, steps, hash) = (record.kind.as_str(), record.steps_planned, record.config_hash.len());
        assert_eq!((kind, steps, hash), ("pretrain", 10, 64));
        let started = humantime::parse_rfc3339(&record.started).unwrap();
        assert!(started.elapsed().unwrap().as_secs() < 60, "{}", record.started);
    }

    #[test]
    fn each_resume_is_added_to_the_record() {
        let dir = tempfile::tempdir().unwrap();
        drop(RunDir::open(dir.path(), &info(CONFIG_TOML), Start::Fresh).unwrap());
        let started = RunRecord::read(dir.path()).unwrap();
        let provenance = Provenance { commit: "decaf".to_owned(), ranks: 2, ..Provenance::default() };
        drop(RunDir::open(dir.path(), &RunInfo { provenance, ..info(CONFIG_TOML) }, Start::Resume).unwrap());
        let resumed = RunRecord::read(dir.path()).unwrap();
        assert_eq!((resumed.provenance.commit.as_str(), resumed.resumptions.len()), ("c0ffee", 1));
        assert_eq!(resumed.resumptions[0].provenance.commit, "decaf");
        assert_eq!(RunRecord { resumptions: Vec::new(), ..resumed }, started);
    }

    #[test]
    fn a_second_process_is_refused_while_the_first_one_trains() {
        let dir = tempfile::tempdir().unwrap();
        let first = RunDir::open(dir.path(), &info(CONFIG_TOML), Start::Fresh).unwrap();
        let second = RunDir::open(dir.path(), &info(CONFIG_TOML), Start::Resume);
        assert!(matches!(second, Err(TrainError::InUse { .. })));
        drop(first);
        RunDir::open(dir.path(), &info(CONFIG_TOML), Start::Resume).unwrap();
    }

    #[test]
    fn a_fresh_start_over_a_run_and_a_resume_of_none_are_refused_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let said = RunDir::open(dir.path(), &info(CONFIG_TOML), Start::Resume).unwrap_err().to_string();
        assert!(said.contains("without --resume"), "{said}");
        drop(RunDir::open(dir.path(), &info(CONFIG_TOML), Start::Fresh).unwrap());
        let said = RunDir::open(dir.path(), &info(CONFIG_TOML), Start::Fresh).unwrap_err().to_string();
        assert!(said.contains("--resume"), "{said}");
    }

    #[test]
    fn other_settings_are_refused_with_the_keys_that_differ() {
        let dir = tempfile::tempdir().unwrap();
        drop(RunDir::open(dir.path(), &info(CONFIG_TOML), Start::Fresh).unwrap());
        let other = RunDir::open(dir.path(), &info("train.steps = 20\nmodel.width = 8\n"), Start::Resume);
        let said = other.unwrap_err().to_string();
        assert!(said.contains("(train.steps: 10 there, 20 here)"), "{said}");
        assert!(said.contains("--resume with the same preset, or use another --out"), "{said}");
        RunDir::open(dir.path(), &info("[model]\nwidth = 8\n[train]\nsteps = 10\n"), Start::Resume).unwrap();
    }

    #[test]
    fn a_folder_with_other_files_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.tex"), "").unwrap();
        let said = RunDir::open(dir.path(), &info(CONFIG_TOML), Start::Fresh).unwrap_err().to_string();
        assert!(said.contains("thesis.tex"), "{said}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_start_that_was_killed_before_its_record_can_be_made_again() {
        let dir = tempfile::tempdir().unwrap();
        drop(RunDir::open(dir.path(), &info(CONFIG_TOML), Start::Fresh).unwrap());
        fs::rename(dir.path().join("run.json"), dir.path().join("run.json.tmp")).unwrap();
        RunDir::open(dir.path(), &info(CONFIG_TOML), Start::Fresh).unwrap();
    }
}
