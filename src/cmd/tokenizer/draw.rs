//! Pictures of what a tokenizer keeps and makes of clips.

use std::sync::Arc;

use spec::ClipGeometry;
use tch::{Device, Kind, Tensor};
use tokenizer::{Keep, LongVideo, TimeLayout, Tokenizer};
use video::{ClipRequest, ClipStore, View, WINDOW_FRAMES};

use crate::clips;
use crate::exit::BadInput;
use crate::pictures::Strip;
use crate::report::picture::Picture;

/// Draws with a tokenizer.
#[derive(Debug)]
pub(crate) struct Artist<'a> {
    pub(crate) model: &'a Tokenizer,
    pub(crate) geometry: ClipGeometry,
    /// Share of the tokens kept in training.
    pub(crate) keep_ratio: f64,
    pub(crate) device: Device,
}

/// One segment, drawn.
#[derive(Debug)]
pub(crate) struct Sketch {
    /// The segment.
    pub(crate) id: String,
    pub(crate) picture: Picture,
    pub(crate) caption: String,
    /// PSNR of drawing it from all tokens, and from those kept in training, dB.
    pub(crate) psnr_db: [f64; 2],
    /// Codes of its tokens.
    pub(crate) codes: Vec<u32>,
}

impl Artist<'_> {
    /// Frames, reconstructions from all tokens and from those kept in training, and priorities of a segment's first clip.
    pub(crate) fn draw(&self, store: &Arc<ClipStore>, segment: usize) -> anyhow::Result<Sketch> {
        let (num_frames, long) = self.extent();
        if num_frames == 0 {
            let text = format!("clips of the preset are shorter than a window of {WINDOW_FRAMES} frames");
            return Err(BadInput(text).into());
        }
        let source = clips::unvaried(store.clone(), self.geometry);
        let request = ClipRequest { segment, start_frame: 0, num_frames, view: View::CENTRE };
        let clip = video::load_clip(&source, request)?;
        let pixels = clips::pixels(std::slice::from_ref(&clip), self.geometry.size_px(), self.device);
        let tokens = self.model.encode_clip(&pixels, long)?;
        let all = self.model.reconstruct(&pixels, Keep::All, long)?;
        let kept = self.model.reconstruct(&pixels, Keep::Share(self.keep_ratio), long)?;
        let priorities = Vec::<f32>::try_from(tokens.priorities.flatten(0, 1).to_device(Device::Cpu))?;
        let codes = Vec::<i64>::try_from(tokens.codes.flatten(0, 1).to_device(Device::Cpu))?;
        let picture = Strip::new(&self.cubes(&pixels)?, &self.geometry)?
            .plain()
            .other(&self.cubes(&all)?, &self.geometry)?
            .other(&self.cubes(&kept)?, &self.geometry)?
            .heat(&priorities)?
            .draw()?;
        let id = store.segments()[segment].id.clone();
        let psnr_db = [psnr_db(&pixels, &all), psnr_db(&pixels, &kept)];
        let caption = format!(
            "{id}: frames, drawn from all tokens ({:.1} dB), from the {:.0} % kept in training ({:.1} dB), priorities",
            psnr_db[0],
            100.0 * self.keep_ratio,
            psnr_db[1]
        );
        Ok(Sketch { id, picture, caption, psnr_db, codes: codes.into_iter().map(|code| code as u32).collect() })
    }

    /// How many frames of a clip are drawn, and how the model sees them.
    fn extent(&self) -> (usize, LongVideo) {
        let num_frames = self.geometry.num_frames() as usize;
        match self.model.time() {
            TimeLayout::Pairs => (num_frames / WINDOW_FRAMES * WINDOW_FRAMES, LongVideo::Windows),
            // As many latent frames as the geometry has.
            TimeLayout::FirstFrame => (num_frames - self.lead_frames(), LongVideo::Carried),
        }
    }

    /// The frames of a clip in whole cubes, as strips want them: the first frame fills up its own.
    fn cubes(&self, clip: &Tensor) -> anyhow::Result<Vec<u8>> {
        let first = clip.narrow(1, 0, 1).expand([-1, self.lead_frames() as i64, -1, -1, -1], false);
        Ok(Vec::<u8>::try_from(Tensor::f_cat(&[&first, clip], 1)?.flatten(0, -1).to_device(Device::Cpu))?)
    }

    fn lead_frames(&self) -> usize {
        self.model.time().lead_frames(self.geometry.patch()) as usize
    }
}

/// `count` segments spread evenly over a store, or all where there are fewer.
pub(crate) fn spread(count: usize, num_segments: usize) -> impl Iterator<Item = usize> {
    let count = count.min(num_segments);
    (0..count).map(move |i| (2 * i + 1) * num_segments / (2 * count))
}

/// Peak signal-to-noise ratio of two u8 clips, dB.
fn psnr_db(a: &Tensor, b: &Tensor) -> f64 {
    let mse = (a.to_kind(Kind::Float) - b.to_kind(Kind::Float)).square().mean(Kind::Double).double_value(&[]);
    10.0 * (255.0 * 255.0 / mse.max(1e-12)).log10()
}
