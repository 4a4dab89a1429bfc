//! `longvid report RUN... [-o report.html]`: one self-contained page about one run or several, and about scores. `longvid report
//! --diff A B`: what differed between two.

use std::io::Write as _;
use std::path::Path;

use crate::cli::ReportArgs;
use crate::report::page::Section;
use crate::report::units::Unit;
use crate::report::{RunFolder, build_page, diff, read_scored, scored};
use crate::whole;

/// Reads the folders and writes the page, or the difference. What was missing or damaged in them is said on stderr as well
/// as on the page. A difference is no error.
///
/// # Errors
/// A [`crate::report::ReportError`] for what cannot be read; an I/O error when the page cannot be written.
pub(crate) fn run(args: &ReportArgs) -> anyhow::Result<()> {
    let (mut runs, mut tests) = (Vec::new(), Vec::new());
    for folder in args.diff.as_ref().unwrap_or(&args.runs) {
        let scores = if args.diff.is_none() { scores_alone(folder)? } else { None };
        match scores {
            Some(section) => tests.push(section),
            None => runs.push(RunFolder::read(folder)?),
        }
    }
    for note in runs.iter().flat_map(|run| &run.notes) {
        writeln!(std::io::stderr(), "warning: {note}")?;
    }
    match (&args.diff, &runs[..]) {
        (Some(_), [a, b]) => Ok(write!(std::io::stdout(), "{}", diff(a, b))?),
        _ => write_page(&runs, tests, &args.out),
    }
}

/// What is told of a folder that holds results of `eval score` and no run.
fn scores_alone(folder: &Path) -> anyhow::Result<Option<Section>> {
    if folder.join("run.json").exists() {
        return Ok(None);
    }
    let mut notes = Vec::new();
    let sets = read_scored(folder, &mut notes)?;
    for note in notes {
        writeln!(std::io::stderr(), "warning: {note}")?;
    }
    Ok((!sets.is_empty()).then(|| scored::section(&folder.display().to_string(), &sets)))
}

fn write_page(runs: &[RunFolder], tests: Vec<Section>, out: &Path) -> anyhow::Result<()> {
    let num = runs.len() + tests.len();
    let what = if tests.is_empty() { "run" } else { "folder" };
    let count = format!("{num} {what}{}", if num == 1 { "" } else { "s" });
    let title = match (runs, &tests[..]) {
        ([run], []) => format!("{}: {}", run.record.kind, run.record.preset),
        ([], [test]) => test.title.clone(),
        _ => format!("{count} compared"),
    };
    let mut page = build_page(&title, runs);
    page.sections.extend(tests);
    let html = page.html();
    whole::write(out, &html)?;
    writeln!(std::io::stdout(), "wrote {}: {count}, {}", out.display(), Unit::Bytes.text(html.len() as f64))?;
    Ok(())
}
