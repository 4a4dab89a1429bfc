//! `longvid tokenizer encode`: codes and priorities of a clip store's segments, by one machine or shared out among several.

mod chunks;
mod earlier;
mod speed;

use serde::Serialize;
use spec::ClipGeometry;
use video::{Begin, ClipStore, EncodedSegment, TokenWriter};

use self::chunks::Encoder;
use self::earlier::Earlier;
use self::speed::Speed;
use crate::cli::TokenizerEncodeArgs;
use crate::clips;
use crate::cmd::training::say;
use crate::exit::Interrupted;
use crate::frozen::{ClipSize, Frozen};
use crate::progress::Progress;
use crate::session::Session;

/// What a run of the command did.
#[derive(Debug, Serialize)]
struct Report {
    store: String,
    store_id: String,
    num_segments: usize,
    /// Segments that were there already: from before an interruption.
    num_kept: usize,
    /// Segments whose tokens were copied from an earlier store.
    num_copied: usize,
    /// Of the other segments.
    #[serde(flatten)]
    speed: speed::Summary,
}

pub(crate) fn encode(args: &TokenizerEncodeArgs, session: &Session) -> anyhow::Result<()> {
    let store = clips::open_clips(&args.clips)?;
    let size = ClipSize { size_px: args.size_px, num_frames: args.num_frames };
    let frozen = Frozen::load_for(&args.tokenizer, size, session.device)?;
    frozen.expect_pairs(&args.tokenizer)?;
    let header = frozen.header(&store, args.shard)?;
    let earlier = Earlier::open(&args.from, &header)?;
    let (mut writer, begin) = TokenWriter::begin(&args.out, &header)?;
    if let Begin::Again(reason) = begin {
        tracing::warn!("an interrupted encoding could not be read and is made again: {reason}");
    }
    let segments = args.shard.range(store.segments().len());
    let num_kept = writer.num_segments();
    let (mut num_copied, mut speed) = (0, Speed::start());
    let is_new = |segment: usize| {
        (segments.start + num_kept..segments.end).contains(&segment)
            && earlier.find(&store.source_hash(segment)).is_none()
    };
    let mut encoder = Encoder::start(&frozen, &store, is_new, session.device)?;
    let mut progress = Progress::new("encoding frames", encoder.num_frames());
    for segment in segments.start + num_kept..segments.end {
        let (id, source_hash) = (store.segments()[segment].id.clone(), store.source_hash(segment));
        expect_to_go_on(args, session, (writer.num_segments(), segments.len()))?;
        if let Some((from, place)) = earlier.find(&source_hash) {
            from.copy_segment(place, &mut writer, id)?;
            num_copied += 1;
            continue;
        }
        while let Some(tokens) = encoder.next_of(segment, &mut speed)? {
            writer.push(&tokens)?;
            progress.set(speed.num_frames(), &format!("{id}, {speed}"));
            expect_to_go_on(args, session, (writer.num_segments(), segments.len()))?;
        }
        writer.commit(EncodedSegment { id, source_hash })?;
    }
    let store_id = writer.finish(frozen.codebook()?.as_ref())?;
    progress.finish(&format!("{} segments into {}", segments.len(), args.out.display()));
    let (store, num_segments) = (args.out.display().to_string(), segments.len());
    print(&Report { store, store_id, num_segments, num_kept, num_copied, speed: speed.summary() }, args.json)
}

fn expect_to_go_on(
    args: &TokenizerEncodeArgs,
    session: &Session,
    (num_done, num_segments): (usize, usize),
) -> Result<(), Interrupted> {
    if !session.interrupted() {
        return Ok(());
    }
    let out = args.out.display();
    let kept = format!("{num_done} of {num_segments} segments of {out} are kept: run the same command again to go on");
    Err(Interrupted(kept))
}

fn print(report: &Report, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return Ok(say(&serde_json::to_string(report)?)?);
    }
    let Report { store, store_id, num_segments, num_kept, num_copied, speed } = report;
    say(&format!("{store}: {num_segments} segments, {num_kept} kept from before, {num_copied} copied, id {store_id}"))?;
    Ok(say(&speed.to_string())?)
}

/// Frames of a segment's timeline.
fn num_frames(store: &ClipStore, segment: usize, geometry: &ClipGeometry) -> usize {
    let row = &store.segments()[segment];
    video::timeline(&store.videos()[row.video as usize], row, geometry).frames.len()
}
