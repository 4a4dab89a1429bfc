//! Peak memory against the number of frames: what `bench memory` measures.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::page::{Align, Block, Section, Table};
use super::svg::{Axis, LineChart, Marks, Scale, Series};
use super::units::Unit;

/// One measured training step, as in a run's `memory.json`; other keys are ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Point {
    /// Frames of the clip.
    pub(crate) num_frames: u64,
    /// Name of the decoder mask.
    pub(crate) mask: String,
    /// How the step ended.
    pub(crate) outcome: Outcome,
    /// Bytes that tensors held before the step: weights, optimizer state, the batch.
    #[serde(default)]
    pub(crate) base_bytes: Option<u64>,
    /// Highest number of bytes that tensors held at once; absent unless the outcome is `ok`.
    #[serde(default)]
    pub(crate) peak_bytes: Option<u64>,
    /// Highest number of bytes that the process held at once, all of it.
    #[serde(default)]
    pub(crate) rss_bytes: Option<u64>,
    /// Seconds for one step, the median where several were taken.
    #[serde(default)]
    pub(crate) step_secs: Option<f64>,
    /// Size of the model, where sizes were compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<String>,
    /// Which activations were kept, where that was compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) recompute: Option<String>,
    /// How blocks mixed tokens, unless fused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) attention: Option<String>,
    /// `base_bytes` as they were planned by the settings alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) planned_base_bytes: Option<u64>,
    /// `peak_bytes` as they were planned by the settings alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) planned_bytes: Option<u64>,
    /// All memory of the machine or device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) memory_bytes: Option<u64>,
    /// Hash of the settings that the figures hang on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) settings_hash: Option<String>,
}

/// How a measured step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It was measured.
    Ok,
    /// Memory ran out.
    OutOfMemory,
    /// It failed for another reason.
    Failed,
}

/// The machine's memory is drawn where the highest point is at least this share of it: else it is far away.
const NEAR_THE_LIMIT: f64 = 1.0 / 16.0;

/// Frames against what a step holds beside its base: one line for each mask and variant, rings where it was planned to be,
/// crosses where memory ran out, and a line for all memory of the machine.
pub(crate) fn memory_chart(points: &[Point]) -> LineChart {
    let series: Vec<Series> = names(points)
        .into_iter()
        .enumerate()
        .map(|(colour, name)| {
            let of_name = || points.iter().filter(|p| p.name() == name);
            let in_order = |mut line: Vec<(f64, f64)>| {
                line.sort_by(|a, b| a.0.total_cmp(&b.0));
                line
            };
            let measured = of_name().filter_map(|p| Some((p.num_frames as f64, p.measured(p.step_bytes())? as f64)));
            let planned = of_name().filter_map(|p| Some((p.num_frames as f64, p.planned_step_bytes()? as f64)));
            let ran_out = of_name().filter(|p| p.outcome == Outcome::OutOfMemory);
            Series {
                points: in_order(measured.collect()),
                planned: in_order(planned.collect()),
                marks: Marks::Points,
                out_of_memory: ran_out.map(|p| p.num_frames as f64).collect(),
                colour,
                name,
                ..Series::default()
            }
        })
        .collect();
    let highest = series.iter().flat_map(|s| s.points.iter().chain(&s.planned)).map(|p| p.1).fold(0.0, f64::max);
    let memory = points.iter().filter_map(|p| p.memory_bytes).max().map(|bytes| bytes as f64);
    let limit = memory.filter(|memory| highest >= NEAR_THE_LIMIT * memory);
    LineChart {
        title: "Memory of one training step".to_owned(),
        x: Axis::new("frames per clip", Scale::Log2, Unit::Plain),
        y: Axis::new("peak tensor bytes above the base", Scale::Log2, Unit::Bytes),
        series,
        limit: limit.map(|memory| (memory, format!("all memory: {}", Unit::Bytes.text(memory)))),
    }
}

/// The points as a table in Markdown, measured beside planned.
pub(crate) fn markdown(points: &[Point]) -> String {
    let mut text = String::from(
        "`base` is weights, optimizer state and the batch; `step` is the peak above it, with those gradients that are there by \
         then; both are exact tensor bytes. `planned` is that peak by the settings alone (`longvid plan`). `resident` is the whole process.\n\n\
         | frames | decoder mask | base | step | peak | planned | off by | resident | step time |\n\
         |---:|---|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    let bytes = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |b| Unit::Bytes.text(b as f64));
    for point in points {
        let outcome = match point.outcome {
            Outcome::Ok => point.step_secs.map_or_else(String::new, |secs| format!("{secs:.2} s")),
            Outcome::OutOfMemory => "out of memory".to_owned(),
            Outcome::Failed => "failed".to_owned(),
        };
        let cells = [
            point.num_frames.to_string(),
            point.name(),
            bytes(point.measured(point.base_bytes)),
            bytes(point.measured(point.step_bytes())),
            bytes(point.measured(point.peak_bytes)),
            bytes(point.planned_bytes),
            point.planned_excess().map_or_else(|| "-".to_owned(), |share| format!("{:+.1} %", 100.0 * share)),
            bytes(point.rss_bytes),
            outcome,
        ];
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}

/// The chart and its numbers: peak tensor bytes above the base and in all, peak bytes of the process, seconds per step.
pub(crate) fn memory_section(points: &[Point]) -> Section {
    let mut section = Section::new(
        "Memory against frames",
        "Each point is one training step in a process of its own; both axes double from tick to tick, so a straight \
         line along the diagonal is linear growth.",
    );
    section.blocks.push(Block::Charts(vec![memory_chart(points).draw()]));
    let number = |value: Option<f64>, unit: Unit| value.map(|v| unit.text(v));
    let step = |p: &Point| number(p.step_bytes().map(|b| b as f64), Unit::Bytes);
    section.blocks.push(Block::Heading("Peak tensor bytes above weights, optimizer state and batch".to_owned()));
    section.blocks.push(Block::Table(by_frames_and_name(points, step)));
    let peak = |p: &Point| number(p.peak_bytes.map(|b| b as f64), Unit::Bytes);
    section.blocks.push(Block::Heading("Peak tensor bytes in all".to_owned()));
    section.blocks.push(Block::Table(by_frames_and_name(points, peak)));
    if points.iter().any(|p| p.planned_bytes.is_some()) {
        section.blocks.push(Block::Heading("Planned peak, and by how much it is off".to_owned()));
        let planned = |p: &Point| {
            let off = p.planned_excess().map_or_else(String::new, |share| format!(" ({:+.1} %)", 100.0 * share));
            Some(format!("{}{off}", Unit::Bytes.text(p.planned_bytes? as f64)))
        };
        section.blocks.push(Block::Table(by_frames_and_name(points, planned)));
    }
    if points.iter().any(|p| p.rss_bytes.is_some()) {
        section.blocks.push(Block::Heading("Peak resident bytes of the whole process".to_owned()));
        let rss = |p: &Point| number(p.rss_bytes.map(|b| b as f64), Unit::Bytes);
        section.blocks.push(Block::Table(by_frames_and_name(points, rss)));
    }
    if points.iter().any(|p| p.step_secs.is_some()) {
        section.blocks.push(Block::Heading("Time of one step".to_owned()));
        section.blocks.push(Block::Table(by_frames_and_name(points, |p| number(p.step_secs, Unit::Secs))));
    }
    section
}

impl Point {
    /// A point of which nothing could be measured.
    pub(crate) fn without_figures(num_frames: u64, mask: String, outcome: Outcome) -> Self {
        Point {
            num_frames,
            mask,
            outcome,
            base_bytes: None,
            peak_bytes: None,
            rss_bytes: None,
            step_secs: None,
            size: None,
            recompute: None,
            attention: None,
            planned_base_bytes: None,
            planned_bytes: None,
            memory_bytes: None,
            settings_hash: None,
        }
    }

    /// Decoder mask, and what else was varied: `adaptive, L, every_block`.
    pub(crate) fn name(&self) -> String {
        let size = self.size.as_ref().map(|size| size.to_uppercase());
        let recompute = self.recompute.as_ref().filter(|kept| *kept != "none").cloned();
        let parts = [Some(self.mask.clone()), size, recompute, self.attention.clone()];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// What the plan puts on top of its base.
    fn planned_step_bytes(&self) -> Option<u64> {
        Some(self.planned_bytes?.saturating_sub(self.planned_base_bytes?))
    }

    /// By how much the planned peak is above the measured one, as a share of that.
    fn planned_excess(&self) -> Option<f64> {
        let measured = self.measured(self.peak_bytes)? as f64;
        Some(self.planned_bytes? as f64 / measured - 1.0)
    }

    /// What the step held on top of its base at its peak.
    pub(crate) fn step_bytes(&self) -> Option<u64> {
        Some(self.peak_bytes?.saturating_sub(self.base_bytes.unwrap_or(0)))
    }

    /// The value, if it belongs to a step that was measured.
    fn measured<T>(&self, value: Option<T>) -> Option<T> {
        value.filter(|_| self.outcome == Outcome::Ok)
    }
}

/// Names of the lines in the order in which they first appear.
fn names(points: &[Point]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in points.iter().map(Point::name) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// One row per frame count, one column per line.
fn by_frames_and_name(points: &[Point], value: impl Fn(&Point) -> Option<String>) -> Table {
    let names = names(points);
    let columns: Vec<(&str, Align)> =
        std::iter::once("frames").chain(names.iter().map(String::as_str)).map(|name| (name, Align::Right)).collect();
    let mut table = Table::new(&columns);
    let cells: BTreeMap<(u64, String), &Point> = points.iter().map(|p| ((p.num_frames, p.name()), p)).collect();
    let frames: BTreeSet<u64> = points.iter().map(|p| p.num_frames).collect();
    for num_frames in frames {
        let of_name = |name: &String| match cells.get(&(num_frames, name.clone())) {
            None => "–".to_owned(),
            Some(p) => match p.outcome {
                Outcome::Ok => value(p).unwrap_or_else(|| "–".to_owned()),
                Outcome::OutOfMemory => "out of memory".to_owned(),
                Outcome::Failed => "failed".to_owned(),
            },
        };
        table.push(std::iter::once(num_frames.to_string()).chain(names.iter().map(of_name)).collect());
    }
    table
}

#[cfg(test)]
mod tests;
