use nn::{During, expect_kind, expect_shape};
use spec::{Patch, Purpose, draw, rng_for};
use tch::{Kind, TchError, Tensor};

use crate::topk::{after_first, budget, hard, with_first};
use crate::{Tokenizer, TokenizerError};

/// Which tokens of a window pass when not all do: what the tokenizer has learned, and what it is to be measured
/// against. Each keeps the whole first latent frame and exactly the same number of the other tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Those of highest learned score, as in training (LVMAE 3.3).
    Adaptive,
    /// Any, all choices equally likely; each window of each clip draws anew.
    Random {
        /// What the draws derive from.
        seed: u64,
        /// Number of the first clip of the batch; the others count on from it.
        clip: u64,
    },
    /// Whole latent frames, evenly spread over time: LVMAE's "every 7th frame" at any budget. What is left over goes to
    /// one latent frame more, the last of them, and is there spread evenly over rows and columns.
    Uniform,
    /// Those whose pixels have changed most since the latent frame before ([`pixel_motion`]): nothing is learned.
    Motion,
}

/// Latent frames whose motion is measured at once: bounds the memory of a long clip.
const MOTION_LATENT_FRAMES: i64 = 16;

/// Tokens of a window that pass at a budget, its first latent frame included.
///
/// * `share` - of the tokens after the first latent frame, `0..=1`; rounded to whole tokens
/// * `grid` - tokens of a window, `[T, H, W]`
pub fn num_kept(share: f64, grid: [i64; 3]) -> i64 {
    let [t, h, w] = grid;
    h * w + budget(share, (t - 1) * h * w)
}

/// How much the pixels of each token's cube have changed: the mean absolute difference, over the cube's frames, rows,
/// columns and colours, from the same places one latent frame before. The first latent frame copies the second, as
/// priorities do.
///
/// * `clip_bthwc` - `[B, F, Y, X, 3]` u8 of whole patches, at least two latent frames
///
/// Returns `[B, T, H, W]` f32 in `0..=255`.
///
/// # Errors
/// [`TokenizerError::Nn`] for another shape or element type, or when libtorch fails.
pub fn pixel_motion(clip_bthwc: &Tensor, patch: Patch) -> Result<Tensor, TokenizerError> {
    expect_shape("clip", clip_bthwc, &[-1, -1, -1, -1, 3])?;
    expect_kind("clip", clip_bthwc, Kind::Uint8)?;
    let motion = || {
        let (b, f, y, x, c) = clip_bthwc.size5()?;
        let pixels = clip_bthwc.f_to_kind(Kind::Float)?;
        let (now, before) = (pixels.f_narrow(1, patch.t, f - patch.t)?, pixels.f_narrow(1, 0, f - patch.t)?);
        let changed = now.f_sub(&before)?.f_abs()?;
        let cubes = [b, f / patch.t - 1, patch.t, y / patch.h, patch.h, x / patch.w, patch.w * c];
        let moved = changed.f_reshape(cubes)?.f_mean_dim([2i64, 4, 6].as_slice(), false, Kind::Float)?;
        Tensor::f_cat(&[&moved.f_narrow(1, 0, 1)?, &moved], 1)
    };
    Ok(motion().during("measuring motion")?)
}

/// Some windows of a batch of clips, or whole clips where they are not cut into windows.
pub(crate) struct Windows<'a> {
    /// `[n, F, Y, X, 3]` u8.
    pub(crate) bytes: &'a Tensor,
    /// Their scores, `[n, T, H, W]`.
    pub(crate) scores: &'a Tensor,
    /// Number of the first of them, counted clip after clip.
    pub(crate) first: i64,
    /// Windows of each clip.
    pub(crate) per_clip: i64,
}

impl Tokenizer {
    /// The mask of the tokens that pass, `[n, T, H, W]` f32 of zeros and ones.
    pub(crate) fn chosen(
        &self,
        windows: &Windows<'_>,
        (share, by): (f64, Selection),
    ) -> Result<Tensor, TokenizerError> {
        let (n, t, h, w) = windows.scores.size4().during("choosing tokens")?;
        let grid = [t, h, w];
        let k = budget(share, (t - 1) * h * w);
        let rest = match by {
            Selection::Adaptive => top(windows.scores, k),
            Selection::Motion => top(&self.motion(windows.bytes)?, k),
            Selection::Uniform => listed(&vec![uniform(grid, k); n as usize], grid),
            Selection::Random { seed, clip } => {
                let drawn = |window: i64| {
                    let (clip, window) = (clip + (window / windows.per_clip) as u64, window % windows.per_clip);
                    let rng = &mut rng_for(seed, clip, window as u64, Purpose::KeptTokens);
                    draw((0..(t - 1) * h * w).collect(), k as usize, rng)
                };
                listed(&(windows.first..windows.first + n).map(drawn).collect::<Vec<_>>(), grid)
            }
        };
        let mask = || with_first(windows.scores, &rest?.f_to_device(windows.bytes.device())?);
        Ok(mask().during("choosing tokens")?)
    }

    /// [`pixel_motion`] of windows or clips `[n, F, Y, X, 3]`, a few latent frames at a time; 0 for a single one.
    fn motion(&self, bytes: &Tensor) -> Result<Tensor, TokenizerError> {
        let (cubes, patch) = (self.whole_cubes(bytes)?, self.checked.patch());
        let (n, num_frames, height, width, _) = cubes.size5().during("measuring motion")?;
        let grid = [n, num_frames / patch.t, height / patch.h, width / patch.w];
        if grid[1] == 1 {
            return Ok(Tensor::f_zeros(grid, (Kind::Float, bytes.device())).during("measuring motion")?);
        }
        let mut motion = Vec::new();
        for first in (1..grid[1]).step_by(MOTION_LATENT_FRAMES as usize) {
            let count = MOTION_LATENT_FRAMES.min(grid[1] - first);
            let with_last = cubes.f_narrow(1, (first - 1) * patch.t, (count + 1) * patch.t);
            let moved = pixel_motion(&with_last.during("measuring motion")?, patch)?;
            // Only the clip's own first latent frame copies the second.
            let kept = if first == 1 { 0 } else { 1 };
            motion.push(moved.f_narrow(1, kept, count + 1 - kept).during("measuring motion")?);
        }
        Ok(Tensor::f_cat(&motion, 1).during("measuring motion")?)
    }
}

/// Ones at the `k` highest of each window's scores after its first latent frame, `[n, (T - 1) H W]`.
///
/// * `scores_nthw` - `[n, T, H, W]`
fn top(scores_nthw: &Tensor, k: i64) -> Result<Tensor, TchError> {
    let rest = after_first(scores_nthw)?;
    let k = Tensor::f_full([rest.size()[0]], k, (Kind::Int64, rest.device()))?;
    hard(&rest, &k)
}

/// Ones at the places listed for each window, `[n, (T - 1) H W]`, on the CPU.
fn listed(places: &[Vec<i64>], [t, h, w]: [i64; 3]) -> Result<Tensor, TchError> {
    let num_rest = ((t - 1) * h * w) as usize;
    let mut mask = vec![0.0f32; places.len() * num_rest];
    for (window, places) in places.iter().enumerate() {
        places.iter().for_each(|place| mask[window * num_rest + *place as usize] = 1.0);
    }
    Tensor::f_from_slice(&mask)?.f_view([places.len() as i64, num_rest as i64])
}

/// The `k` places that [`Selection::Uniform`] keeps of the `(T - 1) H W` after the first latent frame.
fn uniform([t, h, w]: [i64; 3], k: i64) -> Vec<i64> {
    let per_frame = h * w;
    let num_frames = (k + per_frame - 1) / per_frame;
    let spread = |i: i64| (2 * i + 1) * (t - 1) / (2 * num_frames);
    let places = (0..num_frames).flat_map(|i| {
        let num_here = per_frame.min(k - i * per_frame) as usize;
        evenly_in_space(h, w, num_here).into_iter().map(move |place| spread(i) * per_frame + place)
    });
    places.collect()
}

/// `count` of the `H W` places of a latent frame, spread evenly over rows and columns: those of lowest value in the dither
/// pattern of Roberts' R2 sequence (multiples of powers of the plastic number), which leaves no row or column out.
fn evenly_in_space(h: i64, w: i64, count: usize) -> Vec<i64> {
    let value = |place: &i64| (0.754_877_666_2 * (place / w) as f64 + 0.569_840_290_998 * (place % w) as f64).fract();
    let mut places: Vec<i64> = (0..h * w).collect();
    places.sort_by(|a, b| value(a).total_cmp(&value(b)));
    places.truncate(count);
    places
}

#[cfg(test)]
mod tests;
