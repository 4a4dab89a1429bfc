//! TensorBoard event files beside `metrics.jsonl`: the same numbers, and the pictures, for `tensorboard --logdir`.

mod event;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use event::Event;
pub(crate) use event::Image;

use crate::{StepLog, TrainError};

/// Start of every event file's name; what TensorBoard looks for is `tfevents`.
const FILE_PREFIX: &str = "events.out.tfevents.";

/// Terms of the loss that tell whether features or codes collapse: they get a group of their own.
const COLLAPSE_GAUGES: [&str; 4] = ["code_usage", "effective_rank", "feature_std", "perplexity"];

/// An event file, open for appending. TensorBoard reads the files of a folder as one run, in order of their names.
#[derive(Debug)]
pub(crate) struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Starts a new file in `folder`, for what comes after `step` steps. Its name sorts behind those of the files that
    /// are there, and its head tells readers to drop what these hold of later steps.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub(crate) fn open_after(folder: &Path, step: u64) -> Result<Self, TrainError> {
        // A run that is resumed within the second, or after the clock was put back, still comes last.
        let after_newest = newest_secs(folder)?.map_or(0, |newest| newest + 1);
        let secs = after_newest.max(wall_secs() as u64);
        let path = folder.join(format!("{FILE_PREFIX}{secs:010}.{}.longvid", std::process::id()));
        let created = File::options().create_new(true).append(true).open(&path);
        let file = created.map_err(|source| TrainError::Io { doing: "create", path: path.clone(), source })?;
        let mut events = EventFile { path, file };
        events.write(0, Event::FileVersion)?;
        events.write(step + 1, Event::Restart)?;
        Ok(events)
    }

    /// Appends the numbers of one line of metrics, under tags in groups: `train/loss`, `optimizer/learning_rate`,
    /// `machine/wait_secs`, `collapse/feature_std`. The part behind the `/` is the key in `metrics.jsonl`.
    ///
    /// # Errors
    /// [`TrainError::Io`], a full disk included.
    pub(crate) fn append(&mut self, log: &StepLog) -> Result<(), TrainError> {
        self.write(log.step, Event::Scalars(&tagged(log)))
    }

    /// Appends a picture of `step`.
    ///
    /// # Errors
    /// [`TrainError::Io`], a full disk included.
    pub(crate) fn image(&mut self, step: u64, image: Image<'_>) -> Result<(), TrainError> {
        self.write(step, Event::Image(image))
    }

    /// Waits until everything is on the disk.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub(crate) fn sync(&self) -> Result<(), TrainError> {
        self.file.sync_data().map_err(|source| self.failed(source))
    }

    fn write(&mut self, step: u64, event: Event<'_>) -> Result<(), TrainError> {
        let record = event.record(wall_secs(), step);
        self.file.write_all(&record).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> TrainError {
        TrainError::write(&self.path, source)
    }
}

/// Seconds since 1970; 0 where the clock stands before that.
fn wall_secs() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Every number of a line of metrics under its tag; what was not counted is left out.
fn tagged(log: &StepLog) -> Vec<(String, f64)> {
    // Without `..`, so that a new number cannot be forgotten here.
    let StepLog {
        step: _,
        loss,
        terms,
        learning_rate,
        grad_norm,
        skipped,
        step_secs,
        wait_secs,
        frames_per_sec,
        peak_bytes,
    } = log;
    let group = |term: &str| if COLLAPSE_GAUGES.contains(&term) { "collapse" } else { "train" };
    let mut tags = vec![("train/loss".to_owned(), *loss)];
    tags.extend(terms.iter().map(|(term, value)| (format!("{}/{term}", group(term)), *value)));
    for (tag, value) in [
        ("optimizer/learning_rate", Some(*learning_rate)),
        ("optimizer/grad_norm", Some(*grad_norm)),
        ("optimizer/skipped", Some(*skipped as f64)),
        ("machine/step_secs", Some(*step_secs)),
        ("machine/wait_secs", Some(*wait_secs)),
        ("machine/frames_per_sec", Some(*frames_per_sec)),
        ("machine/peak_bytes", peak_bytes.map(|bytes| bytes as f64)),
    ] {
        tags.extend(value.map(|value| (tag.to_owned(), value)));
    }
    tags
}

/// The latest time in the names of a folder's event files, seconds since 1970.
fn newest_secs(folder: &Path) -> Result<Option<u64>, TrainError> {
    let failed = |source| TrainError::Io { doing: "read", path: folder.to_owned(), source };
    let mut newest = None;
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        let secs = name.strip_prefix(FILE_PREFIX).and_then(|rest| rest.split('.').next()?.parse::<u64>().ok());
        newest = newest.max(secs);
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::line;

    /// The steps in a file's records: their field follows the length (8 bytes), its checksum (4) and the time (9).
    fn steps(path: &Path) -> Vec<u8> {
        let bytes = fs::read(path).unwrap();
        let mut rest = &bytes[..];
        let mut steps = Vec::new();
        while let Some((length, _)) = rest.split_first_chunk::<8>() {
            assert_eq!(rest[21], 0x10, "the step's field");
            steps.push(rest[22]);
            rest = &rest[8 + 4 + u64::from_le_bytes(*length) as usize + 4..];
        }
        steps
    }

    #[test]
    fn a_resumed_run_goes_on_in_a_file_that_sorts_last_and_overtakes_later_steps() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = EventFile::open_after(dir.path(), 0).unwrap();
        first.append(&line(7)).unwrap();
        let mut second = EventFile::open_after(dir.path(), 5).unwrap();
        second.append(&line(6)).unwrap();
        second.image(6, Image { tag: "pictures/a", png: b"", width: 1, height: 1 }).unwrap();
        second.sync().unwrap();
        assert!(first.path < second.path, "{:?} {:?}", first.path, second.path);
        assert_eq!(steps(&first.path), [0, 1, 7]);
        assert_eq!(steps(&second.path), [0, 6, 6, 6]);
    }

    #[test]
    fn every_number_of_a_line_has_a_tag_that_ends_in_its_key() {
        let log = line(3);
        let json = serde_json::to_value(&log).unwrap();
        let mut keys: Vec<String> = json.as_object().unwrap().keys().filter(|key| *key != "step").cloned().collect();
        let mut tagged_keys: Vec<String> =
            tagged(&log).iter().map(|(tag, _)| tag.split_once('/').unwrap().1.to_owned()).collect();
        keys.sort();
        tagged_keys.sort();
        assert_eq!(tagged_keys, keys);
        let uncounted = StepLog { peak_bytes: None, ..log };
        assert!(tagged(&uncounted).iter().all(|(tag, _)| tag != "machine/peak_bytes"));
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let refused = EventFile::open_after(&dir.path().join("none"), 0);
        assert!(matches!(refused, Err(TrainError::Io { doing: "read", .. })));
    }
}
