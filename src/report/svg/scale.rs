use crate::report::units::{Unit, scientific, trimmed};

/// How values are laid out along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Evenly, over the range of the data.
    Linear,
    /// Evenly, from zero: for sizes and speeds, whose ratios the eye should be able to compare.
    FromZero,
    /// Each doubling takes the same room; values that are not positive are left out.
    Log2,
    /// Each factor of ten takes the same room; values that are not positive are left out.
    Log10,
}

/// One axis of a chart.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    /// What is counted, in a few words.
    pub(crate) label: String,
    /// How values are laid out.
    pub(crate) scale: Scale,
    /// How ticks are written.
    pub(crate) unit: Unit,
}

/// Where an axis ends: at its outermost values, or at the ticks around them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    Tight,
    AtTicks,
}

/// An axis fitted to its data.
#[derive(Clone, Debug)]
pub(super) struct Range {
    scale: Scale,
    low: f64,
    high: f64,
    /// Value and text of each tick, ascending.
    pub(super) ticks: Vec<(f64, String)>,
}

impl Axis {
    /// Names an axis.
    pub(crate) fn new(label: &str, scale: Scale, unit: Unit) -> Self {
        Axis { label: label.to_owned(), scale, unit }
    }

    /// Fits the axis to the values that it can show; to `[0, 1]` or `[1, 2]` where there are none.
    pub(super) fn fit(&self, values: impl Iterator<Item = f64>, ends: Ends) -> Range {
        let shown = values.filter(|v| self.scale.shows(*v));
        let (low, high) = shown.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        let (low, high) = self.scale.widened(low, high);
        let mut ticks = match self.scale {
            Scale::Linear | Scale::FromZero => linear_ticks(low, high, self.unit),
            Scale::Log2 => powers(low, high, 2.0, self.unit),
            Scale::Log10 => powers(low, high, 10.0, self.unit),
        };
        let (low, high) = match ends {
            Ends::AtTicks => (low.min(ticks[0].0), high.max(ticks[ticks.len() - 1].0)),
            Ends::Tight => {
                let slack = 1e-9 * (high - low);
                let inside = |v: f64| v >= low - slack && v <= high + slack;
                if ticks.iter().filter(|(v, _)| inside(*v)).count() < 2 {
                    return self.fit([low, high].into_iter(), Ends::AtTicks);
                }
                ticks.retain(|(v, _)| inside(*v));
                (low, high)
            }
        };
        Range { scale: self.scale, low, high, ticks }
    }
}

impl Scale {
    pub(super) fn shows(self, value: f64) -> bool {
        value.is_finite() && (value > 0.0 || matches!(self, Scale::Linear | Scale::FromZero))
    }

    /// Makes room around a single value (or several that differ by rounding only), and a range where there is none.
    fn widened(self, low: f64, high: f64) -> (f64, f64) {
        let single = high - low <= 1e-6 * low.abs().max(high.abs());
        match self {
            _ if low > high => match self {
                Scale::Linear | Scale::FromZero => (0.0, 1.0),
                Scale::Log2 | Scale::Log10 => (1.0, 2.0),
            },
            Scale::FromZero if low == 0.0 && high == 0.0 => (0.0, 1.0),
            Scale::FromZero => (low.min(0.0), high.max(0.0)),
            Scale::Linear if single => {
                let room = if low == 0.0 { 1.0 } else { 0.1 * low.abs() };
                (low - room, high + room)
            }
            Scale::Log2 | Scale::Log10 if single => (low / 2.0, high * 2.0),
            _ => (low, high),
        }
    }
}

impl Range {
    /// Share of the axis's length at which a value stands: 0 at its start, 1 at its end.
    pub(super) fn place(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear | Scale::FromZero => (value - self.low) / (self.high - self.low),
            Scale::Log2 | Scale::Log10 => (value / self.low).ln() / (self.high / self.low).ln(),
        }
    }
}

/// About five ticks at 1, 2 or 5 times a power of ten of the unit that reads best, reaching to or past both ends.
fn linear_ticks(low: f64, high: f64, unit: Unit) -> Vec<(f64, String)> {
    let size = low.abs().max(high.abs());
    let (divisor, suffix) = unit.best(size);
    let step = nice_step((high - low) / divisor / 5.0);
    let (first, last) = ((low / divisor / step + 1e-9).floor(), (high / divisor / step - 1e-9).ceil());
    let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
    let mut ticks = Vec::new();
    let mut k = first;
    while k <= last {
        let value = k * step;
        let text = match value {
            0.0 => "0".to_owned(),
            _ if size < 1e-3 && unit == Unit::Plain => scientific(value),
            _ => format!("{value:.decimals$}{suffix}"),
        };
        ticks.push((value * divisor, text));
        k += 1.0;
    }
    ticks
}

/// The smallest of 1, 2, 5 and 10 times a power of ten that is not below `rough`.
fn nice_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    let lead = rough / power;
    let nice = [1.0, 2.0, 5.0].into_iter().find(|n| lead <= n * (1.0 + 1e-9)).unwrap_or(10.0);
    nice * power
}

/// Powers of the base around both ends, thinned to at most nine. A base of ten may also end at 2 or 5 times a power;
/// over less than two decades all of these are ticks, over more they bear no text.
fn powers(low: f64, high: f64, base: f64, unit: Unit) -> Vec<(f64, String)> {
    let exponent = |v: f64| v.ln() / base.ln();
    let (first, last) = ((exponent(low) + 1e-9).floor() as i32, (exponent(high) - 1e-9).ceil() as i32);
    let every = ((last - first) / 8 + 1).max(1);
    let factors: &[f64] = if base == 10.0 && every == 1 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let all_bear_text = exponent(high / low) < 2.0;
    let mut ticks: Vec<(f64, String)> = Vec::new();
    for power in (first..=last).step_by(every as usize) {
        for factor in factors {
            let value = factor * base.powi(power);
            let bears_text = all_bear_text || *factor == 1.0;
            ticks.push((value, if bears_text { tick_text(value, unit) } else { String::new() }));
        }
    }
    // The powers reach past both ends; of their multiples only the tightest that still do are kept.
    while ticks.len() > 2 && ticks[1].0 <= low {
        ticks.remove(0);
    }
    while ticks.len() > 2 && ticks[ticks.len() - 2].0 >= high {
        ticks.pop();
    }
    let (start, end) = (ticks[0].0, ticks[ticks.len() - 1].0);
    ticks.retain(|(value, text)| !text.is_empty() || *value == start || *value == end);
    ticks
}

/// Text of one tick of a logarithmic axis, in its own best unit.
fn tick_text(value: f64, unit: Unit) -> String {
    if unit == Unit::Plain && (1.0..1e5).contains(&value) {
        return trimmed(&format!("{value:.3}")).to_owned();
    }
    if unit == Unit::Plain && value < 1e-3 {
        return scientific(value);
    }
    let (divisor, suffix) = unit.best(value);
    format!("{}{suffix}", trimmed(&format!("{:.3}", value / divisor)))
}
