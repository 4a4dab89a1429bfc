use serde::{Deserialize, Serialize};

use super::Augment;
use crate::VideoError;

/// How training clips are varied: the `[augment]` section of a preset. Left out, nothing is varied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AugmentConfig {
    /// Which part of the frame a clip shows.
    pub crop: Crop,
    /// Mirroring.
    pub flip: Flip,
    /// Where in its share of time each frame is taken.
    pub instants: InstantChoice,
    /// Brightness, contrast, saturation.
    pub colour: Colour,
    /// RandAugment.
    pub rand_augment: RandAugment,
    /// Random erasing.
    pub erasing: Erasing,
    /// How many clips of a batch are the same frames with different draws (repeated augmentation, arXiv:1902.05509).
    pub repeats: u32,
}

/// Which part of the frame a clip shows. Beside stored tokens all but the first two are refused, and those two take
/// whole tokens of the square that was encoded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Crop {
    /// The centre square, as large as fits.
    Centre {},
    /// A square of the clip's size anywhere in the stored frame, not resized; of the frame's short side where that is
    /// smaller.
    Random {},
    /// VideoMAE's pre-training (GroupMultiScaleCrop of TSN, arXiv:1608.00859): height and width are two of these shares
    /// of the short side that stand next to each other in the list or are the same; the place is one of 13 fixed ones.
    MultiScale {
        /// Shares of the short side, above 0 and at most 1. VideoMAE: 1, 0.875, 0.75, 0.66.
        scales: Vec<f64>,
    },
    /// VideoMAE's fine-tuning (random resized crop of Inception, arXiv:1409.4842): a box of random area and shape.
    RandomResized {
        /// Least and largest share of the frame's area. VideoMAE: 0.08, 1.
        scale: [f64; 2],
        /// Least and largest width / height. VideoMAE: 3/4, 4/3.
        ratio: [f64; 2],
    },
}

/// Mirroring. Never where classes tell left from right (Something-Something, twists of a dive): their labels would be
/// wrong. VideoMAE's pre-training does not flip.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Flip {
    /// As stored.
    None {},
    /// Left and right exchanged.
    Horizontal {
        /// Share of the clips.
        probability: f64,
    },
}

/// Where in its share of time each frame of a timeline is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstantChoice {
    /// In the middle, as in tests and for stored tokens.
    Middle,
    /// Anywhere, drawn for each frame (TSN's training).
    Random,
}

/// Brightness, contrast and saturation, in random order, each by a factor from `1 - x` to `1 + x`, at least 0
/// (torchvision's ColorJitter without hue).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Colour {
    /// As stored.
    None {},
    /// Drawn for each clip.
    Jitter {
        /// Largest change of brightness.
        brightness: f64,
        /// Largest change of contrast.
        contrast: f64,
        /// Largest change of saturation.
        saturation: f64,
    },
}

/// RandAugment (arXiv:1909.13719).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum RandAugment {
    /// As stored.
    None {},
    /// timm's variant, in which a larger magnitude always changes more. VideoMAE's `rand-m7-n4-mstd0.5-inc1` is 4, 7, 0.5,
    /// all.
    Increasing {
        /// Operations drawn for each clip, with repetition; each is then left out with probability 1/2.
        num_ops: u32,
        /// Mean magnitude, `0..=10`.
        magnitude: f64,
        /// Standard deviation of the magnitude, drawn for each operation.
        magnitude_std: f64,
        /// What is drawn from.
        ops: OpSet,
    },
}

/// Operations that RandAugment draws from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpSet {
    /// timm's fifteen.
    All,
    /// Those of them that move no pixel: the only ones that stored tokens allow.
    Photometric,
}

/// Random erasing (arXiv:1708.04896) of the same box in every frame.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Erasing {
    /// As stored.
    None {},
    /// A box of width / height 0.3 to 1 / 0.3.
    Box {
        /// Share of the clips. VideoMAE's fine-tuning: 0.25.
        probability: f64,
        /// Least share of the frame's area. VideoMAE: 0.02.
        min_share: f64,
        /// Largest share of the frame's area. VideoMAE: 1/3.
        max_share: f64,
        /// What stands in the box.
        fill: Fill,
    },
}

/// What stands in an erased box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fill {
    /// ImageNet's mean colour, which is 0 to the ViT.
    Constant,
    /// Normal noise of ImageNet's mean and deviation, drawn once for all frames (VideoMAE draws it anew for each).
    Pixel,
}

impl Default for AugmentConfig {
    fn default() -> Self {
        AugmentConfig {
            crop: Crop::Centre {},
            flip: Flip::None {},
            instants: InstantChoice::Middle,
            colour: Colour::None {},
            rand_augment: RandAugment::None {},
            erasing: Erasing::None {},
            repeats: 1,
        }
    }
}

impl AugmentConfig {
    /// Checks every range.
    ///
    /// # Errors
    /// [`VideoError::Option`] names the setting, its value and what it must be.
    pub fn check(&self) -> Result<Augment, VideoError> {
        let increasing = |range: &[f64; 2], most: f64| 0.0 < range[0] && range[0] <= range[1] && range[1] <= most;
        match &self.crop {
            Crop::Centre {} | Crop::Random {} => {}
            Crop::MultiScale { scales } => {
                let fits = !scales.is_empty() && scales.iter().all(|scale| 0.0 < *scale && *scale <= 1.0);
                let rule = "one or more shares above 0 and at most 1";
                expect(fits, "augment.crop.scales", scales, rule)?;
            }
            Crop::RandomResized { scale, ratio } => {
                let rule = "two shares above 0 and at most 1, the smaller first";
                expect(increasing(scale, 1.0), "augment.crop.scale", scale, rule)?;
                let rule = "two ratios above 0 and at most 10, the smaller first";
                expect(increasing(ratio, 10.0), "augment.crop.ratio", ratio, rule)?;
            }
        }
        if let Flip::Horizontal { probability } = self.flip {
            expect_share("augment.flip.probability", probability)?;
        }
        if let Colour::Jitter { brightness, contrast, saturation } = self.colour {
            expect_share("augment.colour.brightness", brightness)?;
            expect_share("augment.colour.contrast", contrast)?;
            expect_share("augment.colour.saturation", saturation)?;
        }
        if let RandAugment::Increasing { num_ops, magnitude, magnitude_std, .. } = self.rand_augment {
            expect((1..=16).contains(&num_ops), "augment.rand_augment.num_ops", &num_ops, "between 1 and 16")?;
            for (key, value) in
                [("augment.rand_augment.magnitude", magnitude), ("augment.rand_augment.magnitude_std", magnitude_std)]
            {
                expect((0.0..=10.0).contains(&value), key, &value, "between 0 and 10")?;
            }
        }
        if let Erasing::Box { probability, min_share, max_share, .. } = self.erasing {
            expect_share("augment.erasing.probability", probability)?;
            let rule = "above 0, at most max_share, and that at most 1";
            expect(increasing(&[min_share, max_share], 1.0), "augment.erasing.min_share", &min_share, rule)?;
        }
        expect((1..=64).contains(&self.repeats), "augment.repeats", &self.repeats, "between 1 and 64")?;
        Ok(Augment { config: self.clone() })
    }
}

fn expect<T: std::fmt::Debug>(
    fits: bool,
    option: &'static str,
    value: &T,
    rule: &'static str,
) -> Result<(), VideoError> {
    if fits { Ok(()) } else { Err(VideoError::Option { option, value: format!("{value:?}"), rule }) }
}

fn expect_share(option: &'static str, value: f64) -> Result<(), VideoError> {
    expect((0.0..=1.0).contains(&value), option, &value, "between 0 and 1")
}
