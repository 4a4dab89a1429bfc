//! `longvid data check`: a verdict on every file and segment, and videos that are there twice.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::json;
use spec::ClipSpec;
use video::{
    Change, ChangeKind, CheckOptions, CheckReport, CheckStep, DecodeOptions, Evidence, Manifest, ManifestRow, Outcome,
    Overlap, Place,
};

use super::import::decode_limits;
use super::list;
use crate::cli::CheckArgs;
use crate::cmd::training::say;
use crate::exit::Interrupted;
use crate::presets;
use crate::progress::Progress;
use crate::session::{Session, num_cores};

/// Short side of decoded frames, pixels: that of `data import` unless told otherwise.
const SHORT_SIDE_PX: u32 = 256;

/// The part of a preset that tells what a clip is; all presets have it.
#[derive(Debug, Deserialize)]
struct ClipPart {
    clip: ClipSpec,
}

pub(crate) fn check(args: &CheckArgs, session: &Session) -> anyhow::Result<()> {
    let ClipPart { clip } = presets::load(&args.preset, &args.sets)?.parse()?;
    let options = CheckOptions {
        paths: args.paths.clone(),
        decode: DecodeOptions {
            short_side_px: SHORT_SIDE_PX,
            max_frames_per_sec: None,
            limits: decode_limits(args.limits),
        },
        geometry: clip.check()?,
        num_workers: num_cores().max(1) as usize,
    };
    // Read first: it may be the file that is written.
    let old = args.against.as_deref().map(Manifest::read).transpose()?;
    let mut progress: Option<Progress> = None;
    let mut on_step = |step: CheckStep<'_>| {
        progress.get_or_insert_with(|| Progress::new("check", step.total as u64)).set(step.done as u64, step.name);
    };
    let report = video::check(&options, &mut on_step, &session.interrupt)?;
    let report = report.ok_or_else(|| Interrupted("nothing was written".to_owned()))?;
    if let Some(path) = &args.manifest {
        report.manifest.write(path)?;
    }
    if let Some(bar) = progress {
        bar.finish(&format!("{} verdicts", report.manifest.rows.len()));
    }
    let changes = old.map(|old| report.manifest.changes_since(&old));
    if args.json {
        say(&serde_json::to_string_pretty(&json!({ "report": report, "changes": changes }))?)?;
    } else {
        say(summary(&report, changes.as_deref()).trim_end())?;
    }
    match findings(&report, changes.as_deref().unwrap_or_default(), args.strict) {
        found if found.is_empty() => Ok(()),
        found => anyhow::bail!("found {}", found.join(", ")),
    }
}

/// What makes the check fail, in words.
fn findings(report: &CheckReport, changes: &[Change], strict: bool) -> Vec<String> {
    let count = |outcome: Outcome| report.manifest.rows.iter().filter(|row| row.verdict == outcome).count();
    let rejected = if strict { count(Outcome::Rejected) } else { 0 };
    [
        (count(Outcome::Damaged), "damaged"),
        (rejected, "rejected"),
        (report.overlaps.len(), "overlapping pairs"),
        (report.shared_groups.len(), "groups in several stores"),
        (changes.len(), "changes"),
    ]
    .into_iter()
    .filter(|(num, _)| *num > 0)
    .map(|(num, what)| format!("{num} {what}"))
    .collect()
}

fn summary(report: &CheckReport, changes: Option<&[Change]>) -> String {
    let rows = &report.manifest.rows;
    let of = |outcome: Outcome| rows.iter().filter(move |row| row.verdict == outcome);
    let mut text = String::new();
    for outcome in [Outcome::OkWithNotes, Outcome::TooShort, Outcome::Damaged, Outcome::Rejected] {
        list(&mut text, &outcome.to_string(), of(outcome).map(line).collect::<Vec<_>>().into_iter());
    }
    list(&mut text, "overlaps", report.overlaps.iter().map(overlap_line));
    let shared =
        report.shared_groups.iter().map(|shared| format!("{:?} in {}", shared.group, shared.sources.join(", ")));
    list(&mut text, "groups in several stores", shared);
    list(&mut text, "changes", changes.unwrap_or_default().iter().map(change_line));
    let mut row = |name: &str, count: usize| _ = writeln!(text, "{name:<34}{count:>8}");
    row("checked", rows.len());
    for outcome in [Outcome::Ok, Outcome::OkWithNotes, Outcome::TooShort, Outcome::Damaged, Outcome::Rejected] {
        row(&outcome.to_string(), of(outcome).count());
    }
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    of(Outcome::Rejected).for_each(|rejected| *reasons.entry(&rejected.reason).or_default() += 1);
    reasons.iter().for_each(|(reason, num)| row(&format!("  {reason}"), *num));
    let num_equal = report.overlaps.iter().filter(|overlap| overlap.evidence == Evidence::SameBytes).count();
    row("overlapping pairs: equal files", num_equal);
    row("overlapping pairs: same pictures", report.overlaps.len() - num_equal);
    row("groups in several stores", report.shared_groups.len());
    if let Some(changes) = changes {
        row("changes since the old manifest", changes.len());
    }
    next_steps(report).iter().for_each(|step| _ = writeln!(text, "next: {step}"));
    text
}

/// What to do about what was found.
fn next_steps(report: &CheckReport) -> Vec<&'static str> {
    let has = |outcome: Outcome| report.manifest.rows.iter().any(|row| row.verdict == outcome);
    [
        (has(Outcome::Damaged), "make damaged stores again from their videos"),
        (has(Outcome::Rejected), "`data import` leaves rejected files out; get them again or encode them anew"),
        (
            has(Outcome::TooShort),
            "clips of too short segments repeat the last frame: choose a shorter [clip] or a higher rate",
        ),
        (
            !report.overlaps.is_empty(),
            "give both videos of a pair one group, or remove one, before you divide the data",
        ),
        (!report.shared_groups.is_empty(), "import again so that a group is in one store: `data import --groups`"),
    ]
    .into_iter()
    .filter_map(|(holds, step)| holds.then_some(step))
    .collect()
}

fn line(row: &ManifestRow) -> String {
    let name = if row.name.is_empty() { &row.source } else { &row.name };
    format!("{name}: {}", row.detail)
}

fn overlap_line(overlap: &Overlap) -> String {
    let place = |place: &Place| format!("{}: {}", place.source, place.name);
    let why = match overlap.evidence {
        Evidence::SameBytes => "equal files".to_owned(),
        Evidence::SamePictures { share, correlation, shift_secs } => {
            let share = 100.0 * share;
            format!("{share:.0} % look alike, motion correlates {correlation:.2}, {shift_secs:+.1} s")
        }
    };
    format!("{} = {} ({why})", place(&overlap.first), place(&overlap.second))
}

fn change_line(change: &Change) -> String {
    let what = match change.change {
        ChangeKind::Gone => "gone".to_owned(),
        ChangeKind::New => "new".to_owned(),
        ChangeKind::Content => "other content".to_owned(),
        ChangeKind::Verdict { from, to } => format!("was {from}, is {to}"),
    };
    format!("{}: {}: {what}", change.source, change.name)
}
