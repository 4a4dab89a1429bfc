use std::path::Path;

use super::*;

const RUN_JSON: &str = r#"{"kind": "lvmae", "preset": "tiny", "version": "0.1.0", "commit": "aaaa",
    "command": "longvid pretrain --preset tiny --clips a.h5 --out runs/a", "device": "CPU, 2 threads",
    "started": "2025-11-21T10:07:00Z", "steps_planned": 30, "config_hash": "00ff", "ranks": 1,
    "libraries": {"libtorch": "2.11.0", "hdf5": "1.14.6"}, "hardware": {"cpu": "one"}, "data": {"a.h5": "1234"}}"#;

const METRICS: &str =
    "{\"step\":10,\"loss\":3.5,\"wait_secs\":0.1}\n{\"step\":20,\"loss\":2.5}\n{\"step\":30,\"loss\":1.5}\n";

/// A run folder of these files under `root`.
fn folder(root: &Path, run_json: &str, config: &str, metrics: &str) -> RunFolder {
    std::fs::create_dir_all(root).unwrap();
    for (name, text) in [("run.json", run_json), ("resolved.toml", config), ("metrics.jsonl", metrics)] {
        std::fs::write(root.join(name), text).unwrap();
    }
    RunFolder::read(root).unwrap()
}

/// What is said after the two lines that name the runs.
fn said(change: impl Fn(&str) -> String, config: &str, metrics: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let a = folder(&dir.path().join("a"), RUN_JSON, "train.steps = 30\n", METRICS);
    let b = folder(&dir.path().join("b"), &change(RUN_JSON), config, metrics);
    let text = diff(&a, &b);
    let (head, rest) = text.split_once("\n\n").unwrap();
    assert!(head.ends_with("b: lvmae, tiny, finished, step 30 of 30"), "{head}");
    rest.to_owned()
}

#[test]
fn runs_that_differ_in_place_and_pace_alone_are_the_same() {
    let elsewhere = |json: &str| {
        let json = json.replace("runs/a", "runs/b --resume").replace("10:07", "11:08");
        // The same store, found elsewhere.
        json.replace("{\"a.h5\": ", "{\"/mnt/a.h5\": ")
    };
    let got = said(elsewhere, "[train]\nsteps = 30\n", &METRICS.replace("0.1", "0.2"));
    assert_eq!(
        got,
        "nothing differs; the same: settings, code, libraries, hardware, data, command, results at step 30\n"
    );
}

#[test]
fn every_difference_is_named_with_both_values() {
    let change = |json: &str| {
        json.replace("aaaa", "bbbb")
            .replace("2.11.0", "2.12.0")
            .replace("1234", "5678")
            .replace("\"ranks\": 1", "\"ranks\": 2")
    };
    let metrics = METRICS.replace("2.5", "2.25").replace("1.5", "1.0");
    let got = said(change, "train.steps = 30\ntrain.seed = 1\n", &metrics);
    let want = "\
settings
  train.seed
    A  –
    B  1

code
  commit
    A  aaaa
    B  bbbb

libraries
  libtorch
    A  2.11.0
    B  2.12.0

hardware
  ranks
    A  1
    B  2

data
  a.h5
    A  1234
    B  5678

results at step 30, different since step 20
  loss
    A  1.5
    B  1

the same: command
";
    assert_eq!(got, want);
}

#[test]
fn a_run_that_was_resumed_differs_only_in_what_it_went_on_with() {
    let resumed = |with: &str| {
        let resumption = r#""resumptions": [{"command": "longvid pretrain --preset tiny --clips a.h5 --resume --out runs/a",
            "version": "0.1.0", "started": "2025-11-22T10:07:00Z", "commit": "aaaa", "ranks": 1,
            "libraries": {"libtorch": "2.11.0", "hdf5": "1.14.6"}, "hardware": {"cpu": "one"}, "data": {"a.h5": "1234"}}]"#;
        let resumption = resumption.replace(r#""cpu": "one""#, with);
        move |json: &str| json.replace(r#""ranks": 1"#, &format!("\"ranks\": 1, {resumption}"))
    };
    let same = said(resumed(r#""cpu": "one""#), "train.steps = 30\n", METRICS);
    assert!(same.starts_with("nothing differs; "), "{same}");
    let other = said(resumed(r#""cpu": "two""#), "train.steps = 30\n", METRICS);
    let want = "hardware\n  cpu from resumption 1 on\n    A  –\n    B  two\n\nthe same: settings, code, ";
    assert!(other.starts_with(want), "{other}");
}

#[test]
fn where_a_command_writes_is_left_out_of_it() {
    assert_eq!(without_place("a --out runs/x --clips b --resume"), "a --clips b");
    assert_eq!(without_place("a --out 'my runs/of may' --clips 'c d'"), "a --clips 'c d'");
    assert_eq!(without_place("a --clips b --out"), "a --clips b");
}

#[test]
fn what_neither_run_recorded_is_not_said_to_be_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let old = r#"{"kind": "lvmae", "preset": "tiny", "version": "0.1.0", "command": "x", "device": "CPU",
        "started": "2025-11-21T10:07:00Z", "steps_planned": 30, "config_hash": "00ff"}"#;
    let a = folder(&dir.path().join("a"), old, "", "{\"step\":10,\"loss\":3.5}\n");
    let b = folder(&dir.path().join("b"), old, "", "{\"step\":20,\"loss\":3.5}\n");
    let text = diff(&a, &b);
    let last = "nothing differs; the same: settings, code, hardware, command; no step was logged by both\n";
    assert!(text.ends_with(last), "{text}");
    assert!(text.starts_with(&format!("A  {}: lvmae, tiny, killed after step 10, step 10 of 30\n", a.path.display())));
}
