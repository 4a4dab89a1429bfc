/// `HH:MM:SS`, or that with a fraction, as seconds: the nearest f64 of the decimal number.
pub(super) fn clock_secs(text: &str) -> Option<f64> {
    let (hours, rest) = text.split_once(':')?;
    let (minutes, rest) = rest.split_once(':')?;
    let (seconds, fraction) = rest.split_once('.').unwrap_or((rest, "0"));
    let two_digits = |text: &str| super::whole_number(text, 60).filter(|_| text.len() == 2);
    let hours = super::whole_number(hours, 100_000)?;
    let whole_secs = u64::from(hours) * 3600 + u64::from(two_digits(minutes)? * 60 + two_digits(seconds)?);
    let is_fraction = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    // By way of the decimal text: 240 + 17.04 in floats is not 257.04.
    is_fraction.then(|| format!("{whole_secs}.{fraction}").parse().ok()).flatten()
}

/// A time from the start of a video, at least 0 and finite: seconds as a number, or a clock.
pub(super) fn secs(text: &str) -> Option<f64> {
    let number = || text.parse::<f64>().ok().filter(|secs| secs.is_finite() && *secs >= 0.0);
    if text.contains(':') { clock_secs(text) } else { number() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_the_decimal_number_of_its_seconds() {
        for (text, expected) in [
            ("00:00:00.00", 0.0),
            ("00:04:17.04", 257.04),
            ("01:02:03.456", 3723.456),
            ("00:00:05", 5.0),
            ("123:00:00.5", 442_800.5),
        ] {
            assert_eq!(clock_secs(text), Some(expected), "{text}");
        }
        for text in
            ["", "00:60:00", "00:00:60.0", "0:0:1", "00:00:01.", "00:00:01.x", "-1:00:00", "00:00", "00:00:+1", "1"]
        {
            assert_eq!(clock_secs(text), None, "{text}");
        }
    }

    #[test]
    fn seconds_are_finite_and_not_negative() {
        assert_eq!((secs("2.5"), secs("00:01:00.5")), (Some(2.5), Some(60.5)));
        for text in ["", "-1", "inf", "NaN", "1e999", "soon"] {
            assert_eq!(secs(text), None, "{text}");
        }
    }
}
