//! What `longvid data info` says of a token store.

use std::fmt::Write as _;
use std::ops::ControlFlow;

use serde_json::json;
use spec::Sampling;
use video::{EncodedCrop, EncodedLayout, LongVideos, PriorityStats, TokenHeader, TokenStats, TokenStore};

use super::file_bytes;
use crate::exit::Interrupted;
use crate::progress::Progress;
use crate::quantizer::{self, grouped};
use crate::session::Session;

/// Reads every token for it.
pub(super) fn info(store: &TokenStore, as_json: bool, session: &Session) -> anyhow::Result<String> {
    let mut progress = Progress::new("counting codes", store.num_segments() as u64);
    let stats = store.stats(&mut |done| {
        progress.set(done as u64, "");
        if session.interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if session.interrupted() {
        return Err(Interrupted("nothing was changed".to_owned()).into());
    }
    progress.clear();
    if as_json {
        let value = json!({
            "kind": "token store",
            "id": store.id(),
            "created_by": store.created_by(),
            "header": store.header(),
            "quantizer": quantizer::in_words(store.header())?,
            "num_segments": store.num_segments(),
            "num_tokens": store.num_tokens(),
            "file_bytes": file_bytes(store.path()),
            "stats": stats,
        });
        return Ok(serde_json::to_string_pretty(&value)?);
    }
    text(store, &stats)
}

fn text(store: &TokenStore, stats: &TokenStats) -> anyhow::Result<String> {
    let header = store.header();
    let ([t, h, w], [rows, columns]) = (header.patch, header.grid());
    let mut text = String::new();
    let mut row = |name: &str, value: String| _ = writeln!(text, "{name:<11} {value}");
    row("token store", store.path().display().to_string());
    row("id", store.id().to_owned());
    row("made by", store.created_by().to_owned());
    row("size", format!("{:.1} MiB", file_bytes(store.path()) as f64 / (1 << 20) as f64));
    row("tokenizer", header.tokenizer_id.clone());
    row("clips", format!("{}, shard {}", header.clip_store_id, header.shard));
    row("encoded", encoded(header));
    row("quantizer", quantizer::in_words(header)?);
    row("segments", grouped(store.num_segments() as u64));
    row("tokens", format!("{}, {rows}x{columns} in each latent frame, of {t}x{h}x{w}", grouped(store.num_tokens())));
    row("code use", code_use(stats, header.codebook_size));
    row("priorities", stats.priorities.as_ref().map_or("none".to_owned(), priorities));
    if stats.num_not_finite > 0 {
        row("", format!("{} are not finite", grouped(stats.num_not_finite)));
    }
    Ok(text)
}

fn encoded(header: &TokenHeader) -> String {
    let (size, num_frames) = (header.size_px, header.num_frames);
    let crop = match header.crop {
        EncodedCrop::CentreSquare => format!("the centre square in {size}x{size} px"),
    };
    let sampling = match header.sampling {
        Sampling::Segment => format!("{num_frames} frames over the whole segment"),
        Sampling::Rate { frames_per_sec } => format!("{frames_per_sec} frames/s, at least {num_frames}"),
    };
    let layout = match header.time_layout {
        EncodedLayout::Pairs => "frames in pairs",
        EncodedLayout::FirstFrame => "the first frame by itself",
    };
    let long = match header.long_videos {
        LongVideos::Windows => "window by window",
        LongVideos::Carried => "windows carried on",
    };
    format!("{crop}, {sampling}, {layout}, {long}")
}

fn code_use(stats: &TokenStats, codebook_size: u64) -> String {
    let codes = &stats.codes;
    let share = 100.0 * codes.num_used as f64 / codebook_size as f64;
    let (used, dead, all) = (grouped(codes.num_used), grouped(codes.num_dead), grouped(codebook_size));
    format!("{used} of {all} codes ({share:.1} %), perplexity {:.1}, {dead} dead", codes.perplexity)
}

fn priorities(stats: &PriorityStats) -> String {
    let PriorityStats { min, max, mean, median, top_tenth_from, top_tenth_share } = stats;
    let share = 100.0 * top_tenth_share;
    format!(
        "{min:.3} to {max:.3}, median {median:.3}, mean {mean:.3}; the highest tenth, from {top_tenth_from:.3} on, holds \
         {share:.0} % of the sum"
    )
}
