use std::path::{Path, PathBuf};

use ::eval::{Interval, auc, bootstrap_mean};
use spec::ClipGeometry;
use tch::{Device, Tensor};
use tokenizer::pixel_motion;
use video::synth::MaskVideo;
use video::{ClipStore, VideoError, timeline};

use super::SEED;
use crate::cli::TokenizerEvalArgs;
use crate::exit::BadInput;
use crate::report::kept::{Auc, MaskAuc};

/// Priorities beside masks of what moves, clip after clip.
pub(super) struct MaskCheck {
    folder: PathBuf,
    covered_from: f64,
    clear_up_to: f64,
    num_left_out: usize,
    priorities: Ranking,
    /// The control.
    pixel_motion: Ranking,
    /// Whether each token of all clips is covered; a few bytes a token with the scores.
    is_covered: Vec<bool>,
}

/// What one kind of score says.
#[derive(Default)]
struct Ranking {
    /// Of all clips together.
    scores: Vec<f32>,
    auc_of_clips: Vec<f64>,
}

impl MaskCheck {
    /// Checks that there is a mask for every clip, before hours go into them.
    ///
    /// # Errors
    /// [`BadInput`] that names the first that is missing.
    pub(super) fn begin(
        args: &TokenizerEvalArgs,
        folder: &Path,
        store: &ClipStore,
        segments: &[usize],
    ) -> Result<Self, BadInput> {
        for segment in segments {
            let path = mask_path(folder, store, *segment);
            if !path.is_file() {
                let why = "give the folder masks/ that `data synth dives --masks` wrote beside these videos";
                return Err(BadInput(format!("{path:?} is not there: {why}")));
            }
        }
        Ok(MaskCheck {
            folder: folder.to_owned(),
            covered_from: args.mask_from,
            clear_up_to: args.mask_below,
            num_left_out: 0,
            priorities: Ranking::default(),
            pixel_motion: Ranking::default(),
            is_covered: Vec::new(),
        })
    }

    /// Adds a clip that begins where its segment does. Latent frames that are not real to their end are left out.
    ///
    /// * `segment` - its number, and how many frames of the clip are real
    /// * `clip` - pixels `[1, F, S, S, 3]` u8 and priorities `[1, N]`
    ///
    /// # Errors
    /// [`VideoError::Mask`] for a mask of another video.
    pub(super) fn add(
        &mut self,
        store: &ClipStore,
        geometry: &ClipGeometry,
        (segment, num_real): (usize, usize),
        (pixels, priorities): (&Tensor, &Tensor),
    ) -> anyhow::Result<()> {
        let num_latent = num_real / geometry.patch().t as usize;
        let cover = self.cover(store, geometry, segment, num_latent)?;
        let floats = |x: &Tensor| Vec::<f32>::try_from(x.flatten(0, -1).to_device(Device::Cpu));
        let (priorities, motion) = (floats(priorities)?, floats(&pixel_motion(pixels, geometry.patch())?)?);
        let is_counted = |share: f64| share >= self.covered_from || share <= self.clear_up_to;
        let counted: Vec<usize> = (0..cover.len()).filter(|token| is_counted(cover[*token])).collect();
        let is_covered: Vec<bool> = counted.iter().map(|token| cover[*token] >= self.covered_from).collect();
        let of = |scores: &[f32]| -> Vec<f32> { counted.iter().map(|token| scores[*token]).collect() };
        let (priorities, motion) = (of(&priorities), of(&motion));
        match (auc(&priorities, &is_covered), auc(&motion, &is_covered)) {
            (Some(by_priority), Some(by_motion)) => {
                self.priorities.push(priorities, by_priority);
                self.pixel_motion.push(motion, by_motion);
                self.is_covered.extend(is_covered);
            }
            _ => self.num_left_out += 1,
        }
        Ok(())
    }

    /// Share of each token's cube that the mask covers, at the instants and in the crop that the clip shows.
    fn cover(
        &self,
        store: &ClipStore,
        geometry: &ClipGeometry,
        segment: usize,
        num_latent: usize,
    ) -> Result<Vec<f64>, VideoError> {
        let row = &store.segments()[segment];
        let video = &store.videos()[row.video as usize];
        let path = mask_path(&self.folder, store, segment);
        let mask = MaskVideo::read(&path)?;
        if mask.num_frames() != video.num_frames as usize {
            let (masked, stored) = (mask.num_frames(), video.num_frames);
            let problem =
                format!("it has {masked} frames, the stored video {stored}; import without a cap on the rate");
            return Err(VideoError::Mask { path, problem });
        }
        let frames = timeline(video, row, geometry).frames;
        let (grid, per_cube) = (geometry.grid(), geometry.patch().t as usize);
        let mut cover = Vec::with_capacity(num_latent * grid.tokens_per_frame() as usize);
        for cube in frames.chunks_exact(per_cube).take(num_latent.min(grid.t as usize)) {
            let mut sum = vec![0.0; grid.tokens_per_frame() as usize];
            for frame in cube {
                let of_frame = mask.cover(*frame as usize, [grid.h as usize, grid.w as usize]);
                sum.iter_mut().zip(of_frame).for_each(|(sum, share)| *sum += share / per_cube as f64);
            }
            cover.extend(sum);
        }
        Ok(cover)
    }

    /// # Errors
    /// [`BadInput`] when no clip has tokens of both kinds.
    pub(super) fn result(self) -> Result<MaskAuc, BadInput> {
        let num_covered = self.is_covered.iter().filter(|covered| **covered).count() as u64;
        let result = |ranking: &Ranking| ranking.result(&self.is_covered);
        let (Some(priorities), Some(pixel_motion)) = (result(&self.priorities), result(&self.pixel_motion)) else {
            let text = format!(
                "no clip has tokens that the masks of {:?} cover and tokens that they leave clear",
                self.folder
            );
            return Err(BadInput(text));
        };
        Ok(MaskAuc {
            masks: self.folder.display().to_string(),
            covered_from: self.covered_from,
            clear_up_to: self.clear_up_to,
            num_clips: self.priorities.auc_of_clips.len(),
            num_left_out: self.num_left_out,
            num_covered,
            num_clear: self.is_covered.len() as u64 - num_covered,
            priorities,
            pixel_motion,
        })
    }
}

impl Ranking {
    fn push(&mut self, scores: Vec<f32>, auc: f64) {
        self.scores.extend(scores);
        self.auc_of_clips.push(auc);
    }

    fn result(&self, is_covered: &[bool]) -> Option<Auc> {
        let pooled = auc(&self.scores, is_covered)?;
        let Interval { low, high } = bootstrap_mean(&self.auc_of_clips, SEED);
        let mean = self.auc_of_clips.iter().sum::<f64>() / self.auc_of_clips.len() as f64;
        let lowest = self.auc_of_clips.iter().copied().fold(f64::INFINITY, f64::min);
        Some(Auc { mean, low, high, lowest, pooled })
    }
}

/// `masks/pool0000_00001.pbm` for the video `pool0000_00001.mp4`.
fn mask_path(folder: &Path, store: &ClipStore, segment: usize) -> PathBuf {
    let video = &store.videos()[store.segments()[segment].video as usize];
    folder.join(Path::new(&video.name).with_extension("pbm"))
}
