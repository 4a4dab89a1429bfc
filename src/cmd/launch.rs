//! `longvid launch`: a training command as several processes (ranks) of this machine.
//!
//! Rank 0 speaks for all: its output is passed through. Of the others only stderr is shown, each line behind its rank.

mod watch;

use std::net::TcpListener;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use clap::Parser as _;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use self::watch::{PATIENCE, Rank};
use crate::cli::{Cli, LaunchArgs};
use crate::exit::BadInput;
use crate::session::{LAUNCHER, num_cores};

/// Starts the ranks and stays until the last has ended.
///
/// # Errors
/// [`BadInput`] for a command that does not train, [`RankFailed`](crate::exit::RankFailed) for the first rank that failed,
/// [`Interrupted`](crate::exit::Interrupted) when ctrl-C, SIGTERM or SIGUSR1 ended them all.
pub(crate) fn run(args: &LaunchArgs, cli: &Cli) -> anyhow::Result<()> {
    if cli.threads.is_some() || cli.device != "auto" {
        let said = "--threads and --device belong behind the --: each rank reads them for itself";
        return Err(BadInput(said.to_owned()).into());
    }
    let words = std::iter::once("longvid".into()).chain(args.command.iter().cloned());
    // What is mistyped is said once, before any rank starts.
    let launched = Cli::try_parse_from(words).unwrap_or_else(|err| err.exit());
    if !launched.command.trains() {
        let said = "only `tokenizer train`, `pretrain` and `eval finetune` share their work among ranks; run this command without launch";
        return Err(BadInput(said.to_owned()).into());
    }
    // From here on, signals are this loop's to pass on.
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGUSR1]).context("cannot listen for signals")?;
    let port = args.port.map_or_else(free_port, Ok).context("no port of this machine is free")?;
    let ranks = (0..args.nproc).map(|rank| Rank::start(rank, command(args, rank, port)?)).collect::<Result<_, _>>()?;
    watch::watch(ranks, || signals.pending().collect(), PATIENCE)
}

/// A port that was free a moment ago.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// One rank: this program, told its place by the variables that torchrun uses.
fn command(args: &LaunchArgs, rank: u16, port: u16) -> anyhow::Result<Command> {
    let threads = (num_cores() / i32::from(args.nproc)).max(1);
    let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
    command.args(&args.command);
    for (variable, value) in [
        ("RANK", rank.to_string()),
        ("WORLD_SIZE", args.nproc.to_string()),
        ("LOCAL_RANK", rank.to_string()),
        ("LOCAL_WORLD_SIZE", args.nproc.to_string()),
        ("MASTER_ADDR", "127.0.0.1".to_owned()),
        ("MASTER_PORT", port.to_string()),
        ("OMP_NUM_THREADS", threads.to_string()),
        (LAUNCHER, std::process::id().to_string()),
    ] {
        command.env(variable, value);
    }
    // These would speak of other ranks than ours.
    command.env_remove("TORCHELASTIC_USE_AGENT_STORE").env_remove("GLOO_SOCKET_IFNAME");
    if rank > 0 {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
    }
    Ok(command)
}
