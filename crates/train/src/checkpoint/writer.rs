use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;

use super::{Checkpoints, Progress};
use crate::tensor_file::Snapshot;
use crate::{NamedTensors, TrainError};

/// Writes checkpoints on a thread of its own: training waits for the copy of its state, not for the disk. Holds one such
/// copy in memory, beside the tensors.
///
/// Dropping it waits until the checkpoint under way is in place.
#[derive(Debug)]
pub(crate) struct CheckpointWriter {
    checkpoints: Checkpoints,
    /// `None` once no more will come.
    jobs: Option<SyncSender<Job>>,
    done: Receiver<Result<Vec<u8>, TrainError>>,
    state: Buffer,
    thread: Option<JoinHandle<()>>,
}

/// Where the memory for the next copy is.
#[derive(Debug)]
enum Buffer {
    Here(Vec<u8>),
    WithTheThread,
}

struct Job {
    snapshot: Snapshot,
    progress: Progress,
    scheduled: bool,
}

impl CheckpointWriter {
    pub(crate) fn start(checkpoints: Checkpoints) -> Result<Self, TrainError> {
        let (jobs, todo) = sync_channel::<Job>(1);
        let (report, done) = sync_channel(1);
        let to = checkpoints.clone();
        let work = move || {
            for job in todo {
                // The receiver is gone when training failed elsewhere: no one is left to tell.
                report.send(to.write(&job).map(|()| job.snapshot.into_buffer())).ok();
            }
        };
        let thread = std::thread::Builder::new().name("checkpoints".into()).spawn(work);
        let thread = thread.map_err(|err| checkpoints.thread_failed(&err.to_string()))?;
        let state = Buffer::Here(Vec::new());
        Ok(CheckpointWriter { checkpoints, jobs: Some(jobs), done, state, thread: Some(thread) })
    }

    /// Copies the state, and has it written while training goes on. Waits for the checkpoint before it, should that still
    /// be under way.
    ///
    /// * `scheduled` - whether it may be the best one: one that an interrupt asked for has no mean loss to go by
    ///
    /// # Errors
    /// What the writing of the checkpoint before it failed with; [`TrainError::Nn`] when the state cannot be read.
    pub(crate) fn write(
        &mut self,
        progress: Progress,
        scheduled: bool,
        state: &NamedTensors,
    ) -> Result<(), TrainError> {
        self.finish()?;
        let buffer = match std::mem::replace(&mut self.state, Buffer::WithTheThread) {
            Buffer::Here(buffer) => buffer,
            Buffer::WithTheThread => Vec::new(),
        };
        let snapshot = Snapshot::copy(&self.checkpoints.label(progress), state, buffer)?;
        let job = Job { snapshot, progress, scheduled };
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        if sent { Ok(()) } else { Err(self.checkpoints.thread_failed("it is gone")) }
    }

    /// Whether the checkpoint under way has failed.
    ///
    /// # Errors
    /// What it failed with.
    pub(crate) fn poll(&mut self) -> Result<(), TrainError> {
        if let Buffer::WithTheThread = self.state {
            match self.done.try_recv() {
                Ok(written) => self.state = Buffer::Here(written?),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return Err(self.checkpoints.thread_failed("it panicked")),
            }
        }
        Ok(())
    }

    /// Waits until the checkpoint under way is in place.
    ///
    /// # Errors
    /// What it failed with.
    pub(crate) fn finish(&mut self) -> Result<(), TrainError> {
        if let Buffer::WithTheThread = self.state {
            self.state = Buffer::Here(Vec::new());
            let written = self.done.recv().unwrap_or_else(|_| Err(self.checkpoints.thread_failed("it panicked")));
            self.state = Buffer::Here(written?);
        }
        Ok(())
    }
}

impl Drop for CheckpointWriter {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has been printed where it happened.
            thread.join().ok();
        }
    }
}

impl Checkpoints {
    fn write(&self, job: &Job) -> Result<(), TrainError> {
        let (staged, _) = job.snapshot.stage(&self.path(job.progress.step))?;
        staged.publish()?;
        if job.scheduled {
            self.rank(job.progress)?;
        }
        self.prune()
    }

    fn thread_failed(&self, why: &str) -> TrainError {
        let source = std::io::Error::other(format!("the thread that writes: {why}"));
        TrainError::Io { doing: "write", path: self.folder.clone(), source }
    }
}
