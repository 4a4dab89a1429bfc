//! Any bytes as a video of masks: refused with an error, or every frame can be looked at.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use video::synth::MaskVideo;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(mask) = MaskVideo::parse(Path::new("mask.pbm"), bytes) {
        for frame in 0..mask.num_frames() {
            let cover = mask.cover(frame, [3, 2]);
            assert!(cover.iter().all(|share| (-1e-9..=1.0 + 1e-9).contains(share)), "{cover:?}");
        }
    }
});
