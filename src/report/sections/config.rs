use std::collections::{BTreeMap, BTreeSet};

use super::Named;
use crate::report::page::{Align, Block, Section, Table};

/// Of every run all settings, folded.
pub(super) fn section(all: &[Named<'_>]) -> Section {
    let mut section = Section::new("Configuration", "The resolved presets: what the runs really used.");
    for n in all {
        let text = n.run.config_text.trim_end().to_owned();
        section.blocks.push(Block::Fold { summary: format!("All settings of {}", n.name), text });
    }
    section
}

/// The settings that differ between runs of one kind; nothing for a single run.
pub(super) fn differences(kind: &str, runs: &[&Named<'_>]) -> Vec<Block> {
    if runs.len() < 2 {
        return Vec::new();
    }
    let rows = differing(&runs.iter().map(|n| &n.run.config).collect::<Vec<_>>());
    if rows.is_empty() {
        return vec![Block::Text(format!("The {kind} runs have the same settings."))];
    }
    let names = runs.iter().map(|n| (n.name.as_str(), Align::Left));
    let mut table = Table::new(&std::iter::once(("", Align::Left)).chain(names).collect::<Vec<_>>());
    rows.into_iter().for_each(|row| table.push(row));
    vec![Block::Heading(format!("Settings that differ between the {kind} runs")), Block::Table(table)]
}

/// Rows `[key, value in the first config, value in the second, ..]` for the dotted keys whose values are not the same.
fn differing(configs: &[&toml::Table]) -> Vec<Vec<String>> {
    let flat: Vec<BTreeMap<String, String>> = configs.iter().map(|config| settings(config)).collect();
    let keys: BTreeSet<&String> = flat.iter().flat_map(BTreeMap::keys).collect();
    let row = |key: &&String| -> Vec<Option<&String>> { flat.iter().map(|config| config.get(*key)).collect() };
    keys.iter()
        .map(|key| (key, row(key)))
        .filter(|(_, values)| values.iter().any(|v| *v != values[0]))
        .map(|(key, values)| {
            let cells = values.into_iter().map(|v| v.map_or("–", String::as_str).to_owned());
            std::iter::once((*key).clone()).chain(cells).collect()
        })
        .collect()
}

/// The settings of a preset by dotted key.
pub(in crate::report) fn settings(config: &toml::Table) -> BTreeMap<String, String> {
    let mut keys = BTreeMap::new();
    flatten("", config, &mut keys);
    keys
}

fn flatten(prefix: &str, table: &toml::Table, out: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let full = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(inner) => flatten(&full, inner, out),
            other => {
                out.insert(full, other.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_settings_that_differ_are_listed() {
        let table = |text: &str| text.parse::<toml::Table>().unwrap();
        let a = table("seed = 1\n[train]\nsteps = 10\nmask = { kind = \"tube\" }\n");
        let b = table("seed = 1\n[train]\nsteps = 20\nmask = { kind = \"tube\", share = 0.9 }\n");
        let rows = differing(&[&a, &b]);
        assert_eq!(rows, [["train.mask.share", "–", "0.9"], ["train.steps", "10", "20"]]);
        assert!(differing(&[&a, &a]).is_empty());
    }
}
