//! How long work reports on itself: a bar with an ETA on a terminal, a plain line now and then elsewhere.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Plain lines come at most this often.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Progress of one task; written to stderr.
#[derive(Debug)]
pub(crate) struct Progress {
    task: String,
    total: u64,
    bar: Option<ProgressBar>,
    started: Instant,
    last_line: Instant,
}

impl Progress {
    /// * `task` - what is going on, two or three words
    /// * `total` - steps, files or whatever is counted
    pub(crate) fn new(task: &str, total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total).with_message(task.to_owned());
            let style = "{msg} {bar:30} {pos}/{len} [{elapsed} < {eta}] {prefix}";
            bar.with_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        let now = Instant::now();
        Progress { task: task.to_owned(), total, bar, started: now, last_line: now }
    }

    /// `done` of the total are done; `note` says how it goes (a loss, a file name).
    pub(crate) fn set(&mut self, done: u64, note: &str) {
        if let Some(bar) = &self.bar {
            bar.set_prefix(note.to_owned());
            bar.set_position(done);
        } else if self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            let left =
                self.started.elapsed().as_secs_f64() / done.max(1) as f64 * (self.total - done.min(self.total)) as f64;
            self.line(&format!("{done}/{} {note} (about {left:.0} s left)", self.total));
        }
    }

    /// Ends the bar; `note` is the last word on the task.
    pub(crate) fn finish(self, note: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.line(&format!("{note} ({:.0} s)", self.started.elapsed().as_secs_f64()));
    }

    /// Ends the bar without a word.
    pub(crate) fn clear(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&self, text: &str) {
        // Nothing sensible is left to do when stderr is closed.
        writeln!(std::io::stderr(), "{}: {text}", self.task).ok();
    }
}
