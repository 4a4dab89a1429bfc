//! What holds for the whole process: device, threads, and the user's wish to stop.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use tch::Device;
use torch_ext::{CudaBackend, Group, memory};
use train::ranks::{self, Launched};

use crate::cli::Cli;
use crate::exit::BadInput;

/// Handed to every command.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// The command as it was typed, for records.
    pub(crate) command: String,
    /// Where tensors live.
    pub(crate) device: Device,
    /// What tensors may take of the CPU's memory, GiB, if that was typed.
    pub(crate) memory_gib: Option<f64>,
    /// What became of looking for CUDA.
    pub(crate) cuda: CudaBackend,
    /// Set by ctrl-C, SIGTERM and SIGUSR1; a second ctrl-C ends the process at once.
    pub(crate) interrupt: Arc<AtomicBool>,
    /// This process' place among the ranks, where the command trains and it was started as one of several.
    launched: Option<Launched>,
    /// Connected when a command first asks for them.
    ranks: Rc<OnceCell<Group>>,
}

impl Session {
    pub(crate) fn start(cli: &Cli, cuda: CudaBackend) -> anyhow::Result<Self> {
        tch::set_num_threads(num_threads(cli.threads));
        let launched = if cli.command.trains() { ranks::launched(|name| std::env::var(name).ok())? } else { None };
        let num_local_ranks = launched.as_ref().map_or(1, |launched| launched.num_local_ranks);
        limit_memory(cli.memory_gib, num_local_ranks)?;
        let interrupt = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register_conditional_shutdown(SIGINT, 130, interrupt.clone())
            .context("cannot listen for ctrl-C")?;
        for signal in [SIGINT, SIGTERM, SIGUSR1] {
            signal_hook::flag::register(signal, interrupt.clone()).context("cannot listen for signals")?;
        }
        end_with_launcher(&interrupt)?;
        let device = device(&cli.device, &cuda, launched.as_ref().map_or(0, |launched| launched.local_rank))?;
        Ok(Session {
            command: command_line(),
            device,
            memory_gib: cli.memory_gib,
            cuda,
            interrupt,
            launched,
            ranks: Rc::default(),
        })
    }

    /// The same session in the name of another command: a part of a whole.
    pub(crate) fn of(&self, command: String) -> Self {
        Session { command, ..self.clone() }
    }

    /// The processes that train together, of which this is one; waits for the others when it is first asked for them.
    pub(crate) fn ranks(&self) -> anyhow::Result<&Group> {
        if let Some(ranks) = self.ranks.get() {
            return Ok(ranks);
        }
        let ranks = match &self.launched {
            Some(launched) => Group::connect(&launched.rendezvous).context("the ranks did not come together")?,
            None => Group::alone(),
        };
        Ok(self.ranks.get_or_init(|| ranks))
    }

    /// Whether the user wants to stop.
    pub(crate) fn interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }

    /// The device in words, for records and reports.
    pub(crate) fn device_name(&self) -> String {
        match self.device {
            Device::Cuda(index) => format!("CUDA GPU {index}"),
            _ => format!("CPU, {} threads, {}", tch::get_num_threads(), cpu_model()),
        }
    }
}

/// Share of the memory that is available at the start which tensors of all ranks here may take: beyond it an allocation
/// fails with an error that says so, where the kernel would kill the process without a word.
const MEMORY_SHARE: f64 = 0.95;

/// * `asked_gib` - what this process may take instead
fn limit_memory(asked_gib: Option<f64>, num_local_ranks: usize) -> anyhow::Result<()> {
    let gib = f64::from(1 << 30);
    let bytes = match asked_gib {
        Some(asked) if asked > 0.0 => Some(asked * gib),
        Some(asked) => return Err(BadInput(format!("--memory-gib {asked} is not above 0")).into()),
        None => memory::available_bytes().map(|bytes| MEMORY_SHARE / num_local_ranks.max(1) as f64 * bytes as f64),
    };
    if let (Some(bytes), Ok(held)) = (bytes, memory::stats(Device::Cpu)) {
        memory::set_cpu_limit(Some(held.current_bytes + bytes as i64));
    }
    Ok(())
}

fn command_line() -> String {
    let mut words = std::env::args();
    let program = words.next().unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default().to_owned();
    let quoted = |word: String| if word.contains([' ', '"', '{']) { format!("'{word}'") } else { word };
    std::iter::once(name).chain(words.map(quoted)).collect::<Vec<_>>().join(" ")
}

/// Names the process id of `longvid launch` to the ranks that it starts.
pub(crate) const LAUNCHER: &str = "LONGVID_LAUNCHER";

/// A rank whose launcher is killed ends as if it were interrupted, instead of training on unseen.
fn end_with_launcher(interrupt: &AtomicBool) -> anyhow::Result<()> {
    #[cfg(target_os = "linux")]
    if let Some(launcher) = std::env::var(LAUNCHER).ok().and_then(|pid| pid.parse().ok()) {
        use rustix::process::{Signal, getppid, set_parent_process_death_signal};
        set_parent_process_death_signal(Some(Signal::TERM)).context("cannot watch the launcher")?;
        // It may have ended before we asked.
        interrupt.fetch_or(getppid().map(|pid| pid.as_raw_nonzero().get()) != Some(launcher), Ordering::Relaxed);
    }
    Ok(())
}

/// Threads for tensor work. `longvid launch` and torchrun divide the cores among their ranks by OMP_NUM_THREADS.
fn num_threads(asked: Option<u16>) -> i32 {
    let told = || std::env::var("OMP_NUM_THREADS").ok()?.parse().ok();
    asked.map(i32::from).or_else(told).unwrap_or_else(num_cores).max(1)
}

/// Cores of this machine.
pub(crate) fn num_cores() -> i32 {
    std::thread::available_parallelism().map_or(1, |n| n.get() as i32)
}

/// The processor's name as the system tells it.
pub(crate) fn cpu_model() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(|| "unknown processor".to_owned(), |(_, name)| name.to_owned())
}

/// * `local_rank` - of the ranks on this machine, each of which takes a GPU of its own where there are several
fn device(asked: &str, cuda: &CudaBackend, local_rank: usize) -> anyhow::Result<Device> {
    let available = tch::Cuda::is_available();
    let num_gpus = tch::Cuda::device_count();
    let own = if num_gpus > 1 { local_rank } else { 0 };
    let index = match asked.split_once(':') {
        Some(("cuda", index)) => index.parse::<usize>().ok(),
        None if asked == "cuda" || (asked == "auto" && available) => Some(own),
        _ => None,
    };
    match (asked, index) {
        ("cpu", _) | ("auto", None) => Ok(Device::Cpu),
        (_, Some(index)) if available && (index as i64) < num_gpus => Ok(Device::Cuda(index)),
        ("auto" | "cuda", Some(_)) if available => {
            let said = format!("rank {local_rank} of this machine has no GPU of its own: {num_gpus} answer");
            Err(BadInput(format!("{said}; start at most {num_gpus} ranks here")).into())
        }
        (_, Some(_)) => {
            let why = match cuda {
                CudaBackend::Absent => "this libtorch is CPU-only; point LIBTORCH at one with CUDA".to_owned(),
                CudaBackend::Broken(message) => format!("libtorch_cuda does not load: {message}"),
                CudaBackend::Loaded(_) => format!("{} GPU(s) answer", tch::Cuda::device_count()),
            };
            Err(BadInput(format!("--device {asked} is not there: {why}")).into())
        }
        _ => Err(BadInput(format!("--device {asked:?} is none of auto, cpu, cuda, cuda:N")).into()),
    }
}
