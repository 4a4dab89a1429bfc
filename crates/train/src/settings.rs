//! A resolved config as flat `key = value` settings: to be hashed and compared whatever its layout.

use std::collections::BTreeMap;

use toml::{Table, Value};

use crate::TrainError;

/// The settings of a resolved config by dotted key; `origin` names the text in errors.
pub(crate) fn settings(origin: &str, text: &str) -> Result<BTreeMap<String, String>, TrainError> {
    let table: Table = text.parse().map_err(|source| TrainError::ConfigText { origin: origin.to_owned(), source })?;
    let mut flat = BTreeMap::new();
    flatten("", &table, &mut flat);
    Ok(flat)
}

/// Settings that a run may change when it goes on: what they alter is memory, pace and records, not what is computed
/// (beyond the rounding of sums). Matched against every part of a dotted key.
const FREE: [&str; 7] =
    ["accumulate", "recompute", "non_finite", "log_every", "checkpoint_every", "keep_checkpoints", "pictures_every"];

fn is_bound(key: &str) -> bool {
    !key.split('.').any(|part| FREE.contains(&part))
}

/// Hash of the settings that a run is bound to: equal exactly when none of them differs.
pub(crate) fn hash(settings: &BTreeMap<String, String>) -> String {
    let mut hasher = blake3::Hasher::new();
    for (key, value) in settings.iter().filter(|(key, _)| is_bound(key)) {
        hasher.update(format!("{key} = {value}\n").as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// What a run is bound to and differs, as `key: A there, B here`, comma separated; empty when nothing does.
pub(crate) fn differences(there: &BTreeMap<String, String>, here: &BTreeMap<String, String>) -> String {
    let only_here = here.keys().filter(|key| !there.contains_key(*key));
    let mut keys: Vec<&String> = there.keys().chain(only_here).collect();
    keys.sort();
    let value = |side: &BTreeMap<String, String>, key| side.get(key).cloned().unwrap_or_else(|| "absent".into());
    let differing = keys.into_iter().filter(|key| is_bound(key) && there.get(*key) != here.get(*key));
    let said: Vec<String> =
        differing.map(|key| format!("{key}: {} there, {} here", value(there, key), value(here, key))).collect();
    said.join(", ")
}

fn flatten(prefix: &str, table: &Table, flat: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(inner) => flatten(&key, inner, flat),
            other => {
                flat.insert(key, other.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_does_not_change_the_hash_but_a_value_does() {
        let read = |text| settings("test", text).unwrap();
        let a = read("[train]\nsteps = 5\nbetas = [0.9, 0.95]\n[clip]\nsize_px = 64\n");
        let b = read("clip = { size_px = 64 }\ntrain.betas=[0.9,0.95]\ntrain.steps=5 # same\n");
        assert_eq!(hash(&a), hash(&b));
        assert_eq!(differences(&a, &b), "");
        assert_ne!(hash(&a), hash(&read("[train]\nsteps = 6\nbetas = [0.9, 0.95]\n[clip]\nsize_px = 64\n")));
    }

    #[test]
    fn what_a_run_may_change_on_its_way_is_neither_hashed_nor_named() {
        let before =
            settings("a", "train.accumulate = 1\ntrain.steps = 9\ntrain.non_finite.kind = \"stop\"\n").unwrap();
        let after = settings("b", "train.accumulate = 4\ntrain.steps = 9\ntrain.non_finite.kind = \"skip\"\n").unwrap();
        assert_eq!(hash(&before), hash(&after));
        assert_eq!(differences(&before, &after), "");
    }

    #[test]
    fn every_differing_key_is_named_with_both_values() {
        let there = settings("there", "a.x = 1\na.y = 2\nc = \"old\"\n").unwrap();
        let here = settings("here", "a.x = 1\na.y = 3\nb = true\nc = \"old\"\n").unwrap();
        assert_eq!(differences(&there, &here), "a.y: 2 there, 3 here, b: absent there, true here");
    }
}
