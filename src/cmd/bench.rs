//! `longvid bench memory`: what a training step costs against the number of frames, measured in a process of its own for
//! each point, since an allocator that keeps what it freed would make the second point of a process meaningless.

pub(crate) mod loader;

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::Context as _;
use clap::ValueEnum as _;
use tch::Device;
use tch::nn::VarStore;
use torch_ext::memory;
use train::AdamW;

use super::training::say;
use crate::cli::{BenchMemoryArgs, MaskArg, MemoryPointArgs};
use crate::exit::{BadInput, Interrupted};
use crate::method::{Method, PretrainBatch};
use crate::presets::{self, PretrainPreset};
use crate::progress::Progress;
use crate::report::memory::{Outcome, Point, memory_chart};
use crate::report::units::Unit;
use crate::session::Session;
use crate::targets::TargetShape;

impl MaskArg {
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// The mask in a preset's words, with the paper's budget.
    fn setting(self) -> &'static str {
        match self {
            MaskArg::None => "model.decoder_mask={ kind = \"none\" }",
            MaskArg::Random => "model.decoder_mask={ kind = \"random\", share = 0.15 }",
            MaskArg::Adaptive => {
                "model.decoder_mask={ kind = \"adaptive\", salient_share = 0.10, random_share = 0.05 }"
            }
        }
    }
}

pub(crate) fn memory(args: &BenchMemoryArgs, session: &Session) -> anyhow::Result<()> {
    let points = sweep(args, session)?;
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot create {:?}", args.out))?;
    let table = table(args, &points, session)?;
    let chart = memory_chart(&points).draw().standalone();
    for (name, text) in
        [("memory.json", serde_json::to_string_pretty(&points)?), ("memory.md", table.clone()), ("memory.svg", chart)]
    {
        let path = args.out.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {path:?}"))?;
    }
    Ok(say(table.trim_end())?)
}

/// All points, smallest clips first.
fn sweep(args: &BenchMemoryArgs, session: &Session) -> anyhow::Result<Vec<Point>> {
    // A preset or a frame count that does not fit is said once, before any child starts.
    for (frames, mask) in args.frames.iter().flat_map(|frames| args.masks.iter().map(move |mask| (*frames, *mask))) {
        let point = MemoryPointArgs { model: args.model.clone(), frames, mask };
        preset(&point)?;
    }
    let mut progress = Progress::new("bench memory", (args.frames.len() * args.masks.len()) as u64);
    let mut points = Vec::new();
    for frames in &args.frames {
        for mask in &args.masks {
            if session.interrupted() {
                return Err(Interrupted("the points so far are lost".to_owned()).into());
            }
            points.push(child(args, *frames, *mask, session)?);
            progress.set(points.len() as u64, &format!("{frames} frames, {}", mask.name()));
        }
    }
    progress.finish(&format!("{} points", points.len()));
    Ok(points)
}

/// Runs one point in a child process; running out of memory is a result.
fn child(args: &BenchMemoryArgs, frames: i64, mask: MaskArg, session: &Session) -> anyhow::Result<Point> {
    let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
    command.args(["bench", "memory-point", "--preset", &args.model.preset, "--mask", &mask.name()]);
    command.args(["--frames", &frames.to_string(), "--batch", &args.model.batch.to_string()]);
    command.args(["--steps", &args.model.steps.to_string(), "--threads", &tch::get_num_threads().to_string()]);
    if let Device::Cuda(index) = session.device {
        command.args(["--device", &format!("cuda:{index}")]);
    } else {
        command.args(["--device", "cpu"]);
    }
    for set in &args.model.sets {
        command.args(["--set", set]);
    }
    let output = command.stdin(Stdio::null()).output().context("cannot start a child process")?;
    if output.status.success() {
        return serde_json::from_slice(&output.stdout).context("the child's answer is not a point");
    }
    let said = String::from_utf8_lossy(&output.stderr);
    // Without a code a signal ended it, which here is the kernel's out-of-memory killer.
    let out_of_memory = torch_ext::is_out_of_memory(&said) || output.status.code().is_none();
    if !out_of_memory {
        tracing::warn!("{frames} frames, {}: {}", mask.name(), said.lines().next().unwrap_or_default());
    }
    let outcome = if out_of_memory { Outcome::OutOfMemory } else { Outcome::Failed };
    Ok(Point::without_figures(frames as u64, mask.name(), outcome))
}

/// The measured preset at one point.
fn preset(args: &MemoryPointArgs) -> anyhow::Result<(PretrainPreset, Method)> {
    let mut sets = args.model.sets.clone();
    sets.push(format!("clip.num_frames={}", args.frames));
    sets.push(args.mask.setting().to_owned());
    let preset: PretrainPreset = presets::load(&args.model.preset, &sets)?.parse()?;
    let method = Method::check(&preset, &preset.clip.check()?)?;
    if args.model.batch < 1 {
        return Err(BadInput("--batch must be at least 1".to_owned()).into());
    }
    Ok((preset, method))
}

/// What a child does: steps on random pixels, codes and priorities; prints one [`Point`] as JSON.
pub(crate) fn memory_point(args: &MemoryPointArgs, session: &Session) -> anyhow::Result<()> {
    let device = session.device;
    let (preset, method) = preset(args)?;
    let geometry = preset.clip.check()?;
    let shape = TargetShape::usual(method.target());
    tch::manual_seed(0);
    let vs = VarStore::new(device);
    let model = method.build(&vs.root(), &shape)?;
    let train = preset.train.check()?;
    let mut optimizer = AdamW::new(&vs, train.adamw())?;
    let batch = PretrainBatch::noise(&geometry, args.model.batch, &shape, device);

    let mut step = || -> anyhow::Result<f64> {
        let began = Instant::now();
        optimizer.zero_grad()?;
        let losses = model.loss(&batch, 0)?;
        losses.total.f_backward()?;
        optimizer.clip_grad_norm(train.clip_grad_norm())?;
        optimizer.step(1e-6)?;
        // Reading the loss waits for the device.
        f64::try_from(&losses.total)?;
        Ok(began.elapsed().as_secs_f64())
    };
    // The first step makes gradients and moments; they belong to the base, not to the step.
    step()?;
    let base = memory::stats(device)?.current_bytes;
    memory::reset_peak(device)?;
    let counts_resident = memory::reset_resident_peak();
    let mut secs = f64::INFINITY;
    for _ in 0..args.model.steps.max(1) {
        secs = secs.min(step()?);
    }
    let peak = memory::stats(device)?.peak_bytes;
    let resident = memory::resident_bytes().filter(|_| counts_resident).map(|(_, peak)| peak as u64);
    let point = Point {
        base_bytes: Some(base as u64),
        peak_bytes: Some(peak as u64),
        rss_bytes: resident,
        step_secs: Some(secs),
        ..Point::without_figures(args.frames as u64, args.mask.name(), Outcome::Ok)
    };
    Ok(say(&serde_json::to_string(&point)?)?)
}

fn table(args: &BenchMemoryArgs, points: &[Point], session: &Session) -> anyhow::Result<String> {
    let mut text = String::from("# Peak memory of one training step against frames\n\n");
    text.push_str(&format!("- command: `{}`\n- machine: {}\n", session.command, session.device_name()));
    text.push_str(&format!(
        "- longvid {}, libtorch CPU threads {}\n\n",
        env!("CARGO_PKG_VERSION"),
        tch::get_num_threads()
    ));
    text.push_str("`base` is weights, gradients, optimizer state and the batch; `step` is the peak above it; both are exact tensor bytes. `resident` is the whole process.\n\n");
    text.push_str(
        "| frames | decoder mask | base | step | peak | resident | step time |\n|---:|---|---:|---:|---:|---:|---:|\n",
    );
    let bytes = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |b| Unit::Bytes.text(b as f64));
    for point in points {
        let step = point.step_bytes();
        let outcome = match point.outcome {
            Outcome::Ok => point.step_secs.map_or_else(String::new, |secs| format!("{secs:.2} s")),
            Outcome::OutOfMemory => "out of memory".to_owned(),
            Outcome::Failed => "failed".to_owned(),
        };
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} | {outcome} |\n",
            point.num_frames,
            point.mask,
            bytes(point.base_bytes),
            bytes(step),
            bytes(point.peak_bytes),
            bytes(point.rss_bytes)
        ));
    }
    let (preset, _) =
        preset(&MemoryPointArgs { model: args.model.clone(), frames: args.frames[0], mask: args.masks[0] })?;
    text.push_str(&format!("\nResolved preset of the first point:\n\n```toml\n{}```\n", toml::to_string(&preset)?));
    Ok(text)
}
