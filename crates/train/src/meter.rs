use tch::Device;
use torch_ext::memory;

use crate::StepLog;

/// Sums up time since the last line of metrics. The memory peak is the process's own counter, started anew here.
pub(crate) struct Meter {
    device: Device,
    num_steps: u64,
    step_secs: f64,
    wait_secs: f64,
    num_frames: u64,
}

impl Meter {
    pub(crate) fn start(device: Device) -> Self {
        // A device without statistics has no peak to start.
        memory::reset_peak(device).ok();
        Meter { device, num_steps: 0, step_secs: 0.0, wait_secs: 0.0, num_frames: 0 }
    }

    /// * `num_frames` - of all ranks together
    pub(crate) fn add(&mut self, (step_secs, wait_secs): (f64, f64), num_frames: u64) {
        self.num_steps += 1;
        self.step_secs += step_secs;
        self.wait_secs += wait_secs;
        self.num_frames += num_frames;
    }

    /// Completes a line of metrics by pace and peak since the last one, and starts anew.
    pub(crate) fn restart(&mut self, known: StepLog) -> StepLog {
        let num_steps = self.num_steps.max(1) as f64;
        // The counter stands at zero where it was not installed.
        let peak_bytes = memory::stats(self.device).ok().map(|stats| stats.peak_bytes).filter(|bytes| *bytes > 0);
        let (step_secs, wait_secs) = (self.step_secs / num_steps, self.wait_secs / num_steps);
        let frames_per_sec = self.num_frames as f64 / self.step_secs;
        *self = Meter::start(self.device);
        StepLog { step_secs, wait_secs, frames_per_sec, peak_bytes, ..known }
    }
}
