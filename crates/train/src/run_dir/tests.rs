use super::*;

pub(crate) fn info(config_toml: &str) -> RunInfo<'_> {
    RunInfo {
        kind: "pretrain",
        preset: "tiny",
        version: "0.1.0",
        command: "longvid pretrain --preset tiny",
        device: "CPU",
        steps_planned: 10,
        config_toml,
        clips_per_step: "2 clips".to_owned(),
        provenance: Provenance { commit: "c0ffee".to_owned(), ranks: 1, ..Provenance::default() },
    }
}

const CONFIG_TOML: &str = "train.steps = 10\nmodel.width = 8\n";

#[test]
fn a_fresh_run_records_how_it_was_started() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("runs/a");
    let run = RunDir::open(&root, &info(CONFIG_TOML), Start::Fresh).unwrap();
    assert!(run.pictures().is_dir());
    assert_eq!(read(&root.join("resolved.toml")).unwrap(), CONFIG_TOML);
    let record = RunRecord::read(&root).unwrap();
    let (kind, steps, hash) = (record.kind.as_str(), record.steps_planned, record.config_hash.len());
    assert_eq!((kind, steps, hash), ("pretrain", 10, 64));
    let started = humantime::parse_rfc3339(&record.started).unwrap();
    assert!(started.elapsed().unwrap().as_secs() < 60, "{}", record.started);
}

#[test]
fn each_resume_is_added_to_the_record() {
    let dir = tempfile::tempdir().unwrap();
    drop(RunDir::open(dir.path(), &info(CONFIG_TOML), Start::Fresh).unwrap());
    let started = RunRecord::read(dir.path()).unwrap();
    let provenance = Provenance { commit: "decaf".to_owned(), ranks: 2, ..Provenance::default() };
    let run = RunDir::open(dir.path(), &RunInfo { provenance, ..info(CONFIG_TOML) }, Start::Resume).unwrap();
    // Its checkpoint may yet be refused.
    assert_eq!(RunRecord::read(dir.path()).unwrap(), started);
    run.begin().unwrap();
    let resumed = RunRecord::read(dir.path()).unwrap();
    assert_eq!((resumed.provenance.commit.as_str(), resumed.resumptions.len()), ("c0ffee", 1));
    assert_eq!(resumed.resumptions[0].provenance.commit, "decaf");
    assert_eq!(RunRecord { resumptions: Vec::new(), ..resumed }, started);
}

#[test]
fn a_second_process_is_refused_while_the_first_one_trains() {
    let dir = tempfile::tempdir().unwrap();
    let first = RunDir::open(dir.path(), &info(CONFIG_TOML), Start::Fresh).unwrap();
    let second = RunDir::open(dir.path(), &info(CONFIG_TOML), Start::Resume);
    assert!(matches!(second, Err(TrainError::InUse { .. })));
    drop(first);
    RunDir::open(dir.path(), &info(CONFIG_TOML), Start::Resume).unwrap();
}

#[test]
fn a_fresh_start_over_a_run_and_a_resume_of_none_are_refused_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let said = RunDir::open(dir.path(), &info(CONFIG_TOML), Start::Resume).unwrap_err().to_string();
    assert!(said.contains("without --resume"), "{said}");
    drop(RunDir::open(dir.path(), &info(CONFIG_TOML), Start::Fresh).unwrap());
    let said = RunDir::open(dir.path(), &info(CONFIG_TOML), Start::Fresh).unwrap_err().to_string();
    assert!(said.contains("--resume"), "{said}");
}

#[test]
fn other_settings_are_refused_with_the_keys_that_differ() {
    let dir = tempfile::tempdir().unwrap();
    drop(RunDir::open(dir.path(), &info(CONFIG_TOML), Start::Fresh).unwrap());
    let other = RunDir::open(dir.path(), &info("train.steps = 20\nmodel.width = 8\n"), Start::Resume);
    let said = other.unwrap_err().to_string();
    assert!(said.contains("(train.steps: 10 there, 20 here)"), "{said}");
    assert!(said.contains("--resume with the same preset, or use another --out"), "{said}");
    RunDir::open(dir.path(), &info("[model]\nwidth = 8\n[train]\nsteps = 10\n"), Start::Resume).unwrap();
}

#[test]
fn a_folder_with_other_files_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.tex"), "").unwrap();
    let said = RunDir::open(dir.path(), &info(CONFIG_TOML), Start::Fresh).unwrap_err().to_string();
    assert!(said.contains("thesis.tex"), "{said}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_start_that_was_killed_before_its_record_can_be_made_again() {
    let dir = tempfile::tempdir().unwrap();
    drop(RunDir::open(dir.path(), &info(CONFIG_TOML), Start::Fresh).unwrap());
    fs::rename(dir.path().join("run.json"), dir.path().join("run.json.tmp")).unwrap();
    RunDir::open(dir.path(), &info(CONFIG_TOML), Start::Fresh).unwrap();
}

#[test]
fn a_resume_on_other_data_is_refused_with_what_differs() {
    let dir = tempfile::tempdir().unwrap();
    let on = |clips: &str, tokenizer: Option<&str>| {
        let data = [Some(("clips", clips)), tokenizer.map(|id| ("tokenizer", id))].into_iter().flatten();
        let data = data.map(|(name, id)| (name.to_owned(), id.to_owned())).collect();
        RunInfo { provenance: Provenance { data, ..Provenance::default() }, ..info(CONFIG_TOML) }
    };
    drop(RunDir::open(dir.path(), &on("a", Some("t")), Start::Fresh).unwrap());
    drop(RunDir::open(dir.path(), &on("a", Some("t")), Start::Resume).unwrap());
    let refusal = |info: &RunInfo<'_>| RunDir::open(dir.path(), info, Start::Resume).unwrap_err().to_string();
    assert!(refusal(&on("b", Some("t"))).contains("was begun with other clips: a there, b here"));
    assert!(refusal(&on("a", None)).contains("was begun with other tokenizer: t there, none here"));
}
