/// A frame rate as ffmpeg takes it exactly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rate {
    pub(super) num: u32,
    pub(super) den: u32,
}

impl Rate {
    /// The whole or NTSC rate (`n * 1000 / 1001`) within 0.02 %, else the rate in thousandths.
    pub(super) fn near(frames_per_sec: f64) -> Rate {
        let whole = frames_per_sec.round() as u32;
        let ntsc = (frames_per_sec * 1.001).round() as u32;
        let known = [Rate { num: whole, den: 1 }, Rate { num: ntsc * 1000, den: 1001 }];
        let close = |rate: &Rate| (rate.get() / frames_per_sec - 1.0).abs() < 2e-4;
        let thousandths = Rate { num: ((frames_per_sec * 1000.0).round() as u32).max(1), den: 1000 };
        known.into_iter().find(close).unwrap_or(thousandths)
    }

    pub(super) fn get(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_rates_are_exact_and_others_near() {
        assert_eq!(Rate::near(29.97), Rate { num: 30_000, den: 1001 });
        assert_eq!(Rate::near(23.9765), Rate { num: 24_000, den: 1001 });
        assert_eq!(Rate::near(24.0004), Rate { num: 24, den: 1 });
        assert_eq!(Rate::near(16.6667), Rate { num: 16_667, den: 1000 });
        assert_eq!(Rate::near(0.5), Rate { num: 500, den: 1000 });
    }
}
