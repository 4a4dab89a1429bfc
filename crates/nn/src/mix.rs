use rand::RngExt as _;
use rand_distr::{Beta, Distribution as _};
use serde::{Deserialize, Serialize};
use spec::Rng;
use tch::{Kind, Tensor};

use crate::{During, NnError, expect_shape};

/// Mixup (arXiv:1710.09412), cutmix (arXiv:1905.04899) and label smoothing, as VideoMAE fine-tunes: one draw for a whole
/// batch, each clip mixed with the one at the mirrored place of the batch (timm's batch mode).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixConfig {
    /// Mixup's share is drawn from Beta(alpha, alpha); 0 turns mixup off. VideoMAE: 0.8.
    pub mixup_alpha: f64,
    /// The same for cutmix. VideoMAE: 1.0.
    pub cutmix_alpha: f64,
    /// Share of the batches that are mixed at all. VideoMAE: 1.0.
    pub probability: f64,
    /// Of these, the share that gets cutmix where both are on. VideoMAE: 0.5.
    pub cutmix_share: f64,
    /// What each label gives away to all classes evenly. VideoMAE: 0.1.
    pub smoothing: f64,
}

/// Which axes of a clip tensor are rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClipLayout {
    /// `[B, T, H, W, C]`, as loaded.
    ChannelsLast,
    /// `[B, C, T, H, W]`, as convolutions take it.
    ChannelsFirst,
}

/// What was drawn for one batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mix {
    /// Nothing is mixed.
    Off,
    /// `share * clip + (1 - share) * other`.
    Mixup {
        /// The clip's own share, `0..=1`.
        share: f64,
    },
    /// A box of every frame is the other clip's; the label's share is the true area outside the box.
    Cutmix(CutBox),
}

/// Rows `top..bottom` and columns `left..right` of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutBox {
    top: i64,
    bottom: i64,
    left: i64,
    right: i64,
    /// Rows and columns of the frame.
    frame: [i64; 2],
}

impl MixConfig {
    /// Checks every range.
    ///
    /// # Errors
    /// [`NnError::Config`].
    pub fn check(&self) -> Result<(), NnError> {
        let impossible = |key, value: f64, rule| Err(NnError::Config { key, value: value.to_string(), rule });
        for (key, value) in [("mixup_alpha", self.mixup_alpha), ("cutmix_alpha", self.cutmix_alpha)] {
            if !(0.0..=100.0).contains(&value) {
                return impossible(key, value, "it must be between 0 and 100");
            }
        }
        for (key, value) in [("probability", self.probability), ("cutmix_share", self.cutmix_share)] {
            if !(0.0..=1.0).contains(&value) {
                return impossible(key, value, "it must be between 0 and 1");
            }
        }
        if !(0.0..1.0).contains(&self.smoothing) {
            return impossible("smoothing", self.smoothing, "it must be at least 0 and below 1");
        }
        Ok(())
    }

    /// Draws for one batch.
    ///
    /// * `frame` - rows and columns of a frame
    ///
    /// # Errors
    /// What [`MixConfig::check`] refuses.
    pub fn draw(&self, frame: [i64; 2], rng: &mut Rng) -> Result<Mix, NnError> {
        self.check()?;
        let (mixup, cutmix) = (self.mixup_alpha > 0.0, self.cutmix_alpha > 0.0);
        if !(mixup || cutmix) || !rng.random_bool(self.probability) {
            return Ok(Mix::Off);
        }
        let cut = cutmix && (!mixup || rng.random_bool(self.cutmix_share));
        let alpha = if cut { self.cutmix_alpha } else { self.mixup_alpha };
        let beta = Beta::new(alpha, alpha).expect("alpha was checked to be positive and finite");
        let share = beta.sample(rng);
        Ok(if cut { Mix::Cutmix(CutBox::draw(share, frame, rng)) } else { Mix::Mixup { share } })
    }
}

impl CutBox {
    /// A box of `1 - share` of the frame around a uniform place, cut off at the frame's border (timm).
    fn draw(share: f64, frame: [i64; 2], rng: &mut Rng) -> Self {
        let side_share = (1.0 - share).sqrt();
        let mut span = |len: i64| {
            let half = (len as f64 * side_share) as i64 / 2;
            let middle = rng.random_range(0..len);
            ((middle - half).max(0), (middle + half).min(len))
        };
        let ((top, bottom), (left, right)) = (span(frame[0]), span(frame[1]));
        CutBox { top, bottom, left, right, frame }
    }
}

impl Mix {
    /// How much of a clip is its own, `0..=1`.
    pub fn share(&self) -> f64 {
        match self {
            Mix::Off => 1.0,
            Mix::Mixup { share } => *share,
            Mix::Cutmix(CutBox { top, bottom, left, right, frame }) => {
                1.0 - ((bottom - top) * (right - left)) as f64 / (frame[0] * frame[1]) as f64
            }
        }
    }

    /// The mixed clips, in the kind they came in; mixed u8 is rounded.
    ///
    /// * `clips` - `[B, T, H, W, C]` or `[B, C, T, H, W]`, as `layout` says
    ///
    /// # Errors
    /// [`NnError::Shape`] when the frames are not those that the mix was drawn for; [`NnError::OutOfMemory`].
    pub fn clips(&self, clips: &Tensor, layout: ClipLayout) -> Result<Tensor, NnError> {
        expect_shape("clips", clips, &[-1; 5])?;
        match self {
            Mix::Off => Ok(clips.shallow_clone()),
            Mix::Mixup { share } => blend(clips, *share),
            Mix::Cutmix(cut) => cut.paste(clips, layout),
        }
    }

    /// The labels of the mixed clips.
    ///
    /// * `labels_bk` - `[B, K]`, one distribution per clip
    ///
    /// # Errors
    /// [`NnError::Shape`]; [`NnError::OutOfMemory`].
    pub fn labels(&self, labels_bk: &Tensor) -> Result<Tensor, NnError> {
        expect_shape("labels", labels_bk, &[-1, -1])?;
        match self {
            Mix::Off => Ok(labels_bk.shallow_clone()),
            _ => blend(labels_bk, self.share()),
        }
    }
}

impl CutBox {
    fn paste(self, clips: &Tensor, layout: ClipLayout) -> Result<Tensor, NnError> {
        let [height, width] = self.frame;
        let (rows, want) = match layout {
            ClipLayout::ChannelsLast => (2, [-1, -1, height, width, -1]),
            ClipLayout::ChannelsFirst => (3, [-1, -1, -1, height, width]),
        };
        expect_shape("clips", clips, &want)?;
        let part = |clips: &Tensor| {
            clips.narrow(rows, self.top, self.bottom - self.top).narrow(rows + 1, self.left, self.right - self.left)
        };
        let other = part(clips).f_flip([0]).during("cutmix")?;
        let mut mixed = clips.f_empty_like().during("cutmix")?;
        mixed.f_copy_(clips).during("cutmix")?;
        part(&mixed).f_copy_(&other).during("cutmix")?;
        Ok(mixed)
    }
}

/// `share` of each row of a batch and the rest of the row at the mirrored place.
fn blend(rows: &Tensor, share: f64) -> Result<Tensor, NnError> {
    let own = rows.f_to_kind(Kind::Float).during("mixup")?;
    let mixed = own.f_flip([0]).and_then(|other| other.f_lerp(&own, share)).during("mixup")?;
    let whole = if rows.is_floating_point() { mixed } else { mixed.round() };
    whole.f_to_kind(rows.kind()).during("mixup")
}

/// Distributions over classes: `1 - smoothing` on the label and the rest spread over all classes, `[B, K]`.
///
/// * `labels_b` - `[B]` int64 in `0..K`
///
/// # Errors
/// [`NnError::Shape`]; [`NnError::Torch`] for a label out of range.
pub fn smooth_labels(labels_b: &Tensor, num_classes: i64, smoothing: f64) -> Result<Tensor, NnError> {
    expect_shape("labels", labels_b, &[-1])?;
    let one_hot = labels_b.f_one_hot(num_classes).during("one-hot labels")?;
    Ok(one_hot.to_kind(Kind::Float) * (1.0 - smoothing) + smoothing / num_classes as f64)
}

#[cfg(test)]
mod tests {
    use spec::{Purpose, rng_for};
    use tch::Device;

    use super::*;

    const VIDEOMAE: MixConfig =
        MixConfig { mixup_alpha: 0.8, cutmix_alpha: 1.0, probability: 1.0, cutmix_share: 0.5, smoothing: 0.1 };
    /// Rows and columns.
    const FRAME: [i64; 2] = [6, 8];

    fn rng(item: u64) -> Rng {
        rng_for(5, 0, item, Purpose::Mix)
    }

    /// `[3, 2, 6, 8, 3]`, every value another.
    fn clips() -> Tensor {
        Tensor::arange(3 * 2 * 6 * 8 * 3, (Kind::Float, Device::Cpu)).view([3, 2, 6, 8, 3])
    }

    #[test]
    fn mixed_clips_are_those_of_a_plain_loop_in_both_layouts() {
        let clips = clips();
        for item in 0..20 {
            let mix = VIDEOMAE.draw(FRAME, &mut rng(item)).unwrap();
            let last = mix.clips(&clips, ClipLayout::ChannelsLast).unwrap();
            let first = mix.clips(&clips.permute([0, 4, 1, 2, 3]), ClipLayout::ChannelsFirst).unwrap();
            assert!(first.permute([0, 2, 3, 4, 1]).equal(&last));
            for b in 0..3 {
                for y in 0..6 {
                    for x in 0..8 {
                        let own = clips.double_value(&[b, 1, y, x, 2]);
                        let other = clips.double_value(&[2 - b, 1, y, x, 2]);
                        let want = match mix {
                            Mix::Off => own,
                            Mix::Mixup { share } => share * own + (1.0 - share) * other,
                            Mix::Cutmix(cut) => {
                                let inside = (cut.top..cut.bottom).contains(&y) && (cut.left..cut.right).contains(&x);
                                if inside { other } else { own }
                            }
                        };
                        assert!((last.double_value(&[b, 1, y, x, 2]) - want).abs() < 1e-3, "{mix:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_label_has_the_share_of_the_pixels_that_are_the_clips_own() {
        // Own pixels are 1 and others' 0, or the reverse.
        let clips = Tensor::from_slice(&[0f32, 1.0]).view([2, 1, 1, 1, 1]).expand([2, 1, 6, 8, 1], false).contiguous();
        let labels = smooth_labels(&Tensor::from_slice(&[0i64, 2]), 4, 0.0).unwrap();
        for item in 0..50 {
            let mix = VIDEOMAE.draw(FRAME, &mut rng(item)).unwrap();
            let mixed = mix.clips(&clips, ClipLayout::ChannelsLast).unwrap();
            let own = mixed.get(1).mean(Kind::Double).double_value(&[]);
            let labels = mix.labels(&labels).unwrap();
            assert!((labels.double_value(&[1, 2]) - own).abs() < 1e-5, "{mix:?}");
            assert!((labels.double_value(&[1, 0]) - (1.0 - own)).abs() < 1e-5, "{mix:?}");
            assert!((mix.share() - own).abs() < 1e-5);
        }
    }

    #[test]
    fn a_box_at_the_border_is_cut_off_and_its_label_corrected() {
        // 1 - 0.75 of 8 x 8: sides of 4, reaching 2 to each side of the middle.
        let mut at_border = 0;
        for item in 0..200 {
            let cut = CutBox::draw(0.75, [8, 8], &mut rng(item));
            let (height, width) = (cut.bottom - cut.top, cut.right - cut.left);
            assert!((2..=4).contains(&height) && (2..=4).contains(&width), "{cut:?}");
            assert!((Mix::Cutmix(cut).share() - (1.0 - (height * width) as f64 / 64.0)).abs() < 1e-12);
            at_border += i64::from(height * width < 16);
        }
        assert!(at_border > 50);
    }

    #[test]
    fn shares_have_the_moments_of_the_beta_distribution() {
        let mixup = MixConfig { cutmix_alpha: 0.0, ..VIDEOMAE };
        let mut rng = rng(0);
        let shares: Vec<f64> = (0..20_000).map(|_| mixup.draw(FRAME, &mut rng).unwrap().share()).collect();
        let mean = shares.iter().sum::<f64>() / 20_000.0;
        let variance = shares.iter().map(|share| (share - mean).powi(2)).sum::<f64>() / 20_000.0;
        // Beta(a, a): mean 1/2, variance 1 / (4 (2 a + 1)) = 0.0962 at 0.8; deviations 0.0022 and about 0.0006.
        assert!((mean - 0.5).abs() < 0.011 && (variance - 0.0962).abs() < 0.003, "{mean}, {variance}");
    }

    #[test]
    fn half_of_the_batches_get_cutmix_and_none_when_off() {
        let mut rng = rng(0);
        let cut = (0..10_000).filter(|_| matches!(VIDEOMAE.draw(FRAME, &mut rng).unwrap(), Mix::Cutmix(_))).count();
        assert!(cut.abs_diff(5000) < 5 * 50, "{cut}");
        let off = MixConfig { mixup_alpha: 0.0, cutmix_alpha: 0.0, ..VIDEOMAE };
        assert_eq!(off.draw(FRAME, &mut rng).unwrap(), Mix::Off);
        let rare = MixConfig { probability: 0.2, ..VIDEOMAE };
        let mixed = (0..10_000).filter(|_| rare.draw(FRAME, &mut rng).unwrap() != Mix::Off).count();
        assert!(mixed.abs_diff(2000) < 5 * 40, "{mixed}");
    }

    #[test]
    fn bytes_are_mixed_to_the_nearest_byte() {
        let clips = Tensor::from_slice(&[10u8, 21]).view([2, 1, 1, 1, 1]);
        let mixed = Mix::Mixup { share: 0.75 }.clips(&clips, ClipLayout::ChannelsLast).unwrap();
        // 0.75 * 10 + 0.25 * 21 = 12.75, 0.75 * 21 + 0.25 * 10 = 18.25.
        assert_eq!(Vec::<u8>::try_from(mixed.view([2])).unwrap(), [13, 18]);
    }

    #[test]
    fn smoothing_spreads_its_share_over_all_classes() {
        let got = smooth_labels(&Tensor::from_slice(&[1i64]), 4, 0.1).unwrap();
        let want = Tensor::from_slice(&[0.025f32, 0.925, 0.025, 0.025]).view([1, 4]);
        assert!(got.allclose(&want, 1e-6, 1e-6, false));
    }

    #[test]
    fn impossible_settings_and_other_frames_are_refused() {
        for bad in [
            MixConfig { mixup_alpha: -0.1, ..VIDEOMAE },
            MixConfig { cutmix_alpha: f64::NAN, ..VIDEOMAE },
            MixConfig { probability: 1.5, ..VIDEOMAE },
            MixConfig { smoothing: 1.0, ..VIDEOMAE },
        ] {
            assert!(matches!(bad.draw(FRAME, &mut rng(0)), Err(NnError::Config { .. })), "{bad:?}");
        }
        let cut = Mix::Cutmix(CutBox::draw(0.5, [8, 8], &mut rng(0)));
        assert!(matches!(cut.clips(&clips(), ClipLayout::ChannelsLast), Err(NnError::Shape { .. })));
    }
}
