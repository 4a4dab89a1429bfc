//! What a reader of a page should know before anything else: runs that collapse, diverge or did not end well.

use super::runs::{RunFolder, RunState, Step};
use super::units::Unit;

/// A gauge that falls when features or codes become the same for all tokens.
struct Gauge {
    key: &'static str,
    advice: &'static str,
}

const GAUGES: [Gauge; 3] = [
    Gauge { key: "feature_std", advice: FEATURES },
    Gauge { key: "effective_rank", advice: FEATURES },
    Gauge {
        key: "code_usage",
        advice: "codes collapse: try a lower train.learning_rate, a larger train.batch, or fewer tokenizer.levels",
    },
];

const FEATURES: &str = "features collapse: try a lower train.learning_rate, a longer train.warmup_steps, or a mask that \
                        hides more";

const NOT_FINITE: &str = "try a lower train.learning_rate or train.clip_grad_norm, and go on from the last checkpoint \
                          before it";

/// A gauge that ends below this share of where it began gives the alarm. Our own choice.
const FALLEN_SHARE: f64 = 0.25;

/// The gauge's first value is the median of so many, and so many in a row must have fallen.
const WINDOW: usize = 5;

/// One sentence for each thing that is wrong with a run, beginning with its name.
pub(super) fn alarms(name: &str, run: &RunFolder) -> Vec<String> {
    let mut alarms = Vec::new();
    match &run.state {
        RunState::Failed { said } => alarms.push(format!("{name} failed: {said}")),
        RunState::Killed { step } => alarms.push(format!(
            "{name} was killed, or its machine went down, after step {step}: the same command with --resume goes on from \
             its last checkpoint"
        )),
        RunState::Running | RunState::Finished | RunState::Interrupted { .. } => {}
    }
    for key in std::iter::once("loss").chain(GAUGES.iter().map(|gauge| gauge.key)) {
        if let Some(step) = not_finite_since(&run.steps, key) {
            alarms.push(format!("{name}: {key} is not finite since step {step}; {NOT_FINITE}"));
        }
    }
    for Gauge { key, advice } in &GAUGES {
        if let Some(Fall { since, first, last }) = fallen(&run.steps, key) {
            let [first, last] = [first, last].map(|value| Unit::Plain.text(value));
            alarms.push(format!("{name}: {key} fell from {first} to {last}, low since step {since}; {advice}"));
        }
    }
    alarms
}

fn values<'a>(steps: &'a [Step], key: &'a str) -> impl DoubleEndedIterator<Item = (u64, f64)> + 'a {
    steps.iter().filter_map(move |step| Some((step.step, *step.values.get(key)?)))
}

/// The first step of the last stretch without a finite value.
fn not_finite_since(steps: &[Step], key: &str) -> Option<u64> {
    values(steps, key).rev().take_while(|(_, value)| !value.is_finite()).last().map(|(step, _)| step)
}

#[derive(Debug, PartialEq)]
struct Fall {
    since: u64,
    first: f64,
    last: f64,
}

/// Where a gauge stayed below [`FALLEN_SHARE`] of its first values to the end.
fn fallen(steps: &[Step], key: &str) -> Option<Fall> {
    let finite: Vec<(u64, f64)> = values(steps, key).filter(|(_, value)| value.is_finite()).collect();
    let (head, rest) = finite.split_at_checked(WINDOW)?;
    let mut head: Vec<f64> = head.iter().map(|(_, value)| *value).collect();
    head.sort_by(f64::total_cmp);
    let first = head[WINDOW / 2];
    let low = rest.iter().rev().take_while(|(_, value)| *value < FALLEN_SHARE * first);
    let low: Vec<(u64, f64)> = low.copied().collect();
    if low.len() < WINDOW {
        return None;
    }
    Some(Fall { since: low[low.len() - 1].0, first, last: low[0].1 })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A log of one gauge at steps 10, 20, ..
    fn log(values: &[f64]) -> Vec<Step> {
        let line = |(i, value): (usize, &f64)| Step {
            step: 10 * (i as u64 + 1),
            values: BTreeMap::from([("feature_std".to_owned(), *value)]),
        };
        values.iter().enumerate().map(line).collect()
    }

    #[test]
    fn a_gauge_that_stays_below_a_quarter_of_its_start_has_fallen() {
        // The median of the first five is 1; the last six are below 0.25.
        let fallen_log = [1.0, 0.9, 1.1, 5.0, 1.0, 0.8, 0.2, 0.5, 0.24, 0.2, 0.1, 0.1, 0.05, 0.01];
        let want = Fall { since: 90, first: 1.0, last: 0.01 };
        assert_eq!(fallen(&log(&fallen_log), "feature_std"), Some(want));
        let recovered = [&fallen_log[..], &[0.3]].concat();
        assert_eq!(fallen(&log(&recovered), "feature_std"), None);
        assert_eq!(fallen(&log(&[1.0, 1.0, 1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.1]), "feature_std"), None, "too few");
        assert_eq!(fallen(&log(&fallen_log), "code_usage"), None, "not logged");
    }

    #[test]
    fn what_is_not_finite_at_the_end_is_dated_to_where_it_began() {
        let nan = f64::NAN;
        assert_eq!(not_finite_since(&log(&[1.0, nan, 1.0, nan, nan]), "feature_std"), Some(40));
        assert_eq!(not_finite_since(&log(&[1.0, nan, 1.0]), "feature_std"), None);
        assert_eq!(not_finite_since(&log(&[]), "feature_std"), None);
    }
}
