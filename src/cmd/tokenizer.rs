//! `longvid tokenizer`: train codes and priorities, write them for a whole store, look at them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use spec::ClipGeometry;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use tokenizer::{Keep, Tokenizer};
use video::{
    ClipRequest, ClipSource, ClipStore, Loader, TokenHeader, TokenWriter, Tokens, View, WINDOW_FRAMES, timeline,
};

use super::pretrain::{save_captions, save_picture};
use super::training::{Job, say};
use crate::cli::{TokenizerEncodeArgs, TokenizerReconstructArgs, TokenizerTrainArgs};
use crate::clips::{self, ClipPlan};
use crate::exit::{BadInput, Interrupted};
use crate::pictures::Strip;
use crate::presets::{self, TokenizerPreset};
use crate::progress::Progress;
use crate::session::Session;

/// Frames encoded at once: bounds the memory of a long video.
const CHUNK_FRAMES: usize = 512;

pub(crate) fn train(args: &TokenizerTrainArgs, session: &Session) -> anyhow::Result<()> {
    let (preset, config_toml): (TokenizerPreset, String) = presets::resolve(&args.run)?;
    let geometry = preset.clip.check()?;
    let augment = preset.augment.check()?;
    let checked = preset.tokenizer.check(geometry.patch())?;
    let train = preset.train.check()?;
    if args.run.dry_run {
        say(config_toml.trim_end())?;
        let codes: i64 = checked.fsq().codebook_size();
        return Ok(say(&format!("# {codes} codes; windows of {WINDOW_FRAMES} frames"))?);
    }
    let source = ClipSource { store: clips::open_clips(&args.run.clips)?, tokens: None, geometry, augment };
    let plan = ClipPlan::new(&source, WINDOW_FRAMES, (train.seed(), train.batch()))?;
    let frames_per_step = train.batch() as u64 * WINDOW_FRAMES as u64;
    let job = Job { kind: "tokenizer", args: &args.run, config_toml: &config_toml, plan: &train, frames_per_step };
    let run = job.open(session)?;

    tch::manual_seed(train.seed() as i64);
    let vs = VarStore::new(session.device);
    let model = Tokenizer::new(&vs.root(), &checked)?;
    let mut loader = None;
    let next = |step| {
        let loader: &mut Loader = match &mut loader {
            Some(loader) => loader,
            None => loader.insert(plan.load(source.clone(), step..=train.steps())?),
        };
        let batch = loader.next().context("the loader ended before the run")??;
        Ok((clips::pixels(&batch, geometry.size_px(), session.device), batch.wait_secs))
    };
    job.fit((&run, &vs), session, next, |clip| Ok(model.loss(clip)?))?;

    let weights = args.run.out.join("tokenizer.safetensors");
    train::weights::save(&weights, "tokenizer", &config_toml, &train::named(&vs))?;
    let frozen = Frozen { model, geometry, id: String::new(), keep_ratio: preset.tokenizer.top_k.keep_ratio };
    frozen.draw(&source.store, (&run.pictures(), 2), session)?;
    Ok(say(&format!("wrote {}", weights.display()))?)
}

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
    let psnrs = frozen.draw(&store, (&args.out, args.count), session)?;
    say(&format!("{:24} {:>15} {:>15}", "segment", "all tokens, dB", "kept only, dB"))?;
    for (id, [all, kept]) in psnrs {
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
    keep_ratio: f64,
}

impl Frozen {
    /// * `size_px` - side of the frames instead of the preset's: the network is convolutional and takes any
    fn load(path: &Path, size_px: Option<i64>, device: Device) -> anyhow::Result<Self> {
        let weights = train::weights::load(path, "tokenizer")?;
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

    /// One picture for each of `count` segments spread over the store, with the PSNR (dB) of drawing them from all tokens
    /// and from those kept in training.
    fn draw(
        &self,
        store: &Arc<ClipStore>,
        (folder, count): (&Path, usize),
        session: &Session,
    ) -> anyhow::Result<Vec<(String, [f64; 2])>> {
        let num_segments = store.segments().len();
        let num_frames = self.geometry.num_frames() as usize / WINDOW_FRAMES * WINDOW_FRAMES;
        if num_frames == 0 {
            return Err(
                BadInput(format!("clips of the preset are shorter than a window of {WINDOW_FRAMES} frames")).into()
            );
        }
        let source = clips::unvaried(store.clone(), self.geometry);
        let (mut captions, mut psnrs) = (BTreeMap::new(), Vec::new());
        for i in 0..count.min(num_segments) {
            let segment = (2 * i + 1) * num_segments / (2 * count.min(num_segments));
            let request = ClipRequest { segment, start_frame: 0, num_frames, view: View::CENTRE };
            let clip = video::load_clip(&source, request)?;
            let side = self.geometry.size_px();
            let pixels =
                Tensor::from_slice(&clip.rgb).view([1, num_frames as i64, side, side, 3]).to_device(session.device);
            let tokens = self.model.encode_clip(&pixels)?;
            let all = self.model.reconstruct(&pixels, Keep::All)?;
            let kept = self.model.reconstruct(&pixels, Keep::Share(self.keep_ratio))?;
            let priorities = Vec::<f32>::try_from(tokens.priorities.flatten(0, 1).to_device(Device::Cpu))?;
            let picture = Strip::new(&clip.rgb, &self.geometry)?
                .plain()
                .other(&to_bytes(&all)?, &self.geometry)?
                .other(&to_bytes(&kept)?, &self.geometry)?
                .heat(&priorities)?
                .draw()?;
            let id = &store.segments()[segment].id;
            let psnr = [psnr_db(&pixels, &all), psnr_db(&pixels, &kept)];
            let caption = format!(
                "{id}: frames, drawn from all tokens ({:.1} dB), from the {:.0} % kept in training ({:.1} dB), priorities",
                psnr[0],
                100.0 * self.keep_ratio,
                psnr[1]
            );
            save_picture(folder, (&format!("tokens_{id}"), &caption), &picture, &mut captions)?;
            psnrs.push((id.clone(), psnr));
        }
        save_captions(folder, &captions)?;
        Ok(psnrs)
    }
}

fn to_bytes(clip: &Tensor) -> anyhow::Result<Vec<u8>> {
    Ok(Vec::<u8>::try_from(clip.flatten(0, -1).to_device(Device::Cpu))?)
}

/// Peak signal-to-noise ratio of two u8 clips, dB.
fn psnr_db(a: &Tensor, b: &Tensor) -> f64 {
    let mse = (a.to_kind(Kind::Float) - b.to_kind(Kind::Float)).square().mean(Kind::Double).double_value(&[]);
    10.0 * (255.0 * 255.0 / mse.max(1e-12)).log10()
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
        Ok(Some((clips::pixels(&batch, self.size_px, device), lead)))
    }
}

/// Frames that a chunk from `first` on is preceded by: one window, but for the clip's start.
fn lead_frames(first: usize) -> usize {
    if first == 0 { 0 } else { WINDOW_FRAMES }
}
