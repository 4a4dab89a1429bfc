//! In a process of its own: libtorch's allocator belongs to one test at a time.
#![allow(clippy::unwrap_used)]

use spec::Patch;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use tokenizer::{Keep, LongVideo, LossConfig, Recon, ScorerConfig, TimeLayout, Tokenizer, TokenizerConfig, TopKConfig};
use torch_ext::memory;

fn model(time: TimeLayout) -> (VarStore, Tokenizer) {
    let config = TokenizerConfig {
        time,
        levels: vec![8, 8, 8, 8],
        base_channels: 16,
        channel_mult: vec![1],
        stem_patch: [2, 16, 16],
        strides: vec![],
        res_blocks: 1,
        norm_groups: 4,
        scorer: ScorerConfig { channels: 8, strides: [[2, 8, 8], [1, 2, 2]] },
        top_k: TopKConfig { keep_ratio: 0.5, temperature: 0.5 },
        loss: LossConfig { recon: Recon::L2, frame_diff_weight: 0.0 },
    };
    let vs = VarStore::new(Device::Cpu);
    let model = Tokenizer::new(&vs.root(), &config.check(Patch { t: 2, h: 16, w: 16 }).unwrap()).unwrap();
    (vs, model)
}

/// What `run` returns, and the peak of tensor bytes on the way.
fn peak<T>(run: impl FnOnce() -> T) -> (T, i64) {
    let base = memory::stats(Device::Cpu).unwrap().current_bytes;
    memory::reset_peak(Device::Cpu).unwrap();
    let result = run();
    (result, memory::stats(Device::Cpu).unwrap().peak_bytes - base)
}

/// Of 224 x 224 pixels 32 frames pass at once.
fn clip(num_frames: i64) -> Tensor {
    Tensor::randint(256, [1, num_frames, 224, 224, 3], (Kind::Uint8, Device::Cpu))
}

#[test]
fn memory_beside_the_outputs_does_not_grow_with_the_number_of_chunks() {
    memory::install().unwrap();
    for (time, long, lengths) in [
        (TimeLayout::Pairs, LongVideo::Windows, [64, 320]),
        (TimeLayout::Pairs, LongVideo::Carried, [64, 320]),
        (TimeLayout::FirstFrame, LongVideo::Windows, [51, 17 * 19]),
        (TimeLayout::FirstFrame, LongVideo::Carried, [63, 319]),
    ] {
        let (_vs, model) = model(time);
        let encoding = lengths.map(|num_frames| {
            let clip = clip(num_frames);
            let (tokens, peak_bytes) = peak(|| model.encode_clip(&clip, long).unwrap());
            // Codes and scores of the chunks, and the same once more as they are joined.
            peak_bytes - 2 * (8 + 4) * tokens.codes.numel() as i64
        });
        let drawing = lengths.map(|num_frames| {
            let clip = clip(num_frames);
            let (drawn, peak_bytes) = peak(|| model.reconstruct(&clip, Keep::All, long).unwrap());
            peak_bytes - drawn.numel() as i64
        });
        for [short, long_clip] in [encoding, drawing] {
            assert!(long_clip <= short + short / 50, "{time:?} {long:?}: {short} bytes become {long_clip}");
        }
    }
}
