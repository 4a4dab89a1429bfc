//! Runs that go wrong: numbers that are not finite, checkpoints that do not fit, a disk without room. Each is one line that
//! says what to do, with an exit code of its own kind, and the run goes on from what it had.

use std::fs;

use safetensors::SafeTensors;
use serde_json::Value;

use crate::fixture::{folder_with, pretrain};
use crate::folder::{Folder, Ran};

const LAST: &str = "run/checkpoints/step_000000006.safetensors";
const BEFORE: &str = "run/checkpoints/step_000000003.safetensors";

/// LVMAE from the fixture's stores.
fn train(rest: &str) -> String {
    let stores = "--clips train.h5 --tokens train.tokens.h5 --set train.log_every=1";
    pretrain("lvmae", &format!("{stores} {rest}"))
}

/// Six steps into the folder `run`, with checkpoints of the third and the last.
fn six_steps() -> String {
    train("--out run --set train.steps=6 --set train.checkpoint_every=3")
}

fn stores() -> Folder {
    folder_with(&["train.h5", "train.tokens.h5"])
}

fn json(folder: &Folder, name: &str) -> Value {
    serde_json::from_slice(&folder.read(name)).unwrap_or_else(|err| panic!("{name}: {err}"))
}

/// The process ended with this code and one line on stderr with all of `said` in it.
#[track_caller]
fn assert_ended(ran: &Ran, code: i32, said: &[&str]) {
    assert_eq!(ran.code, Some(code), "{}", ran.tell());
    let one_line = ran.stderr.starts_with("longvid: ") && ran.stderr.lines().count() == 1;
    assert!(one_line, "more or less than one line\n{}", ran.tell());
    for part in said {
        assert!(ran.stderr.contains(part), "{part:?} is not said\n{}", ran.tell());
    }
}

#[test]
fn a_loss_that_is_not_a_number_is_told_in_one_line_and_its_batch_kept() {
    let folder = stores();
    // One step of this length and all later numbers overflow.
    let hot = train("--out run --set train.steps=6 --set train.checkpoint_every=1 --set train.learning_rate=1e30");
    let trouble = "run/trouble/step_000000002_rank_0";
    let ran = folder.run(&hot);
    let said =
        ["the loss is NaN at step 2", "aten::", "encoder.blocks.0.", "from frame 0 in epoch 0", trouble, "--resume"];
    assert_ended(&ran, 1, &said);
    let end = json(&folder, "run/end.json");
    assert_eq!(end["outcome"], "failed");
    assert!(ran.stderr.contains(end["said"].as_str().expect("text")), "{end}");

    let record = json(&folder, &format!("{trouble}/trouble.json"));
    assert_eq!((&record["step"], &record["what"], &record["value"]), (&2.into(), &"loss".into(), &"NaN".into()));
    let clips = record["clips"].as_array().expect("clips");
    assert_eq!(clips.len(), 2);
    assert!(clips.iter().all(|clip| ran.stderr.contains(clip.as_str().expect("text"))), "{record}");
    let batch = folder.read(&format!("{trouble}/batch.safetensors"));
    let batch = SafeTensors::deserialize(&batch).expect("safetensors");
    let clip_bthwc = batch.tensor("clip_bthwc").expect("pixels");
    assert_eq!(clip_bthwc.shape(), [2, 32, 32, 32, 3]);
    assert!(clip_bthwc.data().iter().any(|value| *value != clip_bthwc.data()[0]), "pixels of one colour");
    assert_eq!(batch.tensor("targets_bnc").expect("codes").shape()[..2], [2, 16 * 4 * 4]);

    // As the line proposes; what is left out is counted over resumes.
    let skip = |at_most: u32| format!(r#"{hot} --resume --set train.non_finite={{kind="skip",at_most={at_most}}}"#);
    let ran = folder.run(&skip(3));
    assert_eq!(ran.code, Some(1), "{}", ran.tell());
    assert!(
        ran.stderr.contains("skipped (3 of at most 3)") && ran.stderr.contains("is NaN at step 5"),
        "{}",
        ran.tell()
    );
    folder.ok(&skip(9));
    let metrics = String::from_utf8(folder.read("run/metrics.jsonl")).expect("text");
    let lines: Vec<Value> = metrics.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let skipped: Vec<&Value> = lines.iter().map(|line| &line["skipped"]).collect();
    assert_eq!(skipped, [0, 1, 2, 3, 4, 5]);
    assert!(lines[1]["loss"].is_null() && lines[1]["grad_norm"].is_null(), "{}", lines[1]);
}

#[test]
fn a_damaged_checkpoint_gives_way_to_the_one_before_it_by_itself() {
    let folder = stores();
    folder.ok(&six_steps());
    let (whole, weights) = (folder.read(LAST), folder.read("run/encoder.safetensors"));
    for said in ["is truncated", "is damaged: its checksum"] {
        folder.damaged(LAST, LAST, |bytes| match said {
            "is truncated" => bytes.truncate(bytes.len() / 2),
            _ => *bytes.last_mut().expect("a byte") ^= 1,
        });
        let ran = folder.run(&format!("{} --resume", six_steps()));
        assert_eq!(ran.code, Some(0), "{}", ran.tell());
        let warning = ran.stderr.lines().find(|line| line.contains(LAST)).unwrap_or_default();
        assert!(warning.contains(said) && warning.contains("checkpoint before it"), "{}", ran.tell());
        assert!(folder.read(LAST) == whole && folder.read("run/encoder.safetensors") == weights, "another end");
        let kept = fs::read(folder.path(LAST).with_extension("damaged")).expect("the damaged file is kept");
        assert!(kept != whole);
    }
    fs::remove_file(folder.path("run/checkpoints/best.safetensors")).unwrap();
    for checkpoint in [LAST, BEFORE] {
        folder.damaged(checkpoint, checkpoint, |bytes| bytes.truncate(1000));
    }
    let ran = folder.run(&format!("{} --resume", six_steps()));
    let last = ran.stderr.lines().last().unwrap_or_default();
    let said = last.contains("no checkpoint in") && last.contains("restore one, or start again") && last.contains(LAST);
    assert!(ran.code == Some(2) && said, "{}", ran.tell());
}

#[test]
fn a_checkpoint_of_another_kind_is_refused_by_name_and_the_one_before_it_offered() {
    let folder = folder_with(&["train.h5", "train.tokens.h5", "arvideo"]);
    folder.ok(&six_steps());
    let (whole, weights) = (folder.read(LAST), folder.read("run/encoder.safetensors"));
    let resume = format!("{} --resume", six_steps());
    let offered = format!("{BEFORE:?} is whole and of this run: move the first away");

    let of_arvideo = folder.read("arvideo/checkpoints/step_000000003.safetensors");
    folder.replace(LAST, &of_arvideo);
    let settings = ["other settings", "model.kind: \"arvideo\" there, \"lvmae\" here"];
    assert_ended(&folder.run(&resume), 2, &[LAST, &offered, settings[0], settings[1]]);

    let (from, to) = (r#""format_version":"1""#, r#""format_version":"9""#);
    let at = whole.windows(from.len()).position(|bytes| bytes == from.as_bytes()).expect("a version");
    folder.replace(LAST, &[&whole[..at], to.as_bytes(), &whole[at + to.len()..]].concat());
    let version = ["format version 9", "this program reads up to 1", "update longvid"];
    assert_ended(&folder.run(&resume), 2, &[LAST, &offered, version[0], version[1], version[2]]);

    fs::rename(folder.path(LAST), folder.path("away.safetensors")).unwrap();
    folder.ok(&resume);
    assert!(folder.read(LAST) == whole && folder.read("run/encoder.safetensors") == weights, "another end");
}

#[test]
#[cfg(target_os = "linux")]
fn a_disk_without_room_for_a_checkpoint_leaves_the_last_one_to_go_on_from() {
    let folder = stores();
    let forty = |rest: &str| train(&format!("--set train.steps=40 --set train.checkpoint_every=20 {rest}"));
    folder.ok(&forty("--out whole"));

    let mut running = folder.start(&forty("--out run"));
    running.wait_until(|| folder.path("run/metrics.jsonl").exists());
    // Every write to /dev/full fails as on a full disk.
    let last = "run/checkpoints/step_000000040.safetensors";
    std::os::unix::fs::symlink("/dev/full", folder.path(&format!("{last}.tmp"))).unwrap();
    let ran = running.end();
    assert_ended(&ran, 1, &[&format!("the disk of {last:?} is full"), "make room", "--resume", "No space left"]);
    assert_eq!(json(&folder, "run/end.json")["outcome"], "failed");
    assert!(!folder.path("run/encoder.safetensors").exists());
    let before = "checkpoints/step_000000020.safetensors";
    assert!(folder.read(&format!("run/{before}")) == folder.read(&format!("whole/{before}")), "the last one is whole");

    folder.ok(&forty("--out run --resume"));
    assert!(folder.read("run/encoder.safetensors") == folder.read("whole/encoder.safetensors"), "another end");
}
