//! EPIC-KITCHENS-100's files from import to probe: several segments of one video, two label spaces.

use std::fmt::Write as _;

use serde_json::Value;

use crate::fixture::folder_with;
use crate::folder::Folder;

const HEADER: &str = "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,\
                      start_frame,stop_frame,narration,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes\n";
const CLASSES: &str = "id,key,instances,category\n";

/// The fixture's dives as videos of P01 (training) and P02 (validation), each with two segments, and their annotations.
fn kitchens() -> Folder {
    let folder = folder_with(&["dives", "lvmae"]);
    let mut dives: Vec<String> = folder.contents().keys().map(|path| path.to_string_lossy().into_owned()).collect();
    dives.retain(|path| path.ends_with(".mp4"));
    for (split, participant, dives) in [("train", "P01", &dives[..8]), ("validation", "P02", &dives[8..])] {
        let mut rows = HEADER.to_owned();
        for (k, dive) in dives.iter().enumerate() {
            let video = format!("{participant}_{k:02}");
            folder.write(&format!("kitchens/{participant}/videos/{video}.MP4"), &std::fs::read(dive).expect("a dive"));
            for (n, (start, stop)) in [("0.00", "1.00"), ("0.50", "1.50")].iter().enumerate() {
                let (verb, noun) = (n, (k + n) % 3);
                writeln!(
                    rows,
                    "{video}_{n},{participant},{video},,00:00:0{start},00:00:0{stop},0,1,do it,v{verb},{verb},n{noun},{noun},\
                     ['n{noun}'],[{noun}]"
                )
                .expect("a text grows");
            }
        }
        folder.write(&format!("EPIC_100_{split}.csv"), rows.as_bytes());
    }
    folder.write("EPIC_100_verb_classes.csv", format!("{CLASSES}0,take,['take'],x\n1,put,['put'],x\n").as_bytes());
    let nouns = format!("{CLASSES}0,tap,['tap'],x\n1,cup,['cup'],x\n2,pan,['pan'],x\n");
    folder.write("EPIC_100_noun_classes.csv", nouns.as_bytes());
    folder.write("EPIC_100_tail_verbs.csv", b"verb\n1\n");
    folder.write("EPIC_100_tail_nouns.csv", b"noun\n2\n");
    folder.write("EPIC_100_unseen_participant_ids_validation.csv", b"participant_id\nP02\n");
    folder
}

const IMPORT: &str = "data import epic100 EPIC_100_train.csv --videos kitchens --short-side 32";

/// The value on the line of that name.
#[track_caller]
fn line<'a>(text: &'a str, name: &str) -> &'a str {
    let found = text.lines().find_map(|line| line.strip_prefix(name));
    found.unwrap_or_else(|| panic!("no line {name:?} in\n{text}")).trim()
}

#[test]
fn a_dry_run_counts_what_would_be_imported_and_writes_nothing() {
    let folder = kitchens();
    std::fs::remove_file(folder.path("kitchens/P01/videos/P01_03.MP4")).expect("a video");
    let before = folder.contents();
    let text = folder.ok(&format!("{IMPORT} --out train.h5 --dry-run"));
    assert!(folder.contents() == before, "files changed");
    for (name, value) in [
        ("segments", "16"),
        ("videos found", "7 of 8"),
        ("verb", "2 of 2 classes, 16 segments with one"),
        ("noun", "3 of 3 classes, 16 segments with one"),
        ("groups", "8"),
        ("subjects", "1"),
        ("seconds", "16.00, median 1.00, longest 1.00"),
        ("tail verbs", "1, in 8 segments"),
        // Noun 2 is that of k = 2 and 5 first, of k = 1, 4 and 7 second; the second ones are tail verbs too.
        ("tail nouns", "1, in 5 segments"),
        ("tail verb or noun", "10 segments"),
        ("unseen, validation", "1 (P02), in 0 segments"),
        ("missing:", ""),
        ("  P01_03", ""),
    ] {
        assert_eq!(line(&text, name), value, "{name}");
    }
}

#[test]
fn a_strict_import_names_what_is_missing() {
    let folder = kitchens();
    std::fs::remove_file(folder.path("kitchens/P01/videos/P01_03.MP4")).expect("a video");
    for rest in ["", "--dry-run"] {
        folder.refused(
            &format!("{IMPORT} --out train.h5 --strict {rest}"),
            &["annotated videos missing: 1 (P01_03)", "without --strict"],
        );
    }
    let text = folder.ok(&format!("{IMPORT} --out train.h5"));
    assert_eq!(line(&text, "annotated videos missing"), "1");
}

#[test]
fn a_probe_asks_which_of_several_label_spaces_it_is_for() {
    let folder = kitchens();
    folder.ok(&format!("{IMPORT} --out train.h5"));
    folder.ok(&format!("{} --out test.h5", IMPORT.replace("train", "validation")));
    let info: Value = serde_json::from_str(&folder.ok("data info train.h5 --json")).expect("JSON");
    assert_eq!(info["videos"].as_array().map(Vec::len), Some(8), "a video with two segments is stored once");
    assert_eq!(info["label_spaces"][1]["segments_per_class"], serde_json::json!({"tap": 5, "cup": 6, "pan": 5}));
    assert_eq!(info["segments_per_subject"], serde_json::json!({"P01": 16}));

    let probe = "eval knn --encoder lvmae/encoder.safetensors --train-clips train.h5 --test-clips test.h5";
    folder.refused(probe, &["\"train.h5\" has several label spaces", "--labels", "verb, noun"]);
    folder.refused(&format!("{probe} --labels action"), &["no labels \"action\"; it has: verb, noun"]);
    folder.ok(&format!("{probe} --labels noun"));
    let results: Value = serde_json::from_slice(&folder.read("lvmae/eval_knn.json")).expect("JSON");
    let row = &results["rows"][0];
    assert_eq!((&row["num_train"], &row["num_test"]), (&16.into(), &8.into()));
}

#[test]
fn an_export_has_a_column_for_each_label_space() {
    let folder = kitchens();
    folder.ok(&format!("{IMPORT} --out train.h5"));
    folder.ok("data export train.h5 --to plain --videos P01/videos/P01_01.MP4");
    let table = String::from_utf8(folder.read("plain/segments.csv")).expect("text");
    let expected = "id,path,group,subject,start_secs,stop_secs,verb,noun\n\
                    P01_01_0,P01/videos/P01_01.MP4,P01_01,P01,0,1,take,cup\n\
                    P01_01_1,P01/videos/P01_01.MP4,P01_01,P01,0.5,1.5,put,pan\n";
    assert_eq!(table, expected);
}
