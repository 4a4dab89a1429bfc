//! `longvid tokenizer eval`: how well clips are drawn from few of their tokens, by the learned priorities and by what they are
//! to be measured against.

mod masks;
mod tally;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::eval::{Fidelity, I3d, SSIM_WINDOW_PX};
use anyhow::Context as _;
use nn::{Codes, code_counts, code_gauges};
use spec::ClipGeometry;
use tch::{Kind, Tensor};
use tokenizer::{Keep, LongVideo, num_kept};
use video::{ClipRequest, ClipStore, Loader, View, WINDOW_FRAMES};

use self::masks::MaskCheck;
use self::tally::{Tally, settings};
use super::draw::spread;
use crate::cli::TokenizerEvalArgs;
use crate::clips;
use crate::cmd::training::say;
use crate::exit::{BadInput, Interrupted};
use crate::frozen::{Frozen, TOKENIZER};
use crate::progress::Progress;
use crate::report::kept::{CodeUse, FailedClip, KeptResults};
use crate::session::Session;
use crate::weights::in_folder;

/// Seed of the bootstrap; the random selection draws by 0, 1, 2 ...
const SEED: u64 = 0;

pub(crate) fn eval(args: &TokenizerEvalArgs, session: &Session) -> anyhow::Result<()> {
    check(args)?;
    let store = clips::open_clips(&args.clips)?;
    let frozen = Frozen::load(&args.tokenizer, session.device)?;
    let i3d = args.i3d.as_deref().map(|path| I3d::load(path, session.device)).transpose()?;
    let segments: Vec<usize> = spread(args.limit.unwrap_or(usize::MAX), store.segments().len()).collect();
    let num_frames = clip_frames(&frozen.geometry, &store, &segments)?;
    if i3d.is_some() && segments.len() < 2 {
        return Err(BadInput("--i3d needs at least 2 clips, and hundreds to mean much".to_owned()).into());
    }
    let masks = args.masks.as_ref().map(|folder| MaskCheck::begin(args, folder, &store, &segments)).transpose()?;
    let mut run = Run {
        frozen: &frozen,
        store: &store,
        num_frames,
        session,
        tally: Tally::new(settings(&args.kept, args.seeds)),
        counts: Tensor::zeros([frozen.model.codebook_size()], (Kind::Double, tch::Device::Cpu)),
        i3d,
        masks,
        failed: Vec::new(),
    };
    run.measure(&segments)?;
    let results = run.results(args)?;
    let weights = in_folder(&args.tokenizer, TOKENIZER);
    let folder = args.out.clone().unwrap_or_else(|| weights.parent().map_or_else(PathBuf::new, Path::to_owned));
    write(&folder, &results)?;
    match args.json {
        true => say(&serde_json::to_string_pretty(&results)?)?,
        false => print(&results)?,
    }
    Ok(())
}

fn check(args: &TokenizerEvalArgs) -> Result<(), BadInput> {
    let refuse = |text: String| Err(BadInput(text));
    if let Some(share) = args.kept.iter().find(|share| !(**share > 0.0 && **share <= 1.0)) {
        return refuse(format!("--kept {share} is no share: each must be above 0 and at most 1"));
    }
    if args.seeds < 1 || args.limit == Some(0) {
        return refuse("--seeds and --limit must be at least 1".to_owned());
    }
    let (from, below) = (args.mask_from, args.mask_below);
    if !(0.0 <= below && below < from && from <= 1.0) {
        return refuse(format!("--mask-below {below} and --mask-from {from} must be rising shares between 0 and 1"));
    }
    Ok(())
}

/// Frames of a clip, as many whole windows as the preset's clip has.
fn clip_frames(geometry: &ClipGeometry, store: &ClipStore, segments: &[usize]) -> Result<usize, BadInput> {
    let num_frames = geometry.num_frames() as usize / WINDOW_FRAMES * WINDOW_FRAMES;
    if num_frames == 0 {
        return Err(BadInput(format!("clips of the preset are shorter than a window of {WINDOW_FRAMES} frames")));
    }
    if geometry.size_px() < SSIM_WINDOW_PX {
        return Err(BadInput(format!("frames of {} pixels are smaller than SSIM's window", geometry.size_px())));
    }
    if segments.is_empty() {
        return Err(BadInput(format!("{:?} holds no segment to measure", store.path())));
    }
    Ok(num_frames)
}

/// One measurement under way.
struct Run<'a> {
    frozen: &'a Frozen,
    store: &'a Arc<ClipStore>,
    num_frames: usize,
    session: &'a Session,
    tally: Tally,
    /// How often each code occurs, `[K]`.
    counts: Tensor,
    i3d: Option<I3d>,
    masks: Option<MaskCheck>,
    failed: Vec<FailedClip>,
}

impl Run<'_> {
    fn measure(&mut self, segments: &[usize]) -> anyhow::Result<()> {
        let num_frames = self.num_frames;
        let request = |segment| ClipRequest { segment, start_frame: 0, num_frames, view: View::CENTRE };
        let plan: Vec<ClipRequest> = segments.iter().copied().map(request).collect();
        let source = clips::unvaried(self.store.clone(), self.frozen.geometry);
        let steps = 0..plan.len() as u64;
        let mut loader =
            Loader::start(source, Arc::new(move |step| vec![plan[step as usize]]), steps, clips::loader_options())?;
        let mut progress = Progress::new("drawing clips", segments.len() as u64);
        for (done, segment) in segments.iter().enumerate() {
            if self.session.interrupted() {
                return Err(Interrupted("no result was written".to_owned()).into());
            }
            let id = &self.store.segments()[*segment].id;
            match loader.next().context("the loader ended before the store")? {
                Ok(batch) => {
                    let pixels = clips::pixels(&batch.clips, self.frozen.geometry.size_px(), self.session.device);
                    let num_real = batch.clips.first().map_or(0, |clip| clip.num_real);
                    self.add(*segment, &pixels, num_real).with_context(|| format!("cannot measure {id:?}"))?;
                }
                Err(err) => {
                    self.failed.push(FailedClip { segment: id.clone(), reason: err.to_string() });
                }
            }
            progress.set(done as u64 + 1, id);
        }
        progress.finish(&format!("{} clips of {}", segments.len() - self.failed.len(), self.store.path().display()));
        Ok(())
    }

    /// Measures one clip, `[1, F, S, S, 3]`, whose first `num_real` frames are real.
    fn add(&mut self, segment: usize, pixels: &Tensor, num_real: usize) -> anyhow::Result<()> {
        let model = &self.frozen.model;
        let tokens = model.encode_clip(pixels, LongVideo::Windows)?;
        let codes = Codes { codes: tokens.codes.shallow_clone(), codebook_size: model.codebook_size() };
        self.counts += code_counts(&codes)?.to_device(tch::Device::Cpu);
        if let Some(masks) = &mut self.masks {
            masks.add(self.store, &self.frozen.geometry, (segment, num_real), (pixels, &tokens.priorities))?;
        }
        let clip = pixels.squeeze_dim(0);
        let real = self.i3d.as_ref().map(|i3d| i3d.features(&clip)).transpose()?;
        let mut measured = Vec::new();
        // Those of one budget share an encoding; all of them at once would take the memory of as many clips.
        for group in self.tally.settings().chunk_by(|a, b| a.kept == b.kept) {
            let keeps: Vec<Keep> = group.iter().map(|setting| setting.keep(segment as u64)).collect();
            for drawn in model.reconstruct_each(pixels, &keeps, LongVideo::Windows)? {
                let drawn = drawn.squeeze_dim(0);
                let features = self.i3d.as_ref().map(|i3d| i3d.features(&drawn)).transpose()?;
                measured.push((Fidelity::of(&clip, &drawn)?, features));
            }
        }
        Ok(self.tally.push(measured, real)?)
    }

    fn results(self, args: &TokenizerEvalArgs) -> anyhow::Result<KeptResults> {
        let num_clips = self.tally.num_clips();
        if let (0, Some(first)) = (num_clips, self.failed.first()) {
            let all = format!("none of the {} clips can be read", self.failed.len());
            return Err(BadInput(format!("{all}; {}: {}", first.segment, first.reason)).into());
        }
        let geometry = &self.frozen.geometry;
        let grid = geometry.grid();
        let window = [WINDOW_FRAMES as i64 / geometry.patch().t, grid.h, grid.w];
        let kept_of_all = |kept: f64| num_kept(kept, window) as f64 / window.iter().product::<i64>() as f64;
        let path = |path: &Path| path.display().to_string();
        Ok(KeptResults {
            tokenizer: path(&args.tokenizer),
            tokenizer_id: self.frozen.id.clone(),
            clips: path(&args.clips),
            clip_store_id: self.store.id().to_owned(),
            num_clips,
            num_frames: self.num_frames,
            size_px: geometry.size_px(),
            failed: self.failed,
            num_draws: args.seeds,
            i3d: args.i3d.as_deref().map(path),
            rows: self.tally.rows(&kept_of_all)?,
            gains: self.tally.gains(),
            codes: code_use(&self.counts)?,
            mask: self.masks.map(MaskCheck::result).transpose()?,
        })
    }
}

fn code_use(counts_k: &Tensor) -> anyhow::Result<CodeUse> {
    let codebook_size = counts_k.size()[0];
    let used = counts_k.gt(0.0).sum(Kind::Int64).int64_value(&[]);
    let gauges = code_gauges(counts_k)?;
    let perplexity = gauges.iter().find(|(name, _)| *name == "perplexity").map_or(1.0, |(_, value)| *value);
    let num_tokens = counts_k.sum(Kind::Double).double_value(&[]) as u64;
    Ok(CodeUse { codebook_size, num_tokens, used, dead: codebook_size - used, perplexity })
}

fn write(folder: &Path, results: &KeptResults) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {folder:?}"))?;
    let json = serde_json::to_string_pretty(results)?;
    for (name, text) in [("tokenizer_eval.json", json), ("tokenizer_eval.svg", results.curve().standalone())] {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {path:?}"))?;
    }
    Ok(())
}

fn print(results: &KeptResults) -> anyhow::Result<()> {
    say(&format!(
        "{:>6} {:>7}  {:9} {:>8} {:>16} {:>8} {:>7} {:>9} {:>8}",
        "kept", "of all", "selection", "PSNR, dB", "95 % interval", "pooled", "SSIM", "diff, dB", "rFVD"
    ))?;
    for row in &results.rows {
        let interval = format!("{:.2} to {:.2}", row.psnr_low_db, row.psnr_high_db);
        let rfvd = row.rfvd.map_or_else(|| "-".to_owned(), |rfvd| format!("{rfvd:.1}"));
        say(&format!(
            "{:6.3} {:7.3}  {:9} {:8.2} {interval:>16} {:8.2} {:7.4} {:9.2} {rfvd:>8}",
            row.kept,
            row.kept_of_all,
            row.selection.text(),
            row.psnr_db,
            row.psnr_pooled_db,
            row.ssim,
            row.diff_psnr_db,
        ))?;
    }
    for gain in &results.gains {
        let interval = format!("{:.2} to {:.2}", gain.low_db, gain.high_db);
        let over = format!("adaptive over {}", gain.over.text());
        say(&format!("{:6.3} {:>7}  {over:21} {:+.2} dB ({interval})", gain.kept, "", gain.psnr_db))?;
    }
    results.remarks().iter().try_for_each(|remark| say(remark))?;
    for clip in &results.failed {
        say(&format!("left out: {}: {}", clip.segment, clip.reason))?;
    }
    if results.i3d.is_some() {
        say(&format!("rFVD over {} clips; it is biased upwards where clips are few", results.num_clips))?;
    }
    Ok(())
}
