use std::io::{BufReader, Read};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::DecodeLimits;

/// How much of a child's error output is kept; the rest is read and dropped, so that the child never blocks on it.
const STDERR_BYTES: u64 = 1 << 20;
/// How often a child that has closed its output is asked whether it has ended.
const EXIT_POLL: Duration = Duration::from_millis(1);

/// How a child process ended.
pub(super) struct Exit {
    pub(super) status: ExitStatus,
    /// It was killed because reading from it took longer than the limit.
    pub(super) timed_out: bool,
    /// The first part of what it wrote to stderr.
    pub(super) stderr: String,
}

/// The child's output. Only the time spent waiting for it counts against the time limit, not what the reader does
/// with the bytes in between.
pub(super) struct Output<'a> {
    pipe: BufReader<ChildStdout>,
    clock: &'a Mutex<Clock>,
    child: &'a Mutex<Reaped>,
    /// The child has closed its end.
    ended: bool,
}

/// A reader that stops early, be it by a panic, wants no more of the child.
impl Drop for Output<'_> {
    fn drop(&mut self) {
        if !self.ended {
            // Fails only when it has ended by itself meanwhile.
            lock(self.child).0.kill().ok();
        }
    }
}

#[derive(Default)]
struct Clock {
    waited: Duration,
    waiting_since: Option<Instant>,
}

impl Clock {
    fn spent(&self) -> Duration {
        self.waited + self.waiting_since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

impl Read for Output<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        lock(self.clock).waiting_since = Some(Instant::now());
        let got = self.pipe.read(buf);
        let mut clock = lock(self.clock);
        clock.waited = clock.spent();
        clock.waiting_since = None;
        self.ended |= matches!(got, Ok(0) | Err(_));
        got
    }
}

/// Kills and reaps the process when it goes out of scope, however that happens: no zombie is left.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // Fails only when the process has already been waited for.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Runs `command`, hands its stdout to `read`, and kills it once waiting for it has taken the limit's time. `read` may
/// stop early: the child is then killed at once.
///
/// # Errors
/// What the system says when the program cannot be started or waited for.
pub(super) fn run<T>(
    command: &mut Command,
    limits: &DecodeLimits,
    read: impl FnOnce(&mut Output<'_>) -> T,
) -> std::io::Result<(T, Exit)> {
    let mut spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let pipes = spawned.stdout.take().zip(spawned.stderr.take());
    bound_memory(&spawned, limits.memory_bytes);
    let child = Mutex::new(Reaped(spawned));
    let (stdout, stderr) = pipes.ok_or_else(|| std::io::Error::other("the child has no pipes"))?;
    let clock = Mutex::new(Clock::default());
    thread::scope(|scope| {
        let (ended, has_ended) = mpsc::channel::<()>();
        let said = scope.spawn(move || first_part(stderr));
        let (watched, its_clock) = (&child, &clock);
        let watchdog = scope.spawn(move || watch(watched, its_clock, limits.time, &has_ended));
        let mut output =
            Output { pipe: BufReader::with_capacity(1 << 16, stdout), clock: &clock, child: &child, ended: false };
        let result = read(&mut output);
        drop(output);
        lock(&clock).waiting_since = Some(Instant::now());
        let status = loop {
            if let Some(status) = lock(&child).0.try_wait()? {
                break status;
            }
            thread::sleep(EXIT_POLL);
        };
        drop(ended);
        let timed_out = watchdog.join().unwrap_or(false);
        let stderr = said.join().unwrap_or_default();
        Ok((result, Exit { status, timed_out, stderr }))
    })
}

/// Bounds the child's address space, so that no file can make it take the machine's memory. Where the system cannot do
/// that, `-max_alloc` still bounds each block.
#[cfg(target_os = "linux")]
fn bound_memory(child: &Child, bytes: u64) {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};

    let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
    // Fails when it has ended already, or where our own limit is lower: then that one holds.
    prlimit(Some(Pid::from_child(child)), Resource::As, limit).ok();
}

#[cfg(not(target_os = "linux"))]
fn bound_memory(_child: &Child, _bytes: u64) {}

/// Kills the child when the clock passes the limit; returns whether it did.
fn watch(child: &Mutex<Reaped>, clock: &Mutex<Clock>, limit: Duration, has_ended: &mpsc::Receiver<()>) -> bool {
    loop {
        let left = limit.saturating_sub(lock(clock).spent());
        if left.is_zero() {
            return lock(child).0.kill().is_ok();
        }
        // While the reader is busy the clock stands still, so look again no sooner than in a while.
        match has_ended.recv_timeout(left.max(Duration::from_millis(10))) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}

fn first_part(mut pipe: impl Read) -> String {
    let mut kept = Vec::new();
    // A read error means that the child is gone; what came before it still counts.
    pipe.by_ref().take(STDERR_BYTES).read_to_end(&mut kept).ok();
    std::io::copy(&mut pipe, &mut std::io::sink()).ok();
    String::from_utf8_lossy(&kept).into_owned()
}

/// No thread leaves these values half changed, so a poisoned lock is as good as a whole one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::BufRead as _;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    fn within(time: Duration) -> DecodeLimits {
        DecodeLimits { time, ..DecodeLimits::default() }
    }

    /// Whether the process is there, be it only as a zombie that nobody has waited for.
    fn exists(pid: &str) -> bool {
        std::path::Path::new("/proc").join(pid.trim()).exists()
    }

    /// The first line that the child writes: its process id.
    fn first_line(out: &mut Output<'_>) -> String {
        let mut line = String::new();
        BufReader::with_capacity(1, out).read_line(&mut line).unwrap();
        line
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_child_that_hangs_is_killed_at_the_limit() {
        let start = Instant::now();
        let limit = within(Duration::from_millis(50));
        let (pid, exit) = run(&mut shell("echo $$; exec sleep 30"), &limit, |out| {
            let pid = first_line(out);
            out.read_to_end(&mut Vec::new()).unwrap();
            pid
        })
        .unwrap();
        assert!(exit.timed_out && !exit.status.success() && !exists(&pid));
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn more_error_output_than_a_pipe_holds_does_not_block() {
        let script = "head -c 3000000 /dev/zero | tr '\\0' x >&2; echo done";
        let (text, exit) = run(&mut shell(script), &within(Duration::from_secs(30)), |out| {
            let mut text = String::new();
            out.read_to_string(&mut text).unwrap();
            text
        })
        .unwrap();
        assert_eq!(text, "done\n");
        assert_eq!(exit.stderr.len() as u64, STDERR_BYTES);
        assert!(exit.status.success() && !exit.timed_out);
    }

    #[test]
    fn a_reader_that_stops_early_leaves_no_process() {
        let start = Instant::now();
        // It writes nothing more, so a closed pipe alone would not end it.
        let (pid, exit) = run(&mut shell("echo $$; exec sleep 30"), &DecodeLimits::default(), first_line).unwrap();
        assert!(!exit.timed_out && !exit.status.success() && !exists(&pid));
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_reader_that_panics_leaves_no_process() {
        let pid = Mutex::new(String::new());
        let read = |out: &mut Output<'_>| {
            *lock(&pid) = first_line(out);
            panic!("on purpose");
        };
        let limit = within(Duration::from_secs(5));
        let caught = catch_unwind(AssertUnwindSafe(|| run(&mut shell("echo $$; exec sleep 30"), &limit, read)));
        assert!(caught.is_err() && !lock(&pid).is_empty() && !exists(&lock(&pid)));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_child_cannot_take_more_memory_than_allowed() {
        // More than a pipe holds: it cannot go on before somebody reads, and by then the limit is set.
        let script = "head -c 1000000 /dev/zero | tr '\\0' '\\n'; grep 'Max address space' /proc/self/limits";
        let limits = DecodeLimits { memory_bytes: 123 << 20, ..DecodeLimits::default() };
        let (text, _exit) = run(&mut shell(script), &limits, |out| {
            let mut text = String::new();
            out.read_to_string(&mut text).unwrap();
            text
        })
        .unwrap();
        assert!(text.contains("128974848"), "{text}");
    }
}
