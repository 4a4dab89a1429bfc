//! Temporary folders in which the program runs as a process.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longest wait for anything; a wait that takes this long has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// The program's working folder: commands name files relative to it.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    /// Removes the folder when the test is over; `None` for one that stays.
    _temp: Option<TempDir>,
}

/// What a finished process left.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    command: String,
}

/// A process under way; it ends with this value.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    command: String,
}

impl Folder {
    /// An empty folder that vanishes with this value.
    pub(crate) fn empty() -> Self {
        let temp = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the target folder can be written");
        Folder { root: temp.path().to_owned(), _temp: Some(temp) }
    }

    /// A folder that stays.
    pub(crate) fn kept(root: &Path) -> Self {
        Folder { root: root.to_owned(), _temp: None }
    }

    /// Where something in it lies.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Contents of a file.
    #[track_caller]
    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|err| panic!("{name}: {err}"))
    }

    /// A file with changed contents under another name.
    pub(crate) fn damaged(&self, name: &str, to: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.read(name);
        change(&mut bytes);
        self.write(to, &bytes);
    }

    /// Writes a file and the folders above it.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("folders can be made");
        fs::write(path, bytes).expect("a file can be written");
    }

    /// Puts another file in the place of one, whose other names keep its contents.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8]) {
        fs::remove_file(self.path(name)).expect("a file can be removed");
        self.write(name, bytes);
    }

    /// Copies a file or folder from another folder, under the same name.
    pub(crate) fn copy_from(&self, other: &Folder, name: &str) {
        let (from, to) = (other.path(name), self.path(name));
        if from.is_dir() {
            fs::create_dir_all(&to).expect("folders can be made");
            for entry in fs::read_dir(&from).expect("a folder can be read") {
                let inner = entry.expect("an entry").file_name();
                self.copy_from(other, &format!("{name}/{}", inner.to_string_lossy()));
            }
        } else {
            fs::copy(&from, &to).unwrap_or_else(|err| panic!("{from:?}: {err}"));
        }
    }

    /// Every file with its contents, folders as empty entries.
    pub(crate) fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let (mut folders, mut found) = (vec![self.root.clone()], BTreeMap::new());
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder can be read") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path.clone());
                    found.insert(path, Vec::new());
                } else {
                    let bytes = fs::read(&path).expect("a file can be read");
                    found.insert(path, bytes);
                }
            }
        }
        found
    }

    /// Runs the program to its end. `command` is split at blanks.
    pub(crate) fn run(&self, command: &str) -> Ran {
        let output = self.command(command).output().expect("the program starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
            command: command.to_owned(),
        }
    }

    /// Runs a command that must succeed; what it printed.
    #[track_caller]
    pub(crate) fn ok(&self, command: &str) -> String {
        let ran = self.run(command);
        assert_eq!(ran.code, Some(0), "{}", ran.tell());
        ran.stdout
    }

    /// Runs a command that must be refused as bad input: exit code 2, one line on stderr with all of `said` in it, and not
    /// a byte in the folder changed.
    #[track_caller]
    pub(crate) fn refused(&self, command: &str, said: &[&str]) {
        let before = self.contents();
        let ran = self.run(command);
        assert_eq!(ran.code, Some(2), "{}", ran.tell());
        let one_line = ran.stderr.starts_with("longvid: ") && ran.stderr.lines().count() == 1;
        assert!(one_line, "more or less than one line\n{}", ran.tell());
        for part in said {
            assert!(ran.stderr.contains(part), "{part:?} is not said\n{}", ran.tell());
        }
        assert_eq!(ran.stdout, "", "{}", ran.tell());
        let after = self.contents();
        let changed: Vec<_> = before.keys().chain(after.keys()).filter(|p| before.get(*p) != after.get(*p)).collect();
        assert!(changed.is_empty(), "files changed: {changed:?}\n{}", ran.tell());
    }

    /// Starts the program.
    pub(crate) fn start(&self, command: &str) -> Running {
        // What it says stays within what a pipe holds.
        let child = self.command(command).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        Running { child: child.expect("the program starts"), command: command.to_owned() }
    }

    /// The program in this folder, not started yet.
    pub(crate) fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_longvid"));
        command.current_dir(&self.root).args(words.split_whitespace()).stdin(Stdio::null());
        // Tests run beside each other: more threads than cores wait for one another.
        command.args(["--threads", "1"]).env_remove("LONGVID_LOG").env_remove("RUST_BACKTRACE");
        command
    }
}

impl Ran {
    /// All there is to know when a test fails.
    pub(crate) fn tell(&self) -> String {
        let Ran { code, stdout, stderr, command } = self;
        format!("$ longvid {command}\nexit code {code:?}\nstdout:\n{stdout}\nstderr:\n{stderr}")
    }
}

impl Running {
    /// Waits until `ready` holds while the process runs.
    #[track_caller]
    pub(crate) fn wait_until(&mut self, ready: impl Fn() -> bool) {
        let began = Instant::now();
        while !ready() {
            assert_eq!(self.child.try_wait().expect("the process can be asked"), None, "it ended too early");
            assert!(began.elapsed() < PATIENCE, "it took too long");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Sends a signal (`INT` is what ctrl-C does) and waits for the end.
    pub(crate) fn signal(mut self, name: &str) -> Ran {
        // The shell's own `kill`: the program of that name is not everywhere.
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status();
        assert!(sent.expect("a shell").success());
        self.end()
    }

    /// Waits for the end.
    pub(crate) fn end(&mut self) -> Ran {
        let mut stderr = String::new();
        let pipe = self.child.stderr.as_mut().expect("stderr is a pipe");
        pipe.read_to_string(&mut stderr).expect("a process writes text");
        let code = self.child.wait().expect("the process can be waited for").code();
        Ran { code, stdout: String::new(), stderr, command: self.command.clone() }
    }

    /// Ends it at once, whatever it is doing. Whether it was still running.
    pub(crate) fn kill(mut self) -> bool {
        let running = self.child.try_wait().expect("the process can be asked").is_none();
        self.child.kill().expect("our own child can be killed");
        self.child.wait().expect("the process can be waited for");
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only where it has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
