use tch::Device;
use torch_ext::memory;

use crate::StepLog;

/// Sums up time since the last line of metrics. The memory peak is the process's own counter, started anew here.
pub(crate) struct Meter {
    device: Device,
    num_steps: u64,
    step_secs: f64,
    wait_secs: f64,
}

impl Meter {
    pub(crate) fn start(device: Device) -> Self {
        // A device without statistics has no peak to start.
        memory::reset_peak(device).ok();
        Meter { device, num_steps: 0, step_secs: 0.0, wait_secs: 0.0 }
    }

    pub(crate) fn add(&mut self, step_secs: f64, wait_secs: f64) {
        self.num_steps += 1;
        self.step_secs += step_secs;
        self.wait_secs += wait_secs;
    }

    /// Completes a line of metrics by pace and peak since the last one, and starts anew.
    ///
    /// * `frames_per_step` - of all ranks together
    pub(crate) fn restart(&mut self, known: StepLog, frames_per_step: u64) -> StepLog {
        let num_steps = self.num_steps.max(1) as f64;
        // The counter stands at zero where it was not installed.
        let peak_bytes = memory::stats(self.device).ok().map(|stats| stats.peak_bytes).filter(|bytes| *bytes > 0);
        let (step_secs, wait_secs) = (self.step_secs / num_steps, self.wait_secs / num_steps);
        *self = Meter::start(self.device);
        StepLog { step_secs, wait_secs, frames_per_sec: frames_per_step as f64 / step_secs, peak_bytes, ..known }
    }
}
