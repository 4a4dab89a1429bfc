//! `longvid plan`: how much memory a run of pre-training or fine-tuning will take, by its settings alone.

mod fit;
mod preset;

use anyhow::Context as _;
use nn::cost::Pass;
use serde::Serialize;
use tch::Device;
use torch_ext::{Precision, memory};

use self::fit::{Advice, Candidate};
use super::training::say;
use crate::cli::PlanArgs;
use crate::exit::BadInput;
use crate::planned::{Base, Planned};
use crate::report::units::Unit;
use crate::session::Session;

const GIB: f64 = (1u64 << 30) as f64;
const TERA: f64 = 1e12;

/// Share of what is available that tensors may take: as in a run.
const MEMORY_SHARE: f64 = 0.95;

/// What is printed.
#[derive(Debug, Serialize)]
struct Report {
    preset: String,
    /// What the preset comes to, in words.
    says: String,
    num_frames: i64,
    clips_at_once: i64,
    accumulate: i64,
    bf16: bool,
    num_parameters: i64,
    /// Steps of the whole training.
    num_steps: u64,
    /// Multiplications and additions of matrix products in a step; see [`nn::cost::StepCost::flops`].
    step_flops: i64,
    /// What all steps take at the rate that was given, where one was.
    training_secs: Option<f64>,
    base: Base,
    /// In the order of the forward pass.
    parts: Vec<PartRow>,
    /// The part at whose backward (or forward) pass most is held, or the optimizer.
    peak_at: String,
    /// What comes and goes there.
    passing_bytes: i64,
    /// Weights' gradients that are there.
    gradient_bytes: i64,
    peak_bytes: i64,
    /// What a checkpoint copies into the process' memory, beside the tensors.
    checkpoint_bytes: i64,
    memory_bytes: i64,
    fits: bool,
    /// Frames of the longest clip that fits, all else as it is.
    largest_num_frames: Option<i64>,
    /// Most clips that fit at once, all else as it is.
    largest_clips_at_once: Option<i64>,
    advice: Vec<Advice>,
}

#[derive(Debug, Serialize)]
struct PartRow {
    name: &'static str,
    count: i64,
    /// Kept from forward to backward, by each.
    kept_bytes: i64,
    /// Of that by attention.
    attention_bytes: i64,
    /// Held by all of them at the peak.
    at_peak_bytes: i64,
}

pub(crate) fn run(args: &PlanArgs, session: &Session) -> anyhow::Result<()> {
    let candidate = Candidate::load(args, session.device)?;
    let planned = candidate.planned()?;
    let report = report(args, (&candidate, &planned), memory_bytes(session)?)?;
    if args.json {
        return Ok(say(&serde_json::to_string_pretty(&report)?)?);
    }
    Ok(say(text(&report).trim_end())?)
}

/// What is to hold the run: as typed, else what is free.
fn memory_bytes(session: &Session) -> anyhow::Result<i64> {
    match (session.memory_gib, session.device) {
        (Some(gib), _) => Ok((gib * GIB) as i64),
        (None, Device::Cpu) => {
            let available =
                memory::available_bytes().context("this system does not tell its memory: give --memory-gib")?;
            Ok((MEMORY_SHARE * available as f64) as i64)
        }
        // A device is asked once it was used.
        (None, device) => {
            let _used = tch::Tensor::f_zeros([1], (tch::Kind::Float, device))?;
            Ok(memory::device_free_and_total(device)?.0)
        }
    }
}

fn report(args: &PlanArgs, (candidate, planned): (&Candidate, &Planned), memory_bytes: i64) -> anyhow::Result<Report> {
    let (base, step) = (planned.base, &planned.step);
    let peak = planned.peak().context("a model has parts")?;
    let mut left = peak.kept_bytes;
    let row = |part: &nn::cost::Part| {
        // Kept from the front on, up to the one that runs.
        let at_peak_bytes = left.min(part.count * part.kept_bytes);
        left -= at_peak_bytes;
        PartRow {
            name: part.name,
            count: part.count,
            kept_bytes: part.kept_bytes,
            attention_bytes: part.attention_bytes,
            at_peak_bytes,
        }
    };
    let peak_at = match peak.pass {
        Pass::Forward => format!("forward, {}", step.parts[peak.part].name),
        Pass::Backward => format!("backward, {}", step.parts[peak.part].name),
        Pass::Update => "optimizer".to_owned(),
    };
    let clips = candidate.preset().clips()?;
    let num_steps = candidate.preset().train_plan()?.steps();
    let step_flops = clips.accumulate * step.flops();
    Ok(Report {
        preset: args.preset.clone(),
        says: candidate.preset().describe()?,
        num_frames: candidate.preset().clip().num_frames,
        clips_at_once: clips.at_once,
        accumulate: clips.accumulate,
        bf16: candidate.computing().precision == Precision::Bf16,
        num_parameters: step.num_parameters,
        num_steps,
        step_flops,
        training_secs: rate(args)?.map(|rate| num_steps as f64 * step_flops as f64 / rate),
        base,
        parts: step.parts.iter().map(row).collect(),
        peak_at,
        passing_bytes: peak.passing_bytes,
        gradient_bytes: peak.gradient_bytes,
        peak_bytes: planned.peak_bytes(),
        checkpoint_bytes: base.weights + base.moments + base.average,
        memory_bytes,
        fits: planned.peak_bytes() <= memory_bytes,
        largest_num_frames: candidate.largest_num_frames(memory_bytes),
        largest_clips_at_once: candidate.largest_clips_at_once(memory_bytes),
        advice: candidate.advice(args, memory_bytes)?,
    })
}

/// The rate that was given, products per second.
fn rate(args: &PlanArgs) -> Result<Option<f64>, BadInput> {
    match args.rate {
        Some(rate) if !(rate.is_finite() && rate > 0.0) => Err(BadInput(format!("--rate {rate} must be above 0"))),
        rate => Ok(rate.map(|rate| rate * TERA)),
    }
}

fn bytes(value: i64) -> String {
    Unit::Bytes.text(value as f64)
}

fn text(report: &Report) -> String {
    let precision = if report.bf16 { "bf16" } else { "f32" };
    let mut text = format!(
        "# {}\n\n{}\n{} clips at once, {} micro-batches per step, {precision}, {} M parameters\n\n\
         | part | number | kept by each | of it by attention | at the peak |\n|---|---:|---:|---:|---:|\n",
        report.preset,
        report.says,
        report.clips_at_once,
        report.accumulate,
        report.num_parameters / 1_000_000,
    );
    let Base { weights, moments, average, constants, data } = report.base;
    let always = [
        ("weights", weights),
        ("AdamW's moments", moments),
        ("averaged weights", average),
        ("constants", constants),
        ("frames, and codes or indices", data),
    ];
    for (name, value) in always.into_iter().filter(|(_, value)| *value > 0) {
        text.push_str(&format!("| {name} | | | | {} |\n", bytes(value)));
    }
    for part in &report.parts {
        let of_it = if part.attention_bytes > 0 { bytes(part.attention_bytes) } else { String::new() };
        let cells = [part.count.to_string(), bytes(part.kept_bytes), of_it, bytes(part.at_peak_bytes)];
        text.push_str(&format!("| {} | {} |\n", part.name, cells.join(" | ")));
    }
    text.push_str(&format!("| gradients of weights by then | | | | {} |\n", bytes(report.gradient_bytes)));
    text.push_str(&format!("| comes and goes ({}) | | | | {} |\n", report.peak_at, bytes(report.passing_bytes)));
    text.push_str(&format!("| peak | | | | {} |\n\n", bytes(report.peak_bytes)));
    text.push_str(&format!(
        "A checkpoint copies {} into the process' memory, beside the tensors.\n",
        bytes(report.checkpoint_bytes)
    ));
    text.push_str(&time(report));
    text.push_str(&verdict(report));
    text
}

fn time(report: &Report) -> String {
    let (steps, step) = (report.num_steps, report.step_flops as f64 / TERA);
    match report.training_secs {
        Some(secs) => format!("{steps} steps of {step:.3} TFLOP take {:.1} hours at that rate.\n", secs / 3600.0),
        None => format!(
            "{steps} steps of {step:.3} TFLOP; `--rate` with what `bench step` measures tells how long they take.\n"
        ),
    }
}

fn verdict(report: &Report) -> String {
    let memory = bytes(report.memory_bytes);
    let mut text = if report.fits { format!("It fits {memory}.") } else { format!("It does not fit {memory}.") };
    let largest = |what: &str, value: Option<i64>| match value {
        Some(value) if value >= fit::MOST => format!(" {what}: {value} or more."),
        Some(value) => format!(" {what}: {value}."),
        None => format!(" {what}: none."),
    };
    text.push_str(&largest("Largest frame count that fits", report.largest_num_frames));
    text.push_str(&largest("Most clips at once that fit", report.largest_clips_at_once));
    text.push('\n');
    if !report.advice.is_empty() {
        text.push_str("\nWhat would save most at the least cost, in this order:\n\n");
        text.push_str("| change | what it costs | saves alone | peak with those above |\n|---|---|---:|---:|\n");
    }
    for advice in &report.advice {
        let sets: Vec<String> = advice.sets.iter().map(|set| format!("`--set '{set}'`")).collect();
        let fits = if advice.peak_bytes <= report.memory_bytes { ", fits" } else { "" };
        let (saves, peak) = (bytes(advice.saves_bytes), bytes(advice.peak_bytes));
        text.push_str(&format!("| {} | {} | {saves} | {peak}{fits} |\n", sets.join(" "), advice.costs));
    }
    text
}
