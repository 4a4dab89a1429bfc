//! What differed between two runs, as text: `longvid report --diff A B`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use super::runs::{RunFolder, Step};
use super::sections::settings;

/// What two runs are compared in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Topic {
    Settings,
    Code,
    Libraries,
    Hardware,
    Data,
    Command,
    Results,
    Probes,
}

impl Topic {
    fn name(self) -> &'static str {
        match self {
            Topic::Settings => "settings",
            Topic::Code => "code",
            Topic::Libraries => "libraries",
            Topic::Hardware => "hardware",
            Topic::Data => "data",
            Topic::Command => "command",
            Topic::Results => "results",
            Topic::Probes => "probes",
        }
    }

    /// Of a key of `run.json`; `None` for what is never the same, and what follows from other keys.
    fn of(key: &str) -> Option<Self> {
        match key.split_once('.').map_or(key, |(first, _)| first) {
            "started" | "config_hash" | "steps_planned" | "resumptions" => None,
            "clips_per_step" => Some(Topic::Settings),
            "version" | "commit" => Some(Topic::Code),
            "libraries" => Some(Topic::Libraries),
            "device" | "hardware" | "ranks" => Some(Topic::Hardware),
            "data" => Some(Topic::Data),
            _ => Some(Topic::Command),
        }
    }
}

/// What a run says of itself on each topic, by name.
type Facts = BTreeMap<Topic, BTreeMap<String, String>>;

/// Keys of a metrics line that no two runs have in common: how fast the machine was.
const PACE: [&str; 4] = ["step_secs", "wait_secs", "frames_per_sec", "peak_bytes"];

/// Every difference with both values, topic by topic; at the end what was found to be the same.
pub(crate) fn diff(a: &RunFolder, b: &RunFolder) -> String {
    let common = last_common_step(a, b);
    let [facts_a, facts_b] = [a, b].map(|run| facts(run, common));
    let mut text = format!("A  {}\nB  {}\n", described(a), described(b));
    let mut same = Vec::new();
    let topics: BTreeSet<Topic> = facts_a.keys().chain(facts_b.keys()).copied().collect();
    for topic in topics {
        let none = BTreeMap::new();
        let [of_a, of_b] = [&facts_a, &facts_b].map(|facts| facts.get(&topic).unwrap_or(&none));
        let rows = differing(topic, of_a, of_b);
        let heading = match (topic, common) {
            (Topic::Results, Some(step)) => format!("results at step {step}{}", first_departure(a, b, step)),
            _ => topic.name().to_owned(),
        };
        if rows.is_empty() {
            same.push(heading);
            continue;
        }
        put(&mut text, format_args!("\n{heading}\n"));
        for (key, [value_a, value_b]) in rows {
            put(&mut text, format_args!("  {key}\n    A  {value_a}\n    B  {value_b}\n"));
        }
    }
    let unlogged = if common.is_none() { "; no step was logged by both" } else { "" };
    let start = if text.lines().count() == 2 { "nothing differs; " } else { "" };
    put(&mut text, format_args!("\n{start}the same: {}{unlogged}\n", same.join(", ")));
    text
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("writing to a String cannot fail");
}

fn described(run: &RunFolder) -> String {
    let (record, step) = (&run.record, run.steps.last().map_or(0, |step| step.step));
    let (path, state, planned) = (run.path.display(), run.state.text(), record.steps_planned);
    format!("{path}: {}, {}, {state}, step {step} of {planned}", record.kind, record.preset)
}

/// Names with the values of both sides, where these are not the same; a side that has none says so.
fn differing(
    topic: Topic,
    a: &BTreeMap<String, String>,
    b: &BTreeMap<String, String>,
) -> BTreeMap<String, [String; 2]> {
    // The same store may lie elsewhere.
    let is_shared =
        |value: &String| topic == Topic::Data && [a, b].iter().all(|side| side.values().any(|v| v == value));
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let mut rows = BTreeMap::new();
    for name in names {
        let values = [a, b].map(|side| side.get(name).filter(|value| !is_shared(value)));
        if values[0] != values[1] {
            rows.insert(name.clone(), values.map(|value| value.cloned().unwrap_or_else(|| "–".to_owned())));
        }
    }
    rows
}

/// Everything that a run folder says, results as of `step`.
fn facts(run: &RunFolder, step: Option<u64>) -> Facts {
    let mut facts = Facts::from([(Topic::Settings, settings(&run.config))]);
    let mut add = |topic, name: String, value: String| drop(facts.entry(topic).or_default().insert(name, value));
    let start = told(&run.origin);
    // That a run was resumed changes nothing; that it went on otherwise does.
    for (i, resumption) in run.origin.get("resumptions").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let told = resumption.as_object().map(told).unwrap_or_default();
        for ((topic, name), value) in told.into_iter().filter(|(key, value)| start.get(key) != Some(value)) {
            add(topic, format!("{name} from resumption {} on", i + 1), value);
        }
    }
    for ((topic, name), value) in start {
        add(topic, name, value);
    }
    let line = step.and_then(|step| run.steps.iter().find(|line| line.step == step));
    for (key, value) in line.iter().flat_map(|line| results(line)) {
        add(Topic::Results, key.clone(), value.to_string());
    }
    for row in run.probes.iter().flat_map(|probe| &probe.rows) {
        add(
            Topic::Probes,
            format!("accuracy of {}, {}, seed {}", row.encoder, row.probe, row.seed),
            row.accuracy.to_string(),
        );
    }
    facts
}

fn results(line: &Step) -> impl Iterator<Item = (&String, &f64)> {
    line.values.iter().filter(|(key, _)| !PACE.contains(&key.as_str()))
}

/// What `run.json`, or a resumption in it, tells: values by topic and name.
fn told(object: &serde_json::Map<String, Value>) -> BTreeMap<(Topic, String), String> {
    let told = flat(object).into_iter().filter_map(|(key, value)| {
        let topic = Topic::of(&key)?;
        let value = if key == "command" { without_place(&value) } else { value };
        let name = key.strip_prefix(&format!("{}.", topic.name())).unwrap_or(&key).to_owned();
        Some(((topic, name), value))
    });
    told.collect()
}

/// Values by dotted key.
fn flat(object: &serde_json::Map<String, Value>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (key, value) in object {
        match value {
            Value::Object(inner) => {
                all.extend(flat(inner).into_iter().map(|(rest, value)| (format!("{key}.{rest}"), value)))
            }
            Value::String(text) => drop(all.insert(key.clone(), text.clone())),
            other => drop(all.insert(key.clone(), other.to_string())),
        }
    }
    all
}

/// The command but for where its output goes, and whether it was resumed.
fn without_place(command: &str) -> String {
    let mut words = Vec::new();
    let mut all = command.split(' ');
    while let Some(word) = all.next() {
        match word {
            "--out" => {
                // A path with spaces stands in quotes.
                let quoted = all.next().is_some_and(|path| path.starts_with('\'') && !path.ends_with('\''));
                if quoted {
                    all.find(|part| part.ends_with('\''));
                }
            }
            "--resume" => {}
            word => words.push(word),
        }
    }
    words.join(" ")
}

fn last_common_step(a: &RunFolder, b: &RunFolder) -> Option<u64> {
    let steps: BTreeSet<u64> = a.steps.iter().map(|line| line.step).collect();
    b.steps.iter().rev().map(|line| line.step).find(|step| steps.contains(step))
}

/// From which step on the results differ, for a heading; empty where they never do.
fn first_departure(a: &RunFolder, b: &RunFolder, last: u64) -> String {
    let of_b: BTreeMap<u64, &Step> = b.steps.iter().map(|line| (line.step, line)).collect();
    let text = |line: &Step| results(line).map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>();
    let mut common = a.steps.iter().filter_map(|line| Some((line, *of_b.get(&line.step)?)));
    match common.find(|(a, b)| text(a) != text(b)).map(|(line, _)| line.step) {
        Some(step) if step < last => format!(", different since step {step}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
