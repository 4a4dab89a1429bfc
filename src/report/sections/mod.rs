//! What a page says about runs: one function or file per section.

mod config;
mod probes;
mod training;

use std::collections::BTreeSet;

use super::memory::memory_section;
use super::page::{Align, Block, Section, Table};
use super::runs::{Pictures, RunFolder, Step};
use super::scored;
use super::units::{Unit, readable_time};
pub(super) use config::settings;

/// A run with the name and colour that it keeps over the whole page.
pub(super) struct Named<'a> {
    pub(super) run: &'a RunFolder,
    pub(super) name: String,
    pub(super) colour: usize,
}

/// Names runs by their folders; by their whole paths where two folders are called the same.
pub(super) fn named(runs: &[RunFolder]) -> Vec<Named<'_>> {
    let short = |run: &RunFolder| match run.path.file_name() {
        Some(name) => name.to_string_lossy().into_owned(),
        None => run.path.display().to_string(),
    };
    let name = |run: &RunFolder| match runs.iter().filter(|other| short(other) == short(run)).count() {
        1 => short(run),
        _ => run.path.display().to_string(),
    };
    runs.iter().enumerate().map(|(colour, run)| Named { run, name: name(run), colour }).collect()
}

/// All sections that the runs have something for, in reading order.
pub(super) fn run_sections(runs: &[RunFolder]) -> Vec<Section> {
    let all = named(runs);
    if all.is_empty() {
        return Vec::new();
    }
    let kinds: BTreeSet<&str> = runs.iter().map(|run| run.record.kind.as_str()).collect();
    let of_kind = |kind: &str| all.iter().filter(|n| n.run.record.kind == kind).collect::<Vec<_>>();
    let mut first = overview(&all);
    first.blocks.extend(kinds.iter().flat_map(|kind| config::differences(kind, &of_kind(kind))));
    let mut sections = vec![first];
    // Runs of one kind are there to be compared: curves first.
    let (seen, compared) = if kinds.len() == runs.len() { (pictures(&all), None) } else { (None, pictures(&all)) };
    sections.extend(seen);
    sections.extend(probes::section(&all));
    let tested = all.iter().filter(|n| !n.run.scored.is_empty());
    sections.extend(tested.map(|n| scored::section(&n.name, &n.run.scored)));
    sections.extend(kinds.iter().filter_map(|kind| training::section(kind, &of_kind(kind))));
    sections.extend(compared);
    for n in &all {
        let name = (all.len() > 1).then_some(n.name.as_str());
        sections.extend(n.run.kept.as_ref().map(|kept| kept.section(name)));
    }
    for n in all.iter().filter(|n| !n.run.memory.is_empty()) {
        let mut section = memory_section(&n.run.memory);
        section.title = format!("{}: {}", section.title, n.name);
        sections.push(section);
    }
    sections.push(config::section(&all));
    sections
}

/// One column per run, so that one run reads well on a narrow screen and several compare line by line.
fn overview(all: &[Named<'_>]) -> Section {
    let names = all.iter().map(|n| (n.name.as_str(), Align::Left));
    let mut table = Table::new(&std::iter::once(("", Align::Left)).chain(names).collect::<Vec<_>>());
    // What no run says is left out.
    let mut row = |title: &str, cell: &dyn Fn(&RunFolder) -> Option<String>| {
        let cells: Vec<Option<String>> = all.iter().map(|n| cell(n.run)).collect();
        if cells.iter().any(Option::is_some) {
            let cells = cells.into_iter().map(|cell| cell.unwrap_or_else(|| "–".to_owned()));
            table.push(std::iter::once(title.to_owned()).chain(cells).collect());
        }
    };
    let logged = |key: &'static str| move |step: &Step| step.values.get(key).copied();
    let origin = |key: &'static str| move |run: &RunFolder| run.origin.get(key).map(plain);
    row("kind", &|run| Some(run.record.kind.clone()));
    row("preset", &|run| Some(run.record.preset.clone()));
    row("state", &|run| Some(run.state.text()));
    row("steps", &|run| Some(format!("{} of {}", run.steps.last().map_or(0, |s| s.step), run.record.steps_planned)));
    row("started", &|run| Some(readable_time(&run.record.started)));
    row("resumed", &|run| match run.record.resumptions.len() {
        0 => None,
        1 => Some("once".to_owned()),
        n => Some(format!("{n} times")),
    });
    row("training time", &|run| Some(Unit::Secs.text(run.train_secs())));
    row("last loss", &|run| run.steps.iter().rev().find_map(logged("loss")).map(|v| Unit::Plain.text(v)));
    for classifier in probes::names(all) {
        row(&classifier, &|run| probes::best(run, &classifier));
    }
    row("time per step", &|run| median(&run.steps, logged("step_secs")).map(|v| Unit::Secs.text(v)));
    row("frames per second", &|run| median(&run.steps, logged("frames_per_sec")).map(|v| Unit::Plain.text(v)));
    row("waiting for data", &|run| median(&run.steps, wait_share).map(|v| Unit::Share.text(v)));
    row("peak memory", &|run| {
        let peaks = run.steps.iter().filter_map(logged("peak_bytes")).filter(|v| v.is_finite());
        peaks.reduce(f64::max).map(|v| Unit::Bytes.text(v))
    });
    row("clips per step", &origin("clips_per_step"));
    row("ranks", &origin("ranks"));
    row("machine", &|run| Some(run.record.device.clone()));
    row("longvid", &|run| Some(run.record.version.clone()));
    row("commit", &origin("commit"));
    let intro = "Time per step, speed and waiting are medians over the log; peak memory is the highest that was logged; \
                 accuracies are the highest of a trained encoder.";
    let mut section = Section::new("Overview", intro).with(Block::Table(table));
    let notes: Vec<String> = all.iter().flat_map(|n| n.run.notes.iter().cloned()).collect();
    if !notes.is_empty() {
        section.blocks.push(Block::Notes(notes));
    }
    section
}

/// Text without its quotes, anything else as JSON.
fn plain(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Share of the step that was spent waiting for data; `step_secs` includes the wait.
fn wait_share(step: &Step) -> Option<f64> {
    Some(step.values.get("wait_secs")? / step.values.get("step_secs").filter(|secs| **secs > 0.0)?)
}

fn median(steps: &[Step], value: impl Fn(&Step) -> Option<f64>) -> Option<f64> {
    let mut values: Vec<f64> = steps.iter().filter_map(value).filter(|v| v.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn pictures(all: &[Named<'_>]) -> Option<Section> {
    let mut section = Section::new("Pictures", "What the models saw and made, as the runs wrote it down.");
    for n in all.iter().filter(|n| !n.run.pictures.is_empty()) {
        if all.len() > 1 {
            section.blocks.push(Block::Heading(n.name.clone()));
        }
        let Pictures { undated, by_step } = n.run.pictures.clone();
        if !undated.is_empty() {
            section.blocks.push(Block::Pictures(undated));
        }
        for (i, (step, figures)) in by_step.into_iter().enumerate() {
            let at = format!("step {step}");
            section.blocks.extend(match i {
                0 => vec![Block::Text(format!("At {at}, the newest:")), Block::Pictures(figures)],
                _ => vec![Block::FoldedPictures { summary: format!("At {at}"), figures }],
            });
        }
    }
    (!section.blocks.is_empty()).then_some(section)
}
