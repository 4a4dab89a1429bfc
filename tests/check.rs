//! `longvid data check` as a process: exit codes and manifest.

use serde_json::Value;

use crate::fixture::folder_with;
use crate::folder::{Folder, Ran};

/// Runs a check that finds something: exit code 1, one line on stderr that says what.
#[track_caller]
fn finds(folder: &Folder, command: &str, said: &str) -> Ran {
    let ran = folder.run(command);
    assert_eq!(ran.code, Some(1), "{}", ran.tell());
    assert!(ran.stderr.contains(&format!("longvid: found {said}")), "{}", ran.tell());
    ran
}

/// A folder with one video of the fixture, twice where asked.
fn one_video() -> Folder {
    let folder = folder_with(&["dives"]);
    folder.write("v/a.mp4", &folder.read("dives/rgb/pool0000_00001.mp4"));
    folder
}

#[test]
fn stores_of_other_groups_are_fit_for_training_and_test() {
    let folder = folder_with(&["train.h5", "test.h5"]);
    let report = folder.ok("data check train.h5 test.h5 --preset lvmae-tiny-128f --set clip.num_frames=32 --json");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let rows = report["report"]["manifest"].as_array().expect("rows");
    assert_eq!(rows.len(), 12);
    assert!(rows.iter().all(|row| row["verdict"] == "ok" && row["kind"] == "segment"), "{rows:?}");
}

#[test]
fn a_store_and_its_own_videos_overlap() {
    let folder = folder_with(&["train.h5", "dives"]);
    finds(&folder, "data check train.h5 dives/rgb --preset lvmae-tiny-128f", "");
}

#[test]
fn a_second_check_tells_what_has_changed() {
    let folder = one_video();
    let said = folder.ok("data check v --manifest m.csv");
    assert!(said.contains("checked") && !said.contains("next:"), "{said}");
    let again = folder.ok("data check v --against m.csv --manifest again.csv");
    assert!(again.contains("changes since the old manifest           0"), "{again}");
    assert!(folder.read("m.csv") == folder.read("again.csv"));

    folder.write("v/b.mp4", b"rubbish");
    folder.ok("data check v");
    finds(&folder, "data check v --strict", "1 rejected");
    let ran = finds(&folder, "data check v --against m.csv", "1 changes");
    assert!(ran.stdout.contains("v: b.mp4: new"), "{}", ran.tell());
}

#[test]
fn a_copy_of_a_file_is_found() {
    let folder = one_video();
    folder.write("w/other name.mp4", &folder.read("v/a.mp4"));
    let ran = finds(&folder, "data check v w", "1 overlapping pairs");
    assert!(ran.stdout.contains("v: a.mp4 = w: other name.mp4 (equal files)"), "{}", ran.tell());
}

#[test]
fn what_cannot_be_checked_is_refused() {
    let folder = one_video();
    folder.write("old.csv", b"# longvid manifest 9\n");
    folder.refused("data check nowhere", &["\"nowhere\"", "No such file"]);
    folder.refused("data check v v", &["PATH = v", "given once"]);
    folder.refused("data check v/a.mp4", &["\"v/a.mp4\" is not a readable clip store"]);
    folder.refused("data check v --against old.csv", &["\"old.csv\"", "line 1", "version", "data check"]);
    folder.refused("data check v --set clip.num_frames=3", &["clip.num_frames"]);
}
