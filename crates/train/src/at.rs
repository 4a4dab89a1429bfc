use nn::NnError;
use tch::Device;
use torch_ext::memory;

use crate::TrainError;
use crate::caught::Caught;

/// Which step failed, and on what device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(crate) step: u64,
    pub(crate) device: Device,
}

impl At {
    pub(crate) fn failed(self, source: NnError) -> TrainError {
        let step = self.step;
        match source {
            NnError::OutOfMemory { .. } | NnError::Ext(torch_ext::Error::OutOfMemory { .. }) => {
                let stats = memory::stats(self.device).ok();
                let counted = |bytes: i64| Some(bytes).filter(|bytes| *bytes > 0);
                let peak_bytes = stats.and_then(|stats| counted(stats.peak_bytes));
                let in_use_bytes = stats.and_then(|stats| counted(stats.current_bytes));
                let asked_bytes = asked_bytes(&source);
                TrainError::OutOfMemory { step, asked_bytes, peak_bytes, in_use_bytes, source: Box::new(source) }
            }
            source => TrainError::Step { step, source },
        }
    }

    pub(crate) fn caught(self, caught: Caught) -> TrainError {
        match caught {
            Caught::Torch(err) => self.failed(err),
            Caught::Bug(said) => TrainError::Panicked { step: self.step, said },
        }
    }
}

/// The bytes that an allocator says it was asked for: `you tried to allocate 4503 bytes` on the CPU, `Tried to allocate
/// 20.00 MiB` on CUDA.
fn asked_bytes(err: &NnError) -> Option<i64> {
    let mut said = err.to_string();
    let mut cause = std::error::Error::source(err);
    while let Some(err) = cause {
        said.push_str(&err.to_string());
        cause = err.source();
    }
    let at = said.find("ried to allocate ")? + "ried to allocate ".len();
    let mut words = said[at..].split([' ', '.', ',']).filter(|word| !word.is_empty());
    let whole: f64 = words.next()?.parse().ok()?;
    let mut unit = words.next()?;
    let mut number = whole;
    if let Ok(hundredths) = unit.parse::<f64>() {
        number += hundredths / 100.0;
        unit = words.next()?;
    }
    let factor = match unit {
        "bytes" => 1.0,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    Some((number * factor) as i64)
}

#[cfg(test)]
mod tests {
    use tch::TchError;

    use super::*;

    fn asked(message: &str) -> Option<i64> {
        asked_bytes(&NnError::OutOfMemory { during: "forward", source: TchError::Torch(message.to_owned()) })
    }

    #[test]
    fn both_allocators_words_are_read() {
        let cpu = "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried to allocate \
                   4503599627370496 bytes. Error code 12 (Cannot allocate memory)";
        assert_eq!(asked(cpu), Some(1 << 52));
        let cuda = "CUDA out of memory. Tried to allocate 20.50 MiB. GPU 0 has a total capacity of 139.72 GiB";
        assert_eq!(asked(cuda), Some(41 << 19));
        assert_eq!(asked("std::bad_alloc"), None);
    }
}
