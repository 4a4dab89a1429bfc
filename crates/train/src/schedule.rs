use std::f64::consts::PI;

/// Learning rate over the steps: linear warm-up from zero, then half a cosine down to `end` (Loshchilov and Hutter,
/// arXiv:1608.03983, one period; the schedule of MAE and VideoMAE, per step instead of per epoch).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The highest rate, reached at step `warmup_steps`.
    pub peak: f64,
    /// The rate of the last step.
    pub end: f64,
    /// Steps of linear rise.
    pub warmup_steps: u64,
    /// All steps, the warm-up included.
    pub steps: u64,
}

impl Schedule {
    /// The learning rate of `step`, counted from 1. Beyond the last step it stays at `end`.
    pub fn learning_rate(&self, step: u64) -> f64 {
        if step <= self.warmup_steps {
            return self.peak * step as f64 / self.warmup_steps as f64;
        }
        if step >= self.steps {
            return self.end;
        }
        let done = (step - self.warmup_steps) as f64 / (self.steps - self.warmup_steps) as f64;
        self.end + 0.5 * (self.peak - self.end) * (1.0 + (PI * done).cos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(schedule: Schedule, want: &[f64]) {
        for (step, want) in (1..).zip(want) {
            let got = schedule.learning_rate(step);
            assert!((got - want).abs() < 1e-12, "step {step}: {got} instead of {want}");
        }
    }

    #[test]
    fn two_steps_up_and_four_down_have_the_hand_worked_values() {
        // (1 + cos(k pi / 4)) / 2 for k = 1..4: (2 + sqrt 2) / 4, 1/2, (2 - sqrt 2) / 4, 0.
        let root = 2.0f64.sqrt();
        let schedule = Schedule { peak: 1.0, end: 0.0, warmup_steps: 2, steps: 6 };
        check(schedule, &[0.5, 1.0, (2.0 + root) / 4.0, 0.5, (2.0 - root) / 4.0, 0.0, 0.0]);
    }

    #[test]
    fn the_rate_ends_at_its_minimum() {
        // No warm-up, two steps: half-way is the mean of both ends.
        check(Schedule { peak: 3.0, end: 1.0, warmup_steps: 0, steps: 2 }, &[2.0, 1.0]);
    }

    #[test]
    fn a_run_that_is_all_warm_up_ends_at_the_peak() {
        check(Schedule { peak: 8.0, end: 1.0, warmup_steps: 4, steps: 4 }, &[2.0, 4.0, 6.0, 8.0]);
    }
}
