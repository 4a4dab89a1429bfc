//! Looks after ranks until the last has ended.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

use crate::exit::{Interrupted, RankFailed};

/// How often ranks are looked after.
const LOOK: Duration = Duration::from_millis(10);

/// What the other ranks are granted once one has failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// To notice, which takes until their next exchange, and to say so.
    pub(super) to_end: Duration,
    /// After they were asked to end.
    pub(super) to_obey: Duration,
}

pub(super) const PATIENCE: Patience = Patience { to_end: Duration::from_secs(30), to_obey: Duration::from_secs(10) };

/// One process; ends with this value.
#[derive(Debug)]
pub(super) struct Rank {
    rank: u16,
    child: Child,
    /// What it writes to stderr, where that is ours to pass on; a line that is not whole yet.
    stderr: Option<(ChildStderr, Vec<u8>)>,
    status: Option<ExitStatus>,
}

impl Rank {
    /// Starts a process in a process group of its own: ctrl-C reaches the launcher alone, which passes it on, so that no
    /// rank gets it twice.
    pub(super) fn start(rank: u16, mut command: Command) -> anyhow::Result<Self> {
        command.stdin(Stdio::null()).process_group(0);
        let mut child = command.spawn().with_context(|| format!("cannot start rank {rank}"))?;
        let stderr = child.stderr.take();
        if let Some(stderr) = &stderr {
            rustix::io::ioctl_fionbio(stderr, true).context("cannot listen to a rank")?;
        }
        Ok(Rank { rank, child, stderr: stderr.map(|stderr| (stderr, Vec::new())), status: None })
    }

    fn signal(&self, signal: Signal) {
        if self.status.is_none()
            && let Some(pid) = Pid::from_raw(self.child.id() as i32)
        {
            // It may have ended since we looked.
            kill_process(pid, signal).ok();
        }
    }

    /// Passes on what it has said, each line behind its rank.
    fn relay(&mut self) {
        let Some((stderr, pending)) = &mut self.stderr else { return };
        let mut chunk = [0; 4096];
        let at_end = loop {
            match stderr.read(&mut chunk) {
                Ok(0) => break true,
                Ok(n) => pending.extend_from_slice(&chunk[..n]),
                Err(err) if err.kind() == ErrorKind::Interrupted => {}
                Err(err) => break err.kind() != ErrorKind::WouldBlock,
            }
        };
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            say(self.rank, &line[..end]);
        }
        if at_end {
            if !pending.is_empty() {
                say(self.rank, pending);
            }
            self.stderr = None;
        }
    }

    /// Its status, once, when it has ended since the last look.
    fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        if self.status.is_some() {
            return Ok(None);
        }
        self.status = self.child.try_wait().with_context(|| format!("cannot wait for rank {}", self.rank))?;
        Ok(self.status)
    }
}

impl Drop for Rank {
    fn drop(&mut self) {
        if self.status.is_none() {
            // Neither fails for a child that is still ours.
            self.child.kill().and_then(|()| self.child.wait()).ok();
        }
    }
}

fn say(rank: u16, line: &[u8]) {
    // Nobody may be reading any more; the ranks go on all the same.
    writeln!(std::io::stderr(), "rank {rank}: {}", String::from_utf8_lossy(line)).ok();
}

/// Waits for all ranks. When one fails, the others are given time to end by themselves, then asked to, then made to.
///
/// * `arrived` - signals since the last call, to be passed on to every rank
pub(super) fn watch(
    mut ranks: Vec<Rank>,
    mut arrived: impl FnMut() -> Vec<i32>,
    patience: Patience,
) -> anyhow::Result<()> {
    let mut first: Option<(RankFailed, Instant)> = None;
    let mut interrupted = false;
    let mut asked = false;
    loop {
        for signal in arrived().into_iter().filter_map(Signal::from_named_raw) {
            interrupted = true;
            ranks.iter().for_each(|rank| rank.signal(signal));
        }
        let running = ranks.iter().filter(|rank| rank.status.is_none()).count();
        let failed = look(&mut ranks)?.into_iter().filter(|failed| !(interrupted && is_interruption(failed.status)));
        // Of several in one look, one that was killed is the cause and not a consequence.
        if first.is_none()
            && let Some(failed) = failed.min_by_key(|failed| failed.status.code().is_some())
        {
            first = Some((failed, Instant::now()));
        }
        if running == 0 {
            break;
        }
        if let Some((_, since)) = first {
            if since.elapsed() >= patience.to_end + patience.to_obey {
                ranks.iter().for_each(|rank| rank.signal(Signal::KILL));
            } else if since.elapsed() >= patience.to_end && !asked {
                ranks.iter().for_each(|rank| rank.signal(Signal::TERM));
                asked = true;
            }
        }
        sleep(LOOK);
    }
    match first {
        Some((failed, _)) => Err(failed.into()),
        None if ranks.iter().any(|rank| rank.status.is_some_and(is_interruption)) => {
            Err(Interrupted("all ranks have ended".to_owned()).into())
        }
        None => Ok(()),
    }
}

/// Passes on what ranks have said; those that failed since the last look.
fn look(ranks: &mut [Rank]) -> anyhow::Result<Vec<RankFailed>> {
    let mut failed = Vec::new();
    for rank in ranks {
        let ended = rank.ended()?;
        // After its end, so that its last words are there.
        rank.relay();
        if let Some(status) = ended.filter(|status| !status.success()) {
            failed.push(RankFailed { rank: rank.rank, status });
        }
    }
    Ok(failed)
}

/// How a rank ends that was interrupted: with a checkpoint, or before it could listen.
fn is_interruption(status: ExitStatus) -> bool {
    use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
    status.code() == Some(130) || status.signal().is_some_and(|signal| [SIGINT, SIGTERM, SIGUSR1].contains(&signal))
}

#[cfg(test)]
mod tests;
