//! `longvid doctor`: what was found, what is missing, and what to do about it.

use tch::Device;
use torch_ext::{CudaBackend, memory};
use video::Ffmpeg;

use super::training::say;
use crate::session::{Session, cpu_model, num_cores};

/// What a first run needs: the demo's stores and runs.
const WANTED_FREE_BYTES: u64 = 2 << 30;

pub(crate) fn run(session: &Session) -> anyhow::Result<()> {
    let mut missing = 0;
    for (name, finding) in findings(session) {
        match finding {
            Ok(text) => say(&format!("  ok       {name:10} {text}"))?,
            Err(text) => {
                missing += 1;
                say(&format!("  missing  {name:10} {text}"))?;
            }
        }
    }
    match missing {
        0 => Ok(say("everything that is needed is here")?),
        n => Err(anyhow::anyhow!("{n} of the above must be mended first")),
    }
}

/// What was found, or what to do.
type Finding = Result<String, String>;

fn findings(session: &Session) -> Vec<(&'static str, Finding)> {
    let gib = |bytes: i64| format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64);
    let memory = match (memory::available_bytes(), memory::machine_bytes()) {
        (Some(free), Some(all)) => Ok(format!("{} of {} available", gib(free), gib(all))),
        _ => Ok("unknown (no /proc/meminfo)".to_owned()),
    };
    vec![
        ("longvid", Ok(env!("CARGO_PKG_VERSION").to_owned())),
        ("libtorch", Ok(libtorch())),
        ("counting", counting()),
        ("gpu", Ok(gpu(session))),
        ("ffmpeg", ffmpeg()),
        ("hdf5", Ok(format!("{} (inside the program)", video::hdf5_version()))),
        ("cores", Ok(format!("{} ({})", num_cores(), cpu_model()))),
        ("memory", memory),
        ("disk", disk()),
    ]
}

fn libtorch() -> String {
    let found = torch_ext::libtorch();
    let folder = found.folder.map_or_else(String::new, |folder| format!(" ({})", folder.display()));
    format!("{}, {} threads{folder}", found.version, tch::get_num_threads())
}

fn counting() -> Finding {
    let held = || memory::stats(Device::Cpu).map(|stats| stats.current_bytes).unwrap_or(0);
    let before = held();
    let probe = tch::Tensor::zeros([1 << 20], (tch::Kind::Uint8, Device::Cpu));
    let counted = held() - before;
    drop(probe);
    match counted {
        0 => Err("tensor bytes are not counted: another CPU allocator is in place".to_owned()),
        _ => Ok("tensor bytes are counted exactly".to_owned()),
    }
}

fn gpu(session: &Session) -> String {
    match (&session.cuda, session.device) {
        (_, Device::Cuda(index)) => match memory::device_free_and_total(Device::Cuda(index)) {
            Ok((free, total)) => format!("CUDA GPU {index}, {} of {} MiB free", free >> 20, total >> 20),
            Err(_) => format!("CUDA GPU {index}"),
        },
        (CudaBackend::Absent, _) => {
            "none: this libtorch is CPU-only (to use a GPU, build with LIBTORCH set to one with CUDA)".to_owned()
        }
        (CudaBackend::Broken(message), _) => format!("none: libtorch_cuda does not load: {message}"),
        (CudaBackend::Loaded(_), _) if tch::Cuda::is_available() => {
            "there is one, but --device says otherwise".to_owned()
        }
        (CudaBackend::Loaded(_), _) => "none: libtorch has CUDA, but no GPU or driver answers".to_owned(),
    }
}

fn ffmpeg() -> Finding {
    let found = Ffmpeg::find().and_then(|ffmpeg| Ok((ffmpeg.version()?, ffmpeg.program().display().to_string())));
    found.map(|(version, program)| format!("{version} ({program})")).map_err(|err| format!("{err}"))
}

fn disk() -> Finding {
    match video::free_bytes(std::path::Path::new(".")) {
        Ok(free) if free < WANTED_FREE_BYTES => {
            Err(format!("{} MiB free here; the demo needs {} MiB", free >> 20, WANTED_FREE_BYTES >> 20))
        }
        Ok(free) => Ok(format!("{:.1} GiB free here", free as f64 / (1u64 << 30) as f64)),
        Err(err) => Ok(format!("unknown ({err})")),
    }
}
