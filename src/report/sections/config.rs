use std::collections::{BTreeMap, BTreeSet};

use super::Named;
use crate::report::page::{Align, Block, Section, Table};

/// Between runs of one kind the settings that differ; of every run all settings, folded.
pub(super) fn section(all: &[Named<'_>], kinds: &BTreeSet<&str>) -> Section {
    let mut section = Section::new("Configuration", "Settings that differ between runs of one kind, then all of them.");
    if all.len() == 1 {
        section.intro = "The resolved preset: what the run really used.".to_owned();
    }
    for kind in kinds {
        let runs: Vec<&Named<'_>> = all.iter().filter(|n| n.run.record.kind == *kind).collect();
        if runs.len() < 2 {
            continue;
        }
        let rows = differing(&runs.iter().map(|n| &n.run.config).collect::<Vec<_>>());
        if rows.is_empty() {
            section.blocks.push(Block::Text(format!("The {kind} runs have the same settings.")));
            continue;
        }
        let columns: Vec<(&str, Align)> = std::iter::once(kind)
            .copied()
            .chain(runs.iter().map(|n| n.name.as_str()))
            .map(|c| (c, Align::Left))
            .collect();
        let mut table = Table::new(&columns);
        rows.into_iter().for_each(|row| table.push(row));
        section.blocks.push(Block::Table(table));
    }
    for n in all {
        let text = n.run.config_text.trim_end().to_owned();
        section.blocks.push(Block::Fold { summary: format!("All settings of {}", n.name), text });
    }
    section
}

/// Rows `[key, value in the first config, value in the second, ..]` for the dotted keys whose values are not the same.
fn differing(configs: &[&toml::Table]) -> Vec<Vec<String>> {
    let flat: Vec<BTreeMap<String, String>> = configs
        .iter()
        .map(|config| {
            let mut keys = BTreeMap::new();
            flatten("", config, &mut keys);
            keys
        })
        .collect();
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
