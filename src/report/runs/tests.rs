use super::*;
use crate::report::build_page;
use crate::report::picture::Picture;

const RUN_JSON: &str = r#"{"kind": "lvmae", "preset": "lvmae-tiny", "version": "0.1.0", "command": "longvid pretrain",
    "device": "cpu, 2 cores", "started": "2025-11-21T10:07:00Z", "steps_planned": 100,
    "config_hash": "00ff"}"#;

/// A run folder with these files on top of `run.json`.
fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [("run.json", RUN_JSON.as_bytes())].iter().chain(files) {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    folder
}

fn parse(text: &str) -> (Vec<u64>, Vec<String>) {
    let mut notes = Vec::new();
    let steps = parse_metrics("m.jsonl", text.as_bytes(), &mut notes);
    (steps.iter().map(|s| s.step).collect(), notes)
}

#[test]
fn a_torn_last_line_is_left_out_with_a_note() {
    let (steps, notes) = parse("{\"step\": 1, \"loss\": 2.5}\n{\"step\": 2, \"lo");
    assert_eq!(steps, [1]);
    assert_eq!(notes, ["m.jsonl:2: the last line is torn, as a killed run leaves it; left out"]);
    // Whole but for its line end: nothing is lost, nothing to say.
    assert_eq!(parse("{\"step\": 1}\n{\"step\": 2}"), (vec![1, 2], vec![]));
}

#[test]
fn a_damaged_line_is_left_out_and_named() {
    let (steps, notes) = parse("{\"step\": 1}\nnonsense\n\n{\"loss\": 1}\n{\"step\": 2}\n");
    assert_eq!(steps, [1, 2]);
    assert!(notes[0].starts_with("m.jsonl:2: damaged line left out: "), "{notes:?}");
    assert_eq!(notes[1], "m.jsonl:4: damaged line left out: no whole number called \"step\"");
    let (_, notes) = parse(&"x\n".repeat(9));
    assert_eq!(notes.len(), 6);
    assert_eq!(notes[5], "m.jsonl: 4 more damaged lines left out");
}

#[test]
fn steps_made_again_after_a_resume_replace_the_first_ones() {
    let mut notes = Vec::new();
    let text =
        "{\"step\":1,\"a\":1}\n{\"step\":2,\"a\":2}\n{\"step\":3,\"a\":3}\n{\"step\":2,\"a\":20}\n{\"step\":4}\n";
    let steps = parse_metrics("m", text.as_bytes(), &mut notes);
    assert_eq!(steps.iter().map(|s| s.step).collect::<Vec<_>>(), [1, 2, 4]);
    assert_eq!(steps[1].values["a"], 20.0);
    assert_eq!(notes, ["m: 2 log lines were made again after a resume; the later ones are shown"]);
}

#[test]
fn null_is_not_a_number_and_text_is_no_metric() {
    let step = parse_step(br#"{"step": 3, "loss": null, "host": "a", "peak_bytes": 7}"#).unwrap();
    assert!(step.values["loss"].is_nan());
    assert_eq!((step.values.len(), step.values["peak_bytes"]), (2, 7.0));
}

#[test]
fn a_folder_that_is_no_run_is_refused_by_name() {
    let empty = tempfile::tempdir().unwrap();
    let said = RunFolder::read(empty.path()).unwrap_err().to_string();
    assert!(said.contains("is not a run folder") && said.contains(&format!("{:?}", empty.path())), "{said}");
    let damaged = folder(&[("eval_knn.json", b"{\"probe\": \"knn\"")]);
    let err = RunFolder::read(damaged.path()).unwrap_err();
    assert!(matches!(&err, ReportError::Json { path, .. } if path.ends_with("eval_knn.json")), "{err}");
    let damaged = folder(&[("resolved.toml", b"steps = ")]);
    assert!(matches!(RunFolder::read(damaged.path()).unwrap_err(), ReportError::Toml { .. }));
}

#[test]
fn a_whole_folder_becomes_a_page() {
    let png = Picture::new(2, 1, vec![0; 6]).unwrap().png();
    let eval = br#"{"probe": "knn", "rows": [{"encoder": "ours", "accuracy": 0.5, "low": 0.4, "high": 0.6,
        "chance": 0.1, "mean_class": 0.5, "probe": "knn, k = 5", "num_train": 80, "num_test": 20, "num_failed": 0,
        "seed": 7}]}"#;
    let whole = folder(&[
        ("resolved.toml", b"[train]\nsteps = 100\n"),
        (
            "metrics.jsonl",
            b"{\"step\": 10, \"loss\": 2.0, \"step_secs\": 3.0}\n{\"step\": 20, \"loss\": 1.0, \"step_secs\": 6.0}\n",
        ),
        ("pictures/a.png", &png),
        ("pictures/b.png", b"not a picture"),
        ("pictures/captions.json", b"{\"a.png\": \"two <black> pixels\"}"),
        ("eval_knn.json", eval),
        ("memory.json", b"[{\"num_frames\": 16, \"mask\": \"none\", \"outcome\": \"out_of_memory\"}]"),
    ]);
    let run = RunFolder::read(whole.path()).unwrap();
    assert_eq!((run.pictures.undated.len(), run.notes.len()), (1, 1));
    assert_eq!(run.state, RunState::Killed { step: 20 });
    assert!(run.notes[0].ends_with("b.png: not a PNG picture; left out"), "{:?}", run.notes);
    // Ten steps of 3 s and ten of 6 s.
    assert_eq!(run.train_secs(), 90.0);
    let html = build_page("a title", &[run]).html();
    for part in [
        "two &lt;black&gt; pixels",
        "knn probe",
        "out of memory at 16",
        "steps = 100",
        "20 of 100",
        "90.0 s",
        "2025-11-21 10:07:00 UTC",
        "was killed, or its machine went down, after step 20",
        "50.0 % (40.0 % to 60.0 %)",
    ] {
        assert!(html.contains(part), "{part}");
    }
}

#[test]
fn a_run_says_how_it_ended() {
    let state = |files: &[(&str, &[u8])]| RunFolder::read(folder(files).path()).unwrap().state;
    let finished: &[u8] = b"{\"outcome\": \"finished\"}";
    assert_eq!(state(&[("end.json", finished)]), RunState::Finished);
    let interrupted: &[u8] = b"{\"outcome\": \"interrupted\", \"step\": 7}";
    assert_eq!(state(&[("end.json", interrupted)]), RunState::Interrupted { step: 7 });
    assert_eq!(state(&[("metrics.jsonl", b"{\"step\": 100}\n")]), RunState::Finished);
    assert_eq!(state(&[("metrics.jsonl", b"{\"step\": 99}\n")]), RunState::Killed { step: 99 });

    let held = folder(&[("run.lock", b""), ("end.json", finished)]);
    let lock = std::fs::File::options().write(true).open(held.path().join("run.lock")).unwrap();
    lock.lock().unwrap();
    assert_eq!(RunFolder::read(held.path()).unwrap().state, RunState::Running);
}
