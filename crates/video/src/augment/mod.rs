//! Variation of training clips. Every choice is a pure function of (seed, epoch, item) and its own purpose; but for the
//! instants of its frames each is made once per clip and is the same for all frames. Operations work on u8 frames in the
//! loading threads, in timm's order: crop, flip, colour, RandAugment, erasing. (VideoMAE's fine-tuning applies
//! RandAugment before the crop.)
//!
//! Beside stored tokens nothing may move pixels off the codes that were made from them: [`Augment::expect_in_register`].

mod config;
mod crop;
mod erase;
mod op;
mod rand_augment;
#[cfg(test)]
mod tests;
mod warp;

pub use config::{AugmentConfig, Colour, Crop, Erasing, Fill, Flip, InstantChoice, OpSet, RandAugment};
pub(crate) use crop::{Sizes, square_along};
use op::Op;
use rand::RngExt as _;
use rand::seq::SliceRandom as _;
use spec::{Purpose, Rng};

use crate::{ClipDraw, VideoError, Window};

/// ImageNet's mean colour, 0..=255.
const MEAN_RGB: [u8; 3] = [124, 116, 104];

/// A checked [`AugmentConfig`]. The default varies nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Augment {
    config: AugmentConfig,
}

impl Augment {
    /// How many clips of a batch are the same frames with different draws, at least 1.
    pub fn repeats(&self) -> u32 {
        self.config.repeats
    }

    /// Checks that clips stay in register with tokens that were made from the middle of each share of time and from the
    /// unmoved centre square.
    ///
    /// # Errors
    /// [`VideoError::OutOfRegister`] names the first setting that would move pixels off their codes.
    pub fn expect_in_register(&self) -> Result<(), VideoError> {
        let AugmentConfig { crop, flip, instants, rand_augment, .. } = &self.config;
        let refused = |setting, remedy| Err(VideoError::OutOfRegister { setting, remedy });
        if !matches!(crop, Crop::Centre {} | Crop::Random {}) {
            return refused("augment.crop", r#"take "centre" or "random", which do not resize"#);
        }
        if !matches!(flip, Flip::None {}) {
            return refused("augment.flip", "set it to none");
        }
        if *instants != InstantChoice::Middle {
            return refused("augment.instants", r#"set it to "middle""#);
        }
        if let RandAugment::Increasing { ops: OpSet::All, .. } = rand_augment {
            return refused("augment.rand_augment.ops", r#"set it to "photometric""#);
        }
        Ok(())
    }

    /// The stream of instants where they are drawn.
    pub(crate) fn instants(&self, draw: ClipDraw) -> Option<Rng> {
        (self.config.instants == InstantChoice::Random).then(|| draw.rng(Purpose::Instant))
    }

    /// The part of the stored frame that a clip shows.
    pub(crate) fn window(&self, sizes: Sizes, draw: ClipDraw) -> Window {
        self.config.crop.draw(sizes, &mut draw.rng(Purpose::Crop))
    }

    /// Where in the grid of stored tokens a clip lies: tokens above it and to its left.
    ///
    /// * `spare` - tokens by which the stored grid is higher and wider than the clip's
    pub(crate) fn token_place(&self, spare: [usize; 2], draw: ClipDraw) -> [usize; 2] {
        let mut rng = draw.rng(Purpose::Crop);
        match self.config.crop {
            Crop::Random {} => spare.map(|spare| rng.random_range(0..=spare)),
            _ => spare.map(|spare| spare / 2),
        }
    }

    /// Varies a loaded clip in place.
    ///
    /// * `rgb` - frames `[T, side, side, 3]`
    pub(crate) fn apply(&self, rgb: &mut [u8], side: usize, draw: ClipDraw) {
        if let Flip::Horizontal { probability } = self.config.flip
            && draw.rng(Purpose::Flip).random_bool(probability)
        {
            mirror(rgb, side);
        }
        let jitter = self.config.colour.draw(&mut draw.rng(Purpose::Colour));
        let ops = self.config.rand_augment.draw(&mut draw.rng(Purpose::RandAugment));
        jitter.into_iter().chain(ops).for_each(|op| op.apply(rgb, side));
        if let Some(erased) = self.config.erasing.draw(side, &mut draw.rng(Purpose::Erasing)) {
            erased.apply(rgb, side);
        }
    }
}

impl Colour {
    /// The changes of one clip, in the order in which they are applied.
    fn draw(self, rng: &mut Rng) -> Vec<Op> {
        let Colour::Jitter { brightness, contrast, saturation } = self else { return Vec::new() };
        let mut factor = |most: f64| rng.random_range(1.0 - most..=1.0 + most) as f32;
        let mut ops = [
            Op::Brightness { factor: factor(brightness) },
            Op::Contrast { factor: factor(contrast) },
            Op::Colour { factor: factor(saturation) },
        ];
        ops.shuffle(rng);
        ops.to_vec()
    }
}

/// Exchanges left and right in every frame of a clip.
fn mirror(rgb: &mut [u8], side: usize) {
    for row in rgb.chunks_exact_mut(side * 3) {
        let (pixels, _) = row.as_chunks_mut::<3>();
        pixels.reverse();
    }
}
