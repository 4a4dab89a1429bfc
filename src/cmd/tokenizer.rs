//! `longvid tokenizer`: train codes and priorities, write them for a whole store, look at them.

mod critics;
mod draw;
mod train;

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use spec::ClipGeometry;
use tch::nn::VarStore;
use tch::{Device, Tensor};
use tokenizer::Tokenizer;
use video::{ClipRequest, ClipStore, Loader, TokenHeader, TokenWriter, Tokens, View, WINDOW_FRAMES, timeline};

use self::draw::{Artist, Sketch, spread};
pub(crate) use self::train::train;
use super::training::say;
use crate::album::Album;
use crate::cli::{TokenizerEncodeArgs, TokenizerReconstructArgs};
use crate::clips;
use crate::exit::Interrupted;
use crate::presets::TokenizerPreset;
use crate::progress::Progress;
use crate::session::Session;

/// Frames encoded at once: bounds the memory of a long video.
const CHUNK_FRAMES: usize = 512;

pub(crate) fn encode(args: &TokenizerEncodeArgs, session: &Session) -> anyhow::Result<()> {
    let store = clips::open_clips(&args.clips)?;
    let frozen = Frozen::load(&args.tokenizer, args.size_px, session.device)?;
    let geometry = frozen.geometry;
    let patch = geometry.patch();
    let header = TokenHeader {
        tokenizer_id: frozen.id.clone(),
        clip_store_id: store.id().to_owned(),
        patch: [patch.t, patch.h, patch.w],
        levels: frozen.model.levels().to_vec(),
        size_px: geometry.size_px(),
        sampling: geometry.sampling(),
        num_frames: geometry.num_frames(),
        short: geometry.short(),
    };
    let num_segments = store.segments().len();
    let (mut writer, _) = TokenWriter::begin(&args.out, &header)?;
    let mut progress = Progress::new("encoding", num_segments as u64);
    let first = writer.num_segments();
    let mut chunks = ChunkLoader::start(&store, &geometry, first..num_segments)?;
    for segment in first..num_segments {
        if session.interrupted() {
            let out = args.out.display();
            return Err(Interrupted(format!(
                "{segment} of {num_segments} segments of {out} are kept: run the same command again to go on"
            ))
            .into());
        }
        writer.append(&frozen.encode(&mut chunks, segment, session.device)?)?;
        progress.set(segment as u64 + 1, &store.segments()[segment].id);
    }
    writer.finish()?;
    progress.finish(&format!("{num_segments} segments into {}", args.out.display()));
    Ok(())
}

pub(crate) fn reconstruct(args: &TokenizerReconstructArgs, session: &Session) -> anyhow::Result<()> {
    let store = clips::open_clips(&args.clips)?;
    let frozen = Frozen::load(&args.tokenizer, None, session.device)?;
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot create {:?}", args.out))?;
    let album = &mut Album::open(&args.out)?;
    let Frozen { model, geometry, keep_ratio, .. } = &frozen;
    let artist = Artist { model, geometry: *geometry, keep_ratio: *keep_ratio, device: session.device };
    let segments = spread(args.count, store.segments().len());
    let sketches = segments.map(|segment| artist.draw(&store, segment)).collect::<anyhow::Result<Vec<_>>>()?;
    say(&format!("{:24} {:>15} {:>15}", "segment", "all tokens, dB", "kept only, dB"))?;
    for Sketch { id, picture, caption, psnr_db: [all, kept], .. } in sketches {
        album.add(&format!("tokens_{id}"), None, &caption, &picture)?;
        say(&format!("{id:24} {all:15.2} {kept:15.2}"))?;
    }
    Ok(say(&format!("wrote pictures to {}", args.out.display()))?)
}

/// A trained tokenizer, its weights fixed.
struct Frozen {
    model: Tokenizer,
    geometry: ClipGeometry,
    /// Hash of the weights.
    id: String,
    /// Share of the tokens kept in training.
    keep_ratio: f64,
}

impl Frozen {
    /// * `size_px` - side of the frames instead of the preset's: the network is convolutional and takes any
    fn load(path: &Path, size_px: Option<i64>, device: Device) -> anyhow::Result<Self> {
        let weights = ::train::weights::load(path, "tokenizer")?;
        let preset = spec::Preset::from_text(&path.display().to_string(), weights.config_toml())?;
        let mut preset: TokenizerPreset = preset.parse()?;
        preset.clip.size_px = size_px.unwrap_or(preset.clip.size_px);
        let geometry = preset.clip.check()?;
        let vs = VarStore::new(device);
        let model = Tokenizer::new(&vs.root(), &preset.tokenizer.check(geometry.patch())?)?;
        weights.copy_into(&vs)?;
        let keep_ratio = preset.tokenizer.top_k.keep_ratio;
        Ok(Frozen { model, geometry, id: weights.id().to_owned(), keep_ratio })
    }

    /// Codes and priorities of a segment's whole timeline, a chunk at a time.
    fn encode(&self, chunks: &mut ChunkLoader, segment: usize, device: Device) -> anyhow::Result<Tokens> {
        let per_frame = self.geometry.grid().tokens_per_frame();
        let mut tokens = Tokens { codes: Vec::new(), priorities: Vec::new() };
        while let Some((clip_bthwc, lead_frames)) = chunks.next_of(segment, device)? {
            let chunk = self.model.encode_clip(&clip_bthwc)?;
            let lead = lead_frames as i64 / self.geometry.patch().t * per_frame;
            let rest =
                |tokens: &Tensor| tokens.narrow(1, lead, tokens.size()[1] - lead).flatten(0, 1).to_device(Device::Cpu);
            let codes = Vec::<i64>::try_from(rest(&chunk.codes))?;
            tokens.codes.extend(codes.into_iter().map(|code| code as u32));
            tokens.priorities.extend(Vec::<f32>::try_from(rest(&chunk.priorities))?);
        }
        Ok(tokens)
    }
}

/// Timelines in chunks of bounded length, loaded ahead. Each chunk but a segment's first begins one window early, so that
/// its first scores are compared with the frame before; the window's own tokens are dropped again.
struct ChunkLoader {
    chunks: Vec<ClipRequest>,
    at: usize,
    size_px: i64,
    loader: Loader,
}

impl ChunkLoader {
    fn start(
        store: &Arc<ClipStore>,
        geometry: &ClipGeometry,
        segments: std::ops::Range<usize>,
    ) -> anyhow::Result<Self> {
        let mut chunks = Vec::new();
        for segment in segments {
            let row = &store.segments()[segment];
            let len = timeline(&store.videos()[row.video as usize], row, geometry).frames.len();
            for first in (0..len).step_by(CHUNK_FRAMES) {
                let lead = lead_frames(first);
                let num_frames = CHUNK_FRAMES.min(len - first) + lead;
                chunks.push(ClipRequest { segment, start_frame: first - lead, num_frames, view: View::CENTRE });
            }
        }
        let source = clips::unvaried(store.clone(), *geometry);
        let plan = chunks.clone();
        let requests = move |step: u64| vec![plan[step as usize]];
        let steps = 0..chunks.len() as u64;
        let loader = Loader::start(source, Arc::new(requests), steps, clips::loader_options())?;
        Ok(ChunkLoader { chunks, at: 0, size_px: geometry.size_px(), loader })
    }

    /// The next chunk if it is of this segment, `[1, F, S, S, 3]`, and how many of its frames belong to the chunk before.
    fn next_of(&mut self, segment: usize, device: Device) -> anyhow::Result<Option<(Tensor, usize)>> {
        let Some(request) = self.chunks.get(self.at).filter(|request| request.segment == segment) else {
            return Ok(None);
        };
        let lead = lead_frames(request.start_frame);
        let batch = self.loader.next().context("the loader ended before the store")??;
        self.at += 1;
        Ok(Some((clips::pixels(&batch.clips, self.size_px, device), lead)))
    }
}

/// Frames that a chunk from `first` on is preceded by: one window, but for the clip's start.
fn lead_frames(first: usize) -> usize {
    if first == 0 { 0 } else { WINDOW_FRAMES }
}
