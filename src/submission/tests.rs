use eval::{ScoreHeader, ScoreValues, StoredViews};

use super::*;

const LEVELS: Levels = Levels { pretraining: 2, labels: 3, data: 4 };

fn table(ids: &[&str], values: ScoreValues) -> ScoreTable {
    let (views, source) = ("1x1".to_owned(), String::new());
    let header = ScoreHeader { values, views, stored_views: StoredViews::Kept, num_failed: 0, partial: false, source };
    let mut table = ScoreTable::new(header, &[("noun", NUM_NOUNS), ("verb", NUM_VERBS)]).unwrap();
    for (clip, id) in ids.iter().enumerate() {
        let row = |len: usize| (0..len).map(move |class| (class as f32 / len as f32) * 0.1f32.powi(clip as i32));
        let (nouns, verbs): (Vec<f32>, Vec<f32>) = (row(NUM_NOUNS).collect(), row(NUM_VERBS).collect());
        table.push(id, &[&nouns, &verbs]).unwrap();
    }
    table
}

fn ids(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[test]
fn what_is_submitted_is_what_the_challenge_describes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.zip");
    let table = table(&["P33_01_0", "P34_01_7"], ScoreValues::Logits);
    let order = ids(&["P34_01_7", "P33_01_0"]);
    Submission::new(&table, order, Averaging::Probabilities, LEVELS).unwrap().write(&path).unwrap();
    // Parsed by names alone, without the code that wrote or checked it.
    let mut zip = zip::ZipArchive::new(File::open(&path).unwrap()).unwrap();
    assert_eq!(zip.len(), 1);
    let json: serde_json::Value = serde_json::from_reader(zip.by_name("test.json").unwrap()).unwrap();
    assert_eq!((&json["version"], &json["challenge"]), (&"0.2".into(), &"action_recognition".into()));
    assert_eq!((&json["sls_pt"], &json["sls_tl"], &json["sls_td"]), (&2.into(), &3.into(), &4.into()));
    let results = json["results"].as_object().unwrap();
    assert_eq!(results.len(), 2);
    for (clip, id) in table.ids().iter().enumerate() {
        for (space, head) in [(0, "noun"), (1, "verb")] {
            let num_classes = if head == "noun" { 300 } else { 97 };
            let scores = results[id][head].as_object().unwrap();
            assert_eq!(scores.len(), num_classes);
            for class in 0..num_classes {
                let score = &scores[&class.to_string()];
                assert!(score.is_f64(), "{score} is written as a float");
                assert_eq!(score.as_f64().unwrap() as f32, table.rows(space)[clip * num_classes + class]);
            }
        }
    }
}

#[test]
fn a_file_that_exists_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.zip");
    std::fs::write(&path, b"precious").unwrap();
    let table = table(&["a"], ScoreValues::Logits);
    let submission = Submission::new(&table, ids(&["a"]), Averaging::Logits, LEVELS).unwrap();
    assert!(submission.write(&path).unwrap_err().to_string().contains("already exists"));
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

#[test]
fn segments_without_scores_and_scores_without_logits_are_refused() {
    let said = |table: &ScoreTable, wanted: &[&str]| {
        Submission::new(table, ids(wanted), Averaging::Logits, LEVELS).unwrap_err().to_string()
    };
    let missing = said(&table(&["a"], ScoreValues::Logits), &["a", "b", "c"]);
    assert_eq!(missing, "2 of the 3 test segments have no scores: b, c; the challenge wants all");
    let zero = said(&table(&["a"], ScoreValues::Probabilities), &["a"]);
    assert_eq!(zero, "the score of \"a\" for class 0 is -inf as a logit: it must be finite");
}

#[test]
fn a_submission_that_was_tampered_with_is_not_taken_for_what_was_to_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one.zip"), folder.path().join("two.zip"));
    let table = table(&["a", "b"], ScoreValues::Logits);
    let of = |wanted: &[&str], levels| Submission::new(&table, ids(wanted), Averaging::Logits, levels).unwrap();
    of(&["a", "b"], LEVELS).write(&one).unwrap();
    of(&["a"], LEVELS).write(&two).unwrap();
    let whole = of(&["a", "b"], LEVELS);
    assert!(whole.check(&one).is_ok() && whole.check(&two).is_err());
    assert!(of(&["a", "b"], Levels { data: 5, ..LEVELS }).check(&one).is_err());
}

/// A ZIP of this text.
fn zipped(path: &Path, member: &str, json: &str) {
    let mut zip = ZipWriter::new(File::create(path).unwrap());
    zip.start_file(member, SimpleFileOptions::default().compression_method(CompressionMethod::Deflated)).unwrap();
    zip.write_all(json.as_bytes()).unwrap();
    zip.finish().unwrap();
}

#[test]
fn reading_back_finds_what_is_missing_or_there_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.zip");
    let row = |len: usize| (0..len).map(|class| format!("\"{class}\":0.5")).collect::<Vec<_>>().join(",");
    let segment = |verbs: usize| format!("{{\"verb\":{{{}}},\"noun\":{{{}}}}}", row(verbs), row(300));
    let said = |results: &str| {
        let head = "\"version\":\"0.2\",\"challenge\":\"action_recognition\",\"sls_pt\":0,\"sls_tl\":0,\"sls_td\":0";
        zipped(&path, "test.json", &format!("{{{head},\"results\":{{{results}}}}}"));
        Read::open(&path).map(|read| read.segments.len()).map_err(|err| format!("{err:#}"))
    };
    assert_eq!(said(&format!("\"a\":{}", segment(97))), Ok(1));
    assert!(said(&format!("\"a\":{}", segment(96))).unwrap_err().contains("class 96 has no score"));
    assert!(said(&format!("\"a\":{}", segment(98))).unwrap_err().contains("class \"97\" is none of 97"));
    let twice = said(&format!("\"a\":{0},\"a\":{0}", segment(97))).unwrap_err();
    assert!(twice.contains("a stands there twice"), "{twice}");
    zipped(&path, "other.json", "{}");
    assert!(Read::open(&path).is_err());
}
