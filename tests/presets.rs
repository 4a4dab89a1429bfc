//! What every built-in preset comes to, against texts in `tests/golden`: a changed setting shows in each preset that it
//! moves. `UPDATE_GOLDEN=1 cargo test --release --test it presets` writes the texts anew.

use std::fs;
use std::path::Path;

use toml::{Table, Value};

use crate::folder::Folder;

/// `section.key = value` for every setting, in order.
fn settings(prefix: &str, table: &Table, lines: &mut Vec<String>) {
    for (key, value) in table {
        match value {
            Value::Table(inner) => settings(&format!("{prefix}{key}."), inner, lines),
            value => lines.push(format!("{prefix}{key} = {value}")),
        }
    }
    lines.sort();
}

/// The settings that a dry run prints, and below them its comment on what they mean.
fn resolved(folder: &Folder, preset: &str) -> String {
    let command = if preset.starts_with("tokenizer") {
        "tokenizer train --clips none.h5"
    } else if preset.contains("finetune") {
        "eval finetune --from-scratch --train-clips none.h5 --test-clips none.h5"
    } else {
        "pretrain --clips none.h5"
    };
    let stdout = folder.ok(&format!("{command} --preset {preset} --out none --dry-run"));
    let mut lines = Vec::new();
    settings("", &stdout.parse().expect("a dry run prints TOML"), &mut lines);
    lines.extend(stdout.lines().filter(|line| line.starts_with('#')).map(str::to_owned));
    lines.join("\n") + "\n"
}

#[test]
fn every_preset_resolves_to_its_golden_text() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = fs::read_dir(root.join("presets")).expect("a folder of presets");
    let names = files.map(|file| file.expect("an entry").path());
    let mut names: Vec<_> =
        names.map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned()).collect();
    names.sort();
    assert!(!names.is_empty());
    let folder = Folder::empty();
    for name in names {
        let path = root.join(format!("tests/golden/{name}.txt"));
        let resolved = resolved(&folder, &name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &resolved).expect("a golden text can be written");
        }
        let golden = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(resolved, golden, "{path:?}; if the change is meant, run again with UPDATE_GOLDEN=1");
    }
    assert!(folder.contents().is_empty(), "a dry run writes nothing");
}
