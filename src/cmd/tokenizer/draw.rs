//! Pictures of what a tokenizer keeps and makes of clips.

use std::sync::Arc;

use spec::ClipGeometry;
use tch::{Device, Kind, Tensor};
use tokenizer::{Keep, Selection, Tokenizer};
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
        let num_frames = self.geometry.num_frames() as usize / WINDOW_FRAMES * WINDOW_FRAMES;
        if num_frames == 0 {
            let text = format!("clips of the preset are shorter than a window of {WINDOW_FRAMES} frames");
            return Err(BadInput(text).into());
        }
        let source = clips::unvaried(store.clone(), self.geometry);
        let request = ClipRequest { segment, start_frame: 0, num_frames, view: View::CENTRE };
        let clip = video::load_clip(&source, request)?;
        let pixels = clips::pixels(std::slice::from_ref(&clip), self.geometry.size_px(), self.device);
        let tokens = self.model.encode_clip(&pixels)?;
        let all = self.model.reconstruct(&pixels, Keep::All)?;
        let kept = self.model.reconstruct(&pixels, Keep::Share { share: self.keep_ratio, by: Selection::Adaptive })?;
        let priorities = Vec::<f32>::try_from(tokens.priorities.flatten(0, 1).to_device(Device::Cpu))?;
        let codes = Vec::<i64>::try_from(tokens.codes.flatten(0, 1).to_device(Device::Cpu))?;
        let picture = Strip::new(&clip.rgb, &self.geometry)?
            .plain()
            .other(&to_bytes(&all)?, &self.geometry)?
            .other(&to_bytes(&kept)?, &self.geometry)?
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
}

/// `count` segments spread evenly over a store, or all where there are fewer.
pub(crate) fn spread(count: usize, num_segments: usize) -> impl Iterator<Item = usize> {
    let count = count.min(num_segments);
    (0..count).map(move |i| (2 * i + 1) * num_segments / (2 * count))
}

fn to_bytes(clip: &Tensor) -> anyhow::Result<Vec<u8>> {
    Ok(Vec::<u8>::try_from(clip.flatten(0, -1).to_device(Device::Cpu))?)
}

/// Peak signal-to-noise ratio of two u8 clips, dB.
fn psnr_db(a: &Tensor, b: &Tensor) -> f64 {
    let mse = (a.to_kind(Kind::Float) - b.to_kind(Kind::Float)).square().mean(Kind::Double).double_value(&[]);
    10.0 * (255.0 * 255.0 / mse.max(1e-12)).log10()
}
