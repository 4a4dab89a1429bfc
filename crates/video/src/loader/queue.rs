use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::{ClipRequest, LoadedClip, LoaderOptions, Plan};
use crate::VideoError;

/// What workers and the caller share: which clips are to be loaded next, and those that are loaded.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    limits: LoaderOptions,
    /// Bytes of one frame of a loaded clip.
    frame_bytes: u64,
}

/// Steps below `taken` have been handed out, those below `planned` have their requests in `steps`.
#[derive(Debug)]
struct State {
    taken: u64,
    planned: u64,
    stop: u64,
    steps: BTreeMap<u64, Step>,
    /// Bytes of clips that are being loaded or wait to be handed out.
    held_bytes: u64,
}

#[derive(Debug)]
struct Step {
    requests: Vec<ClipRequest>,
    /// Requests before this one are with a worker or loaded.
    claimed: usize,
    num_left: usize,
    /// In the order of the requests.
    clips: Vec<Option<Result<LoadedClip, VideoError>>>,
}

/// One clip that a worker is to load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    step: u64,
    index: usize,
    pub(super) request: ClipRequest,
}

impl Queue {
    pub(super) fn new(steps: &std::ops::Range<u64>, limits: LoaderOptions, frame_bytes: u64) -> Self {
        let (taken, stop) = (steps.start, steps.end);
        let state = State { taken, planned: taken, stop, steps: BTreeMap::new(), held_bytes: 0 };
        Queue { state: Mutex::new(state), changed: Condvar::new(), limits, frame_bytes }
    }

    /// Ends all workers after the clips that they are loading.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.stop = 0;
        state.steps.clear();
        drop(state);
        self.changed.notify_all();
    }

    /// The next clip to load, in the order of steps; waits while as much as allowed is ahead. `None` at the end.
    pub(super) fn claim(&self, plan: &Plan) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if state.stop <= state.taken {
                return None;
            }
            if let Some(job) = self.first_unclaimed(&mut state) {
                return Some(job);
            }
            let all_claimed = state.steps.values().all(|step| step.claimed == step.requests.len());
            if all_claimed && state.planned == state.stop {
                return None;
            }
            if all_claimed && state.planned < state.taken + self.limits.prefetch_steps {
                let step = state.planned;
                state.planned += 1;
                state.steps.insert(step, Step::new(step, plan));
                self.changed.notify_all();
            } else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Clips of the step that the caller asks for next are always allowed: waiting for room would be waiting for ever.
    fn first_unclaimed(&self, state: &mut State) -> Option<Job> {
        let (&at, step) = state.steps.iter_mut().find(|(_, step)| step.claimed < step.requests.len())?;
        let request = step.requests[step.claimed];
        let bytes = request.num_frames as u64 * self.frame_bytes;
        if at != state.taken && state.held_bytes + bytes > self.limits.max_bytes {
            return None;
        }
        state.held_bytes += bytes;
        step.claimed += 1;
        Some(Job { step: at, index: step.claimed - 1, request })
    }

    /// Takes a loaded clip, or why there is none.
    pub(super) fn put(&self, job: Job, clip: Result<LoadedClip, VideoError>) {
        let mut state = self.lock();
        // Absent after `stop`.
        if let Some(step) = state.steps.get_mut(&job.step) {
            step.clips[job.index] = Some(clip);
            step.num_left -= 1;
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Waits for the clips of a step; the first of its errors in the order of the requests, if any.
    pub(super) fn take(&self, at: u64) -> Result<Vec<LoadedClip>, VideoError> {
        let mut state = self.lock();
        let step = loop {
            if state.steps.get(&at).is_some_and(|step| step.num_left == 0)
                && let Some(step) = state.steps.remove(&at)
            {
                break step;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        state.taken = at + 1;
        state.held_bytes -=
            step.requests.iter().map(|request| request.num_frames as u64 * self.frame_bytes).sum::<u64>();
        drop(state);
        self.changed.notify_all();
        step.clips.into_iter().flatten().collect()
    }

    /// The state is changed in single steps, so a poisoned lock is as good as a whole one.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Step {
    /// A plan with a bug becomes the step's error: the caller waits for this very step.
    fn new(step: u64, plan: &Plan) -> Self {
        match catch_unwind(AssertUnwindSafe(|| plan(step))) {
            Ok(requests) => {
                let num_left = requests.len();
                Step { clips: requests.iter().map(|_| None).collect(), requests, claimed: 0, num_left }
            }
            Err(_panic) => {
                let failed = VideoError::WorkerPanicked { at: format!("the plan of step {step}") };
                Step { requests: Vec::new(), claimed: 0, num_left: 0, clips: vec![Some(Err(failed))] }
            }
        }
    }
}
