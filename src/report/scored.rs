//! Scores by a protocol: results files, tables in Markdown, a section of a page. Shared with `eval score`.

use std::fmt::Write as _;

use eval::{Averaging, Evaluation, Measure, Metric, Outcome, SpaceAnswers, Subset};
use serde::{Deserialize, Serialize};

use super::page::{Align, Block, Section, Table};
use super::runs::Pictures;
use super::svg::ConfusionChart;

/// One `score_*.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Scored {
    /// What the scores are called: the name of their file.
    pub(crate) name: String,
    /// The annotations' path.
    pub(crate) annotations: String,
    /// All numbers.
    pub(crate) evaluation: Evaluation,
}

impl Scored {
    /// What stands behind its name where numbers of it are shown: nothing, or that they are partial.
    fn mark(&self) -> &'static str {
        if self.evaluation.partial.is_some() { " (partial)" } else { "" }
    }

    /// The confusions in one of its label spaces.
    pub(crate) fn confusion_chart(&self, space: &SpaceAnswers) -> ConfusionChart {
        ConfusionChart::of(space, &self.name, self.evaluation.partial.as_deref())
    }
}

/// A column of a table: one set of scores, one way of averaging its views; or several of them.
struct Column<'a> {
    title: String,
    metrics: Vec<&'a [Metric]>,
}

/// Sets of one protocol and the same annotations, in the order in which they came.
fn groups(sets: &[Scored]) -> Vec<Vec<&Scored>> {
    let mut groups: Vec<Vec<&Scored>> = Vec::new();
    for set in sets {
        let is_of = |first: &Scored| {
            (first.evaluation.protocol, &first.annotations) == (set.evaluation.protocol, &set.annotations)
        };
        match groups.iter_mut().find(|group| is_of(group[0])) {
            Some(group) => group.push(set),
            None => groups.push(vec![set]),
        }
    }
    groups
}

/// A table for each group in Markdown, under a heading.
pub(crate) fn markdown(sets: &[Scored]) -> String {
    let mut text = String::new();
    for group in groups(sets) {
        let (header, rows) = rows(&group);
        let line = |cells: &[String]| format!("| {} |", cells.join(" | "));
        let rule: Vec<String> = header.iter().enumerate().map(|(i, _)| ["---", "---:"][i.min(1)].to_owned()).collect();
        let lines: Vec<String> = [line(&header), line(&rule)].into_iter().chain(rows.iter().map(|r| line(r))).collect();
        let notes: String = notes(&group).into_iter().map(|note| format!("\n{note}\n")).collect();
        // A text that grows takes all that is written to it.
        write!(text, "### {}\n\n{}\n{notes}\n", title(&group), lines.join("\n")).ok();
    }
    text
}

fn title(group: &[&Scored]) -> String {
    let coverage = &group[0].evaluation.coverage;
    format!("{}: {}, {} clips", group[0].evaluation.protocol, group[0].annotations, coverage.num_annotated)
}

/// Header and rows of the table of a group: a row for each number.
fn rows(group: &[&Scored]) -> (Vec<String>, Vec<Vec<String>>) {
    let columns = columns(group);
    let header =
        std::iter::once("% (95 % interval)".to_owned()).chain(columns.iter().map(|c| c.title.clone())).collect();
    let num_rows = columns.first().map_or(0, |column| column.metrics[0].len());
    let row = |i: usize| {
        let name = columns[0].metrics[0].get(i).map(metric_name).unwrap_or_default();
        std::iter::once(name).chain(columns.iter().map(|column| column.cell(i))).collect()
    };
    (header, (0..num_rows).map(row).collect())
}

fn columns<'a>(group: &[&'a Scored]) -> Vec<Column<'a>> {
    let partial = |sets: &[&Scored]| sets.iter().map(|set| set.mark()).max().unwrap_or_default();
    let way = |averaging: Option<Averaging>| match averaging {
        None => "",
        Some(Averaging::Probabilities) => ", mean of probabilities",
        Some(Averaging::Logits) => ", mean of logits",
    };
    let of_set = |set: &&'a Scored| {
        let title = |outcome: &Outcome| format!("{}{}{}", set.name, way(outcome.averaging), set.mark());
        let column = |outcome: &'a Outcome| Column { title: title(outcome), metrics: vec![&outcome.metrics] };
        set.evaluation.outcomes.iter().map(column).collect::<Vec<_>>()
    };
    let mut columns: Vec<Column<'a>> = group.iter().flat_map(of_set).collect();
    for averaging in [None, Some(Averaging::Probabilities), Some(Averaging::Logits)] {
        let outcomes = group.iter().flat_map(|set| &set.evaluation.outcomes);
        let metrics: Vec<&[Metric]> =
            outcomes.filter(|outcome| outcome.averaging == averaging).map(|outcome| &outcome.metrics[..]).collect();
        if metrics.len() > 1 {
            let title = format!("mean ± std of {}{}{}", metrics.len(), way(averaging), partial(group));
            columns.push(Column { title, metrics });
        }
    }
    columns
}

impl Column<'_> {
    /// Percent: of one set with its interval, of several their mean and standard deviation.
    fn cell(&self, row: usize) -> String {
        let values: Option<Vec<f64>> = self.metrics.iter().map(|metrics| metrics.get(row)?.value).collect();
        let Some(values) = values else { return "no clip".to_owned() };
        if let [value] = values[..] {
            let interval = self.metrics[0][row].interval;
            let interval = interval.map(|[low, high]| format!(" ({:.1} to {:.1})", 100.0 * low, 100.0 * high));
            return format!("{:.2}{}", 100.0 * value, interval.unwrap_or_default());
        }
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
        format!("{:.2} ± {:.2}", 100.0 * mean, 100.0 * variance.sqrt())
    }
}

fn metric_name(metric: &Metric) -> String {
    let measure = match metric.measure {
        Measure::Top1 => "top-1",
        Measure::Top5 => "top-5",
        Measure::MeanClass => "mean class",
    };
    let subset = match metric.subset {
        Subset::All => "",
        Subset::Tail => ", tail",
        Subset::Unseen => ", unseen",
    };
    let clips = if metric.subset == Subset::All { String::new() } else { format!(" ({} clips)", metric.num_clips) };
    format!("{} {measure}{subset}{clips}", metric.target)
}

/// What must be said beside the numbers.
fn notes(group: &[&Scored]) -> Vec<String> {
    let mut notes = Vec::new();
    for Scored { name, evaluation, .. } in group {
        notes.extend(evaluation.partial.as_ref().map(|partial| format!("{name}: {partial}.")));
        if evaluation.coverage.num_failed > 0 {
            notes.push(format!("{name}: {} clips could not be read.", evaluation.coverage.num_failed));
        }
    }
    let live = |space: &SpaceAnswers| {
        let (live, all) = (space.by_class.len(), space.classes.len());
        let single = space.by_class.iter().filter(|class| class.num_clips == 1).count();
        let single = if single == 0 { String::new() } else { format!(", {single} of them a single one") };
        format!("{}: {live} of {all} classes have clips{single}.", space.name)
    };
    notes.extend(group[0].evaluation.spaces.iter().map(live));
    notes
}

/// A section about the results in one folder: numbers, classes, confusions, worst errors.
///
/// * `errors` - pictures of the worst errors of each set
pub(crate) fn section(run: &str, sets: &[(Scored, Pictures)]) -> Section {
    let intro =
        "Scores against the annotations, by the protocol's own rules. A share is always of all clips of its subset.";
    let mut section = Section::new(&format!("Test sets: {run}"), intro);
    let all: Vec<Scored> = sets.iter().map(|(set, _)| set.clone()).collect();
    for group in groups(&all) {
        let (header, rows) = rows(&group);
        let header: Vec<(&str, Align)> = header.iter().map(|name| (name.as_str(), Align::Left)).collect();
        let mut table = Table::new(&header);
        rows.into_iter().for_each(|row| table.push(row));
        section.blocks.push(Block::Heading(title(&group)));
        let (partial, notes): (Vec<String>, Vec<String>) = notes(&group)
            .into_iter()
            .partition(|note| note.contains("partial: ") || note.contains("could not be read"));
        if !partial.is_empty() {
            section.blocks.push(Block::Notes(partial));
        }
        section.blocks.extend([Block::Table(table), Block::Text(notes.join(" "))]);
    }
    for (set, errors) in sets {
        let partial = set.mark();
        section.blocks.push(Block::Heading(format!("{}{partial}", set.name)));
        for space in &set.evaluation.spaces {
            section.blocks.push(Block::Charts(vec![set.confusion_chart(space).draw()]));
            let summary = format!("{}: every class{partial}", space.name);
            section.blocks.push(Block::Fold { summary, text: class_table(space) });
        }
        if !errors.undated.is_empty() {
            let summary = format!("The worst errors of {}{partial}", set.name);
            section.blocks.push(Block::FoldedPictures { summary, figures: errors.undated.clone() });
        }
    }
    section
}

/// A line for each class that has clips, fixed width.
pub(crate) fn class_table(space: &SpaceAnswers) -> String {
    let name = |label: usize| space.classes.get(label).map_or("", String::as_str);
    let width = space.by_class.iter().map(|class| name(class.label).chars().count()).max().unwrap_or(0).max(5);
    let mut text = format!("label  {:width$}  clips  right      %  mostly mistaken for\n", "class");
    for class in &space.by_class {
        let share = 100.0 * class.num_right as f64 / class.num_clips as f64;
        let mistaken = class.mistaken_for.map(name).unwrap_or_default();
        let line = format!(
            "{:5}  {:width$}  {:5}  {:5}  {share:5.1}  {mistaken}",
            class.label,
            name(class.label),
            class.num_clips,
            class.num_right
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests;
