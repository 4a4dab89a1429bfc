//! `longvid data synth`: rendered videos with labels.

use video::synth::{DiveOptions, synth_dives};

use super::training::say;
use crate::cli::DivesArgs;
use crate::progress::Progress;
use crate::report::units::Unit;
use crate::session::Session;

pub(crate) fn dives(args: &DivesArgs, session: &Session) -> anyhow::Result<()> {
    let options = DiveOptions {
        num_train: args.num_train,
        num_test: args.num_test,
        num_classes: args.num_classes,
        size_px: args.size_px,
        frames_per_sec: args.fps,
        twist_rate: args.twist_rate,
        num_sources: [args.num_sources_train, args.num_sources_test],
        seed: args.seed,
        ..DiveOptions::new(args.out.clone())
    };
    options.check()?;
    let progress = std::sync::Mutex::new(Progress::new("rendering dives", (args.num_train + args.num_test) as u64));
    let report = synth_dives(
        &options,
        &|done, _| {
            if let Ok(mut progress) = progress.lock() {
                progress.set(done as u64, "");
            }
        },
        &session.interrupt,
    )?;
    if let Ok(progress) = progress.into_inner() {
        progress.finish(&format!("{} rendered, {} kept from before", report.num_rendered, report.num_kept));
    }
    let size = Unit::Bytes.text(report.num_bytes as f64);
    Ok(say(&format!("wrote {}: {} frames, {size}", args.out.display(), report.num_frames))?)
}
