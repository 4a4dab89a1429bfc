//! Training runs that are asked to stop, and that are killed: what was done is kept, and going on gives the bytes of a run
//! that never stopped. `LONGVID_KILLS=100` kills each kind of run a hundred times instead of a few.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rand::RngExt as _;
use serde_json::Value;
use spec::{Purpose, rng_for};

use crate::critics::GAN;
use crate::finetune::{ALL, FINETUNE};
use crate::fixture::{folder_with, pretrain, tokenizer_train};
use crate::folder::Folder;
use crate::killed::num_kills;

const STEPS: usize = 40;

const FINETUNING: &str = "fine-tuning";

/// Training of one kind at toy size, with all that a resume has to bring back: moments, averaged weights, the sum of a mean
/// loss that is not complete yet, and random numbers of every origin. An epoch is four steps long.
fn train(kind: &str, rest: &str) -> String {
    let common = format!(
        "--set train.steps={STEPS} --set train.accumulate=2 --set train.ema={{kind=\"decay\",decay=0.9}} \
         --set train.log_every=1 --set train.checkpoint_every=3 --set train.keep_checkpoints=2"
    );
    if kind.starts_with("tokenizer") {
        let random = r#"--set train.batch=2 --set augment.flip={kind="horizontal",probability=0.5}"#;
        let critics = if kind == "tokenizer against a discriminator" { GAN } else { "" };
        return tokenizer_train(&format!("{common} {random} {critics} {rest}"));
    }
    if kind == FINETUNING {
        return format!("{FINETUNE} {ALL} {common} --set model.encoder.drop_path=0.2 {rest}");
    }
    let stores = "--clips train.h5 --tokens train.tokens.h5";
    pretrain(kind, &format!("{common} {stores} --set model.encoder.drop_path=0.2 {rest}"))
}

/// The lines of `metrics.jsonl`.
fn metrics(folder: &Folder, run: &str) -> Vec<Value> {
    let text = String::from_utf8(folder.read(&format!("{run}/metrics.jsonl"))).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Steps that have reached `metrics.jsonl`.
fn num_logged(folder: &Folder, run: &str) -> usize {
    std::fs::read_to_string(folder.path(run).join("metrics.jsonl")).map_or(0, |text| text.lines().count())
}

fn checkpoints(folder: &Folder, run: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder.path(run).join("checkpoints")).expect("a folder of checkpoints");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

/// What a finished run hands on.
fn products(kind: &str) -> &'static [&'static str] {
    match kind {
        FINETUNING => &["classifier.safetensors", "scores.npz", "eval_finetune.json"],
        _ if kind.starts_with("tokenizer") => &["tokenizer.safetensors"],
        _ => &["encoder.safetensors"],
    }
}

/// Its products, all checkpoints and every number that does not tell of the machine must be those of the other run.
#[track_caller]
fn assert_same_run(folder: &Folder, kind: &str, [got, want]: [&str; 2]) {
    let names = checkpoints(folder, want);
    assert_eq!(checkpoints(folder, got), names, "{kind}");
    let products = products(kind).iter().map(|name| (*name).to_owned());
    let files = names.iter().map(|name| format!("checkpoints/{name}")).chain(products);
    for file in files {
        let same = folder.read(&format!("{got}/{file}")) == folder.read(&format!("{want}/{file}"));
        assert!(same, "{kind}: {file} of {got} and of {want} differ");
    }
    let numbers = |run| {
        let mut lines = metrics(folder, run);
        for line in &mut lines {
            let line = line.as_object_mut().expect("an object");
            line.retain(|key, _| !["step_secs", "wait_secs", "frames_per_sec", "peak_bytes"].contains(&key.as_str()));
        }
        lines
    };
    let (got, want) = (numbers(got), numbers(want));
    let steps: Vec<u64> = got.iter().filter_map(|line| line["step"].as_u64()).collect();
    assert_eq!(steps, (1..=STEPS as u64).collect::<Vec<_>>(), "{kind}: each step once");
    for (got, want) in got.iter().zip(&want) {
        assert_eq!(got, want, "{kind}");
    }
}

#[test]
fn each_signal_keeps_a_checkpoint_and_a_resume_ends_as_if_nothing_had_been() {
    let folder = folder_with(&["train.h5"]);
    folder.ok(&train("tokenizer", "--out whole"));
    let mut resume = "";
    for signal in ["INT", "TERM", "USR1"] {
        let before = num_logged(&folder, "halted");
        let mut running = folder.start(&train("tokenizer", &format!("--out halted {resume}")));
        running.wait_until(|| num_logged(&folder, "halted") >= before + 3);
        let ran = running.signal(signal);
        assert_eq!(ran.code, Some(130), "{signal}\n{}", ran.tell());

        let done = num_logged(&folder, "halted");
        assert!(done < STEPS, "{signal} came too late: {done} steps");
        let checkpoint = format!("step_{done:09}.safetensors");
        assert!(checkpoints(&folder, "halted").contains(&checkpoint), "{signal}: no {checkpoint}");
        assert!(!folder.path("halted/tokenizer.safetensors").exists());
        let said = format!("longvid: interrupted; a checkpoint of step {done} is in halted: add --resume to go on");
        assert_eq!(ran.stderr.lines().last(), Some(said.as_str()), "{}", ran.tell());
        let end: Value = serde_json::from_slice(&folder.read("halted/end.json")).expect("JSON");
        assert_eq!((&end["outcome"], &end["step"]), (&"interrupted".into(), &done.into()));
        resume = "--resume";
    }
    folder.ok(&train("tokenizer", "--out halted --resume"));
    let end: Value = serde_json::from_slice(&folder.read("halted/end.json")).expect("JSON");
    assert_eq!(end["outcome"], "finished");
    assert_same_run(&folder, "tokenizer", ["halted", "whole"]);
}

#[track_caller]
fn kill_and_go_on(kind: &str) {
    let folder = folder_with(&["train.h5", "train.tokens.h5", "test.h5", "lvmae"]);
    let began = Instant::now();
    folder.ok(&train(kind, "--out whole"));
    let whole_time = began.elapsed();
    let resume = || if folder.path("killed/run.json").exists() { "--resume" } else { "" };
    let (mut num_killed, mut num_runs) = (0, 1);
    for kill in 0..num_kills() {
        // A run that came to its end before it was killed is looked at, and another one begins.
        if folder.path("killed/end.json").exists() {
            if kind == FINETUNING {
                // It may have been killed in the test that follows the last step.
                folder.ok(&train(kind, "--out killed --resume"));
            }
            assert_same_run(&folder, kind, ["killed", "whole"]);
            std::fs::remove_dir_all(folder.path("killed")).expect("a run can be removed");
            num_runs += 1;
        }
        let running = folder.start(&train(kind, &format!("--out killed {}", resume())));
        let share: f64 = rng_for(1, 0, kill.into(), Purpose::Eval).random();
        std::thread::sleep(Duration::from_secs_f64(whole_time.as_secs_f64() * share));
        num_killed += u32::from(running.kill());
    }
    assert!(num_killed * 2 > num_kills(), "{num_killed} of {} kills found {num_runs} runs running", num_kills());
    folder.ok(&train(kind, &format!("--out killed {}", resume())));
    assert_same_run(&folder, kind, ["killed", "whole"]);
}

#[test]
fn a_tokenizer_killed_at_random_moments_ends_at_the_same_bits() {
    kill_and_go_on("tokenizer");
}

#[test]
fn a_tokenizer_and_its_discriminator_killed_at_random_moments_end_at_the_same_bits() {
    kill_and_go_on("tokenizer against a discriminator");
}

#[test]
fn an_lvmae_run_killed_at_random_moments_ends_at_the_same_bits() {
    kill_and_go_on("lvmae");
}

#[test]
fn an_arvideo_run_killed_at_random_moments_ends_at_the_same_bits() {
    kill_and_go_on("arvideo");
}

#[test]
fn a_fine_tuning_killed_at_random_moments_ends_at_the_same_bits_and_scores() {
    kill_and_go_on(FINETUNING);
}
