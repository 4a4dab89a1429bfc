//! `longvid data`: import, look into and export clip stores.

mod check;
mod export;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use video::{
    Annotations, Begin, ClipStore, DecodeLimits, Event, ImportOptions, ImportReport, Rejected, StoreOptions,
    TokenStore, Video, VideoError,
};

pub(crate) use self::check::check;
pub(crate) use self::export::export;
use super::training::say;
use crate::cli::{ImportArgs, InfoArgs, LimitArgs};
use crate::progress::Progress;
use crate::session::{Session, num_cores};

/// Lines of a list that `info` and `import` print before they only count the rest.
const SHOWN: usize = 20;

pub(crate) fn import(args: &ImportArgs, session: &Session) -> anyhow::Result<()> {
    let annotations = args.annotations.as_deref();
    let annotations = annotations.map(|path| Annotations::from_path(path, args.vocabulary.as_deref())).transpose()?;
    let options = ImportOptions {
        folder: args.videos.clone(),
        store: args.out.clone(),
        annotations,
        groups: args.groups.as_ref().map(|groups| groups.iter().cloned().collect()),
        exclude_labels: args.exclude_labels.iter().cloned().collect(),
        frames: StoreOptions { short_side_px: args.short_side, max_frames_per_sec: args.max_fps },
        limits: decode_limits(args.limits),
        num_workers: num_cores().max(1) as usize,
    };
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
    let report = video::import(&options, &mut on_event, &session.interrupt)?;
    if let Some(bar) = progress {
        bar.finish(&format!("{:?} written", args.out));
    }
    Ok(say(summary(&report).trim_end())?)
}

/// The limits that were typed; the others as they are.
fn decode_limits(args: LimitArgs) -> DecodeLimits {
    DecodeLimits {
        time: Duration::from_secs(args.time_limit_secs),
        decoded_bytes: u64::from(args.byte_limit_gib) << 30,
        ..DecodeLimits::default()
    }
}

fn summary(report: &ImportReport) -> String {
    let mut text = String::new();
    let mut row = |name: &str, count: u64| _ = writeln!(text, "{name:<26}{count:>10}");
    row("videos imported", report.num_videos as u64);
    row("frames", report.num_frames);
    row("segments", report.num_segments as u64);
    row("files rejected", report.rejected.len() as u64);
    row("annotated files missing", report.missing.len() as u64);
    row("annotated segments dropped", report.dropped.len() as u64);
    list(&mut text, "rejected", report.rejected.iter().map(rejected_line));
    list(&mut text, "missing", report.missing.iter().cloned());
    list(&mut text, "dropped", report.dropped.iter().map(|d| format!("{}: {}", d.segment, d.reason)));
    text
}

fn rejected_line(rejected: &Rejected) -> String {
    format!("{}: {}", rejected.name, rejected.reason)
}

/// Adds a titled list, cut after [`SHOWN`] lines; nothing for an empty one.
fn list(text: &mut String, title: &str, lines: impl ExactSizeIterator<Item = String>) {
    let num = lines.len();
    if num == 0 {
        return;
    }
    _ = writeln!(text, "{title}:");
    lines.take(SHOWN).for_each(|line| _ = writeln!(text, "  {line}"));
    if num > SHOWN {
        _ = writeln!(text, "  ... and {} more", num - SHOWN);
    }
}

pub(crate) fn info(args: &InfoArgs) -> anyhow::Result<()> {
    let text = match ClipStore::open(&args.store) {
        Ok(store) if args.json => clip_json(&store)?,
        Ok(store) => clip_text(&store),
        Err(VideoError::WrongKind { .. }) => token_text(&TokenStore::open(&args.store)?, args.json)?,
        Err(err) => return Err(err.into()),
    };
    Ok(say(text.trim_end())?)
}

fn file_bytes(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

/// Segments by class name and by group; those without a class are not in the first.
fn counts(store: &ClipStore) -> (BTreeMap<&str, usize>, BTreeMap<&str, usize>) {
    let (mut classes, mut groups) = (BTreeMap::new(), BTreeMap::new());
    for segment in store.segments() {
        if let Some(class) = usize::try_from(segment.label).ok().and_then(|label| store.classes().get(label)) {
            *classes.entry(class.as_str()).or_insert(0) += 1;
        }
        *groups.entry(segment.group.as_str()).or_insert(0) += 1;
    }
    (classes, groups)
}

fn clip_json(store: &ClipStore) -> anyhow::Result<String> {
    let (classes, groups) = counts(store);
    let value = json!({
        "kind": "clip store",
        "id": store.id(),
        "created_by": store.created_by(),
        "short_side_px": store.short_side_px(),
        "file_bytes": file_bytes(store.path()),
        "classes": store.classes(),
        "segments_per_class": classes,
        "segments_per_group": groups,
        "videos": store.videos(),
        "segments": store.segments(),
        "rejected": store.rejected(),
    });
    Ok(serde_json::to_string_pretty(&value)?)
}

fn clip_text(store: &ClipStore) -> String {
    let (videos, (classes, groups)) = (store.videos(), counts(store));
    let num_frames: u64 = videos.iter().map(|video| u64::from(video.num_frames)).sum();
    let secs = videos.iter().map(Video::duration_secs).fold(0.0, |sum, secs| sum + secs);
    let num_labelled: usize = classes.values().sum();
    let mut text = String::new();
    let mut row = |name: &str, value: String| _ = writeln!(text, "{name:<10} {value}");
    row("clip store", format!("{}", store.path().display()));
    row("id", store.id().to_owned());
    row("made by", store.created_by().to_owned());
    row(
        "size",
        format!(
            "{:.1} MiB, short side {} px",
            file_bytes(store.path()) as f64 / (1 << 20) as f64,
            store.short_side_px()
        ),
    );
    row("videos", format!("{}, {num_frames} frames, {secs:.1} s", videos.len()));
    row("segments", format!("{}, {num_labelled} with a label", store.segments().len()));
    row("classes", store.classes().len().to_string());
    row("groups", groups.len().to_string());
    row("rejected", store.rejected().len().to_string());
    list(&mut text, "classes", classes.iter().map(|(class, num)| format!("{num:>6} {class}")));
    // Without annotations each video is a group of its own: not worth a list.
    if groups.len() < store.segments().len() {
        list(&mut text, "groups", groups.iter().map(|(group, num)| format!("{num:>6} {group}")));
    }
    list(
        &mut text,
        "videos",
        videos.iter().map(|video| {
            let (width, height, rate) = (video.width_px, video.height_px, video.frames_per_sec);
            format!("{:>6} frames {width}x{height} at {rate:.2}/s {}", video.num_frames, video.name)
        }),
    );
    list(&mut text, "rejected", store.rejected().iter().map(rejected_line));
    text
}

fn token_text(store: &TokenStore, as_json: bool) -> anyhow::Result<String> {
    let (header, bytes) = (store.header(), file_bytes(store.path()));
    let (num_segments, num_tokens) = (store.num_segments(), store.num_tokens());
    if as_json {
        let value = json!({
            "kind": "token store",
            "header": header,
            "num_segments": num_segments,
            "num_tokens": num_tokens,
            "file_bytes": bytes,
        });
        return Ok(serde_json::to_string_pretty(&value)?);
    }
    let header = serde_json::to_string_pretty(header)?;
    let mib = bytes as f64 / (1 << 20) as f64;
    let path = store.path().display();
    Ok(format!(
        "token store {path}\nsize {mib:.1} MiB, {num_segments} segments, {num_tokens} tokens\nmade from {header}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut_and_say_so() {
        let mut text = String::new();
        list(&mut text, "names", (0..SHOWN + 3).map(|k| k.to_string()).collect::<Vec<_>>().into_iter());
        assert!(text.starts_with("names:\n  0\n") && text.ends_with("  ... and 3 more\n"), "{text}");
        let mut text = String::new();
        list(&mut text, "none", std::iter::empty());
        assert_eq!(text, "");
    }
}
