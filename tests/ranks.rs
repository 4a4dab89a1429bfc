//! Training as several ranks: the same steps as one process, and an end with a name when a rank is missing.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use safetensors::SafeTensors;
use serde_json::Value;

use crate::critics::{GAN, GAN_R1};
use crate::fixture::{folder_with, pretrain, tokenizer_train};
use crate::folder::Folder;

/// A line of metrics and a checkpoint for every step.
const EVERY_STEP: &str = "--set train.log_every=1 --set train.checkpoint_every=1 --set train.keep_checkpoints=3";

/// Lines of `metrics.jsonl`.
fn metrics(folder: &Folder, run: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder.path(run).join("metrics.jsonl")).unwrap_or_default();
    // The last line may be in the making.
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn launch(num_ranks: usize, command: &str) -> String {
    format!("launch --nproc {num_ranks} -- {command}")
}

/// The gradient of the first step, as it was clipped: AdamW's first moment is a tenth of it at beta1 = 0.9.
fn first_gradient(folder: &Folder, run: &str) -> BTreeMap<String, Vec<f32>> {
    let bytes = folder.read(&format!("{run}/checkpoints/step_000000001.safetensors"));
    let file = SafeTensors::deserialize(&bytes).expect("a checkpoint");
    let moments = file.iter().filter_map(|(name, view)| Some((name.strip_prefix("exp_avg.")?.to_owned(), view)));
    let number = |bytes: &[u8; 4]| 10.0 * f32::from_le_bytes(*bytes);
    moments.map(|(name, view)| (name, view.data().as_chunks().0.iter().map(number).collect())).collect()
}

#[track_caller]
fn assert_equal_gradients(folder: &Folder, (shared, alone): (&str, &str), tolerance: f32) {
    let (shared, alone) = (first_gradient(folder, shared), first_gradient(folder, alone));
    assert!(shared.keys().eq(alone.keys()) && !alone.is_empty());
    let mut largest = 0.0_f32;
    for (name, alone) in &alone {
        for (a, b) in shared[name].iter().zip(alone) {
            largest = largest.max(b.abs());
            assert!((a - b).abs() <= tolerance, "{name}: {a} instead of {b}");
        }
    }
    assert!(largest > 1e-3, "the largest element of the gradient is {largest}");
}

/// * `tolerance` - of an element of the gradient
///
/// The first step's gradient, and every step's loss and gradient norm, are those of one process with the same batches.
#[track_caller]
fn check_equal_steps(folder: &Folder, tolerance: f32, train: impl Fn(&str) -> String) {
    let train = |out: &str| train(&format!("--set train.batch=4 --set train.steps=3 {EVERY_STEP} --out {out}"));
    folder.ok(&train("alone"));
    let alone = metrics(folder, "alone");
    assert_eq!(alone.len(), 3);
    for num_ranks in [2, 4] {
        let out = format!("shared{num_ranks}");
        let said = folder.run(&launch(num_ranks, &train(&out)));
        assert_eq!(said.code, Some(0), "{}", said.tell());
        assert_eq!(said.stdout.lines().count(), 1, "rank 0 alone speaks\n{}", said.tell());
        assert_equal_gradients(folder, (&out, "alone"), tolerance);
        let shared = metrics(folder, &out);
        assert_eq!(shared.len(), 3);
        for (key, tolerance) in [("loss", 1e-6), ("grad_norm", 1e-5)] {
            for (shared, alone) in shared.iter().zip(&alone) {
                let (a, b) = (shared[key].as_f64().expect("a number"), alone[key].as_f64().expect("a number"));
                assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "{num_ranks} ranks, {key}: {a} instead of {b}");
            }
        }
    }
}

#[test]
fn ranks_train_a_tokenizer_as_one_process_does() {
    check_equal_steps(&folder_with(&["train.h5"]), 1e-6, tokenizer_train);
}

/// R1's weight and its second backward pass make the discriminator's gradient, and what rounding does to it, larger.
#[test]
fn ranks_train_a_tokenizer_and_its_discriminator_as_one_process_does() {
    for critics in [GAN, GAN_R1] {
        check_equal_steps(&folder_with(&["train.h5"]), 5e-6, |rest| tokenizer_train(&format!("{critics} {rest}")));
    }
}

#[test]
fn ranks_pretrain_as_one_process_does() {
    for method in ["lvmae", "arvideo"] {
        let folder = folder_with(&["train.h5", "train.tokens.h5"]);
        let stores = "--clips train.h5 --tokens train.tokens.h5";
        check_equal_steps(&folder, 1e-6, |rest| pretrain(method, &format!("{stores} {rest}")));
    }
}

/// A command under way whose stderr is kept.
fn start(mut command: Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

/// Waits for the end: exit code and the lines on stderr.
fn end(child: Child) -> (Option<i32>, Vec<String>) {
    let output = child.wait_with_output().expect("the process can be waited for");
    let said = String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned).collect();
    (output.status.code(), said)
}

#[track_caller]
fn wait_for_steps(folder: &Folder, run: &str, count: usize) {
    let began = Instant::now();
    while metrics(folder, run).len() < count {
        assert!(began.elapsed() < Duration::from_secs(120), "{run}: {count} steps took too long");
        sleep(Duration::from_millis(5));
    }
}

fn send(signal: &str, pid: u32) {
    let sent = Command::new("sh").args(["-c", &format!("kill -{signal} {pid}")]).status();
    assert!(sent.expect("a shell").success());
}

/// The process of a rank, by what its launcher told it.
fn pid_of(rank: usize, launcher: u32) -> u32 {
    let told = [format!("RANK={rank}"), format!("LONGVID_LAUNCHER={launcher}")];
    let is_it = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let set: Vec<&[u8]> = environment.split(|byte| *byte == 0).collect();
        told.iter().all(|variable| set.contains(&variable.as_bytes()))
    };
    let processes = fs::read_dir("/proc").expect("/proc on Linux");
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.into_iter().find(is_it).expect("the rank runs")
}

/// A run that does not end by itself in the time of a test.
fn long_run(rest: &str) -> String {
    let steps = "--set train.batch=6 --set train.steps=5000 --set train.log_every=1 --set train.checkpoint_every=5";
    tokenizer_train(&format!("{steps} --out run {rest}"))
}

#[test]
fn ctrl_c_keeps_a_checkpoint_from_which_any_number_of_ranks_goes_on() {
    let folder = folder_with(&["train.h5"]);
    let mut done = 0;
    for num_ranks in [2, 3, 1] {
        let resume = if done > 0 { "--resume" } else { "" };
        let command = long_run(resume);
        let command = if num_ranks == 1 { command } else { launch(num_ranks, &command) };
        let child = start(folder.command(&command));
        wait_for_steps(&folder, "run", done + 3);
        send("INT", child.id());
        let (code, said) = end(child);
        assert_eq!(code, Some(130), "{said:?}");
        let told = metrics(&folder, "run");
        assert!(told.len() > done, "{num_ranks} ranks made no step");
        done = told.len();
        assert_eq!(told[done - 1]["step"], done, "every step is logged once");
        assert!(folder.path(&format!("run/checkpoints/step_{done:09}.safetensors")).exists(), "{said:?}");
    }
}

#[test]
fn a_killed_rank_is_named_by_the_others_and_by_the_launcher() {
    let folder = folder_with(&["train.h5"]);
    let child = start(folder.command(&launch(3, &long_run(""))));
    wait_for_steps(&folder, "run", 7);
    send("KILL", pid_of(1, child.id()));
    let (code, said) = end(child);
    assert_eq!(code, Some(1), "{said:?}");
    for rank in
        ["longvid: the ranks of this run lost each other", "rank 2: longvid: the ranks of this run lost each other"]
    {
        let line = said.iter().find(|line| line.starts_with(rank)).unwrap_or_else(|| panic!("{rank}: {said:?}"));
        assert!(line.ends_with("rank 1 ended in the middle of the run"), "{line}");
    }
    assert_eq!(said.last().map(String::as_str), Some("longvid: rank 1 was ended by signal 9 (SIGKILL)"));

    let child = start(folder.command(&launch(2, &long_run("--resume"))));
    let resumed_from = 5;
    wait_for_steps(&folder, "run", resumed_from + 8);
    send("TERM", child.id());
    assert_eq!(end(child).0, Some(130));
}

#[test]
fn the_ranks_of_a_killed_launcher_keep_a_checkpoint_and_end() {
    let folder = folder_with(&["train.h5"]);
    let mut child = start(folder.command(&launch(2, &long_run("--set train.checkpoint_every=5000"))));
    wait_for_steps(&folder, "run", 3);
    child.kill().expect("our own child can be killed");
    child.wait().expect("the process can be waited for");
    let began = Instant::now();
    while !folder.path("run/end.json").exists() {
        assert!(began.elapsed() < Duration::from_secs(60), "the ranks train on");
        sleep(Duration::from_millis(5));
    }
    let done = metrics(&folder, "run").len();
    assert!(folder.path(&format!("run/checkpoints/step_{done:09}.safetensors")).exists());
}

#[test]
fn launch_refuses_what_ranks_cannot_share() {
    let folder = folder_with(&["train.h5"]);
    folder.refused(
        &launch(2, "data info train.h5"),
        &["only `tokenizer train`, `pretrain` and `eval finetune`", "without launch"],
    );
    let train = tokenizer_train("--out run --dry-run");
    folder.refused(&format!("--threads 2 {}", launch(2, &train)), &["--threads and --device belong behind the --"]);
    assert_eq!(folder.ok(&launch(2, &train)), folder.ok(&train));
}

/// A rank started by hand: the program with a launcher's variables.
fn by_hand(folder: &Folder, variables: &[(&str, &str)]) -> (Option<i32>, Vec<String>) {
    let mut command = folder.command(&tokenizer_train("--out run"));
    command.envs(variables.iter().copied());
    end(start(command))
}

#[test]
fn half_a_launcher_is_refused_and_a_rank_that_never_comes_is_named() {
    let folder = folder_with(&["train.h5"]);
    let (code, said) = by_hand(&folder, &[("RANK", "0")]);
    assert_eq!((code, said.len()), (Some(2), 1), "{said:?}");
    assert!(said[0].starts_with("longvid: MASTER_ADDR is not set, but others are"), "{said:?}");

    let port =
        std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a port");
    let (code, said) = by_hand(
        &folder,
        &[
            ("RANK", "0"),
            ("WORLD_SIZE", "3"),
            ("LOCAL_RANK", "0"),
            ("MASTER_ADDR", "127.0.0.1"),
            ("MASTER_PORT", &port.port().to_string()),
            ("LONGVID_DIST_TIMEOUT", "1"),
        ],
    );
    assert_eq!(code, Some(1), "{said:?}");
    assert_eq!(said, ["longvid: the ranks did not come together: ranks 1 and 2 of 3 did not join within 1 s"]);
}
