//! What a run looked like, as one HTML page, and the charts and pictures that it is made of.
//!
//! | file       | holds                                                            |
//! | ---------- | ---------------------------------------------------------------- |
//! | `runs`     | run folders as they lie on disk                                  |
//! | `sections` | what a page says about runs                                      |
//! | `alarms`   | what is wrong with a run, in one sentence                        |
//! | `diff`     | what differed between two runs, as text                          |
//! | `kept`     | reconstruction from few tokens; shared with `tokenizer eval`     |
//! | `memory`   | peak memory against frames; shared with `bench memory`           |
//! | `page`     | the HTML page: sections, tables, pictures                        |
//! | `scored`   | scores by a protocol; shared with `eval score`                   |
//! | `study`    | variants against each other over seeds; shared with `study`      |
//! | `svg`      | line and bar charts as SVG text                                  |
//! | `picture`  | RGB pictures, contact sheets, heat maps over patches             |
//!
//! Knows no tensor: everything here is plain numbers and bytes.

mod alarms;
mod diff;
mod error;
pub(crate) mod kept;
pub(crate) mod memory;
pub(crate) mod page;
pub(crate) mod picture;
mod runs;
pub(crate) mod scored;
mod sections;
pub(crate) mod study;
pub(crate) mod svg;
mod theme;
pub(crate) mod units;

use std::collections::BTreeSet;
use std::time::SystemTime;

pub(crate) use diff::diff;
pub(crate) use error::ReportError;
use page::Page;
pub(crate) use runs::{RunFolder, errors_folder, read_scored};
use units::{Unit, readable_time};

/// A page about the runs: what they have, then versions and commands. Sections, and the facts at its head (date, machine,
/// training time), can be added to before it is written.
pub(crate) fn build_page(title: &str, runs: &[RunFolder]) -> Page {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let distinct = |of: fn(&RunFolder) -> &str| {
        let values: BTreeSet<&str> = runs.iter().map(of).collect();
        values.into_iter().collect::<Vec<_>>().join(", ")
    };
    let pair = |name: &str, value: String| (name.to_owned(), value);
    let mut facts = vec![pair("written", readable_time(&now))];
    let mut footer = Vec::new();
    if !runs.is_empty() {
        facts.push(pair("machine", distinct(|run| &run.record.device)));
        facts.push(pair("training time", Unit::Secs.text(runs.iter().map(RunFolder::train_secs).sum())));
        footer.push(pair("longvid", distinct(|run| &run.record.version)));
    }
    let mut alarms = Vec::new();
    for named in sections::named(runs) {
        alarms.extend(alarms::alarms(&named.name, named.run));
        footer.push((named.name, named.run.record.command.clone()));
    }
    Page { title: title.to_owned(), facts, alarms, sections: sections::run_sections(runs), footer }
}
