//! Who may use whom (ARCHITECTURE.md), read from the manifests and the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// Crate, folder, and the crates of ours that it may use.
const ARROWS: &[(&str, &str, &[&str])] = &[
    (
        "longvid",
        ".",
        &["arvideo", "eval", "lvmae", "nn", "spec", "tokenizer", "torch-ext", "train", "vector-quantize", "video"],
    ),
    ("eval", "eval", &["nn", "torch-ext", "spec"]),
    ("tokenizer", "tokenizer", &["vector-quantize", "nn", "torch-ext", "spec"]),
    ("lvmae", "lvmae", &["nn", "torch-ext", "spec"]),
    ("arvideo", "arvideo", &["nn", "torch-ext", "spec"]),
    ("train", "crates/train", &["nn", "torch-ext", "spec"]),
    ("nn", "crates/nn", &["torch-ext", "spec"]),
    ("video", "crates/video", &["spec"]),
    ("vector-quantize", "vector-quantize", &[]),
    ("torch-ext", "crates/torch-ext", &[]),
    ("spec", "crates/spec", &[]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn manifest(folder: &str) -> Table {
    let path = root().join(folder).join("Cargo.toml");
    let text = fs::read_to_string(&path).unwrap_or_else(|err| panic!("{path:?}: {err}"));
    text.parse().unwrap_or_else(|err| panic!("{path:?}: {err}"))
}

/// Names under every `dependencies` table: plain, dev, build, and those of a target.
fn dependencies(table: &Table) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) if key.ends_with("dependencies") => found.extend(inner.keys().map(String::as_str)),
            // `[workspace.dependencies]` only says where crates lie.
            Value::Table(inner) if key != "workspace" => found.extend(dependencies(inner)),
            _ => {}
        }
    }
    found
}

/// Folders of the workspace's members; `crates/*` stands for every folder in `crates`.
fn members() -> BTreeSet<String> {
    let manifest = manifest(".");
    let listed = manifest["workspace"]["members"].as_array().expect("members are a list");
    let mut folders = BTreeSet::from([".".to_owned()]);
    for member in listed.iter().filter_map(Value::as_str) {
        match member.strip_suffix("/*") {
            None => _ = folders.insert(member.to_owned()),
            Some(parent) => {
                let entries = fs::read_dir(root().join(parent)).expect("a folder of members");
                let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
                folders.extend(names.map(|name| format!("{parent}/{name}")));
            }
        }
    }
    folders
}

/// Every file of the rooms with one of these extensions, relative to the workspace. Tests of the whole and time
/// measurements are not rooms.
fn sources(extensions: &[&str]) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = members().into_iter().filter(|folder| folder != ".").map(PathBuf::from).collect();
    folders.push("src".into());
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("a folder of the workspace") {
            let entry = entry.expect("an entry");
            let path = folder.join(entry.file_name());
            if entry.path().is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| extensions.iter().any(|wanted| ext == *wanted)) {
                files.push(path);
            }
        }
    }
    assert!(!files.is_empty(), "no {extensions:?} files under {:?}", root());
    files
}

/// The code of a Rust file: its lines up to `//`.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(root().join(path)).expect("a source file is UTF-8");
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Whether `word` stands in the text and is not part of a longer name.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].chars().next_back().is_some_and(is_part) && !text[at + word.len()..].starts_with(is_part)
    })
}

/// Files of the rooms, but for `room`, in whose code one of the words stands.
fn files_with(words: &[&str], room: &str) -> Vec<PathBuf> {
    let outside = sources(&["rs"]).into_iter().filter(|path| !path.starts_with(room));
    outside.filter(|path| words.iter().any(|word| has_word(&code(path), word))).collect()
}

#[test]
fn each_crate_uses_only_what_the_architecture_allows() {
    let ours: BTreeSet<&str> = ARROWS.iter().map(|(name, ..)| *name).collect();
    for (name, folder, allowed) in ARROWS {
        let manifest = manifest(folder);
        assert_eq!(manifest["package"]["name"].as_str(), Some(*name), "the package in {folder}");
        for used in dependencies(&manifest).intersection(&ours) {
            assert!(allowed.contains(used), "{name} uses {used}, which ARCHITECTURE.md does not allow");
        }
    }
}

#[test]
fn every_member_of_the_workspace_has_its_arrows() {
    let listed: BTreeSet<String> = ARROWS.iter().map(|(_, folder, _)| (*folder).to_owned()).collect();
    assert_eq!(members(), listed);
}

#[test]
fn the_architecture_states_the_same_arrows() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    for (name, _, allowed) in ARROWS.iter().filter(|(name, ..)| *name != "longvid") {
        let of_name = |left: &str| left.split(", ").any(|word| word.trim() == *name);
        let arrow = text.lines().filter_map(|line| line.split_once("->")).find(|(left, _)| of_name(left));
        let (_, right) = arrow.unwrap_or_else(|| panic!("ARCHITECTURE.md has no arrow from {name}"));
        let stated = if right.contains("nothing of ours") { Vec::new() } else { right.trim().split(", ").collect() };
        assert_eq!(stated, *allowed, "arrows from {name}");
    }
}

#[test]
fn unsafe_code_and_cpp_live_in_torch_ext_alone() {
    let room = "crates/torch-ext";
    assert_eq!(files_with(&["unsafe"], room), Vec::<PathBuf>::new());
    let cpp = sources(&["cpp", "cc", "cu", "h", "hpp", "c"]);
    assert!(cpp.iter().all(|path| path.starts_with(room)), "{cpp:?}");
}

#[test]
fn threads_are_started_in_video_and_by_the_writer_of_checkpoints_alone() {
    let starters = ["rayon", "crossbeam_channel", "thread::spawn", "thread::scope", "thread::Builder"];
    assert_eq!(files_with(&starters, "crates/video"), [PathBuf::from("crates/train/src/checkpoint/writer.rs")]);
}

#[test]
fn spec_and_video_hold_no_tensor() {
    let torch = ["tch", "torch-sys", "torch-ext"];
    for room in ["crates/spec", "crates/video"] {
        let manifest = manifest(room);
        assert!(dependencies(&manifest).iter().all(|used| !torch.contains(used)), "{room}/Cargo.toml");
        for path in sources(&["rs"]).into_iter().filter(|path| path.starts_with(room)) {
            assert!(!has_word(&code(&path), "tch"), "{path:?} speaks of tch");
        }
    }
}

#[test]
fn a_word_inside_a_longer_name_is_not_found() {
    assert!(has_word("let x = unsafe { y };", "unsafe"));
    assert!(!has_word("unsafe_code = deny; batch.fetch()", "unsafe"));
    assert!(!has_word("let patch = batch", "tch"));
    assert!(has_word("std::thread::spawn(f)", "thread::spawn"));
}
