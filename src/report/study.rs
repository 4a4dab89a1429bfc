//! What a study found: one row per variant, means over seeds; shared with `longvid study`.

use eval::ResultRow;
use serde::{Deserialize, Serialize};

use super::svg::{Axis, Bar, BarChart, Drawing, Scale};
use super::units::Unit;

/// `study.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StudyResults {
    pub(crate) study: String,
    pub(crate) question: String,
    /// What the paper found.
    pub(crate) paper: String,
    pub(crate) command: String,
    pub(crate) machine: String,
    pub(crate) version: String,
    pub(crate) rows: Vec<StudyRow>,
}

/// One variant: the probe's answers, seed by seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StudyRow {
    pub(crate) variant: String,
    /// What it changed in the presets.
    pub(crate) settings: Vec<String>,
    pub(crate) trained: Vec<ResultRow>,
    /// The same networks with random weights.
    pub(crate) random: Vec<ResultRow>,
}

impl StudyRow {
    pub(crate) fn new(variant: &str, settings: &[String]) -> Self {
        let (trained, random) = (Vec::new(), Vec::new());
        StudyRow { variant: variant.to_owned(), settings: settings.to_vec(), trained, random }
    }

    /// Takes in one seed's rows as `eval` wrote them, the trained encoder first.
    pub(crate) fn add(&mut self, rows: Vec<ResultRow>) {
        let mut rows = rows.into_iter();
        self.trained.extend(rows.next());
        self.random.extend(rows.next());
    }
}

/// Mean and sample standard deviation of the accuracies; no deviation of fewer than two.
fn mean_and_sd(rows: &[ResultRow]) -> (f64, Option<f64>) {
    let n = rows.len() as f64;
    let mean = rows.iter().map(|row| row.accuracy).sum::<f64>() / n;
    let squares: f64 = rows.iter().map(|row| (row.accuracy - mean).powi(2)).sum();
    (mean, (rows.len() > 1).then(|| (squares / (n - 1.0)).sqrt()))
}

impl StudyResults {
    /// The table, best first, with what the paper found beside it.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!(
            "# Study: {}\n\n{}\n\n- command: `{}`\n- machine: {}; longvid {}\n",
            self.study, self.question, self.command, self.machine, self.version
        );
        if let Some(row) = self.rows.iter().find_map(|row| row.trained.first()) {
            text.push_str(&format!(
                "- ridge regression on frozen features: {} training clips, {} test clips of other sources, chance {:.3}\n",
                row.num_train, row.num_test, row.chance
            ));
        }
        text.push_str(
            "\n| variant | top-1, mean | spread (sd) | seeds | random weights, mean |\n|---|---:|---:|---|---:|\n",
        );
        for row in self.ranked() {
            let (mean, sd) = mean_and_sd(&row.trained);
            let sd = sd.map_or_else(|| "-".to_owned(), |sd| format!("{sd:.3}"));
            let seeds: Vec<String> = row.trained.iter().map(|seed| format!("{:.3}", seed.accuracy)).collect();
            let random = mean_and_sd(&row.random).0;
            text.push_str(&format!("| {} | {mean:.3} | {sd} | {} | {random:.3} |\n", row.variant, seeds.join(", ")));
        }
        text.push_str(&format!("\nThe paper: {}.\n\nWhat each variant changes:\n\n", self.paper));
        for row in &self.rows {
            text.push_str(&format!("- {}: `{}`\n", row.variant, row.settings.join("`, `")));
        }
        text
    }

    /// One bar per variant, best first; whiskers from the lowest to the highest seed.
    pub(crate) fn chart(&self) -> Drawing {
        let bar = |(colour, row): (usize, &StudyRow)| {
            let accuracies = || row.trained.iter().map(|seed| seed.accuracy);
            let spread = accuracies().reduce(f64::min).zip(accuracies().reduce(f64::max));
            let (value, chance) = (mean_and_sd(&row.trained).0, row.trained.first().map(|seed| seed.chance));
            Bar { name: row.variant.clone(), value, spread, chance, colour }
        };
        let axis = Axis::new("top-1 of a linear probe (dashed: chance)", Scale::FromZero, Unit::Share);
        let mut bars: Vec<Bar> =
            self.rows.iter().enumerate().filter(|(_, row)| !row.trained.is_empty()).map(bar).collect();
        bars.sort_by(|a, b| b.value.total_cmp(&a.value));
        let num_seeds = self.rows.first().map_or(0, |row| row.trained.len());
        BarChart { title: format!("{}: mean of {num_seeds} seeds, lowest to highest", self.study), axis, bars }.draw()
    }

    fn ranked(&self) -> Vec<&StudyRow> {
        let mut rows: Vec<&StudyRow> = self.rows.iter().filter(|row| !row.trained.is_empty()).collect();
        rows.sort_by(|a, b| mean_and_sd(&b.trained).0.total_cmp(&mean_and_sd(&a.trained).0));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(accuracy: f64) -> ResultRow {
        ResultRow {
            encoder: String::new(),
            probe: String::new(),
            accuracy,
            low: 0.0,
            high: 1.0,
            mean_class: accuracy,
            chance: 0.125,
            num_train: 240,
            num_test: 120,
            num_failed: 0,
            seed: 0,
        }
    }

    #[test]
    fn variants_are_ranked_by_their_mean_over_seeds() {
        let row = |variant: &str, accuracies: [f64; 3]| {
            let mut row = StudyRow::new(variant, &["model.x=1".to_owned()]);
            accuracies.iter().for_each(|&accuracy| row.add(vec![seed(accuracy), seed(0.2)]));
            row
        };
        let results = StudyResults {
            study: "decoder-masks".to_owned(),
            question: "which?".to_owned(),
            paper: "this one".to_owned(),
            command: "longvid study".to_owned(),
            machine: "CPU".to_owned(),
            version: "0".to_owned(),
            rows: vec![row("none", [0.2, 0.3, 0.4]), row("adaptive", [0.5, 0.4, 0.6])],
        };
        let text = results.markdown();
        // Mean 0.5, deviations 0, -0.1, 0.1: variance 0.02 / 2.
        let first = text.find("| adaptive | 0.500 | 0.100 | 0.500, 0.400, 0.600 | 0.200 |").unwrap();
        let second = text.find("| none | 0.300 | 0.100 |").unwrap();
        assert!(first < second, "{text}");
        let svg = results.chart().inline();
        assert!(svg.contains("<title>adaptive: 50.0 %</title>"), "{svg}");
    }
}
