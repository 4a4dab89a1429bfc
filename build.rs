//! Tells the program which commit it was built from, and lets it find libtorch without LD_LIBRARY_PATH.
#![allow(clippy::print_stdout, reason = "how a build script speaks to cargo")]

#[path = "crates/torch-ext/rpath.rs"]
mod rpath;

use std::process::Command;

fn main() {
    rpath::main();

    // Changes with every commit and checkout.
    if let Some(log) = said("git", &["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo:rerun-if-changed={log}");
    }
    println!("cargo:rustc-env=LONGVID_COMMIT={}", commit());
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    println!("cargo:rustc-env=LONGVID_RUSTC={}", said(&rustc, &["--version"]).unwrap_or_default());
}

/// The commit, with `+` where tracked files differ from it; "unknown" outside a repository.
fn commit() -> String {
    let Some(commit) = said("git", &["rev-parse", "--short=12", "HEAD"]) else { return "unknown".to_owned() };
    let changed = said("git", &["status", "--porcelain", "--untracked-files=no"]).is_none_or(|list| !list.is_empty());
    if changed { format!("{commit}+") } else { commit }
}

fn said(program: &str, words: &[&str]) -> Option<String> {
    let output = Command::new(program).args(words).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
