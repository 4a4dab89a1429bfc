//! In a process of its own: libtorch's allocator belongs to one test at a time.
#![allow(clippy::unwrap_used)]

use spec::Patch;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use tokenizer::{
    AdversarialConfig, Keep, KeepShare, LongVideo, LossConfig, PerceptualConfig, Recon, ScorerConfig, TimeLayout,
    Tokenizer, TokenizerConfig, TopKConfig, TopKGradient,
};
use torch_ext::memory;
use vector_quantize::{Bound, QuantizerConfig};

fn model(time: TimeLayout) -> (VarStore, Tokenizer) {
    let config = TokenizerConfig {
        time,
        quantizer: QuantizerConfig::Fsq { levels: vec![8, 8, 8, 8], bound: Bound::Official },
        base_channels: 16,
        channel_mult: vec![1],
        stem_patch: [2, 16, 16],
        strides: vec![],
        res_blocks: 1,
        norm_groups: 4,
        scorer: ScorerConfig::Adjacent { channels: 8, strides: [[2, 8, 8], [1, 2, 2]] },
        top_k: TopKConfig {
            keep: KeepShare::Fixed { share: 0.5 },
            gradient: TopKGradient::StraightThrough { temperature: 0.5 },
        },
        loss: LossConfig {
            recon: Recon::L2,
            frame_diff_weight: 0.0,
            spread_weight: 0.0,
            perceptual: PerceptualConfig::None {},
            adversarial: AdversarialConfig::None {},
        },
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
    Tensor::zeros([1, num_frames, 224, 224, 3], (Kind::Uint8, Device::Cpu))
}

#[test]
fn memory_beside_the_outputs_grows_by_a_few_values_per_token_and_not_with_the_chunks() {
    memory::install().unwrap();
    for (time, long, lengths) in [
        (TimeLayout::Pairs, LongVideo::Windows, [64, 128]),
        (TimeLayout::Pairs, LongVideo::Carried, [64, 128]),
        (TimeLayout::FirstFrame, LongVideo::Windows, [68, 136]),
        (TimeLayout::FirstFrame, LongVideo::Carried, [63, 127]),
    ] {
        let (_vs, model) = model(time);
        let encoding = lengths.map(|num_frames| {
            let clip = clip(num_frames);
            peak(|| model.encode_clip(&clip, long).unwrap()).1
        });
        let drawing = lengths.map(|num_frames| {
            let clip = clip(num_frames);
            let (drawn, peak_bytes) = peak(|| model.reconstruct(&clip, Keep::All, long).unwrap());
            peak_bytes - drawn.numel() as i64
        });
        // Per token 8 values of the scorer and 4 of the latent, each in its chunk and joined, a code and a priority: of the
        // chunks' 24 million bytes a hundredth. 512 bytes of a clip's pixels are under each of a frame's 196 tokens.
        let more_tokens = (lengths[1] - lengths[0]) / 2 * 196;
        for [short, long_clip] in [encoding, drawing] {
            let per_token = (long_clip - short) as f64 / more_tokens as f64;
            assert!(per_token < 4.0 * (2.0 * (8.0 + 4.0) + 3.0), "{time:?} {long:?}: {short} bytes become {long_clip}");
        }
    }
}
