use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::Context as _;
use spec::ClipGeometry;
use tch::{Device, Tensor};
use tokenizer::LongVideo;
use video::{ClipRequest, ClipStore, Loader, Tokens, View, WINDOW_FRAMES};

use super::num_frames;
use super::speed::Speed;
use crate::clips;
use crate::frozen::Frozen;

/// Frames of a long timeline encoded at once: bounds the memory.
const CHUNK_FRAMES: usize = 512;

/// Frames of short timelines of one length that are encoded at once: a few windows, which a convolution takes faster
/// together than one by one.
const BATCH_FRAMES: usize = 128;

/// Encodes segment after segment. Their timelines are cut into chunks of bounded length, loaded ahead. Each chunk but a
/// segment's first begins one window early, so that its first scores are compared with the frame before; the window's own
/// tokens are dropped again.
///
/// Which chunks pass together depends on the clip store alone, not on where an encoding was interrupted or on its shard: so
/// the tokens do not either, to the last bit.
pub(super) struct Encoder<'a> {
    frozen: &'a Frozen,
    device: Device,
    /// The chunks of each pass, of equal length.
    passes: Vec<Vec<ClipRequest>>,
    /// The next of them.
    at: usize,
    loader: Loader,
    /// Tokens of the last pass, each with its segment.
    ready: VecDeque<(usize, Tokens)>,
    num_frames: u64,
}

impl<'a> Encoder<'a> {
    /// Starts loading.
    ///
    /// * `is_new` - whether a segment is to be encoded
    pub(super) fn start(
        frozen: &'a Frozen,
        store: &Arc<ClipStore>,
        is_new: impl Fn(usize) -> bool,
        device: Device,
    ) -> anyhow::Result<Self> {
        let geometry = frozen.geometry;
        let passes: Vec<Vec<ClipRequest>> = passes(store, &geometry)
            .into_iter()
            .filter(|pass| pass.iter().any(|chunk| is_new(chunk.segment)))
            .collect();
        let new = passes.iter().flatten().filter(|chunk| is_new(chunk.segment));
        let num_frames = new.map(|chunk| (chunk.num_frames - lead_frames(chunk)) as u64).sum();
        let plan = passes.clone();
        let requests = move |step: u64| plan[step as usize].clone();
        let steps = 0..passes.len() as u64;
        let source = clips::unvaried(store.clone(), geometry);
        let loader = Loader::start(source, Arc::new(requests), steps, clips::loader_options())?;
        Ok(Encoder { frozen, device, passes, at: 0, loader, ready: VecDeque::new(), num_frames })
    }

    /// Frames of all segments that are new.
    pub(super) fn num_frames(&self) -> u64 {
        self.num_frames
    }

    /// Tokens of the next chunk of a segment; `None` after its last. Segments are asked for in order, those left out are
    /// passed over.
    ///
    /// # Errors
    /// Whatever loading and encoding fail with.
    pub(super) fn next_of(&mut self, segment: usize, speed: &mut Speed) -> anyhow::Result<Option<Tokens>> {
        loop {
            while self.ready.front().is_some_and(|(of, _)| *of < segment) {
                self.ready.pop_front();
            }
            if let Some((of, _)) = self.ready.front() {
                let is_next = *of == segment;
                let tokens = self.ready.pop_front_if(|_| is_next).map(|(_, tokens)| tokens);
                let num_tokens = tokens.as_ref().map_or(0, |tokens| tokens.codes.len());
                speed.add((num_tokens / self.tokens_per_frame() * self.patch_frames()) as u64, num_tokens as u64);
                return Ok(tokens);
            }
            match self.passes.get(self.at) {
                Some(pass) if pass[0].segment <= segment => self.pass(speed)?,
                _ => return Ok(None),
            }
        }
    }

    /// Encodes the next chunks that pass together.
    fn pass(&mut self, speed: &mut Speed) -> anyhow::Result<()> {
        let batch = self.loader.next().context("the loader ended before the store")??;
        speed.add_wait(batch.wait_secs);
        let clip_bthwc = clips::pixels(&batch.clips, self.frozen.geometry.size_px(), self.device);
        let encoded = self.frozen.model.encode_clip(&clip_bthwc, LongVideo::Windows)?;
        let (per_frame, step) = (self.tokens_per_frame(), self.patch_frames());
        let tokens_of = |tokens_bn: &Tensor, i: usize, chunk: &ClipRequest| {
            let tokens_n = tokens_bn.get(i as i64);
            let lead = (lead_frames(chunk) / step * per_frame) as i64;
            tokens_n.narrow(0, lead, tokens_n.size()[0] - lead).to_device(Device::Cpu)
        };
        for (i, chunk) in self.passes[self.at].iter().enumerate() {
            let codes = Vec::<i64>::try_from(tokens_of(&encoded.codes, i, chunk))?;
            let priorities = Vec::<f32>::try_from(tokens_of(&encoded.priorities, i, chunk))?;
            let codes = codes.into_iter().map(|code| code as u32).collect();
            self.ready.push_back((chunk.segment, Tokens { codes, priorities }));
        }
        self.at += 1;
        Ok(())
    }

    fn tokens_per_frame(&self) -> usize {
        self.frozen.geometry.grid().tokens_per_frame() as usize
    }

    fn patch_frames(&self) -> usize {
        self.frozen.geometry.patch().t as usize
    }
}

/// The chunks of all segments of a store in order, those that pass together in one list.
fn passes(store: &ClipStore, geometry: &ClipGeometry) -> Vec<Vec<ClipRequest>> {
    in_passes((0..store.segments().len()).map(|segment| num_frames(store, segment, geometry)))
}

/// * `lens` - frames of each segment's timeline
fn in_passes(lens: impl Iterator<Item = usize>) -> Vec<Vec<ClipRequest>> {
    let mut passes: Vec<Vec<ClipRequest>> = Vec::new();
    for (segment, len) in lens.enumerate() {
        for first in (0..len).step_by(CHUNK_FRAMES) {
            let lead = if first == 0 { 0 } else { WINDOW_FRAMES };
            let num_frames = CHUNK_FRAMES.min(len - first) + lead;
            let chunk = ClipRequest { segment, start_frame: first - lead, num_frames, view: View::CENTRE };
            match passes.last_mut() {
                Some(pass) if pass[0].num_frames == num_frames && (pass.len() + 1) * num_frames <= BATCH_FRAMES => {
                    pass.push(chunk);
                }
                _ => passes.push(vec![chunk]),
            }
        }
    }
    passes
}

/// Frames of a chunk that belong to the one before.
fn lead_frames(chunk: &ClipRequest) -> usize {
    if chunk.start_frame == 0 { 0 } else { WINDOW_FRAMES }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(segment, start_frame, num_frames)` of the chunks of each pass.
    fn told(lens: &[usize]) -> Vec<Vec<(usize, usize, usize)>> {
        let chunk = |chunk: &ClipRequest| (chunk.segment, chunk.start_frame, chunk.num_frames);
        in_passes(lens.iter().copied()).iter().map(|pass| pass.iter().map(chunk).collect()).collect()
    }

    #[test]
    fn neighbours_of_one_length_pass_together_up_to_a_few_windows() {
        assert_eq!(
            told(&[48, 48, 48, 64, 64, 64]),
            [vec![(0, 0, 48), (1, 0, 48)], vec![(2, 0, 48)], vec![(3, 0, 64), (4, 0, 64)], vec![(5, 0, 64)],]
        );
        assert_eq!(told(&[16; 10]).iter().map(Vec::len).collect::<Vec<_>>(), [8, 2]);
    }

    #[test]
    fn a_long_timeline_is_cut_and_its_parts_overlap_by_a_window() {
        assert_eq!(told(&[1040, 16]), [vec![(0, 0, 512)], vec![(0, 496, 528)], vec![(0, 1008, 32)], vec![(1, 0, 16)],]);
        // A second chunk as short as the next segment: each chunk has its own lead.
        assert_eq!(told(&[528, 32]), [vec![(0, 0, 512)], vec![(0, 496, 32), (1, 0, 32)]]);
    }
}
