//! Stores under kill -9 at random moments: what was finished stays readable, and going on gives the store of a process
//! that was never killed. `LONGVID_KILLS=100` kills a hundred times each instead of a few.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rand::RngExt as _;
use spec::{Purpose, rng_for};

use crate::fixture::{IMPORT, folder_with};
use crate::folder::Folder;

/// A command that makes, or replaces, one store.
struct Work<'a> {
    command: &'a str,
    out: &'a str,
    /// What `out` is before; `None` where there is nothing.
    before: Option<&'a str>,
}

impl Work<'_> {
    fn reset(&self, folder: &Folder) {
        match self.before {
            Some(before) => folder.write(self.out, &folder.read(before)),
            None => std::fs::remove_file(folder.path(self.out)).expect("the finished store can be removed"),
        }
    }

    /// Videos or segments that a later run will not do again.
    fn num_kept(&self, folder: &Folder) -> usize {
        let journal = folder.path(&format!("{}.journal", self.out));
        std::fs::read_to_string(journal).map_or(0, |text| text.lines().count())
    }
}

/// How often each test kills.
pub(crate) fn num_kills() -> u32 {
    std::env::var("LONGVID_KILLS").map_or(6, |text| text.parse().expect("LONGVID_KILLS is a number"))
}

#[track_caller]
fn kill_and_go_on(folder: &Folder, work: &Work<'_>) {
    if work.before.is_some() {
        work.reset(folder);
    }
    let began = Instant::now();
    folder.ok(work.command);
    let (whole_time, whole) = (began.elapsed(), folder.read(work.out));
    work.reset(folder);
    let before = work.before.map(|name| folder.read(name));
    let is_whole = || folder.path(work.out).exists() && folder.read(work.out) == whole;

    let (mut num_kept, mut num_restarts) = (0, 0);
    for kill in 0..num_kills() {
        if is_whole() {
            work.reset(folder);
            (num_kept, num_restarts) = (0, num_restarts + 1);
        }
        let running = folder.start(work.command);
        let share: f64 = rng_for(0, 0, kill.into(), Purpose::Eval).random();
        std::thread::sleep(Duration::from_secs_f64(whole_time.as_secs_f64() * share));
        running.kill();
        if folder.path(work.out).exists() {
            let now = folder.read(work.out);
            assert!(now == whole || Some(now) == before, "kill {kill} left half a store");
            folder.ok(&format!("data verify {}", work.out));
        } else {
            assert!(before.is_none(), "kill {kill} took the store away");
            let kept = work.num_kept(folder);
            assert!(kept >= num_kept, "kill {kill} lost {} finished parts", num_kept - kept);
            num_kept = kept;
        }
    }
    if !is_whole() {
        folder.ok(work.command);
    }
    assert!(is_whole(), "not the store of a process that was never killed, after {num_restarts} that were finished");
    // Finds the work done, and takes away what a kill in the very last moment left.
    folder.run(work.command);
    let left_over = |path: &PathBuf| path.to_string_lossy().contains(&format!("{}.", work.out));
    assert_eq!(folder.contents().keys().filter(|path| left_over(path)).count(), 0, "files of the work are left");
}

#[test]
fn imports_killed_at_random_moments_give_the_same_store() {
    let folder = folder_with(&["dives"]);
    let command = format!("{IMPORT} --out killed.h5");
    kill_and_go_on(&folder, &Work { command: &command, out: "killed.h5", before: None });
}

#[test]
fn appends_killed_at_random_moments_leave_the_old_store_or_the_new() {
    let folder = folder_with(&["train.h5", "test.h5"]);
    let work = Work { command: "data append killed.h5 test.h5", out: "killed.h5", before: Some("train.h5") };
    kill_and_go_on(&folder, &work);
}

#[test]
fn encodings_killed_at_random_moments_give_the_same_tokens() {
    let folder = folder_with(&["train.h5", "tokenizer"]);
    let command =
        "tokenizer encode --tokenizer tokenizer/tokenizer.safetensors --clips train.h5 --out killed.tokens.h5";
    kill_and_go_on(&folder, &Work { command, out: "killed.tokens.h5", before: None });
}

#[test]
fn shards_of_an_encoding_and_their_merge_killed_at_random_moments_give_the_same_tokens() {
    let folder = folder_with(&["train.h5", "tokenizer", "train.tokens.h5"]);
    let encode = "tokenizer encode --tokenizer tokenizer/tokenizer.safetensors --clips train.h5";
    // The second begins in the middle of what one machine encodes at once.
    for (part, out) in [("1/3", "1.h5"), ("2/3", "2.h5"), ("3/3", "3.h5")] {
        let command = format!("{encode} --shard {part} --out {out}");
        match part {
            "2/3" => kill_and_go_on(&folder, &Work { command: &command, out, before: None }),
            _ => _ = folder.ok(&command),
        }
    }
    let work = Work { command: "data merge 3.h5 2.h5 1.h5 --out merged.h5", out: "merged.h5", before: None };
    kill_and_go_on(&folder, &work);
    assert!(folder.read("merged.h5") == folder.read("train.tokens.h5"), "not the store of one machine");
}
