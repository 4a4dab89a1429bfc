//! One point of `bench memory`, in a process of its own: an allocator that keeps what it freed would make the second point
//! of a process meaningless.

use tch::Device;
use torch_ext::{Precision, memory};

use super::lesson::Lesson;
use super::median;
use super::settings::{Setup, word};
use crate::cli::{AttentionArg, MemoryPointArgs};
use crate::cmd::training::say;
use crate::report::memory::{Outcome, Point};
use crate::session::Session;

/// What a child does: steps on random pixels, codes and priorities; prints one [`Point`] as JSON.
pub(crate) fn memory_point(args: &MemoryPointArgs, session: &Session) -> anyhow::Result<()> {
    let device = session.device;
    let setup = Setup::check(&args.model, &settings(args))?;
    let mut computing = setup.computing(device, args.attention.into());
    if args.force_bf16 {
        computing.precision = Precision::Bf16;
    }
    let mut lesson = Lesson::new(&setup, device, computing)?;
    // The first step makes the moments; they belong to the base. Gradients belong to the step.
    lesson.take()?;
    lesson.drop_gradients()?;
    let base = memory::stats(device)?.current_bytes;
    memory::reset_peak(device)?;
    let counts_resident = memory::reset_resident_peak();
    let steps = (0..args.model.steps.max(1)).map(|_| lesson.take()).collect::<anyhow::Result<Vec<f64>>>()?;
    let peak = memory::stats(device)?.peak_bytes;
    let resident = memory::resident_bytes().filter(|_| counts_resident).map(|(_, peak)| peak as u64);
    let planned = setup.planned(computing);
    let point = Point {
        base_bytes: Some(base as u64),
        peak_bytes: Some(peak as u64),
        rss_bytes: resident,
        step_secs: Some(median(steps)),
        planned_base_bytes: Some(planned.base.bytes() as u64),
        planned_bytes: Some(planned.peak_bytes() as u64),
        memory_bytes: memory_of(device),
        ..unmeasured(args, Outcome::Ok)
    };
    Ok(say(&serde_json::to_string(&point)?)?)
}

/// What a point changes in the preset.
pub(super) fn settings(args: &MemoryPointArgs) -> Vec<String> {
    let mut sets = vec![format!("clip.num_frames={}", args.frames)];
    sets.extend(args.mask.setting());
    sets
}

/// A point of which nothing was measured.
pub(super) fn unmeasured(args: &MemoryPointArgs, outcome: Outcome) -> Point {
    let attention = Some(args.attention).filter(|attention| *attention != AttentionArg::Fused).map(word);
    Point { attention, ..Point::without_figures(args.frames as u64, word(args.mask), outcome) }
}

/// All memory of the device, or of the machine.
pub(super) fn memory_of(device: Device) -> Option<u64> {
    let bytes = match device {
        Device::Cpu => memory::machine_bytes(),
        _ => memory::device_free_and_total(device).ok().map(|(_, total)| total),
    };
    bytes.map(|bytes| bytes as u64)
}
