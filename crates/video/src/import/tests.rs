mod epic;

use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::Ordering;
use std::time::Instant;

use tempfile::TempDir;

use super::*;
use crate::ClipStore;

/// Set for the child process of the kill test: the folder with `videos`, where it writes `clips.h5`.
const CHILD_FOLDER: &str = "LONGVID_TEST_IMPORT_CHILD";

/// A folder with small videos of the given names; `length_secs` tells them apart.
fn videos(names: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (k, name) in names.iter().enumerate() {
        let path = dir.path().join("videos").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let source = format!("testsrc=s=64x48:r=10:d={}", 1.0 + k as f64 / 10.0);
        let mut command = Ffmpeg::find().unwrap().command();
        command.args(["-v", "error", "-f", "lavfi", "-i", &source, "-c:v", "mpeg4", "-f", "mp4"]).arg(path);
        assert!(command.status().unwrap().success());
    }
    dir
}

fn options(dir: &Path, store: &str) -> ImportOptions {
    ImportOptions {
        folder: dir.join("videos"),
        store: dir.join(store),
        annotations: None,
        groups: None,
        exclude_labels: BTreeSet::new(),
        frames: StoreOptions { short_side_px: 32, max_frames_per_sec: None },
        shard: Shard::WHOLE,
        limits: DecodeLimits::default(),
        num_workers: 2,
        strict: false,
    }
}

fn run(options: &ImportOptions) -> Result<ImportReport, VideoError> {
    import(options, &mut |_| {}, &AtomicBool::new(false))
}

fn csv(dir: &Path, rows: &str) -> Option<Annotations> {
    let path = dir.join("labels.csv");
    std::fs::write(&path, rows).unwrap();
    Some(Annotations::Csv(path))
}

#[test]
fn sub_folders_are_classes_and_bad_files_are_listed() {
    let dir = videos(&["run/b.mp4", "run/a.mp4", "jump/c.mp4"]);
    std::fs::write(dir.path().join("videos/jump/broken.mp4"), "rubbish").unwrap();
    std::fs::write(dir.path().join("videos/readme.txt"), "beside the videos").unwrap();
    let options = options(dir.path(), "clips.h5");
    let report = run(&options).unwrap();
    assert_eq!((report.num_videos, report.num_segments, report.rejected.len()), (3, 3, 1));
    assert!(report.dropped.is_empty() && report.missing.is_empty(), "{report:?}");
    let store = ClipStore::open(&options.store).unwrap();
    assert_eq!(store.label_spaces()[0].classes, ["jump", "run"]);
    let rows: Vec<_> = store.segments().iter().map(|s| (s.id.as_str(), s.labels[0])).collect();
    assert_eq!(rows, [("jump/c.mp4", 0), ("run/a.mp4", 1), ("run/b.mp4", 1)]);
    assert_eq!(store.rejected()[0].name, "jump/broken.mp4");
    let shown = crate::jpeg::decode(&store.read_jpegs(0, &[11]).unwrap()[0]).unwrap();
    assert_eq!((shown.width_px, shown.height_px), (42, 32));
}

#[test]
fn the_store_does_not_depend_on_the_number_of_workers() {
    let dir = videos(&["a.mp4", "b.mp4", "c.mp4", "d.mp4", "e.mp4"]);
    std::fs::write(dir.path().join("videos/bb.mp4"), "rubbish").unwrap();
    run(&ImportOptions { num_workers: 1, ..options(dir.path(), "one.h5") }).unwrap();
    run(&ImportOptions { num_workers: 4, ..options(dir.path(), "four.h5") }).unwrap();
    let bytes = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    assert!(bytes("one.h5") == bytes("four.h5"));
}

#[test]
fn shards_put_together_are_the_undivided_store() {
    let dir = videos(&["run/a.mp4", "run/d.mp4", "jump/b.mp4", "jump/c.mp4"]);
    std::fs::write(dir.path().join("videos/jump/a.mp4"), "rubbish").unwrap();
    run(&options(dir.path(), "whole.h5")).unwrap();
    // Five files in three parts: 1, 2 and 2; the first part has nothing but the bad file.
    let part = |k: u32| {
        let shard = format!("{k}/3").parse().unwrap();
        let options = ImportOptions { shard, ..options(dir.path(), &format!("{k}.h5")) };
        run(&options).unwrap();
        ClipStore::open(&options.store).unwrap()
    };
    let parts = [part(3), part(1), part(2)];
    assert_eq!(parts.each_ref().map(|store| store.videos().len()), [2, 0, 2]);
    let out = dir.path().join("merged.h5");
    let never = AtomicBool::new(false);
    let merged = crate::merge(&parts, &out, &mut |_, _| {}, &never).unwrap();
    assert_eq!((merged.num_videos, merged.num_segments), (4, 4));
    let bytes = |path: &Path| std::fs::read(path).unwrap();
    assert!(bytes(&out) == bytes(&dir.path().join("whole.h5")));
    let again = crate::merge(&parts[..2], &dir.path().join("again.h5"), &mut |_, _| {}, &never);
    assert!(again.unwrap_err().to_string().contains("shard 2/3 must be there once"));
}

#[test]
fn an_unfinished_shard_is_not_continued_as_another() {
    let dir = videos(&["a.mp4", "b.mp4"]);
    let first = ImportOptions { shard: "1/2".parse().unwrap(), ..options(dir.path(), "clips.h5") };
    let stopped = import(&first, &mut |_| {}, &AtomicBool::new(true));
    assert!(matches!(stopped, Err(VideoError::Interrupted { .. })));
    let second = ImportOptions { shard: "2/2".parse().unwrap(), ..first };
    let Err(VideoError::CannotResume { field: "shard", .. }) = run(&second) else { panic!() };
}

#[test]
fn a_table_gives_labels_groups_and_times() {
    let dir = videos(&["a.mp4", "b.mp4", "c.mp4"]);
    let rows = "path,label,group,note,start_secs,stop_secs\n\
        a.mp4,wave,s1,x,,\na.mp4,nod,s1,x,0.2,0.7\nb.mp4,,s2,x,,\nc.mp4,wave,s1,x,5,6\ngone.mp4,nod,s1,x,,\n";
    let mut options = options(dir.path(), "clips.h5");
    options.annotations = csv(dir.path(), rows);
    options.groups = Some(["s1".to_owned()].into());
    let report = run(&options).unwrap();
    assert_eq!((report.num_videos, report.missing.as_slice()), (2, &["gone.mp4".to_owned()][..]));
    assert_eq!(report.dropped[0].segment, "c.mp4@5-6");
    let store = ClipStore::open(&options.store).unwrap();
    let rows: Vec<_> = store.segments().iter().map(|s| (s.labels[0], s.start_secs, s.stop_secs, &*s.group)).collect();
    assert_eq!(rows, [(1, 0.0, 1.0, "s1"), (0, 0.2, 0.7, "s1")]);
    assert_eq!(store.label_spaces()[0].classes, ["nod", "wave"]);
}

#[test]
fn an_excluded_class_is_gone_and_the_others_move_up() {
    let dir = videos(&["jump/a.mp4", "other/b.mp4", "run/c.mp4"]);
    let mut options = options(dir.path(), "clips.h5");
    options.exclude_labels = ["other".to_owned()].into();
    run(&options).unwrap();
    let store = ClipStore::open(&options.store).unwrap();
    assert_eq!(store.label_spaces()[0].classes, ["jump", "run"]);
    let rows: Vec<_> = store.segments().iter().map(|s| (s.id.as_str(), s.labels[0])).collect();
    assert_eq!(rows, [("jump/a.mp4", 0), ("run/c.mp4", 1)]);
}

#[test]
fn a_diving48_entry_counts_in_source_frames() {
    let dir = videos(&["AbC_d_00002.mp4"]);
    let entries = dir.path().join("train.json");
    let entry = r#"[{"vid_name": "AbC_d_00002", "label": 1, "start_frame": 2, "end_frame": 8}]"#;
    std::fs::write(&entries, entry).unwrap();
    std::fs::write(
        dir.path().join("Diving48_vocab.json"),
        r#"[["Back", "1som", "NoTwis", "FREE"], ["Inward", "1som", "NoTwis", "PIKE"]]"#,
    )
    .unwrap();
    let mut options = options(dir.path(), "clips.h5");
    options.annotations = Some(Annotations::Diving48 { entries, vocabulary: None });
    // Stored at half the rate: the times stay those of the 10 frames per second of the file.
    options.frames.max_frames_per_sec = Some(5.0);
    run(&options).unwrap();
    let store = ClipStore::open(&options.store).unwrap();
    assert_eq!(store.label_spaces()[0].classes, ["Back 1som NoTwis FREE", "Inward 1som NoTwis PIKE"]);
    let segment = &store.segments()[0];
    assert_eq!((segment.labels[0], segment.start_secs, segment.stop_secs), (1, 0.2, 0.8));
    assert_eq!((segment.id.as_str(), segment.group.as_str()), ("AbC_d_00002", "AbC_d"));
}

#[test]
fn the_first_wrong_row_ends_the_import_before_anything_is_written() {
    let dir = videos(&["a.mp4"]);
    let said = |rows: &str| {
        let annotations = csv(dir.path(), rows);
        run(&ImportOptions { annotations, ..options(dir.path(), "clips.h5") }).unwrap_err().to_string()
    };
    let told = said("path,label,group\na.mp4,x,g\n../b.mp4,x,g\n");
    assert!(told.contains("labels.csv\", line 3, field \"path\": found \"../b.mp4\", expected a path below"), "{told}");
    let told = said("path,label,group\ngone.mp4,x,g\n");
    assert!(told.contains("none of the annotated videos is in the folder"), "{told}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "more than the videos and the table");
}

#[test]
fn a_strict_import_ends_at_a_rejected_file_until_it_is_replaced() {
    let dir = videos(&["a.mp4", "c.mp4"]);
    let bad = dir.path().join("videos/b.mp4");
    std::fs::write(&bad, "rubbish").unwrap();
    let options = ImportOptions { strict: true, ..options(dir.path(), "clips.h5") };
    // The second time the verdict is known from the first.
    for _ in 0..2 {
        let said = run(&options).unwrap_err().to_string();
        assert!(said.starts_with("files that are no usable videos: 1 (b.mp4: not a media file"), "{said}");
        assert!(!options.store.exists());
    }
    std::fs::copy(dir.path().join("videos/a.mp4"), bad).unwrap();
    assert_eq!(run(&options).unwrap().num_videos, 3);
}

#[test]
fn empty_and_missing_folders_and_unknown_filters_are_named() {
    let dir = videos(&["run/a.mp4"]);
    let mut options = options(dir.path(), "clips.h5");
    options.exclude_labels = ["rum".to_owned()].into();
    assert!(run(&options).unwrap_err().to_string().contains("excluded label = \"rum\""));
    options.exclude_labels = ["class:run".to_owned()].into();
    assert!(run(&options).unwrap_err().to_string().contains("the filters leave no file"));
    options.folder = dir.path().join("nowhere");
    assert!(run(&options).unwrap_err().to_string().contains("nowhere"));
    std::fs::create_dir(&options.folder).unwrap();
    assert!(run(&options).unwrap_err().to_string().contains("the folder holds no files"));
}

#[test]
fn an_interrupted_import_keeps_what_is_done_and_goes_on() {
    let dir = videos(&["a.mp4", "b.mp4", "c.mp4", "d.mp4"]);
    let whole = run(&options(dir.path(), "whole.h5")).unwrap();
    let stop = AtomicBool::new(false);
    let options = options(dir.path(), "clips.h5");
    let mut on_event = |event: Event<'_>| {
        if matches!(event, Event::File { num_done: 2, .. }) {
            stop.store(true, Ordering::Relaxed);
        }
    };
    let Err(VideoError::Interrupted { num_done }) = import(&options, &mut on_event, &stop) else { panic!() };
    assert!((2..4).contains(&num_done), "{num_done}");
    let mut kept = 0;
    let mut on_event = |event: Event<'_>| {
        if let Event::Start { num_kept, .. } = event {
            kept = num_kept;
        }
    };
    let report = import(&options, &mut on_event, &AtomicBool::new(false)).unwrap();
    assert_eq!((kept, report.store_id), (num_done, whole.store_id));
}

#[test]
fn a_file_that_changed_since_is_decoded_again() {
    let dir = videos(&["a.mp4", "b.mp4", "c.mp4"]);
    let options = options(dir.path(), "clips.h5");
    let stop = AtomicBool::new(false);
    let mut on_event = |event: Event<'_>| {
        if matches!(event, Event::File { num_done: 2, .. }) {
            stop.store(true, Ordering::Relaxed);
        }
    };
    assert!(import(&options, &mut on_event, &stop).is_err());
    std::fs::copy(options.folder.join("c.mp4"), options.folder.join("b.mp4")).unwrap();
    run(&options).unwrap();
    let store = ClipStore::open(&options.store).unwrap();
    assert_eq!(store.videos().iter().map(|v| v.num_frames).collect::<Vec<_>>(), [10, 12, 12]);
}

/// Does nothing in a usual run; the kill test starts it in a process of its own.
#[test]
fn import_in_a_child_process() {
    if let Some(dir) = std::env::var_os(CHILD_FOLDER) {
        run(&options(Path::new(&dir), "clips.h5")).unwrap();
    }
}

fn start_child(dir: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "import::tests::import_in_a_child_process", "--quiet"]).env(CHILD_FOLDER, dir);
    command.stdout(std::process::Stdio::null()).spawn().unwrap()
}

#[test]
fn imports_killed_at_any_moment_go_on_to_the_same_store() {
    let names: Vec<String> = (0..8).map(|k| format!("{k}.mp4")).collect();
    let dir = videos(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let start = Instant::now();
    assert!(start_child(dir.path()).wait().unwrap().success());
    let whole_time = start.elapsed();
    let whole = ClipStore::open(&dir.path().join("clips.h5")).unwrap();
    let (id, last) = (whole.id().to_owned(), whole.read_jpegs(7, &[16]).unwrap());
    for round in 1..8_u32 {
        std::fs::remove_file(dir.path().join("clips.h5")).unwrap();
        // Each round kills twice, at another share of the time that a whole import takes.
        for share in [round, 8 - round] {
            let mut child = start_child(dir.path());
            std::thread::sleep(whole_time * share / 10);
            child.kill().unwrap();
            child.wait().unwrap();
            if dir.path().join("clips.h5").exists() {
                break;
            }
        }
        if !dir.path().join("clips.h5").exists() {
            run(&options(dir.path(), "clips.h5")).unwrap();
        }
        let store = ClipStore::open(&dir.path().join("clips.h5")).unwrap();
        assert_eq!(store.id(), id, "round {round}");
        assert_eq!(store.read_jpegs(7, &[16]).unwrap(), last, "round {round}");
    }
}
