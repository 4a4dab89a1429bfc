//! What a reader of a page should know before anything else: runs that collapse, diverge or did not end well.

use super::runs::{RunFolder, RunState, Step};
use super::units::Unit;

/// A gauge that gives the alarm when it stays far below where it began.
struct Gauge {
    key: &'static str,
    better: Better,
    advice: &'static str,
}

enum Better {
    High,
    /// A share, of which 1 is the worst: what is left to 1 is looked at.
    Low,
}

const GAUGES: [Gauge; 6] = [
    Gauge { key: "feature_std", better: Better::High, advice: FEATURES },
    Gauge { key: "effective_rank", better: Better::High, advice: FEATURES },
    Gauge { key: "code_usage", better: Better::High, advice: CODES },
    Gauge { key: "perplexity", better: Better::High, advice: CODES },
    Gauge { key: "dead_codes", better: Better::Low, advice: CODES },
    Gauge {
        key: "batch_entropy",
        better: Better::High,
        advice: "bits stop being used: raise tokenizer.quantizer.diversity or entropy_weight, or lower train.learning_rate",
    },
];

const FEATURES: &str = "features collapse: try a lower train.learning_rate, a longer train.warmup_steps, or a mask that \
                        hides more";

const CODES: &str = "codes collapse: try a lower train.learning_rate or a larger train.batch; with a learned codebook a higher \
                     tokenizer.quantizer.dead_below or fewer codes, else fsq, which has none that die";

const NOT_FINITE: &str = "try a lower train.learning_rate or train.clip_grad_norm, and go on from the last checkpoint \
                          before it";

/// A gauge that ends below this share of where it began gives the alarm. Our own choice.
const FALLEN_SHARE: f64 = 0.25;

/// The gauge's first value is the median of so many, and so many in a row must have fallen.
const WINDOW: usize = 5;

/// A gauge whose last values have to stay in a range.
struct Bounds {
    key: &'static str,
    /// Our own choice.
    range: std::ops::RangeInclusive<f64>,
    /// What it means to be below, and above.
    advice: [&'static str; 2],
}

const BOUNDS: [Bounds; 2] = [
    Bounds {
        key: "score_evenness",
        range: 0.3..=0.999,
        advice: [
            "a few tokens have all the score, so the others are chosen by chance: raise tokenizer.top_k.gradient's \
             temperature or sigma, or keep fewer tokens",
            "all tokens have the same score, so priorities say nothing: is there motion in the clips? else lower \
             tokenizer.top_k.keep, so that the choice matters, or train longer",
        ],
    },
    Bounds {
        key: "scorer_drift",
        range: 0.0..=0.4,
        advice: [
            "",
            "the scorer still changes its mind: train longer or lower train.learning_rate before priorities are used",
        ],
    },
];

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
    for gauge @ Gauge { key, better, advice } in &GAUGES {
        if let Some(Fall { since, first, last }) = fallen(&run.steps, gauge) {
            let ([first, last], verb, end) = match better {
                Better::High => ([first, last], "fell", "low"),
                Better::Low => ([1.0 - first, 1.0 - last], "rose", "high"),
            };
            let [first, last] = [first, last].map(|value| Unit::Plain.text(value));
            alarms.push(format!("{name}: {key} {verb} from {first} to {last}, {end} since step {since}; {advice}"));
        }
    }
    alarms.extend(BOUNDS.iter().filter_map(|bounds| bounds.alarm(name, &run.steps)));
    alarms
}

impl Bounds {
    /// Speaks when the last [`WINDOW`] values all lie on the same side of the range.
    fn alarm(&self, name: &str, steps: &[Step]) -> Option<String> {
        let Bounds { key, range, advice: [below, above] } = self;
        let last: Vec<f64> = values(steps, key).rev().map(|(_, value)| value).take(WINDOW).collect();
        let (bound, advice, side) = if last.iter().all(|value| value < range.start()) {
            (range.start(), below, "below")
        } else if last.iter().all(|value| value > range.end()) {
            (range.end(), above, "above")
        } else {
            return None;
        };
        let newest = Unit::Plain.text(*last.first().filter(|_| last.len() == WINDOW)?);
        Some(format!("{name}: {key} is {newest}, {side} {bound}; {advice}"))
    }
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
fn fallen(steps: &[Step], Gauge { key, better, .. }: &Gauge) -> Option<Fall> {
    let goodness = |(step, value): (u64, f64)| match better {
        Better::High => (step, value),
        Better::Low => (step, 1.0 - value),
    };
    let finite: Vec<(u64, f64)> = values(steps, key).filter(|(_, value)| value.is_finite()).map(goodness).collect();
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
        assert_eq!(fallen(&log(&fallen_log), &GAUGES[0]), Some(want));
        let recovered = [&fallen_log[..], &[0.3]].concat();
        assert_eq!(fallen(&log(&recovered), &GAUGES[0]), None);
        assert_eq!(fallen(&log(&[1.0, 1.0, 1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.1]), &GAUGES[0]), None, "too few");
        assert_eq!(fallen(&log(&fallen_log), &GAUGES[2]), None, "not logged");
    }

    #[test]
    fn a_share_that_is_better_low_falls_by_what_is_left_to_1() {
        // What is left: 0.8 at first, then 0.1.
        let dead = [0.2, 0.2, 0.2, 0.2, 0.2, 0.5, 0.9, 0.9, 0.9, 0.9, 0.9];
        let gauge = Gauge { key: "feature_std", better: Better::Low, advice: "" };
        let fall = fallen(&log(&dead), &gauge).unwrap();
        assert!(fall.since == 70 && (fall.first - 0.8).abs() < 1e-9 && (fall.last - 0.1).abs() < 1e-9, "{fall:?}");
    }

    #[test]
    fn a_gauge_that_stays_outside_its_range_speaks_of_its_side() {
        let bounds = Bounds { key: "feature_std", range: 0.3..=0.9, advice: ["too low", "too high"] };
        let said = |values: &[f64]| bounds.alarm("run", &log(values));
        assert_eq!(
            said(&[0.5, 0.95, 0.95, 0.95, 0.95, 0.975]).unwrap(),
            "run: feature_std is 0.9750, above 0.9; too high"
        );
        assert_eq!(said(&[0.5, 0.1, 0.1, 0.1, 0.1, 0.2]).unwrap(), "run: feature_std is 0.2000, below 0.3; too low");
        assert_eq!(said(&[0.95, 0.95, 0.95, 0.95, 0.9]), None);
        assert_eq!(said(&[0.95, 0.95, 0.95]), None, "too few");
        assert_eq!(said(&[0.95, 0.1, 0.95, 0.95, 0.95]), None);
    }

    #[test]
    fn what_is_not_finite_at_the_end_is_dated_to_where_it_began() {
        let nan = f64::NAN;
        assert_eq!(not_finite_since(&log(&[1.0, nan, 1.0, nan, nan]), "feature_std"), Some(40));
        assert_eq!(not_finite_since(&log(&[1.0, nan, 1.0]), "feature_std"), None);
        assert_eq!(not_finite_since(&log(&[]), "feature_std"), None);
    }
}
