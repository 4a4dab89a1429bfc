use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use super::super::output::SynthReport;
use super::film::{Film, Shot};
use super::*;

mod reversal;

const RATE: f64 = 25.0;

fn options() -> KitchenOptions {
    KitchenOptions::new(PathBuf::new())
}

fn film(participant: u64, item: u64) -> Film {
    Film::draw(&options(), Shot { participant, item, frames_per_sec: RATE })
}

/// Films of 40 participants.
fn films(first: u64) -> impl Iterator<Item = Film> {
    (first..first + 40).map(|i| film(i, i))
}

#[test]
fn segments_are_short_and_some_neighbours_overlap() {
    let (mut lengths, mut num_overlaps) = (Vec::new(), 0);
    for film in films(0) {
        let segments = film.segments();
        assert_eq!(segments.len(), 12);
        num_overlaps += segments.windows(2).filter(|pair| pair[1].start_secs < pair[0].stop_secs).count();
        assert!(segments.iter().all(|s| s.start_secs >= 0.0 && s.stop_secs <= film.secs()));
        lengths.extend(segments.iter().map(|s| s.stop_secs - s.start_secs));
    }
    lengths.sort_by(f64::total_cmp);
    let (shortest, median, longest) = (lengths[0], lengths[lengths.len() / 2], lengths[lengths.len() - 1]);
    assert!(shortest >= 0.6 && longest <= 6.0 && (1.7..2.3).contains(&median), "{shortest} {median} {longest}");
    let share = num_overlaps as f32 / lengths.len() as f32;
    assert!((0.05..0.3).contains(&share), "{share} overlap");
}

#[test]
fn options_out_of_range_are_refused_by_name() {
    let refused = |options: KitchenOptions| options.check().unwrap_err().to_string();
    options().check().unwrap();
    assert!(refused(KitchenOptions { size_px: 97, ..options() }).contains("size_px = 97"));
    assert!(refused(KitchenOptions { num_train_videos: 0, ..options() }).contains("num_train_videos = 0"));
    assert!(refused(KitchenOptions { frames_per_sec: [25.0, f64::NAN], ..options() }).contains("frames_per_sec"));
    assert!(refused(KitchenOptions { num_participants: 13, ..options() }).contains("num_participants = 13"));
    assert!(refused(KitchenOptions { num_unseen: 7, ..options() }).contains("num_unseen = 7"));
    assert!(refused(KitchenOptions { segments_per_video: 0, ..options() }).contains("segments_per_video = 0"));
    for height in (32..200).step_by(2) {
        let [width, _] = KitchenOptions { size_px: height, ..options() }.picture_px();
        assert!(width % 2 == 0 && (width as f64 - height as f64 * 4.0 / 3.0).abs() <= 1.0, "{width}x{height}");
    }
}

/// A set that takes a moment: five training videos of two participants, two to validate and one to test on.
fn small(out: &Path) -> KitchenOptions {
    KitchenOptions {
        num_train_videos: 5,
        num_val_videos: 2,
        num_test_videos: 1,
        segments_per_video: 3,
        size_px: 32,
        frames_per_sec: [10.0, 12.0],
        num_participants: 2,
        num_unseen: 1,
        ..KitchenOptions::new(out.to_owned())
    }
}

fn synth(options: &KitchenOptions) -> Result<SynthReport, crate::VideoError> {
    synth_kitchens(options, &|_, _| (), &AtomicBool::new(false))
}

/// Rows of a file whose header must be exactly this line.
fn table(folder: &Path, name: &str, header: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    assert_eq!(text.lines().next(), Some(header), "{name}");
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

fn secs(clock: &str) -> f64 {
    let parts: Vec<f64> = clock.split(':').map(|part| part.parse().unwrap()).collect();
    assert!(parts.len() == 3 && clock.len() >= 11, "{clock}");
    3600.0 * parts[0] + 60.0 * parts[1] + parts[2]
}

const TIMES: &str =
    "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,start_frame,stop_frame";

#[test]
fn a_set_has_the_form_of_epic_kitchens_100() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path();
    let report = synth(&small(out)).unwrap();
    let infos = table(out, "EPIC_100_video_info.csv", "video_id,duration,fps,resolution");
    let ids: Vec<&str> = infos.iter().map(|info| info[0].as_str()).collect();
    assert_eq!(ids, ["P01_01", "P02_01", "P01_02", "P02_02", "P01_03", "P03_01", "P01_04", "P04_01"]);
    let rates: Vec<&str> = infos.iter().map(|info| info[2].as_str()).collect();
    assert_eq!(rates, ["10.0", "10.0", "10.0", "12.0", "10.0", "10.0", "10.0", "10.0"]);
    let num_frames: f64 =
        infos.iter().map(|info| info[1].parse::<f64>().unwrap() * info[2].parse::<f64>().unwrap()).sum();
    assert!((num_frames - report.num_frames as f64).abs() < 1e-6);
    let ffmpeg = crate::Ffmpeg::find().unwrap();
    let decoding =
        crate::DecodeOptions { short_side_px: 32, max_frames_per_sec: None, limits: crate::DecodeLimits::default() };
    for info in &infos {
        let file = out.join(format!("{}/videos/{}.MP4", &info[0][..3], info[0]));
        let verdict = crate::decode(&ffmpeg, &file, &decoding, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
        let crate::Verdict::Whole(found, _) = verdict else { panic!("{verdict:?}") };
        let [duration, rate]: [f64; 2] = [1, 2].map(|i| info[i].parse().unwrap());
        assert!((found.source_frames_per_sec - rate).abs() < 1e-3, "{found:?}");
        assert!((f64::from(found.num_frames) - duration * rate).abs() < 1e-6, "{found:?}");
        assert_eq!(format!("{}x{}", found.width_px, found.height_px), info[3]);
    }
    let classes = ["verb", "noun"].map(|kind| {
        let rows = table(out, &format!("EPIC_100_{kind}_classes.csv"), "id,key,instances,category");
        assert!(rows.iter().enumerate().all(|(i, row)| row[0] == i.to_string() && row[2].contains(&row[1])));
        rows.into_iter().map(|row| row[1].clone()).collect::<Vec<String>>()
    });
    assert_eq!(classes.each_ref().map(Vec::len), [12, 13]);
    let labelled = format!("{TIMES},narration,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes");
    let mut narration_ids = BTreeSet::new();
    for (name, header, count) in [
        ("EPIC_100_train.csv", labelled.as_str(), 15),
        ("EPIC_100_validation.csv", labelled.as_str(), 6),
        ("EPIC_100_test_timestamps.csv", TIMES, 3),
    ] {
        let rows = table(out, name, header);
        assert_eq!(rows.len(), count);
        for row in rows {
            assert!(narration_ids.insert(row[0].clone()) && row[0].starts_with(&format!("{}_", row[2])), "{row:?}");
            assert!(row[2].starts_with(&format!("{}_", row[1])), "{row:?}");
            assert!(out.join(format!("{}/videos/{}.MP4", row[1], row[2])).is_file(), "{row:?}");
            let info = infos.iter().find(|info| info[0] == row[2]).unwrap();
            let [duration, rate]: [f64; 2] = [1, 2].map(|i| info[i].parse().unwrap());
            let [narrated, start, stop] = [3, 4, 5].map(|i| secs(&row[i]));
            assert!(start < stop && stop <= duration && (start - 0.01..=stop).contains(&narrated), "{row:?}");
            let frames = [start, stop].map(|secs| ((secs * rate).floor() as u64).to_string());
            assert_eq!(frames, [row[6].clone(), row[7].clone()]);
            if row.len() > 8 {
                let [verb, noun] = [(10, 0), (12, 1)].map(|(i, kind)| &classes[kind][row[i].parse::<usize>().unwrap()]);
                assert!(*noun == row[11] && row[8].starts_with(&row[9].replace('-', " ")), "{row:?} is {verb} {noun}");
                let named = [13, 14].map(|i| {
                    let inner = row[i].strip_prefix('[').unwrap().strip_suffix(']').unwrap();
                    inner.split(", ").map(|item| item.trim_matches('\'').to_owned()).collect::<Vec<_>>()
                });
                assert!(named[0][0] == row[11] && named[1][0] == row[12], "{row:?}");
                let keys: Vec<&String> = named[1].iter().map(|id| &classes[1][id.parse::<usize>().unwrap()]).collect();
                assert_eq!(keys, named[0].iter().collect::<Vec<_>>());
            }
        }
    }
    for (split, wanted) in [("validation", "P03"), ("test", "P04")] {
        let unseen = table(out, &format!("EPIC_100_unseen_participant_ids_{split}.csv"), "participant_id");
        assert_eq!(unseen, [[wanted]]);
    }
    for kind in ["verb", "noun"] {
        assert!(!table(out, &format!("EPIC_100_tail_{kind}s.csv"), kind).is_empty());
    }
}

#[test]
fn a_second_call_renders_only_what_is_missing_and_one_thread_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let options = KitchenOptions { num_train_videos: 2, num_test_videos: 0, ..small(folder.path()) };
    let first = synth(&options).unwrap();
    assert_eq!((first.num_rendered, first.num_kept), (4, 0));
    let lost = folder.path().join("P03/videos/P03_01.MP4");
    let bytes = std::fs::read(&lost).unwrap();
    std::fs::remove_file(&lost).unwrap();
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let second = one_thread.install(|| synth(&options)).unwrap();
    assert_eq!((second.num_rendered, second.num_kept), (1, 3));
    assert_eq!(std::fs::read(&lost).unwrap(), bytes);
    let other = synth(&KitchenOptions { seed: 1, ..options }).unwrap_err();
    assert!(matches!(other, crate::VideoError::CannotResume { .. }), "{other}");
}
