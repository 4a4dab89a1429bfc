//! What a page says about runs: one function or file per section.

mod config;
mod probes;
mod training;

use std::collections::BTreeSet;

use super::memory::memory_section;
use super::page::{Align, Block, Section, Table};
use super::runs::{RunFolder, Step};
use super::units::{Unit, readable_time};

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
    let mut sections = vec![overview(&all)];
    sections.extend(pictures(&all));
    sections.extend(probes::section(&all));
    let kinds: BTreeSet<&str> = runs.iter().map(|run| run.record.kind.as_str()).collect();
    for kind in &kinds {
        let of_kind: Vec<&Named<'_>> = all.iter().filter(|n| n.run.record.kind == *kind).collect();
        sections.extend(training::section(kind, &of_kind));
    }
    for n in all.iter().filter(|n| !n.run.memory.is_empty()) {
        let mut section = memory_section(&n.run.memory);
        section.title = format!("{}: {}", section.title, n.name);
        sections.push(section);
    }
    sections.push(config::section(&all, &kinds));
    sections
}

/// One column per run, so that one run reads well on a narrow screen and several compare line by line.
fn overview(all: &[Named<'_>]) -> Section {
    let names = all.iter().map(|n| (n.name.as_str(), Align::Right));
    let mut table = Table::new(&std::iter::once(("", Align::Left)).chain(names).collect::<Vec<_>>());
    let mut row = |title: &str, cell: &dyn Fn(&RunFolder) -> String| {
        table.push(std::iter::once(title.to_owned()).chain(all.iter().map(|n| cell(n.run))).collect());
    };
    let text = |value: Option<f64>, unit: Unit| value.map_or_else(|| "–".to_owned(), |v| unit.text(v));
    let logged = |key: &'static str| move |step: &Step| step.values.get(key).copied();
    row("kind", &|run| run.record.kind.clone());
    row("preset", &|run| run.record.preset.clone());
    row("started", &|run| readable_time(&run.record.started));
    row("training time", &|run| Unit::Secs.text(run.train_secs()));
    row("steps", &|run| format!("{} of {}", run.steps.last().map_or(0, |s| s.step), run.record.steps_planned));
    row("last loss", &|run| text(run.steps.iter().rev().find_map(logged("loss")), Unit::Plain));
    row("time per step", &|run| text(median(&run.steps, logged("step_secs")), Unit::Secs));
    row("frames per second", &|run| text(median(&run.steps, logged("frames_per_sec")), Unit::Plain));
    row("waiting for data", &|run| text(median(&run.steps, wait_share), Unit::Share));
    row("peak memory", &|run| {
        text(run.steps.iter().filter_map(logged("peak_bytes")).filter(|v| v.is_finite()).reduce(f64::max), Unit::Bytes)
    });
    let intro =
        "Time per step, speed and waiting are medians over the log; peak memory is the highest that was logged.";
    let mut section = Section::new("Overview", intro).with(Block::Table(table));
    let notes: Vec<String> = all.iter().flat_map(|n| n.run.notes.iter().cloned()).collect();
    if !notes.is_empty() {
        section.blocks.push(Block::Notes(notes));
    }
    section
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
        section.blocks.push(Block::Pictures(n.run.pictures.clone()));
    }
    (!section.blocks.is_empty()).then_some(section)
}
