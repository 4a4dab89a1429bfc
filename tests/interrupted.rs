//! Ctrl-C and kill -9: what was done is kept, and going on gives the bytes of an uninterrupted run.

use crate::fixture::{folder_with, pretrain, tokenizer_train};
use crate::folder::Folder;

/// Steps that have reached `metrics.jsonl`.
fn logged_steps(folder: &Folder, run: &str) -> usize {
    std::fs::read_to_string(folder.path(run).join("metrics.jsonl")).map_or(0, |text| text.lines().count())
}

#[track_caller]
fn assert_same_file(folder: &Folder, got: &str, want: &str) {
    assert!(folder.read(got) == folder.read(want), "{got} and {want} differ");
}

#[test]
fn ctrl_c_keeps_a_checkpoint_and_a_resume_ends_as_if_nothing_had_been() {
    let folder = folder_with(&["train.h5"]);
    let train = |rest: &str| {
        tokenizer_train(&format!("--set train.steps=40 --set train.log_every=1 --set train.checkpoint_every=40 {rest}"))
    };
    folder.ok(&train("--out whole"));

    let mut running = folder.start(&train("--out halted"));
    running.wait_until(|| logged_steps(&folder, "halted") >= 3);
    assert_eq!(running.interrupt(), Some(130));
    let done = logged_steps(&folder, "halted");
    assert!(done < 40, "ctrl-C came too late: {done} steps");
    // The next regular checkpoint would be the last: this one is there because of ctrl-C.
    assert!(folder.path(&format!("halted/checkpoints/step_{done:09}.safetensors")).exists());
    assert!(!folder.path("halted/tokenizer.safetensors").exists());

    folder.ok(&train("--out halted --resume"));
    assert_eq!(logged_steps(&folder, "halted"), 40);
    assert_same_file(&folder, "halted/tokenizer.safetensors", "whole/tokenizer.safetensors");
}

#[track_caller]
fn check_killed_pretraining(method: &str) {
    let folder = folder_with(&["train.h5", "train.tokens.h5"]);
    let train = |rest: &str| {
        let length = "--set train.steps=100 --set train.log_every=1 --set train.checkpoint_every=3";
        pretrain(method, &format!("{length} --clips train.h5 --tokens train.tokens.h5 {rest}"))
    };
    folder.ok(&train("--out whole"));

    let mut running = folder.start(&train("--out killed"));
    running.wait_until(|| logged_steps(&folder, "killed") >= 4);
    assert!(running.kill(), "the run was over before it was killed");
    // And once more on the way, at another phase of the three steps between checkpoints.
    let mut running = folder.start(&train("--out killed --resume"));
    running.wait_until(|| logged_steps(&folder, "killed") >= 20);
    assert!(running.kill(), "the run was over before it was killed");

    folder.ok(&train("--out killed --resume"));
    assert_same_file(&folder, "killed/encoder.safetensors", "whole/encoder.safetensors");
    assert_eq!(logged_steps(&folder, "killed"), 100);
}

#[test]
fn lvmae_killed_twice_ends_with_the_same_encoder() {
    check_killed_pretraining("lvmae");
}

#[test]
fn arvideo_killed_twice_ends_with_the_same_encoder() {
    check_killed_pretraining("arvideo");
}
