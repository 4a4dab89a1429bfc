//! docs/formats.md lists every attribute and dataset that the stores have, and no other; docs/run_folder.md what runs write.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hdf5::File;
use hdf5::types::{FloatSize, IntSize, TypeDescriptor};

use crate::fixture::folder_with;

/// `(name, type)` of each row of the tables under a heading of docs/formats.md.
fn documented(heading: &str) -> BTreeSet<(String, String)> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/formats.md"));
    let text = text.expect("the document is in the tree");
    let (shared, sections) = text.split_once("\n## ").expect("the document has sections");
    let section = sections.split("\n## ").find(|section| section.starts_with(heading)).unwrap_or_default();
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
        let name = cells.next()?.trim_end_matches('`').to_owned();
        let kind = cells.next()?.split(' ').next()?.to_owned();
        Some((name, kind))
    };
    shared.lines().chain(section.lines()).filter_map(row).collect()
}

fn name_of(descriptor: &TypeDescriptor) -> String {
    match descriptor {
        TypeDescriptor::Unsigned(IntSize::U1) => "u8".to_owned(),
        TypeDescriptor::Unsigned(IntSize::U4) => "u32".to_owned(),
        TypeDescriptor::Unsigned(IntSize::U8) => "u64".to_owned(),
        TypeDescriptor::Integer(IntSize::U4) => "i32".to_owned(),
        TypeDescriptor::Integer(IntSize::U8) => "i64".to_owned(),
        TypeDescriptor::Float(FloatSize::U4) => "f32".to_owned(),
        TypeDescriptor::Float(FloatSize::U8) => "f64".to_owned(),
        TypeDescriptor::VarLenUnicode => "text".to_owned(),
        other => format!("{other:?}"),
    }
}

/// `(name, type)` of every root attribute and dataset, label spaces called `SPACE`.
fn present(path: &Path) -> hdf5::Result<BTreeSet<(String, String)>> {
    let file = File::open(path)?;
    let mut found = BTreeSet::new();
    for name in file.attr_names()? {
        let kind = name_of(&file.attr(&name)?.dtype()?.to_descriptor()?);
        found.insert((name, kind));
    }
    for group in file.groups()?.into_iter().chain([file.as_group()?]) {
        for dataset in group.datasets()? {
            let name = dataset.name().trim_start_matches('/').to_owned();
            let folder = ["classes", "labels"].into_iter().find(|folder| name.starts_with(&format!("{folder}/")));
            let name = folder.map_or(name, |folder| format!("{folder}/SPACE"));
            found.insert((name, name_of(&dataset.dtype()?.to_descriptor()?)));
        }
    }
    Ok(found)
}

#[test]
fn the_document_lists_what_the_stores_hold() {
    let folder = folder_with(&["train.h5", "train.tokens.h5"]);
    assert_eq!(documented("Clip store"), present(&folder.path("train.h5")).unwrap());
    let mut tokens = documented("Token store");
    assert!(tokens.remove(&("codebook".to_owned(), "f32".to_owned())), "only quantizers that learn have it");
    assert_eq!(tokens, present(&folder.path("train.tokens.h5")).unwrap());
}

/// Every file of a run, and every key of its metrics and record, is in docs/run_folder.md.
#[test]
fn every_file_and_key_of_a_run_is_described() {
    let text = include_str!("../docs/run_folder.md");
    let words: BTreeSet<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let folder = folder_with(&["tokenizer", "lvmae"]);
    for run in ["tokenizer", "lvmae"] {
        let metrics = String::from_utf8(folder.read(&format!("{run}/metrics.jsonl"))).expect("text");
        let line: BTreeMap<String, serde_json::Value> =
            serde_json::from_str(metrics.lines().next().expect("a line")).expect("JSON");
        for key in line.keys() {
            assert!(words.contains(key.as_str()), "docs/run_folder.md does not tell of {key}");
        }
        for entry in std::fs::read_dir(folder.path(run)).expect("a run folder") {
            let name = entry.expect("an entry").file_name().into_string().expect("text");
            let stem = name.split('.').next().expect("a name");
            // The lock means nothing to a reader.
            assert!(stem == "run" || words.contains(stem), "docs/run_folder.md does not tell of {name}");
        }
    }
}
