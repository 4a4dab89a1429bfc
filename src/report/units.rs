//! Numbers as a reader wants them: bytes in KiB..TiB, seconds in ms..h, shares in percent.

/// What a number counts, which decides how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// No unit; thousands and millions are shortened to k and M.
    Plain,
    /// Bytes.
    Bytes,
    /// Seconds.
    Secs,
    /// A share in `[0, 1]`, written in percent.
    Share,
}

impl Unit {
    /// Divisor and suffix in which numbers of about this size read best.
    pub(super) fn best(self, size: f64) -> (f64, &'static str) {
        let steps: &[(f64, f64, &str)] = match self {
            Unit::Plain => &[(1e9, 1e9, "B"), (1e6, 1e6, "M"), (1e4, 1e3, "k")],
            Unit::Bytes => &[
                (TIB, TIB, " TiB"),
                (GIB, GIB, " GiB"),
                (MIB, MIB, " MiB"),
                (1024.0, 1024.0, " KiB"),
                (0.0, 1.0, " B"),
            ],
            Unit::Secs => &[(7200.0, 3600.0, " h"), (120.0, 60.0, " min"), (1.0, 1.0, " s"), (0.0, 1e-3, " ms")],
            Unit::Share => &[(0.0, 0.01, " %")],
        };
        let found = steps.iter().find(|(from, ..)| size.abs() >= *from);
        found.map_or((1.0, ""), |(_, divisor, suffix)| (*divisor, *suffix))
    }

    /// The value with its unit, to three significant digits (plain numbers: four).
    pub(crate) fn text(self, value: f64) -> String {
        match self {
            Unit::Plain => plain(value),
            _ if !value.is_finite() => plain(value),
            _ => {
                let (divisor, suffix) = self.best(value);
                format!("{}{suffix}", significant(value / divisor, 3))
            }
        }
    }
}

const MIB: f64 = 1_048_576.0;
const GIB: f64 = 1024.0 * MIB;
const TIB: f64 = 1024.0 * GIB;

/// Whole numbers in full, others to four significant digits, very small ones as `1.5e-4`.
fn plain(value: f64) -> String {
    if !value.is_finite() {
        "not finite".to_owned()
    } else if value.fract() == 0.0 && value.abs() < 1e15 {
        format!("{value:.0}")
    } else if value.abs() < 1e-3 {
        scientific(value)
    } else {
        significant(value, 4)
    }
}

/// `0.00015` as `1.5e-4`.
pub(super) fn scientific(value: f64) -> String {
    let text = format!("{value:.2e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => format!("{}e{exponent}", trimmed(mantissa)),
        None => text,
    }
}

/// Keeps `digits` significant digits without an exponent; whole numbers lose none.
fn significant(value: f64, digits: i32) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let before_point = value.abs().log10().floor() as i32 + 1;
    let decimals = (digits - before_point).clamp(0, 9) as usize;
    format!("{value:.decimals$}")
}

/// Drops zeros behind a decimal point.
pub(super) fn trimmed(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

/// `2025-11-21 10:07:00 UTC` from the same time as RFC 3339 writes it; other text stays as it is.
pub(crate) fn readable_time(rfc3339: &str) -> String {
    match rfc3339.strip_suffix('Z').and_then(|time| time.split_once('T')) {
        Some((day, clock)) => format!("{day} {clock} UTC"),
        None => rfc3339.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_picks_the_scale_that_reads_best() {
        assert_eq!(Unit::Bytes.text(1536.0 * MIB), "1.50 GiB");
        assert_eq!(Unit::Bytes.text(812.0 * MIB), "812 MiB");
        assert_eq!(Unit::Bytes.text(0.0), "0 B");
        assert_eq!(Unit::Secs.text(0.0321), "32.1 ms");
        assert_eq!(Unit::Secs.text(90.0), "90.0 s");
        assert_eq!(Unit::Secs.text(3600.0), "60.0 min");
        assert_eq!(Unit::Share.text(0.482), "48.2 %");
        assert_eq!(Unit::Plain.text(0.00015), "1.5e-4");
        assert_eq!(Unit::Plain.text(12_544.0), "12544");
        assert_eq!(Unit::Plain.text(7.125_49), "7.125");
        assert_eq!(Unit::Plain.text(f64::NAN), "not finite");
    }

    #[test]
    fn times_read_like_a_date_and_a_clock() {
        assert_eq!(readable_time("2025-11-21T10:07:00Z"), "2025-11-21 10:07:00 UTC");
        assert_eq!(readable_time("last Thursday"), "last Thursday");
    }
}
