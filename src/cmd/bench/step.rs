//! `longvid bench step`: how long a training step takes, and how much of the device's matrix products it reaches.

use nn::Attention;
use serde::Serialize;

use super::gemm::Gemm;
use super::lesson::Lesson;
use super::median;
use super::settings::{Setup, word};
use crate::cli::{BenchStepArgs, MaskArg};
use crate::cmd::training::say;
use crate::exit::Interrupted;
use crate::progress::Progress;
use crate::report::units::Unit;
use crate::session::Session;

/// One measured step.
#[derive(Debug, Serialize)]
struct Row {
    num_frames: i64,
    mask: String,
    batch: i64,
    /// Median and extremes over the repeats.
    step_secs: f64,
    lowest_secs: f64,
    highest_secs: f64,
    /// Multiplications and additions of matrix products in a step; see [`nn::cost::StepCost::flops`].
    flops: i64,
    flops_per_sec: f64,
    /// The fastest square f32 product between the steps so far.
    gemm_flops_per_sec: f64,
    share_of_gemm: f64,
}

pub(crate) fn step(args: &BenchStepArgs, session: &Session) -> anyhow::Result<()> {
    let cases: Vec<(i64, MaskArg)> =
        args.frames.iter().flat_map(|frames| args.masks.iter().map(|mask| (*frames, *mask))).collect();
    // What does not fit is said before anything is measured.
    let setups = cases.iter().map(|case| check(args, *case)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut progress = Progress::new("bench step", cases.len() as u64);
    let mut gemm = Gemm::new(session.device)?;
    let mut rows = Vec::new();
    for (i, (case, setup)) in cases.into_iter().zip(&setups).enumerate() {
        rows.push(measure(args, case, (setup, session), &mut gemm)?);
        progress.set(i as u64 + 1, &format!("{} frames, {}", case.0, word(case.1)));
    }
    progress.finish(&format!("{} steps", rows.len()));
    if args.json {
        return Ok(say(&serde_json::to_string_pretty(&rows)?)?);
    }
    Ok(say(table(&rows, session).trim_end())?)
}

fn check(args: &BenchStepArgs, (frames, mask): (i64, MaskArg)) -> anyhow::Result<Setup> {
    let sets: Vec<String> = [format!("clip.num_frames={frames}")].into_iter().chain(mask.setting()).collect();
    Setup::check(&args.model, &sets)
}

/// Steps and bare products in turns, so that what else the machine does hits both.
fn measure(
    args: &BenchStepArgs,
    (num_frames, mask): (i64, MaskArg),
    (setup, session): (&Setup, &Session),
    gemm: &mut Gemm,
) -> anyhow::Result<Row> {
    let computing = setup.computing(session.device, Attention::Fused);
    let mut lesson = Lesson::new(setup, session.device, computing)?;
    lesson.take()?;
    let mut secs = Vec::new();
    for _ in 0..args.model.steps.max(1) {
        if session.interrupted() {
            return Err(Interrupted("nothing is kept of this measurement".to_owned()).into());
        }
        gemm.measure()?;
        secs.push(lesson.take()?);
    }
    gemm.measure()?;
    let flops = setup.planned(computing).step.flops();
    let [lowest_secs, highest_secs] =
        [f64::min as fn(f64, f64) -> f64, f64::max].map(|of| secs.iter().copied().fold(f64::NAN, of));
    let step_secs = median(secs);
    let flops_per_sec = flops as f64 / step_secs;
    Ok(Row {
        num_frames,
        mask: word(mask),
        batch: setup.batch,
        step_secs,
        lowest_secs,
        highest_secs,
        flops,
        flops_per_sec,
        gemm_flops_per_sec: gemm.flops_per_sec(),
        share_of_gemm: flops_per_sec / gemm.flops_per_sec(),
    })
}

fn table(rows: &[Row], session: &Session) -> String {
    let mut text = format!(
        "# Time of one training step\n\n- command: `{}`\n- machine: {}\n",
        session.command,
        session.device_name()
    );
    text.push_str(&format!("- longvid {}\n\n", env!("CARGO_PKG_VERSION")));
    text.push_str(
        "`products` are multiplications and additions of linear layers and attention, forward, backward and run again. The \
         share is of the fastest square f32 product measured between the steps.\n\n\
         | frames | decoder mask | clips | step, median | lowest | highest | products | rate | of the f32 product |\n\
         |---:|---|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for row in rows {
        let giga = |value: f64, unit: &str| format!("{:.0} {unit}", value / 1e9);
        let cells = [
            row.num_frames.to_string(),
            row.mask.clone(),
            row.batch.to_string(),
            Unit::Secs.text(row.step_secs),
            Unit::Secs.text(row.lowest_secs),
            Unit::Secs.text(row.highest_secs),
            giga(row.flops as f64, "GFLOP"),
            giga(row.flops_per_sec, "GFLOP/s"),
            format!("{} of {}", Unit::Share.text(row.share_of_gemm), giga(row.gemm_flops_per_sec, "GFLOP/s")),
        ];
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}
