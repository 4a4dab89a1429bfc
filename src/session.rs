//! What holds for the whole process: device, threads, and the user's wish to stop.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use tch::Device;
use torch_ext::{CudaBackend, Group, memory};

use crate::cli::Cli;
use crate::exit::BadInput;

/// Handed to every command.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// The command as it was typed, for records.
    pub(crate) command: String,
    /// Where tensors live.
    pub(crate) device: Device,
    /// What became of looking for CUDA.
    pub(crate) cuda: CudaBackend,
    /// Set by ctrl-C, SIGTERM and SIGUSR1; a second ctrl-C ends the process at once.
    pub(crate) interrupt: Arc<AtomicBool>,
    /// Connected when a command first asks for them.
    ranks: Rc<OnceCell<Group>>,
}

impl Session {
    pub(crate) fn start(cli: &Cli, cuda: CudaBackend) -> anyhow::Result<Self> {
        let threads = cli.threads.map_or_else(num_cores, i32::from).max(1);
        tch::set_num_threads(threads);
        limit_memory();
        let interrupt = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register_conditional_shutdown(SIGINT, 130, interrupt.clone())
            .context("cannot listen for ctrl-C")?;
        for signal in [SIGINT, SIGTERM, SIGUSR1] {
            signal_hook::flag::register(signal, interrupt.clone()).context("cannot listen for signals")?;
        }
        Ok(Session { command: command_line(), device: device(&cli.device, &cuda)?, cuda, interrupt, ranks: Rc::default() })
    }

    /// The same session in the name of another command: a part of a whole.
    pub(crate) fn of(&self, command: String) -> Self {
        Session { command, ..self.clone() }
    }

    /// The processes that train together.
    pub(crate) fn ranks(&self) -> anyhow::Result<&Group> {
        if self.ranks.get().is_none() {
            self.ranks.set(Group::alone()).ok();
        }
        self.ranks.get().context("the ranks are connected")
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

/// Share of the memory that is available at the start which tensors may take: beyond it an allocation fails with an error
/// that says so, where the kernel would kill the process without a word.
const MEMORY_SHARE: f64 = 0.95;

fn limit_memory() {
    if let (Some(available), Ok(held)) = (memory::available_bytes(), memory::stats(Device::Cpu)) {
        memory::set_cpu_limit(Some(held.current_bytes + (available as f64 * MEMORY_SHARE) as i64));
    }
}

fn command_line() -> String {
    let mut words = std::env::args();
    let program = words.next().unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default().to_owned();
    let quoted = |word: String| if word.contains([' ', '"', '{']) { format!("'{word}'") } else { word };
    std::iter::once(name).chain(words.map(quoted)).collect::<Vec<_>>().join(" ")
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

fn device(asked: &str, cuda: &CudaBackend) -> anyhow::Result<Device> {
    let available = tch::Cuda::is_available();
    let index = match asked.split_once(':') {
        Some(("cuda", index)) => index.parse::<usize>().ok(),
        None if asked == "cuda" => Some(0),
        _ => None,
    };
    match (asked, index) {
        ("auto", _) => Ok(Device::cuda_if_available()),
        ("cpu", _) => Ok(Device::Cpu),
        (_, Some(index)) if available && (index as i64) < tch::Cuda::device_count() => Ok(Device::Cuda(index)),
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
