//! `longvid report RUN... [-o report.html]`: one self-contained page about one run or several. `longvid report --diff A B`:
//! what differed between two.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;

use crate::cli::ReportArgs;
use crate::report::units::Unit;
use crate::report::{RunFolder, build_page, diff};

/// Reads the run folders and writes the page, or the difference. What was missing or damaged in the folders is said on
/// stderr as well as on the page. A difference is no error.
///
/// # Errors
/// A [`crate::report::ReportError`] for what cannot be read; an I/O error when the page cannot be written.
pub(crate) fn run(args: &ReportArgs) -> anyhow::Result<()> {
    let folders = args.diff.as_ref().unwrap_or(&args.runs);
    let runs = folders.iter().map(|folder| RunFolder::read(folder)).collect::<Result<Vec<_>, _>>()?;
    for note in runs.iter().flat_map(|run| &run.notes) {
        writeln!(std::io::stderr(), "warning: {note}")?;
    }
    match (&args.diff, &runs[..]) {
        (Some(_), [a, b]) => Ok(write!(std::io::stdout(), "{}", diff(a, b))?),
        _ => write_page(&runs, &args.out),
    }
}

fn write_page(runs: &[RunFolder], out: &Path) -> anyhow::Result<()> {
    let title = match runs {
        [run] => format!("{}: {}", run.record.kind, run.record.preset),
        _ => format!("{} runs compared", runs.len()),
    };
    let html = build_page(&title, runs).html();
    std::fs::write(out, &html).with_context(|| format!("cannot write {out:?}"))?;
    let num_runs = runs.len();
    let plural = if num_runs == 1 { "" } else { "s" };
    writeln!(
        std::io::stdout(),
        "wrote {}: {num_runs} run{plural}, {}",
        out.display(),
        Unit::Bytes.text(html.len() as f64)
    )?;
    Ok(())
}
