use std::collections::{BTreeMap, BTreeSet};

use eval::ResultRow;

use super::Named;
use crate::report::page::{Align, Block, Section, Table};
use crate::report::runs::RunFolder;
use crate::report::svg::{Axis, Bar, BarChart, Drawing, Scale};
use crate::report::units::Unit;

const COLUMNS: [(&str, Align); 10] = [
    ("classifier", Align::Left),
    ("encoder", Align::Left),
    ("accuracy", Align::Right),
    ("low", Align::Right),
    ("high", Align::Right),
    ("chance", Align::Right),
    ("training clips", Align::Right),
    ("test clips", Align::Right),
    ("failed", Align::Right),
    ("seed", Align::Right),
];

/// What a result file of fine-tuned classifiers says in place of a probe.
const FINETUNED: &str = "finetune";

/// What result files call the encoder that was not trained.
const RANDOM: &str = "random weights";

/// One line of a result file, with the name that its encoder has on this page.
struct Entry<'a> {
    encoder: String,
    row: &'a ResultRow,
}

/// Accuracy of encoders under a probe, or fine-tuned: one bar per encoder over all runs, one table row per result.
pub(super) fn section(all: &[Named<'_>]) -> Option<Section> {
    let several = all.iter().filter(|n| !n.run.probes.is_empty()).count() > 1;
    let mut by_classifier: BTreeMap<String, Vec<Entry<'_>>> = BTreeMap::new();
    for n in all {
        for (classifier, row) in rows(n.run) {
            let encoder = if several { format!("{} ({})", row.encoder, n.name) } else { row.encoder.clone() };
            by_classifier.entry(classifier).or_default().push(Entry { encoder, row });
        }
    }
    if by_classifier.is_empty() {
        return None;
    }
    let encoders = distinct(by_classifier.values().flatten());
    let charts = by_classifier.iter().map(|(name, entries)| accuracy_bars(name, entries, &encoders)).collect();
    let mut table = Table::new(&COLUMNS);
    let lines = by_classifier.iter().flat_map(|(name, entries)| entries.iter().map(move |entry| (name, entry)));
    for (classifier, Entry { encoder, row }) in lines {
        let mut cells = vec![classifier.clone(), encoder.clone()];
        cells.extend([row.accuracy, row.low, row.high, row.chance].map(|share| Unit::Share.text(share)));
        cells.extend([row.num_train, row.num_test, row.num_failed, row.seed as usize].map(|n| n.to_string()));
        table.push(cells);
    }
    let intro = "How well the classes can be read off an encoder: frozen under a probe, or fine-tuned. Bars are means over seeds, whiskers reach from \
                 the lowest to the highest end of their intervals, the dashed line is chance.";
    Some(Section::new("Accuracy", intro).with(Block::Charts(charts)).with(Block::Table(table)))
}

/// All results of a run, each with what is compared under one name: the probe, or what a fine-tuned classifier tells apart
/// and how its views were averaged.
fn rows(run: &RunFolder) -> impl Iterator<Item = (String, &ResultRow)> {
    let name = |probe: &str, row: &ResultRow| match probe {
        FINETUNED => row.probe.clone(),
        _ => format!("{probe} probe"),
    };
    run.probes.iter().flat_map(move |probe| probe.rows.iter().map(move |row| (name(&probe.probe, row), row)))
}

/// What any run has results under, in order of name.
pub(super) fn names(all: &[Named<'_>]) -> BTreeSet<String> {
    all.iter().flat_map(|n| rows(n.run)).map(|(classifier, _)| classifier).collect()
}

/// The highest accuracy of a trained encoder of this run, with its interval.
pub(super) fn best(run: &RunFolder, classifier: &str) -> Option<String> {
    let trained = rows(run).filter(|(name, row)| name == classifier && row.encoder != RANDOM);
    let (_, best) = trained.max_by(|(_, a), (_, b)| a.accuracy.total_cmp(&b.accuracy))?;
    let [accuracy, low, high] = [best.accuracy, best.low, best.high].map(|share| Unit::Share.text(share));
    Some(format!("{accuracy} ({low} to {high})"))
}

/// One bar per encoder, in the colour that its place among all `encoders` gives it.
fn accuracy_bars(title: &str, entries: &[Entry<'_>], encoders: &[&str]) -> Drawing {
    let bar = |(colour, name): (usize, &&str)| {
        let rows: Vec<&ResultRow> = entries.iter().filter(|e| e.encoder == **name).map(|e| e.row).collect();
        let mean = |value: fn(&ResultRow) -> f64| rows.iter().map(|r| value(r)).sum::<f64>() / rows.len() as f64;
        let low = rows.iter().map(|r| r.low).reduce(f64::min)?;
        let high = rows.iter().map(|r| r.high).reduce(f64::max)?;
        let (value, chance) = (mean(|r| r.accuracy), Some(mean(|r| r.chance)));
        Some(Bar { name: (*name).to_owned(), value, spread: Some((low, high)), chance, colour })
    };
    let bars = encoders.iter().enumerate().filter_map(bar).collect();
    let axis = Axis::new("accuracy (dashed: chance)", Scale::FromZero, Unit::Share);
    BarChart { title: title.to_owned(), axis, bars }.draw()
}

/// The encoders in the order in which they first appear.
fn distinct<'a>(entries: impl Iterator<Item = &'a Entry<'a>>) -> Vec<&'a str> {
    let mut encoders: Vec<&str> = Vec::new();
    for entry in entries {
        if !encoders.contains(&entry.encoder.as_str()) {
            encoders.push(&entry.encoder);
        }
    }
    encoders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_the_mean_over_seeds_and_its_whisker_spans_them_all() {
        let row = |accuracy: f64, low: f64, high: f64, seed: u64| ResultRow {
            encoder: String::new(),
            probe: String::new(),
            accuracy,
            low,
            high,
            mean_class: accuracy,
            chance: 0.1,
            num_train: 80,
            num_test: 20,
            num_failed: 0,
            seed,
        };
        let rows = [row(0.5, 0.4, 0.6, 0), row(0.7, 0.65, 0.8, 1), row(0.2, 0.1, 0.3, 0)];
        let entries: Vec<Entry<'_>> = ["ours", "ours", "random"]
            .iter()
            .zip(&rows)
            .map(|(e, row)| Entry { encoder: (*e).to_owned(), row })
            .collect();
        let names = distinct(entries.iter());
        assert_eq!(names, ["ours", "random"]);
        let svg = accuracy_bars("knn", &entries, &names).inline();
        assert!(svg.contains("<title>ours: 60.0 %</title>") && svg.contains("<title>random: 20.0 %</title>"), "{svg}");
        // The axis ends at 80 %, so 372 units stand for 0.8: the whisker of `ours` runs from 0.4 to 0.8.
        assert!(svg.contains("x1=\"200.0\" y1=\"59.0\" x2=\"386.0\""), "{svg}");
    }
}
