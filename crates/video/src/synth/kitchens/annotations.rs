use std::fmt::Display;
use std::path::Path;

use crate::VideoError;
use crate::annotations::epic100::{COLUMNS as TEST_COLUMNS, LABEL_COLUMNS};

use super::super::output::write_whole;
use super::film::Segment;
use super::words::{Noun, Verb};
use super::write::{Split, Video};

/// Classes so rare that all of them make up this share of the training segments are the tail.
const TAIL_SHARE: f64 = 0.2;

/// The classes of one kind in the order of their ids: the most frequent in training first.
struct Classes<T> {
    /// With the number of training segments.
    by_id: Vec<(T, usize)>,
}

impl<T: Copy + PartialEq> Classes<T> {
    fn count(all: &[T], found: impl Iterator<Item = T> + Clone) -> Self {
        let mut by_id: Vec<(T, usize)> =
            all.iter().map(|class| (*class, found.clone().filter(|other| other == class).count())).collect();
        by_id.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        Classes { by_id }
    }

    fn id(&self, class: T) -> usize {
        self.by_id.iter().position(|(other, _)| *other == class).expect("all classes are listed")
    }

    /// Ids of the tail, ascending.
    fn tail(&self) -> Vec<usize> {
        let total: usize = self.by_id.iter().map(|(_, count)| count).sum();
        let mut left = (TAIL_SHARE * total as f64) as usize;
        let mut tail: Vec<usize> = (0..self.by_id.len())
            .rev()
            .take_while(|id| {
                let fits = self.by_id[*id].1 <= left;
                left = left.saturating_sub(self.by_id[*id].1);
                fits
            })
            .collect();
        tail.reverse();
        tail
    }
}

/// Writes all files of annotations, as EPIC-KITCHENS-100 names and forms them.
pub(super) fn write_annotations(out: &Path, videos: &[Video]) -> Result<(), VideoError> {
    let of = |split: Split| videos.iter().filter(move |video| video.split == split);
    let training: Vec<Segment> = of(Split::Train).flat_map(|video| video.film.segments()).collect();
    let verbs = Classes::count(&Verb::ALL, training.iter().map(|segment| segment.verb));
    let nouns = Classes::count(&Noun::ALL, training.iter().map(|segment| segment.noun));
    let labelled: Vec<&str> = TEST_COLUMNS.into_iter().chain(LABEL_COLUMNS).collect();
    let table = |name: &str, header: &[&str], rows: Vec<Vec<String>>| write_csv(&out.join(name), header, &rows);
    for (split, name) in [(Split::Train, "train"), (Split::Validation, "validation")] {
        let rows = of(split).flat_map(|video| label_rows(video, &verbs, &nouns)).collect();
        table(&format!("EPIC_100_{name}.csv"), &labelled, rows)?;
    }
    table("EPIC_100_unseen_participant_ids_validation.csv", &["participant_id"], unseen(videos, Split::Validation))?;
    if of(Split::Test).next().is_some() {
        table("EPIC_100_test_timestamps.csv", &TEST_COLUMNS, of(Split::Test).flat_map(time_rows).collect())?;
        table("EPIC_100_unseen_participant_ids_test.csv", &["participant_id"], unseen(videos, Split::Test))?;
    }
    let classes = ["id", "key", "instances", "category"];
    let verb_row = |verb: Verb| (verb.key(), verb.spoken(), verb.category());
    table("EPIC_100_verb_classes.csv", &classes, class_rows(&verbs, verb_row))?;
    let noun_row = |noun: Noun| (noun.key(), noun.key(), noun.category());
    table("EPIC_100_noun_classes.csv", &classes, class_rows(&nouns, noun_row))?;
    table("EPIC_100_tail_verbs.csv", &["verb"], column(verbs.tail()))?;
    table("EPIC_100_tail_nouns.csv", &["noun"], column(nouns.tail()))?;
    let infos = videos.iter().map(|video| {
        let [width, height] = video.footage.size_px;
        let [secs, rate] = [video.film.secs(), video.footage.frames_per_sec].map(decimal);
        vec![video.video_id.clone(), secs, rate, format!("{width}x{height}")]
    });
    table("EPIC_100_video_info.csv", &["video_id", "duration", "fps", "resolution"], infos.collect())
}

/// The first eight columns of each segment.
fn time_rows(video: &Video) -> Vec<Vec<String>> {
    let rate = video.footage.frames_per_sec;
    let row = |(i, segment): (usize, Segment)| {
        // Frames are those of the times as written.
        let [start, stop] = [segment.start_secs, segment.stop_secs].map(|secs| (secs * 100.0).round() / 100.0);
        vec![
            format!("{}_{i}", video.video_id),
            video.participant_id(),
            video.video_id.clone(),
            clock(segment.narration_secs, 3),
            clock(start, 2),
            clock(stop, 2),
            ((start * rate).floor() as u64).to_string(),
            ((stop * rate).floor() as u64).to_string(),
        ]
    };
    video.film.segments().into_iter().enumerate().map(row).collect()
}

fn label_rows(video: &Video, verbs: &Classes<Verb>, nouns: &Classes<Noun>) -> Vec<Vec<String>> {
    let mut rows = time_rows(video);
    for (row, segment) in rows.iter_mut().zip(video.film.segments()) {
        let Segment { verb, noun, tool, .. } = segment;
        let with = tool.map_or_else(String::new, |tool| format!(" with {}", tool.spoken()));
        let named: Vec<Noun> = std::iter::once(noun).chain(tool).collect();
        row.extend([
            format!("{} {}{with}", verb.spoken().replace('-', " "), noun.spoken()),
            verb.spoken().to_owned(),
            verbs.id(verb).to_string(),
            noun.key().to_owned(),
            nouns.id(noun).to_string(),
            list(named.iter().map(|noun| format!("'{}'", noun.key()))),
            list(named.iter().map(|noun| nouns.id(*noun))),
        ]);
    }
    rows
}

/// Participants who film in this split and not in training.
fn unseen(videos: &[Video], split: Split) -> Vec<Vec<String>> {
    let in_split = |participant: u64, split: Split| {
        videos.iter().any(|video| video.split == split && video.film.shot.participant == participant)
    };
    let mut ids: Vec<String> = videos
        .iter()
        .filter(|video| video.split == split && !in_split(video.film.shot.participant, Split::Train))
        .map(Video::participant_id)
        .collect();
    ids.sort();
    ids.dedup();
    column(ids)
}

fn class_rows<T: Copy>(
    classes: &Classes<T>,
    words: impl Fn(T) -> (&'static str, &'static str, &'static str),
) -> Vec<Vec<String>> {
    let row = |(id, (class, _)): (usize, &(T, usize))| {
        let (key, spoken, category) = words(*class);
        let mut instances = vec![key, spoken];
        instances.dedup();
        let instances = list(instances.iter().map(|word| format!("'{word}'")));
        vec![id.to_string(), key.to_owned(), instances, category.to_owned()]
    };
    classes.by_id.iter().enumerate().map(row).collect()
}

fn column(values: Vec<impl Display>) -> Vec<Vec<String>> {
    values.into_iter().map(|value| vec![value.to_string()]).collect()
}

/// A Python list literal.
fn list(items: impl Iterator<Item = impl Display>) -> String {
    let items: Vec<String> = items.map(|item| item.to_string()).collect();
    format!("[{}]", items.join(", "))
}

/// `HH:mm:ss` and so many decimals.
fn clock(secs: f64, decimals: u32) -> String {
    let unit = 10u64.pow(decimals);
    let ticks = (secs * unit as f64).round() as u64;
    let (whole, part) = (ticks / unit, ticks % unit);
    let (hours, minutes, secs) = (whole / 3600, whole / 60 % 60, whole % 60);
    format!("{hours:02}:{minutes:02}:{secs:02}.{part:0width$}", width = decimals as usize)
}

/// With at least one decimal, as the official file has it.
fn decimal(value: f64) -> String {
    format!("{value:?}")
}

fn write_csv(path: &Path, header: &[&str], rows: &[Vec<String>]) -> Result<(), VideoError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let written = writer.write_record(header).and_then(|()| rows.iter().try_for_each(|row| writer.write_record(row)));
    written.expect("rows are as long as the header, and memory takes them");
    let bytes = writer.into_inner().expect("memory takes them");
    write_whole(path, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_frequency_and_the_tail_is_the_rarest_fifth() {
        let found = ["d"].iter().chain(&["b"; 10]).chain(&["a"; 7]).chain(&["c"; 2]).copied();
        let classes = Classes::count(&["a", "b", "c", "d", "never"], found);
        assert_eq!(["b", "a", "c", "d", "never"].map(|class| classes.id(class)), [0, 1, 2, 3, 4]);
        // 20 segments: 0 + 1 + 2 of at most 4, a seven more would exceed it.
        assert_eq!(classes.tail(), [2, 3, 4]);
    }

    #[test]
    fn times_and_lists_have_the_official_form() {
        assert_eq!([clock(3725.678, 2), clock(0.0004, 3)], ["01:02:05.68", "00:00:00.000"]);
        assert_eq!(list(["'paper'", "'bin'"].iter()), "['paper', 'bin']");
        assert_eq!([decimal(50.0), decimal(59.94)], ["50.0", "59.94"]);
    }
}
