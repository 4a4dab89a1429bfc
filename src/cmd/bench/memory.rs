//! `longvid bench memory`: what a training step costs against the number of frames, measured beside planned.

use std::process::{Command, Stdio};

use anyhow::Context as _;
use tch::Device;

use super::point::{memory_of, settings, unmeasured};
use super::settings::{Setup, word};
use crate::cli::{AttentionArg, BenchMemoryArgs, MaskArg, MemoryPointArgs, RecomputeArg, SizeArg};
use crate::cmd::training::say;
use crate::exit::Interrupted;
use crate::progress::Progress;
use crate::report::memory::{Outcome, Point, markdown, memory_chart};
use crate::session::Session;
use crate::whole;

pub(crate) fn memory(args: &BenchMemoryArgs, session: &Session) -> anyhow::Result<()> {
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot create {:?}", args.out))?;
    let points = sweep(args, session)?;
    let text = record(args, &points, session)?;
    whole::write(&args.out.join("memory.md"), &text)?;
    whole::write(&args.out.join("memory.svg"), memory_chart(&points).draw().standalone())?;
    Ok(say(text.trim_end())?)
}

/// One point to be measured, and what is varied to get there beside frames, mask and attention.
struct Plan {
    args: MemoryPointArgs,
    size: Option<SizeArg>,
    recompute: Option<RecomputeArg>,
}

/// All points, smallest clips first.
fn plans(args: &BenchMemoryArgs) -> Vec<Plan> {
    let (sizes, recompute) = (or_preset(&args.sizes), or_preset(&args.recompute));
    let mut plans = Vec::new();
    for &frames in &args.frames {
        for &size in &sizes {
            for &mask in &args.masks {
                for &recompute in &recompute {
                    plans.extend(
                        args.attention
                            .iter()
                            .map(|&attention| plan(args, (frames, mask, attention), (size, recompute))),
                    );
                }
            }
        }
    }
    plans
}

/// What was typed, or what the preset says.
fn or_preset<T: Copy>(typed: &[T]) -> Vec<Option<T>> {
    if typed.is_empty() { vec![None] } else { typed.iter().copied().map(Some).collect() }
}

fn plan(
    args: &BenchMemoryArgs,
    (frames, mask, attention): (i64, MaskArg, AttentionArg),
    (size, recompute): (Option<SizeArg>, Option<RecomputeArg>),
) -> Plan {
    let mut model = args.model.clone();
    model.sets.extend(size.map(SizeArg::settings).unwrap_or_default());
    model.sets.extend(recompute.map(RecomputeArg::setting));
    Plan { args: MemoryPointArgs { model, frames, mask, attention, force_bf16: false }, size, recompute }
}

impl Plan {
    /// The point with what is known before it is measured: its names, what is planned, and the hash of all that its figures
    /// hang on.
    fn expected(&self, session: &Session) -> anyhow::Result<Point> {
        let setup = Setup::check(&self.args.model, &settings(&self.args))?;
        let planned = setup.planned(setup.computing(session.device, self.args.attention.into()));
        let toml = toml::to_string(&setup.preset)?;
        let (batch, steps) = (self.args.model.batch, self.args.model.steps);
        let hangs_on =
            (toml, batch, steps, word(self.args.attention), session.device_name(), env!("CARGO_PKG_VERSION"));
        Ok(Point {
            size: self.size.map(word),
            recompute: self.recompute.map(word),
            planned_base_bytes: Some(planned.base.bytes() as u64),
            planned_bytes: Some(planned.peak_bytes() as u64),
            memory_bytes: memory_of(session.device),
            settings_hash: Some(blake3::hash(format!("{hangs_on:?}").as_bytes()).to_hex()[..16].to_owned()),
            ..unmeasured(&self.args, Outcome::Failed)
        })
    }
}

/// Measures what is not in `memory.json` yet, and keeps it there point by point.
fn sweep(args: &BenchMemoryArgs, session: &Session) -> anyhow::Result<Vec<Point>> {
    let path = args.out.join("memory.json");
    let known: Vec<Point> =
        std::fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let known = |hash: &Option<String>| {
        known.iter().find(|point| point.settings_hash == *hash && point.outcome != Outcome::Failed).cloned()
    };
    // A preset or a frame count that does not fit is said once, before any child starts.
    let plans = plans(args);
    let expected = plans.iter().map(|plan| plan.expected(session)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut progress = Progress::new("bench memory", plans.len() as u64);
    let mut points = Vec::new();
    for (plan, expected) in plans.iter().zip(expected) {
        if session.interrupted() {
            return Err(
                Interrupted(format!("the same command goes on behind the {} points so far", points.len())).into()
            );
        }
        let note = format!("{} frames, {}", expected.num_frames, expected.name());
        points.push(match known(&expected.settings_hash) {
            Some(point) => point,
            None => child(&plan.args, expected, session)?,
        });
        whole::write(&path, serde_json::to_string_pretty(&points)?)?;
        progress.set(points.len() as u64, &note);
    }
    progress.finish(&format!("{} points", points.len()));
    Ok(points)
}

/// Runs one point in a child process; running out of memory is a result.
fn child(args: &MemoryPointArgs, expected: Point, session: &Session) -> anyhow::Result<Point> {
    let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
    command.args(["bench", "memory-point", "--preset", &args.model.preset, "--mask", &word(args.mask)]);
    command.args(["--frames", &args.frames.to_string(), "--batch", &args.model.batch.to_string()]);
    command.args(["--steps", &args.model.steps.to_string(), "--threads", &tch::get_num_threads().to_string()]);
    command.args(["--attention", &word(args.attention)]);
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
        let measured: Point = serde_json::from_slice(&output.stdout).context("the child's answer is not a point")?;
        let Point { size, recompute, settings_hash, .. } = expected;
        return Ok(Point { size, recompute, settings_hash, ..measured });
    }
    let said = String::from_utf8_lossy(&output.stderr);
    // Without a code a signal ended it, which here is the kernel's out-of-memory killer.
    let out_of_memory = torch_ext::is_out_of_memory(&said) || output.status.code().is_none();
    if !out_of_memory {
        let last = said.lines().last().unwrap_or_default();
        tracing::warn!("{} frames, {}: {last}", expected.num_frames, expected.name());
    }
    let outcome = if out_of_memory { Outcome::OutOfMemory } else { Outcome::Failed };
    Ok(Point { outcome, ..expected })
}

/// The table with what it takes to make it again.
fn record(args: &BenchMemoryArgs, points: &[Point], session: &Session) -> anyhow::Result<String> {
    let first = plans(args).into_iter().next().context("no frames and masks to measure")?;
    let setup = Setup::check(&first.args.model, &settings(&first.args))?;
    Ok(format!(
        "# Peak memory of one training step against frames\n\n\
         - command: `{}`\n- machine: {}\n- longvid {}, libtorch CPU threads {}\n\n{}\n\
         Resolved preset of the first point:\n\n```toml\n{}```\n",
        session.command,
        session.device_name(),
        env!("CARGO_PKG_VERSION"),
        tch::get_num_threads(),
        markdown(points),
        toml::to_string(&setup.preset)?
    ))
}
