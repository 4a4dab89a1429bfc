//! `longvid bench loader`: how fast clips come when nothing else is done with them.

use std::time::Instant;

use serde::Serialize;
use video::{ClipSource, Loader, LoaderOptions};

use crate::cli::BenchLoaderArgs;
use crate::clips::{self, ClipPlan};
use crate::cmd::training::say;
use crate::curriculum::FrameCounts;
use crate::exit::{BadInput, Interrupted};
use crate::method::Method;
use crate::presets::{self, PretrainPreset};
use crate::progress::Progress;
use crate::session::{Session, num_cores};

/// One pass over the asked-for steps.
#[derive(Debug, Serialize)]
struct Round {
    clips_per_sec: f64,
    /// Decoded pixels handed out, bytes.
    bytes_per_sec: f64,
}

#[derive(Debug, Serialize)]
struct Answer {
    clips: String,
    num_frames: i64,
    size_px: i64,
    batch: i64,
    num_workers: usize,
    rounds: Vec<Round>,
}

pub(crate) fn loader(args: &BenchLoaderArgs, session: &Session) -> anyhow::Result<()> {
    let preset: PretrainPreset = presets::read(&args.preset, &args.sets)?;
    let geometry = preset.clip.check()?;
    let num_workers = args.workers.map_or(num_cores() as usize, usize::from);
    if args.batch < 1 || args.steps < 1 || args.rounds < 1 {
        return Err(BadInput("--batch, --steps and --rounds must be at least 1".to_owned()).into());
    }
    let store = clips::open_clips(&args.clips)?;
    let tokens = args.tokens.as_deref().map(clips::open_tokens).transpose()?;
    let with_flow = Method::check(&preset, &geometry)?.needs_flow();
    let source = ClipSource { store, tokens, geometry, augment: preset.augment.check()?, with_flow };
    let mut progress = Progress::new("bench loader", u64::from(args.rounds) * args.steps);
    let mut rounds = Vec::new();
    for round in 0..args.rounds {
        let plan = ClipPlan::new(&source, FrameCounts::constant(geometry.num_frames()), (round.into(), args.batch))?;
        let requests = move |step| plan.draws(step + 1).into_iter().map(|draw| draw.request).collect();
        let options = LoaderOptions { num_workers, ..clips::loader_options() };
        let began = Instant::now();
        let mut loader = Loader::start(source.clone(), std::sync::Arc::new(requests), 0..args.steps, options)?;
        let (mut num_clips, mut num_bytes) = (0, 0);
        while let Some(batch) = loader.next() {
            let batch = batch?;
            if session.interrupted() {
                return Err(Interrupted("no result was written".to_owned()).into());
            }
            num_clips += batch.clips.len();
            num_bytes += batch.clips.iter().map(|clip| clip.rgb.len()).sum::<usize>();
            progress.set(u64::from(round) * args.steps + batch.step + 1, "");
        }
        let secs = began.elapsed().as_secs_f64();
        rounds.push(Round { clips_per_sec: num_clips as f64 / secs, bytes_per_sec: num_bytes as f64 / secs });
    }
    progress.finish(&format!("{} rounds", rounds.len()));
    let (num_frames, size_px) = (geometry.num_frames(), geometry.size_px());
    let clips = args.clips.display().to_string();
    print(&Answer { clips, num_frames, size_px, batch: args.batch, num_workers, rounds }, args.json)
}

fn print(answer: &Answer, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return Ok(say(&serde_json::to_string(answer)?)?);
    }
    let Answer { clips, num_frames, size_px, num_workers, .. } = answer;
    say(&format!("{num_frames} frames of {size_px}x{size_px} from {clips}, {num_workers} workers"))?;
    say(&format!("{:>6} {:>12} {:>14}", "round", "clips per s", "MB per s"))?;
    for (k, round) in answer.rounds.iter().enumerate() {
        say(&format!("{:>6} {:>12.1} {:>14.0}", k + 1, round.clips_per_sec, round.bytes_per_sec / 1e6))?;
    }
    Ok(())
}
