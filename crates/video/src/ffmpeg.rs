use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::VideoError;

/// Names the program that decodes video, before anything else is looked at.
const OVERRIDE: &str = "LONGVID_FFMPEG";

/// The ffmpeg program that this process uses. Video is decoded by a child process: a file that crashes the decoder
/// does not take the run down, and a build needs no codec libraries.
#[derive(Clone, Debug)]
pub struct Ffmpeg {
    program: PathBuf,
}

impl Ffmpeg {
    /// Looks in `LONGVID_FFMPEG`, then for `.deps/ffmpeg/bin/ffmpeg` in the folders above this executable (where
    /// `make setup` puts it), then on `PATH`.
    ///
    /// # Errors
    /// [`VideoError::NoFfmpeg`] when none of them is there or the one named by the variable does not run.
    pub fn find() -> Result<Self, VideoError> {
        if let Some(named) = std::env::var_os(OVERRIDE).filter(|v| !v.is_empty()) {
            let found = Ffmpeg { program: named.into() };
            found.version()?;
            return Ok(found);
        }
        let exe = std::env::current_exe().unwrap_or_default();
        let program = beside(&exe).unwrap_or_else(|| PathBuf::from("ffmpeg"));
        let found = Ffmpeg { program };
        found.version()?;
        Ok(found)
    }

    /// A call of ffmpeg that asks nothing on the terminal and prints no banner.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["-nostdin", "-hide_banner"]);
        // A ctrl-C in the terminal is for us: a child that also got it would leave a file that looks damaged.
        command.process_group(0);
        // A statically linked ffmpeg that loads the system's character converters, as it does for the programme names of
        // MPEG transport streams, crashes where its C library is another than the system's. There are none here.
        command.env("GCONV_PATH", "/dev/null");
        command
    }

    /// Where the program is, or plain `ffmpeg` when it was found on `PATH`.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The version it reports, such as `7.0.2-static`.
    ///
    /// # Errors
    /// [`VideoError::NoFfmpeg`] when it cannot be started or does not answer as ffmpeg does.
    pub fn version(&self) -> Result<String, VideoError> {
        let missing = |source| VideoError::NoFfmpeg { program: self.program.clone(), source };
        let answer = Command::new(&self.program).arg("-version").output().map_err(missing)?;
        let text = String::from_utf8_lossy(&answer.stdout);
        let version = text.strip_prefix("ffmpeg version ").and_then(|rest| rest.split_whitespace().next());
        version.map(str::to_owned).ok_or_else(|| missing(std::io::Error::other("it does not answer as ffmpeg does")))
    }
}

/// The nearest `.deps/ffmpeg/bin/ffmpeg` above `exe`.
fn beside(exe: &Path) -> Option<PathBuf> {
    exe.ancestors().skip(1).map(|dir| dir.join(".deps/ffmpeg/bin/ffmpeg")).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_in_a_folder_above_the_executable() {
        let root = tempfile::tempdir().unwrap();
        let program = root.path().join(".deps/ffmpeg/bin/ffmpeg");
        std::fs::create_dir_all(program.parent().unwrap()).unwrap();
        std::fs::write(&program, "").unwrap();
        assert_eq!(beside(&root.path().join("target/release/longvid")), Some(program));
    }

    #[test]
    fn a_program_that_is_not_ffmpeg_is_refused_with_what_to_do() {
        let said = Ffmpeg { program: "/bin/true".into() }.version().unwrap_err().to_string();
        assert!(said.contains("/bin/true") && said.contains("make setup") && said.contains(OVERRIDE), "{said}");
    }
}
