//! A command that is a part of a longer one: typed by the program as a user would type it, and not typed again once what it
//! makes is there.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Parser as _;

use super::training::say;
use crate::cli::Cli;
use crate::session::Session;

/// One command and the file that shows that it is done.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    words: Vec<String>,
    product: PathBuf,
}

impl Stage {
    /// A command with `{}` for each path in turn.
    pub(crate) fn new(command: &str, paths: &[&Path], product: &Path) -> Self {
        let mut paths = paths.iter().map(|path| path.display().to_string());
        let word = |word: &str| if word == "{}" { paths.next().unwrap_or_default() } else { word.to_owned() };
        Stage { words: command.split_whitespace().map(word).collect(), product: product.to_owned() }
    }

    /// The command with more words, which may hold spaces.
    #[must_use]
    pub(crate) fn with(mut self, words: impl IntoIterator<Item = String>) -> Self {
        self.words.extend(words);
        self
    }

    /// The command with `--set` before each setting.
    #[must_use]
    pub(crate) fn set<'a>(self, settings: impl IntoIterator<Item = &'a String>) -> Self {
        self.with(settings.into_iter().flat_map(|setting| ["--set".to_owned(), setting.clone()]))
    }

    /// The command as it is typed.
    pub(crate) fn command(&self) -> String {
        let quoted = |word: &String| match word.contains([' ', '"', '{', '*']) {
            true => format!("'{word}'"),
            false => word.clone(),
        };
        format!("longvid {}", self.words.iter().map(quoted).collect::<Vec<_>>().join(" "))
    }

    /// Runs the command unless its product is there; the seconds it took.
    pub(crate) fn run(&self, session: &Session) -> anyhow::Result<Option<f64>> {
        if self.product.exists() {
            return Ok(None);
        }
        let mut stage = self.clone();
        // A run folder without its product belongs to a training that was interrupted.
        if let Some(out) = self.words.iter().position(|word| word == "--preset").and_then(|_| self.product.parent())
            && out.join("run.json").exists()
        {
            stage.words.push("--resume".to_owned());
        }
        let command = stage.command();
        say(&format!("\n$ {command}"))?;
        let began = Instant::now();
        let cli = Cli::try_parse_from(std::iter::once("longvid".to_owned()).chain(stage.words))?;
        super::run(cli.command, &session.of(command))?;
        Ok(Some(began.elapsed().as_secs_f64()))
    }
}
