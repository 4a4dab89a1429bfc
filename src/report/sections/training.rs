//! What was logged step by step: losses, optimizer, speed, memory.

use std::collections::BTreeSet;

use super::{Named, wait_share};
use crate::report::page::{Align, Block, Section, Table};
use crate::report::runs::Step;
use crate::report::svg::{Axis, Drawing, LineChart, Scale, Series};
use crate::report::units::Unit;

/// Keys of a metrics line that are not terms of the loss.
const MEASURES: [&str; 8] =
    ["loss", "learning_rate", "grad_norm", "skipped", "step_secs", "wait_secs", "frames_per_sec", "peak_bytes"];

/// Points per line; a longer log is averaged down to it.
const MAX_POINTS: usize = 240;

/// From this ratio of the highest to the lowest value on, an axis is logarithmic.
const MUCH: f64 = 30.0;

/// Charts of all runs of one kind, each a line; `None` when nothing was logged.
pub(super) fn section(kind: &str, runs: &[&Named<'_>]) -> Option<Section> {
    let value = |key: &'static str| move |s: &Step| s.values.get(key).copied();
    let (plain, from_zero) = (Axis::new("", Scale::Linear, Unit::Plain), Axis::new("", Scale::FromZero, Unit::Plain));
    let in_unit = |unit: Unit| Axis::new("", Scale::FromZero, unit);
    let terms = terms(runs);
    let losses = std::iter::once("loss").chain(terms.iter().copied()).map(|key| {
        let Measure { mut title, y, floor } = described(key);
        if floor.is_finite() {
            title.push_str(&format!(", cut off at {floor}"));
        }
        // NaN stays NaN.
        let cut_off = |value: f64| if value < floor { floor } else { value };
        chart(runs, &title, &y, |s| s.values.get(key).copied().map(cut_off))
    });
    // Most runs skip none.
    let skipped = |s: &Step| s.values.get("skipped").copied();
    let some_skipped = runs.iter().flat_map(|n| &n.run.steps).filter_map(skipped).any(|num| num > 0.0);
    let others = [
        chart(runs, "learning rate", &from_zero, value("learning_rate")),
        chart(runs, "gradient norm", &plain, value("grad_norm")),
        some_skipped.then(|| chart(runs, "steps skipped so far", &from_zero, skipped)).flatten(),
        chart(runs, "frames per second", &from_zero, value("frames_per_sec")),
        chart(runs, "share of the step spent waiting for data", &in_unit(Unit::Share), wait_share),
        chart(runs, "peak memory", &in_unit(Unit::Bytes), value("peak_bytes")),
    ];
    let charts: Vec<Drawing> = losses.chain(others).flatten().collect();
    if charts.is_empty() {
        return None;
    }
    let intro = "The total loss, its terms and whatever else was logged with it, then how the optimizer and the \
                 machine fared. A long log is averaged; the pale band spans its lowest and highest values.";
    let title = format!("Training: {kind}");
    let section = Section::new(&title, intro).with(Block::Charts(charts));
    Some(section.with(Block::Heading("Last values".to_owned())).with(Block::Table(last_values(runs, &terms))))
}

/// How a value of the log is shown.
struct Measure {
    title: String,
    y: Axis,
    /// Lower values are drawn here.
    floor: f64,
}

/// A name that is not known speaks for itself.
fn described(key: &str) -> Measure {
    let plain = key.replace('_', " ");
    let (title, scale, unit) = match key {
        "grad_norm" => ("gradient norm", Scale::Linear, Unit::Plain),
        "psnr_db" => ("PSNR, dB", Scale::Linear, Unit::Plain),
        // Untrained predictions are many times worse than the mean, which would flatten all that comes after.
        "explained" => ("explained (1: all, 0: none)", Scale::Linear, Unit::Plain),
        "code_usage" => ("codes used in a batch, of all codes", Scale::FromZero, Unit::Share),
        "perplexity" => ("perplexity of the codes", Scale::FromZero, Unit::Plain),
        "dead_codes" => ("codes not seen for 100 steps", Scale::FromZero, Unit::Share),
        "per_sample_entropy" => ("entropy of a token's bits, nats", Scale::FromZero, Unit::Plain),
        "batch_entropy" => ("entropy of the codes of a batch, nats", Scale::FromZero, Unit::Plain),
        "score_evenness" => ("evenness of the scores (1: all the same)", Scale::Linear, Unit::Plain),
        "scorer_drift" => {
            ("kept tokens that the scorer would not have kept 100 steps ago", Scale::FromZero, Unit::Share)
        }
        "logit_real" => ("discriminator on real clips", Scale::Linear, Unit::Plain),
        "logit_fake" => ("discriminator on reconstructions", Scale::Linear, Unit::Plain),
        "feature_std" => ("spread of the features (feature_std)", Scale::FromZero, Unit::Plain),
        "effective_rank" => ("effective rank of the features", Scale::FromZero, Unit::Plain),
        "kept_share" => ("kept tokens", Scale::FromZero, Unit::Share),
        _ => (plain.as_str(), Scale::Linear, Unit::Plain),
    };
    let floor = if key == "explained" { -1.0 } else { f64::NEG_INFINITY };
    Measure { title: title.to_owned(), y: Axis::new("", scale, unit), floor }
}

/// What the last line of each log says: one row per value, one column per run.
fn last_values(runs: &[&Named<'_>], terms: &BTreeSet<&str>) -> Table {
    let names = runs.iter().map(|n| (n.name.as_str(), Align::Right));
    let mut table = Table::new(&std::iter::once(("", Align::Left)).chain(names).collect::<Vec<_>>());
    let cells = |of: &dyn Fn(&Step) -> Option<String>| -> Vec<String> {
        let last = |n: &&Named<'_>| n.run.steps.last().and_then(of).unwrap_or_else(|| "–".to_owned());
        runs.iter().map(last).collect()
    };
    let mut row = |title: &str, cells: Vec<String>| {
        table.push(std::iter::once(title.to_owned()).chain(cells).collect());
    };
    row("step", cells(&|s| Some(s.step.to_string())));
    for key in std::iter::once("loss").chain(terms.iter().copied()).chain(["learning_rate", "grad_norm"]) {
        let Measure { title, y, .. } = described(key);
        row(&title, cells(&|s| s.values.get(key).map(|value| y.unit.text(*value))));
    }
    table
}

/// Whatever else was logged, in order of name; a term that is the whole loss is not shown twice.
fn terms<'a>(runs: &[&'a Named<'_>]) -> BTreeSet<&'a str> {
    let steps = || runs.iter().flat_map(|n| &n.run.steps);
    let is_loss = |key: &str| steps().all(|s| s.values.get(key) == s.values.get("loss"));
    let logged: BTreeSet<&str> = steps().flat_map(|s| s.values.keys()).map(String::as_str).collect();
    logged.into_iter().filter(|key| !MEASURES.contains(key) && !is_loss(key)).collect()
}

/// One line per run that logged the value; `None` when none did. A linear axis becomes logarithmic for positive values
/// that span much.
fn chart(runs: &[&Named<'_>], title: &str, y: &Axis, value: impl Fn(&Step) -> Option<f64>) -> Option<Drawing> {
    let mut series = Vec::new();
    for n in runs {
        let logged: Vec<(f64, f64)> = n.run.steps.iter().filter_map(|s| Some((s.step as f64, value(s)?))).collect();
        if logged.iter().any(|(_, value)| value.is_finite()) {
            let (points, band) = averaged(&logged, MAX_POINTS);
            series.push(Series { name: n.name.clone(), points, band, colour: n.colour, ..Series::default() });
        }
    }
    if series.is_empty() {
        return None;
    }
    let shown = || series.iter().flat_map(|s| &s.points).map(|p| p.1).filter(|v| v.is_finite());
    let (low, high) = (shown().fold(f64::INFINITY, f64::min), shown().fold(0.0, f64::max));
    let mut y = y.clone();
    if let ([only], 2..) = (&series[..], runs.len()) {
        // A chart of one line has no legend.
        y.label.clone_from(&only.name);
    }
    if y.scale == Scale::Linear && low > 0.0 && high > MUCH * low {
        y.scale = Scale::Log10;
    }
    let x = Axis::new("step", Scale::FromZero, Unit::Plain);
    Some(LineChart { title: title.to_owned(), x, y, series, limit: None }.draw())
}

/// Points `(x, y)` of a line, and the band `(x, low, high)` around them.
type Curve = (Vec<(f64, f64)>, Vec<(f64, f64, f64)>);

/// At most `max` points, each the mean over equally many logged ones and placed at the last of them, with their lowest
/// and highest values. A value that is not finite makes its mean so, and the gap shows.
fn averaged(logged: &[(f64, f64)], max: usize) -> Curve {
    if logged.len() <= max {
        return (logged.to_vec(), Vec::new());
    }
    let (mut points, mut band) = (Vec::new(), Vec::new());
    for part in logged.chunks(logged.len().div_ceil(max)) {
        let x = part[part.len() - 1].0;
        let values = || part.iter().map(|p| p.1);
        points.push((x, values().sum::<f64>() / part.len() as f64));
        band.push((x, values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max)));
    }
    (points, band)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_is_averaged_within_its_extremes() {
        let logged: Vec<(f64, f64)> = [(0.0, 1.0), (1.0, 3.0), (2.0, 5.0), (3.0, f64::NAN), (4.0, 8.0)].to_vec();
        let (points, band) = averaged(&logged, 3);
        assert_eq!((points[0], points[2]), ((1.0, 2.0), (4.0, 8.0)));
        assert!(points[1].1.is_nan(), "a loss that was not finite must leave a gap");
        assert_eq!(band, [(1.0, 1.0, 3.0), (3.0, 5.0, 5.0), (4.0, 8.0, 8.0)]);
        assert_eq!(averaged(&logged[..3], 3), (logged[..3].to_vec(), vec![]));
    }
}
