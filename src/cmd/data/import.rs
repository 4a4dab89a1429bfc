//! `longvid data import`: videos and their annotations to a clip store.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use video::{
    Annotations, Begin, DecodeLimits, EpicFiles, Event, ImportOptions, ImportReport, StoreOptions, plan_import,
};

use super::super::training::say;
use super::{dry_run, list, rejected_line};
use crate::cli::{ImportArgs, ImportCommand, LimitArgs};
use crate::progress::Progress;
use crate::session::{Session, num_cores};

pub(crate) fn import(command: &ImportCommand, session: &Session) -> anyhow::Result<()> {
    let (options, is_dry) = match command {
        ImportCommand::Folder(args) => (options(&args.videos, None, &args.import), args.import.dry_run),
        ImportCommand::Csv(args) => {
            let annotations = Annotations::Csv(args.table.clone());
            (options(&args.videos, Some(annotations), &args.import), args.import.dry_run)
        }
        ImportCommand::Diving48(args) => {
            let (entries, vocabulary) = (args.entries.clone(), args.vocabulary.clone());
            let annotations = Annotations::Diving48 { entries, vocabulary };
            (options(&args.videos, Some(annotations), &args.import), args.import.dry_run)
        }
        ImportCommand::Epic100(args) => {
            let files = EpicFiles {
                rows: args.rows.clone(),
                verbs: args.verbs.clone(),
                nouns: args.nouns.clone(),
                video_info: args.video_info.clone(),
            };
            (options(&args.videos, Some(Annotations::Epic100(files)), &args.import), args.import.dry_run)
        }
    };
    if is_dry {
        return Ok(say(dry_run::text(&options, &plan_import(&options)?)?.trim_end())?);
    }
    run(&options, session)
}

fn options(videos: &Path, annotations: Option<Annotations>, args: &ImportArgs) -> ImportOptions {
    ImportOptions {
        folder: videos.to_owned(),
        store: args.out.clone(),
        annotations,
        groups: args.groups.as_ref().map(|groups| groups.iter().cloned().collect()),
        exclude_labels: args.exclude_labels.iter().cloned().collect(),
        frames: StoreOptions { short_side_px: args.short_side, max_frames_per_sec: args.max_fps },
        shard: args.shard,
        limits: decode_limits(args.limits),
        num_workers: num_cores().max(1) as usize,
        strict: args.strict,
    }
}

/// The limits that were typed; the others as they are.
pub(super) fn decode_limits(args: LimitArgs) -> DecodeLimits {
    DecodeLimits {
        time: Duration::from_secs(args.time_limit_secs),
        decoded_bytes: u64::from(args.byte_limit_gib) << 30,
        ..DecodeLimits::default()
    }
}

fn run(options: &ImportOptions, session: &Session) -> anyhow::Result<()> {
    let mut progress: Option<Progress> = None;
    let mut on_event = |event: Event<'_>| match event {
        Event::Start { begin, num_files, num_kept } => {
            if let Begin::Again(reason) = begin {
                tracing::warn!("an interrupted import could not be read and is made again: {reason}");
            }
            let bar = progress.insert(Progress::new("import", num_files as u64));
            if num_kept > 0 {
                bar.set(num_kept as u64, "kept from before");
            }
        }
        Event::File { num_done, name, .. } => {
            if let Some(bar) = &mut progress {
                bar.set(num_done as u64, name);
            }
        }
    };
    let report = video::import(options, &mut on_event, &session.interrupt)?;
    if let Some(bar) = progress {
        bar.finish(&format!("{:?} written", options.store));
    }
    Ok(say(summary(&report).trim_end())?)
}

fn summary(report: &ImportReport) -> String {
    let mut text = String::new();
    let mut row = |name: &str, count: u64| _ = writeln!(text, "{name:<26}{count:>10}");
    row("videos imported", report.num_videos as u64);
    row("frames", report.num_frames);
    row("segments", report.num_segments as u64);
    row("files rejected", report.rejected.len() as u64);
    row("annotated videos missing", report.missing.len() as u64);
    row("annotated segments dropped", report.dropped.len() as u64);
    list(&mut text, "rejected", report.rejected.iter().map(rejected_line));
    list(&mut text, "missing", report.missing.iter().cloned());
    list(&mut text, "dropped", report.dropped.iter().map(|d| format!("{}: {}", d.segment, d.reason)));
    text
}
