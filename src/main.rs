//! The program: reads the command line, prepares the process, runs one command, and turns its outcome into an exit code.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage or bad input, 130 interrupted after everything so far was kept.

mod album;
mod cli;
mod clips;
mod cmd;
mod curriculum;
mod exit;
mod feed;
mod frozen;
mod labelled;
mod method;
mod npz;
mod pictures;
mod planned;
mod presets;
mod progress;
mod provenance;
mod quantizer;
mod report;
mod scores;
mod session;
mod submission;
mod targets;
mod truth;
mod weights;
mod whole;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    // Before any tensor exists: see each function.
    torch_ext::malloc::keep_freed_memory();
    let cuda = torch_ext::load_cuda();
    let counting = torch_ext::memory::install();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_env("LONGVID_LOG").unwrap_or_else(|_| "warn".into()))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .without_time()
        .init();
    if let Err(err) = counting {
        tracing::warn!("tensor bytes cannot be counted: {err}");
    }
    let cli = cli::Cli::parse();
    let outcome = match &cli.command {
        // Computes nothing, and has its own way with signals.
        cli::Command::Launch(args) => cmd::launch::run(args, &cli),
        _ => session::Session::start(&cli, cuda).and_then(|session| cmd::run(cli.command, &session)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of our output went away (`| head`): nothing to say to anyone.
        Err(err) if exit::is_broken_pipe(&err) => ExitCode::SUCCESS,
        Err(err) => {
            writeln!(std::io::stderr(), "longvid: {}", exit::one_line(&err)).ok();
            exit::code(&err)
        }
    }
}
