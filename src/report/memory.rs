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
    /// Bytes that tensors held before the step: weights, gradients, optimizer state, the batch.
    #[serde(default)]
    pub(crate) base_bytes: Option<u64>,
    /// Highest number of bytes that tensors held at once; absent unless the outcome is `ok`.
    #[serde(default)]
    pub(crate) peak_bytes: Option<u64>,
    /// Highest number of bytes that the process held at once, all of it.
    #[serde(default)]
    pub(crate) rss_bytes: Option<u64>,
    /// Seconds for one step.
    #[serde(default)]
    pub(crate) step_secs: Option<f64>,
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

/// Frames against what a step holds beside its base, one line per decoder mask, crosses where memory ran out.
pub(crate) fn memory_chart(points: &[Point]) -> LineChart {
    let series = masks(points).into_iter().enumerate().map(|(colour, mask)| {
        let of_mask = || points.iter().filter(move |p| p.mask == mask);
        let mut measured: Vec<(f64, f64)> =
            of_mask().filter_map(|p| Some((p.num_frames as f64, p.measured(p.step_bytes())? as f64))).collect();
        measured.sort_by(|a, b| a.0.total_cmp(&b.0));
        let ran_out = of_mask().filter(|p| p.outcome == Outcome::OutOfMemory);
        Series {
            name: mask.to_owned(),
            points: measured,
            marks: Marks::Points,
            out_of_memory: ran_out.map(|p| p.num_frames as f64).collect(),
            colour,
            ..Series::default()
        }
    });
    LineChart {
        title: "Memory of one training step".to_owned(),
        x: Axis::new("frames per clip", Scale::Log2, Unit::Plain),
        y: Axis::new("peak tensor bytes above the base", Scale::Log2, Unit::Bytes),
        series: series.collect(),
    }
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
    section
        .blocks
        .push(Block::Heading("Peak tensor bytes above weights, gradients, optimizer state and batch".to_owned()));
    section.blocks.push(Block::Table(by_frames_and_mask(points, step)));
    let peak = |p: &Point| number(p.peak_bytes.map(|b| b as f64), Unit::Bytes);
    section.blocks.push(Block::Heading("Peak tensor bytes in all".to_owned()));
    section.blocks.push(Block::Table(by_frames_and_mask(points, peak)));
    if points.iter().any(|p| p.rss_bytes.is_some()) {
        section.blocks.push(Block::Heading("Peak resident bytes of the whole process".to_owned()));
        let rss = |p: &Point| number(p.rss_bytes.map(|b| b as f64), Unit::Bytes);
        section.blocks.push(Block::Table(by_frames_and_mask(points, rss)));
    }
    if points.iter().any(|p| p.step_secs.is_some()) {
        section.blocks.push(Block::Heading("Time of one step".to_owned()));
        section.blocks.push(Block::Table(by_frames_and_mask(points, |p| number(p.step_secs, Unit::Secs))));
    }
    section
}

impl Point {
    /// A point of which nothing could be measured.
    pub(crate) fn without_figures(num_frames: u64, mask: String, outcome: Outcome) -> Self {
        Point { num_frames, mask, outcome, base_bytes: None, peak_bytes: None, rss_bytes: None, step_secs: None }
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

/// The masks in the order in which they first appear.
fn masks(points: &[Point]) -> Vec<&str> {
    let mut masks: Vec<&str> = Vec::new();
    for point in points {
        if !masks.contains(&point.mask.as_str()) {
            masks.push(&point.mask);
        }
    }
    masks
}

/// One row per frame count, one column per mask.
fn by_frames_and_mask(points: &[Point], value: impl Fn(&Point) -> Option<String>) -> Table {
    let masks = masks(points);
    let columns: Vec<(&str, Align)> =
        std::iter::once("frames").chain(masks.iter().copied()).map(|name| (name, Align::Right)).collect();
    let mut table = Table::new(&columns);
    let cells: BTreeMap<(u64, &str), &Point> = points.iter().map(|p| ((p.num_frames, p.mask.as_str()), p)).collect();
    let frames: BTreeSet<u64> = points.iter().map(|p| p.num_frames).collect();
    for num_frames in frames {
        let of_mask = |mask: &&str| match cells.get(&(num_frames, *mask)) {
            None => "–".to_owned(),
            Some(p) => match p.outcome {
                Outcome::Ok => value(p).unwrap_or_else(|| "–".to_owned()),
                Outcome::OutOfMemory => "out of memory".to_owned(),
                Outcome::Failed => "failed".to_owned(),
            },
        };
        table.push(std::iter::once(num_frames.to_string()).chain(masks.iter().map(of_mask)).collect());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::page::Page;

    const MEMORY_JSON: &str = r#"[
        {"num_frames": 32, "mask": "adaptive", "outcome": "ok", "peak_bytes": 2147483648,
         "step_secs": 1.5, "host": "x"},
        {"num_frames": 16, "mask": "adaptive", "outcome": "ok", "peak_bytes": 1073741824, "step_secs": 0.75},
        {"num_frames": 16, "mask": "none", "outcome": "ok", "base_bytes": 1073741824, "peak_bytes": 5368709120, "rss_bytes": 6442450944},
        {"num_frames": 32, "mask": "none", "outcome": "out_of_memory"},
        {"num_frames": 64, "mask": "none", "outcome": "failed", "peak_bytes": 1}
    ]"#;

    #[test]
    fn each_mask_is_a_line_in_order_of_frames_and_failures_are_not_points() {
        let points: Vec<Point> = serde_json::from_str(MEMORY_JSON).unwrap();
        let chart = memory_chart(&points);
        let names: Vec<&str> = chart.series.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["adaptive", "none"]);
        assert_eq!(chart.series[0].points, [(16.0, 1_073_741_824.0), (32.0, 2_147_483_648.0)]);
        assert_eq!(chart.series[1].points, [(16.0, 4_294_967_296.0)]);
        assert_eq!(chart.series[1].out_of_memory, [32.0]);
    }

    #[test]
    fn the_table_says_what_became_of_every_point() {
        let points: Vec<Point> = serde_json::from_str(MEMORY_JSON).unwrap();
        let html = Page { sections: vec![memory_section(&points)], ..Page::default() }.html();
        let row =
            |cells: [&str; 3]| format!("<tr>{}</tr>", cells.map(|c| format!("<td class=\"number\">{c}</td>")).concat());
        for cells in [
            ["16", "1.00 GiB", "4.00 GiB"],
            ["32", "2.00 GiB", "out of memory"],
            ["64", "–", "failed"],
            ["16", "1.00 GiB", "5.00 GiB"],
            ["16", "–", "6.00 GiB"],
            ["16", "750 ms", "–"],
        ] {
            assert!(html.contains(&row(cells)), "{cells:?} in {html}");
        }
    }
}
