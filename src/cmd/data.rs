//! `longvid data`: import, look into and export stores.

mod check;
mod dry_run;
mod export;
mod import;
pub(crate) mod stores;
mod tokens;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;
use video::{ClipStore, Rejected, Segment, TokenStore, Video, VideoError};

pub(crate) use self::check::check;
pub(crate) use self::export::export;
pub(crate) use self::import::import;
use super::training::say;
use crate::cli::InfoArgs;
use crate::session::Session;

/// Lines of a list that `info` and `import` print before they only count the rest.
const SHOWN: usize = 20;

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

pub(crate) fn info(args: &InfoArgs, session: &Session) -> anyhow::Result<()> {
    let text = match ClipStore::open(&args.store) {
        Ok(store) if args.json => clip_json(&store)?,
        Ok(store) => clip_text(&store),
        Err(VideoError::WrongKind { .. }) => tokens::info(&TokenStore::open(&args.store)?, args.json, session)?,
        Err(err) => return Err(err.into()),
    };
    Ok(say(text.trim_end())?)
}

fn file_bytes(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

/// Segments by what `name` says of them; those of which it says nothing are not counted.
fn counts<'a>(store: &'a ClipStore, name: impl Fn(&'a Segment) -> Option<&'a str>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for name in store.segments().iter().filter_map(name) {
        *counts.entry(name).or_insert(0) += 1;
    }
    counts
}

/// For each label space, segments by class.
fn class_counts(store: &ClipStore) -> Vec<BTreeMap<&str, usize>> {
    let class = |i: usize, segment: &Segment| {
        let label = usize::try_from(segment.labels[i]).ok()?;
        Some(store.label_spaces()[i].classes[label].as_str())
    };
    (0..store.label_spaces().len()).map(|i| counts(store, |segment| class(i, segment))).collect()
}

fn subject(segment: &Segment) -> Option<&str> {
    Some(segment.subject.as_str()).filter(|subject| !subject.is_empty())
}

fn clip_json(store: &ClipStore) -> anyhow::Result<String> {
    let label_spaces: Vec<_> = store
        .label_spaces()
        .iter()
        .zip(class_counts(store))
        .map(|(space, counts)| json!({ "name": space.name, "classes": space.classes, "segments_per_class": counts }))
        .collect();
    let value = json!({
        "kind": "clip store",
        "id": store.id(),
        "created_by": store.created_by(),
        "short_side_px": store.short_side_px(),
        "file_bytes": file_bytes(store.path()),
        "label_spaces": label_spaces,
        "segments_per_group": counts(store, |segment| Some(&segment.group)),
        "segments_per_subject": counts(store, subject),
        "videos": store.videos(),
        "segments": store.segments(),
        "rejected": store.rejected(),
    });
    Ok(serde_json::to_string_pretty(&value)?)
}

fn clip_text(store: &ClipStore) -> String {
    let (videos, classes) = (store.videos(), class_counts(store));
    let groups = counts(store, |segment| Some(&segment.group));
    let num_frames: u64 = videos.iter().map(|video| u64::from(video.num_frames)).sum();
    let secs = videos.iter().map(Video::duration_secs).fold(0.0, |sum, secs| sum + secs);
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
    row("segments", store.segments().len().to_string());
    for (space, counts) in store.label_spaces().iter().zip(&classes) {
        let num_labelled: usize = counts.values().sum();
        let num_known = space.classes.len();
        row(&space.name, format!("{} of {num_known} classes, {num_labelled} segments with one", counts.len()));
    }
    row("groups", groups.len().to_string());
    row("subjects", counts(store, subject).len().to_string());
    row("rejected", store.rejected().len().to_string());
    for (space, counts) in store.label_spaces().iter().zip(&classes) {
        list(&mut text, &space.name, counts.iter().map(|(class, num)| format!("{num:>6} {class}")));
    }
    // Without annotations each video is a group of its own: not worth a list.
    if groups.len() < store.segments().len() {
        list(&mut text, "groups", groups.iter().map(|(group, num)| format!("{num:>6} {group}")));
    }
    list(
        &mut text,
        "videos",
        videos.iter().map(|video| {
            let (width, height, rate) = (video.width_px, video.height_px, video.frames_per_sec);
            let notes = if video.notes.is_empty() { String::new() } else { format!(" ({})", video.notes) };
            format!("{:>6} frames {width}x{height} at {rate:.2}/s {}{notes}", video.num_frames, video.name)
        }),
    );
    list(&mut text, "rejected", store.rejected().iter().map(rejected_line));
    text
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
