use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{TrainError, atomic};

/// One line of `metrics.jsonl`: one JSON object with these keys, and the terms of the loss as keys beside them. What is
/// not a finite number is written as null.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StepLog {
    /// Steps taken, from 1.
    pub step: u64,
    /// The loss of this step.
    pub loss: f64,
    /// Parts of the loss and gauges of this step, by the method's names.
    #[serde(flatten)]
    pub terms: BTreeMap<&'static str, f64>,
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// L2 norm of this step's gradient before clipping, over the model itself: a side has a key of its own.
    pub grad_norm: f64,
    /// Steps so far that were skipped because their loss or gradient was not finite.
    pub skipped: u64,
    /// Seconds per step, waiting included, mean since the last line.
    pub step_secs: f64,
    /// Seconds per step spent waiting for data, mean since the last line.
    pub wait_secs: f64,
    /// Frames trained on per second, mean since the last line.
    pub frames_per_sec: f64,
    /// The most bytes that tensors held since the last line; `None` where nothing counts them.
    pub peak_bytes: Option<i64>,
}

/// `metrics.jsonl`, open for appending.
#[derive(Debug)]
pub(crate) struct Metrics {
    path: PathBuf,
    file: File,
}

impl Metrics {
    /// Opens the file and drops what was logged after `step`, together with a line that was cut off by a kill.
    pub(crate) fn open_through(path: &Path, step: u64) -> Result<Self, TrainError> {
        let failed = |source| TrainError::Io { doing: "read", path: path.to_owned(), source };
        match fs::read_to_string(path) {
            Ok(text) => {
                let kept: String = text.split_inclusive('\n').take_while(|line| is_through(line, step)).collect();
                if kept.len() < text.len() {
                    atomic::write(path, &kept)?;
                }
            }
            Err(err) if err.kind() == io::ErrorKind::NotFound => {}
            Err(err) => return Err(failed(err)),
        }
        let file = File::options().create(true).append(true).open(path).map_err(failed)?;
        Ok(Metrics { path: path.to_owned(), file })
    }

    /// Appends one line; it is with the system when this returns, and survives the end of the process.
    pub(crate) fn append(&mut self, log: &StepLog) -> Result<(), TrainError> {
        let mut line = serde_json::to_string(log).expect("a log line is strings and numbers");
        line.push('\n');
        self.file.write_all(line.as_bytes()).map_err(|source| self.failed(source))
    }

    /// Waits until all lines are on the disk.
    pub(crate) fn sync(&self) -> Result<(), TrainError> {
        self.file.sync_data().map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> TrainError {
        TrainError::write(&self.path, source)
    }
}

fn is_through(line: &str, step: u64) -> bool {
    #[derive(Deserialize)]
    struct Step {
        step: u64,
    }
    line.ends_with('\n') && serde_json::from_str::<Step>(line).is_ok_and(|found| found.step <= step)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn line(step: u64) -> StepLog {
        StepLog {
            step,
            loss: 0.5,
            terms: BTreeMap::from([("commit", 0.25), ("gauge", f64::NAN)]),
            learning_rate: 0.01,
            grad_norm: 2.0,
            skipped: 0,
            step_secs: 0.5,
            wait_secs: 0.125,
            frames_per_sec: 64.0,
            peak_bytes: Some(1024),
        }
    }

    #[test]
    fn a_line_is_one_flat_json_object() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        Metrics::open_through(&path, 0).unwrap().append(&line(3)).unwrap();
        let want = concat!(
            r#"{"step":3,"loss":0.5,"commit":0.25,"gauge":null,"learning_rate":0.01,"grad_norm":2.0,"skipped":0,"#,
            r#""step_secs":0.5,"wait_secs":0.125,"frames_per_sec":64.0,"peak_bytes":1024}"#,
            "\n"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), want);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_an_error_with_a_remedy() {
        // Every write to /dev/full fails with ENOSPC.
        let path = PathBuf::from("/dev/full");
        let mut metrics = Metrics { file: File::options().append(true).open(&path).unwrap(), path };
        let failed = metrics.append(&line(1)).unwrap_err();
        assert!(matches!(failed, TrainError::DiskFull { .. }) && failed.to_string().contains("make room"), "{failed}");
    }

    #[test]
    fn lines_after_the_checkpoint_and_a_torn_line_are_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        let mut metrics = Metrics::open_through(&path, 0).unwrap();
        for step in [1, 4, 8] {
            metrics.append(&line(step)).unwrap();
        }
        let whole = fs::read_to_string(&path).unwrap();
        let through_4: String = whole.split_inclusive('\n').take(2).collect();
        fs::write(&path, format!("{whole}{{\"step\":9,\"lo")).unwrap();
        Metrics::open_through(&path, 100).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), whole);
        Metrics::open_through(&path, 7).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), through_4);
        Metrics::open_through(&path, 0).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
    }
}
