#[cfg(test)]
mod tests;

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
