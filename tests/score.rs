//! Scores as files against the official annotations' own formats: `eval score`, `eval submit`, `eval export`.

use std::fmt::Write as _;

use serde_json::Value;

use crate::fixture::folder_with;
use crate::folder::Folder;

const ROWS: &str = "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,\
                    start_frame,stop_frame";
const LABELS: &str = "narration,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes";

/// Raw scores `PREFIX_*`: `NAME` of each label space with rows of logits.
fn raw(folder: &Folder, prefix: &str, ids: &[&str], spaces: &[(&str, Vec<Vec<f32>>)]) {
    folder.write(&format!("{prefix}_ids.txt"), (ids.join("\n") + "\n").as_bytes());
    for (space, rows) in spaces {
        let bytes: Vec<u8> = rows.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
        folder.write(&format!("{prefix}_{space}_f32le_{}.bin", rows[0].len()), &bytes);
    }
}

/// Logits of a classifier that is sure of one class.
fn sure_of(class: usize, num_classes: usize) -> Vec<f32> {
    (0..num_classes).map(|other| if other == class { 5.0 } else { -(other as f32) / 100.0 }).collect()
}

fn json(folder: &Folder, name: &str) -> Value {
    serde_json::from_slice(&folder.read(name)).expect("JSON")
}

/// `subset target measure` and value of every metric of the first outcome.
fn metrics(results: &Value) -> Vec<(String, Option<f64>)> {
    let metrics = results["evaluation"]["outcomes"][0]["metrics"].as_array().expect("metrics");
    let text = |metric: &Value, key: &str| metric[key].as_str().expect("text").to_owned();
    let name = |metric: &Value| ["subset", "target", "measure"].map(|key| text(metric, key)).join(" ");
    metrics.iter().map(|metric| (name(metric), metric["value"].as_f64())).collect()
}

/// The fixture's four test dives and scores that are right but for the first one's.
fn dives() -> (Folder, Vec<String>) {
    let folder = folder_with(&["dives", "test.h5", "lvmae"]);
    let entries = json(&folder, "dives/Diving48_V2_test.json");
    let entries = entries.as_array().expect("entries");
    let classes = json(&folder, "dives/Diving48_vocab.json").as_array().expect("classes").len();
    let ids: Vec<String> = entries.iter().map(|entry| entry["vid_name"].as_str().expect("a name").to_owned()).collect();
    let label = |entry: &Value| entry["label"].as_u64().expect("a label") as usize;
    let mut rows: Vec<Vec<f32>> = entries.iter().map(|entry| sure_of(label(entry), classes)).collect();
    rows[0] = sure_of((label(&entries[0]) + 1) % classes, classes);
    raw(&folder, "lvmae/dives", &ids.iter().map(String::as_str).collect::<Vec<_>>(), &[("class", rows)]);
    (folder, ids)
}

#[test]
fn dives_are_scored_drawn_and_reported() {
    let (folder, ids) = dives();
    let scores = "eval score --protocol diving48-v2 --scores lvmae/dives_ids.txt";
    let stdout = folder.ok(&format!("{scores} --annotations dives/Diving48_V2_test.json --clips test.h5"));
    assert!(stdout.contains("| class top-1 | 75.00 ("), "{stdout}");
    let results = json(&folder, "lvmae/score_dives.json");
    assert_eq!(metrics(&results)[0], ("all class top1".to_owned(), Some(0.75)));
    assert_eq!(results["evaluation"]["partial"], Value::Null);
    let worst = &results["evaluation"]["spaces"][0]["worst"];
    assert_eq!((worst.as_array().map(Vec::len), &worst[0]["id"]), (Some(1), &ids[0].as_str().into()));
    let picture = folder.read(&format!("lvmae/score_dives_errors/class_01_{}.png", ids[0]));
    assert!(picture.starts_with(b"\x89PNG"));
    let confusion = String::from_utf8(folder.read("lvmae/score_dives_class_confusion.csv")).expect("text");
    assert!(confusion.starts_with("right,\""), "{confusion}");
    assert!(folder.read("lvmae/score_dives_class_confusion.svg").starts_with(b"<svg"));

    // The folder of scores is a run folder: its report tells of them.
    folder.ok("report lvmae -o report.html");
    let html = String::from_utf8(folder.read("report.html")).expect("text");
    for part in [
        "Test sets: lvmae",
        "diving48-v2: dives/Diving48_V2_test.json, 4 clips",
        "75.00 (",
        "The worst errors of dives",
    ] {
        assert!(html.contains(part), "{part}");
    }
    assert!(!html.contains("partial"));

    // Without annotations of its own, a clip store's labels do.
    folder.ok("eval score --protocol plain --scores lvmae/dives_ids.txt --annotations test.h5 --out plain");
    assert_eq!(metrics(&json(&folder, "plain/score_dives.json")), metrics(&results));

    // Results that lie apart from any run have a page of their own.
    let stdout = folder.ok("report plain -o scores.html");
    assert!(stdout.starts_with("wrote scores.html: 1 folder, "), "{stdout}");
    let html = String::from_utf8(folder.read("scores.html")).expect("text");
    for part in ["<h1>Test sets: plain</h1>", "75.00 (", "dives: class in rows", "class: every class"] {
        assert!(html.contains(part), "{part}");
    }
    folder.ok("report lvmae plain -o both.html");
    let html = String::from_utf8(folder.read("both.html")).expect("text");
    assert!(html.contains("<h2>Overview</h2>") && html.contains("<h2>Test sets: plain</h2>"));
    folder.refused("report --diff lvmae plain", &["\"plain\" is not a run folder"]);
}

#[test]
fn a_partial_evaluation_is_called_so_wherever_it_is_printed() {
    let (folder, ids) = dives();
    folder.write("lvmae/dives_ids.txt", ids[..3].join("\n").as_bytes());
    let name = folder.contents().into_keys().find(|path| path.to_string_lossy().ends_with(".bin")).expect("scores");
    let bytes = std::fs::read(&name).expect("scores");
    std::fs::write(&name, &bytes[..bytes.len() / 4 * 3]).expect("scores");
    let score = "eval score --protocol diving48-v2 --scores lvmae/dives_ids.txt --annotations dives --clips test.h5";
    folder.refused(score, &["1 of 4 annotated clips have no scores", &ids[3], "--missing wrong"]);
    let said = "partial: 3 of 4 clips have scores; the others count as wrong";
    let stdout = folder.ok(&format!("{score} --missing wrong"));
    assert!(stdout.contains("dives (partial)") && stdout.contains(said) && stdout.contains("| 50.00 ("), "{stdout}");
    let results = json(&folder, "lvmae/score_dives.json");
    assert_eq!(results["evaluation"]["partial"], said);
    folder.ok("report lvmae -o report.html");
    for file in ["report.html", "lvmae/scores.md", "lvmae/score_dives_class_classes.txt"] {
        assert!(String::from_utf8(folder.read(file)).expect("text").contains(said), "{file}");
    }
    let text = |file: &str| String::from_utf8(folder.read(file)).expect("text");
    let (csv, svg) = (text("lvmae/score_dives_class_confusion.csv"), text("lvmae/score_dives_class_confusion.svg"));
    assert!(csv.starts_with(&format!("\"right ({said})\",\"")), "{csv}");
    assert!(svg.contains(">partial: 3 of 4 clips have scores</text>"), "{svg}");
    let captions = json(&folder, "lvmae/score_dives_errors/captions.json");
    let captions: Vec<&str> = captions.as_object().expect("captions").values().filter_map(Value::as_str).collect();
    assert!(captions.len() == 1 && captions[0].ends_with("; of a partial evaluation"), "{captions:?}");
    assert!(text("report.html").contains("The worst errors of dives (partial)"));
    let stdout = folder.ok(&format!("{score} --missing left-out --json"));
    let results: Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(metrics(&results[0])[0].1, Some(2.0 / 3.0));
}

/// Lists of 97 verbs and 300 nouns, three validation segments, two test segments.
fn kitchens() -> Folder {
    let folder = Folder::empty();
    for (list, key, num_classes) in [("verb", "v", 97), ("noun", "n", 300)] {
        let mut text = "id,key,instances,category\n".to_owned();
        (0..num_classes).for_each(|id| writeln!(text, "{id},{key}{id},['{key}{id}'],x").expect("a text grows"));
        folder.write(&format!("EPIC_100_{list}_classes.csv"), text.as_bytes());
    }
    folder.write("EPIC_100_tail_verbs.csv", b"verb\n1\n");
    folder.write("EPIC_100_tail_nouns.csv", b"noun\n299\n");
    folder.write("EPIC_100_unseen_participant_ids_validation.csv", b"participant_id\nP02\n");
    let segment = |participant: &str, number: usize| {
        let video = format!("{participant}_01");
        format!("{video}_{number},{participant},{video},,00:00:0{number}.00,00:00:0{number}.90,0,1")
    };
    let mut rows = format!("{ROWS},{LABELS}\n");
    for (participant, number, verb, noun) in [("P01", 0, 0, 0), ("P01", 1, 1, 5), ("P02", 2, 96, 299)] {
        let labels = format!("do it,v{verb},{verb},n{noun},{noun},['n{noun}'],[{noun}]");
        writeln!(rows, "{},{labels}", segment(participant, number)).expect("a text grows");
    }
    folder.write("EPIC_100_validation.csv", rows.as_bytes());
    let test = format!("{ROWS}\n{}\n{}\n", segment("P33", 0), segment("P34", 1));
    folder.write("EPIC_100_test_timestamps.csv", test.as_bytes());
    folder
}

fn verbs_and_nouns(right: &[(usize, usize)]) -> [(&'static str, Vec<Vec<f32>>); 2] {
    [
        ("verb", right.iter().map(|(verb, _)| sure_of(*verb, 97)).collect()),
        ("noun", right.iter().map(|(_, noun)| sure_of(*noun, 300)).collect()),
    ]
}

#[test]
fn kitchens_are_scored_from_every_kind_of_file_with_the_same_numbers() {
    let folder = kitchens();
    let ids = ["P02_01_2", "P01_01_1", "P01_01_0"];
    raw(&folder, "a", &ids, &verbs_and_nouns(&[(96, 299), (1, 6), (0, 0)]));
    raw(&folder, "b", &ids, &verbs_and_nouns(&[(96, 299), (1, 5), (0, 0)]));
    folder.ok("eval export --scores a_ids.txt --out a.npz");
    folder.ok("eval export --scores a.npz --out a.safetensors");
    folder.ok("eval export --scores a.safetensors --out again.npz");
    assert!(folder.read("a.npz") == folder.read("again.npz"));
    let mut all = Vec::new();
    for (out, scores) in [("raw", "a_ids.txt"), ("npz", "a.npz"), ("tensors", "a.safetensors")] {
        let score = format!("eval score --protocol epic100 --annotations . --scores {scores} --out {out}");
        folder.ok(&score);
        all.push(metrics(&json(&folder, &format!("{out}/score_a.json"))));
    }
    assert!(all[1] == all[0] && all[2] == all[0]);
    let value = |name: &str| all[0].iter().find(|(known, _)| known == name).expect(name).1;
    for (name, want) in [
        ("all verb top1", 1.0),
        ("all noun top1", 2.0 / 3.0),
        ("all action top1", 2.0 / 3.0),
        ("tail verb top1", 1.0),
        ("tail noun top1", 1.0),
        // Verb 1 with a wrong noun, noun 299 right.
        ("tail action top1", 0.5),
        ("unseen action top1", 1.0),
    ] {
        assert_eq!(value(name), Some(want), "{name}");
    }
    // Two sets of one test set: their mean and standard deviation stand beside them.
    let both =
        folder.ok("eval score --protocol epic100 --annotations . --scores a_ids.txt --scores b_ids.txt --out both");
    assert!(both.contains("mean ± std of 2") && both.contains("| 83.33 ± 23.57 |"), "{both}");
}

#[test]
fn a_submission_has_every_test_segment_once() {
    let folder = kitchens();
    raw(&folder, "test", &["P34_01_1", "P33_01_0"], &verbs_and_nouns(&[(3, 4), (5, 6)]));
    let submit = "eval submit --annotations . --sls-pt 1 --sls-tl 2 --sls-td 3 --scores";
    let stdout = folder.ok(&format!("{submit} test_ids.txt --out test.zip"));
    assert!(stdout.contains("97 verb and 300 noun scores of 2 segments, read back"), "{stdout}");
    let zip = folder.read("test.zip");
    assert!(zip.starts_with(b"PK\x03\x04") && zip.windows(9).any(|name| name == b"test.json"));
    folder.refused(&format!("{submit} test_ids.txt --out test.zip"), &["\"test.zip\" already exists"]);

    raw(&folder, "few", &["P34_01_1"], &verbs_and_nouns(&[(3, 4)]));
    folder.refused(&format!("{submit} few_ids.txt --out few.zip"), &["1 of the 2 test segments", "P33_01_0"]);
    raw(&folder, "twice", &["P34_01_1", "P34_01_1"], &verbs_and_nouns(&[(3, 4), (3, 4)]));
    folder.refused(&format!("{submit} twice_ids.txt --out twice.zip"), &["clip 1", "\"P34_01_1\" has scores twice"]);
    let three = ["P34_01_1", "P33_01_0", "P99_01_9"];
    raw(&folder, "other", &three, &verbs_and_nouns(&[(3, 4), (3, 4), (3, 4)]));
    folder.refused(&format!("{submit} other_ids.txt --out other.zip"), &["row 2", "\"P99_01_9\"", "another split"]);
    let levels = "eval submit --annotations . --sls-pt 6 --sls-tl 2 --sls-td 3 --scores test_ids.txt --out x.zip";
    assert_eq!(folder.run(levels).code, Some(2));
}

#[test]
fn bad_scores_and_annotations_are_refused_by_their_row() {
    let folder = kitchens();
    let score = |rest: &str| format!("eval score --protocol epic100 --annotations . {rest}");
    let ids = ["P01_01_0", "P01_01_1", "P02_01_2"];
    let mut spaces = verbs_and_nouns(&[(0, 0), (1, 1), (2, 2)]);
    spaces[1].1[2][7] = f32::NAN;
    raw(&folder, "nan", &ids, &spaces);
    folder.refused(&score("--scores nan_ids.txt"), &["clip 2", "\"P02_01_2\" for class 7 is NaN"]);
    raw(&folder, "narrow", &ids[..1], &[("verb", vec![sure_of(0, 96)]), ("noun", vec![sure_of(0, 300)])]);
    folder.refused(&score("--scores narrow_ids.txt"), &["noun (300), verb (96)", "verb (97), noun (300)"]);
    raw(&folder, "other", &["P01_01_9"], &verbs_and_nouns(&[(0, 0)]));
    folder.refused(&score("--scores other_ids.txt"), &["row 0", "\"P01_01_9\"", "the annotations do not have"]);
    folder.refused(&score("--scores no_ids.txt"), &["no_ids.txt", "No such file"]);
    folder.refused(&score("--scores EPIC_100_tail_nouns.csv"), &[".npz", ".safetensors", "_ids.txt"]);

    raw(&folder, "whole", &ids, &verbs_and_nouns(&[(0, 0), (1, 1), (2, 2)]));
    let whole = score("--scores whole_ids.txt");
    folder.refused(
        &whole.replace("--annotations .", "--annotations EPIC_100_test_timestamps.csv"),
        &["P33_01_0", "submit"],
    );
    folder.refused(&format!("{whole} --annotations . --annotations ."), &["--annotations is given 3 times for 1"]);
    let rows = String::from_utf8(folder.read("EPIC_100_validation.csv")).expect("text");
    folder.replace("EPIC_100_validation.csv", rows.replace("v96,96,", "v97,97,").as_bytes());
    folder.refused(&whole, &["EPIC_100_validation.csv", "4", "verb_class", "97"]);
    folder.replace("EPIC_100_validation.csv", format!("{ROWS},{LABELS}\n").as_bytes());
    folder.refused(&whole, &["the test set is empty"]);
    folder.replace("EPIC_100_validation.csv", rows.as_bytes());
    std::fs::remove_file(folder.path("EPIC_100_tail_nouns.csv")).expect("a list");
    folder.refused(&whole, &["EPIC_100_tail_nouns.csv does not lie beside"]);
}
