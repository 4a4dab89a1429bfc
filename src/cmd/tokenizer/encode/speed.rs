use std::fmt;
use std::time::Instant;

use serde::Serialize;

/// How fast tokens are made.
#[derive(Debug)]
pub(super) struct Speed {
    began: Instant,
    num_frames: u64,
    num_tokens: u64,
    wait_secs: f64,
}

/// The speed of a whole run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Summary {
    num_frames: u64,
    num_tokens: u64,
    secs: f64,
    frames_per_sec: f64,
    tokens_per_sec: f64,
    /// Share of the time spent waiting for clips.
    wait_share: f64,
}

impl Speed {
    pub(super) fn start() -> Self {
        Speed { began: Instant::now(), num_frames: 0, num_tokens: 0, wait_secs: 0.0 }
    }

    /// Frames encoded so far.
    pub(super) fn num_frames(&self) -> u64 {
        self.num_frames
    }

    pub(super) fn add(&mut self, num_frames: u64, num_tokens: u64) {
        self.num_frames += num_frames;
        self.num_tokens += num_tokens;
    }

    pub(super) fn add_wait(&mut self, wait_secs: f64) {
        self.wait_secs += wait_secs;
    }

    pub(super) fn summary(&self) -> Summary {
        let secs = self.began.elapsed().as_secs_f64();
        let Speed { num_frames, num_tokens, wait_secs, .. } = *self;
        let per_sec = |count: u64| count as f64 / secs.max(1e-9);
        Summary {
            num_frames,
            num_tokens,
            secs,
            frames_per_sec: per_sec(num_frames),
            tokens_per_sec: per_sec(num_tokens),
            wait_share: wait_secs / secs.max(1e-9),
        }
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { frames_per_sec, tokens_per_sec, wait_share, .. } = self.summary();
        write!(f, "{frames_per_sec:.0} frames/s, {tokens_per_sec:.0} tokens/s, {:.0} % waiting", 100.0 * wait_share)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { num_frames, num_tokens, secs, frames_per_sec, tokens_per_sec, wait_share } = self;
        write!(
            f,
            "encoded {num_frames} frames into {num_tokens} tokens in {secs:.1} s: {frames_per_sec:.0} frames/s, "
        )?;
        write!(f, "{tokens_per_sec:.0} tokens/s, {:.0} % of the time waiting for clips", 100.0 * wait_share)
    }
}
