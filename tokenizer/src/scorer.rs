use nn::{CausalConv3d, Conv3dConfig, During, NnError, Past};
use tch::Tensor;
use tch::nn::Path;

use crate::ScorerConfig;

/// The adjacent-frame scorer: a token's priority is how far it has moved, since the latent frame before, in a small learned
/// feature space (LVMAE 3.3).
///
/// Kernels reach as many frames as they step, so the features of a latent frame depend on its own cube alone, and a
/// window scores as it would inside the whole clip.
#[derive(Debug)]
pub(crate) struct Scorer {
    layers: [CausalConv3d; 2],
}

impl Scorer {
    pub(crate) fn new(path: &Path, config: &ScorerConfig) -> Result<Self, NnError> {
        let layer = |index: usize, c_in: i64| {
            let stride = config.strides[index];
            // In space each output also sees half of its neighbours, as strided convolutions commonly do.
            let kernel = [stride[0], 2 * stride[1] - 1, 2 * stride[2] - 1];
            CausalConv3d::new(&(path / index), c_in, config.channels, Conv3dConfig { kernel, stride })
        };
        Ok(Scorer { layers: [layer(0, 3)?, layer(1, config.channels)?] })
    }

    /// Features c of each token.
    ///
    /// * `frames_bthwc` - `[B, F, Y, X, 3]` f32 in `[-1, 1]`
    ///
    /// Returns `[B, T, H, W, C]`.
    pub(crate) fn features(&self, frames_bthwc: &Tensor) -> Result<Tensor, NnError> {
        let x = frames_bthwc.f_permute([0, 4, 1, 2, 3]).during("scoring")?;
        let x = self.layers[0].forward(&x, &mut Past::none())?.f_silu().during("scoring")?;
        self.layers[1].forward(&x, &mut Past::none())?.f_permute([0, 2, 3, 4, 1]).during("scoring")
    }
}

/// `s_{t,p} = ||c_{t,p} - c_{t-1,p}||_2`. The first latent frame has none before it and copies the scores of the second
/// (EVEREST's rule; the paper gives none).
///
/// * `features_bthwc` - `[B, T, H, W, C]`, consecutive latent frames
///
/// Returns `[B, T, H, W]`, at least 0.
pub(crate) fn adjacent_distance(features_bthwc: &Tensor) -> Result<Tensor, NnError> {
    first_copied(&moved(features_bthwc)?)
}

/// Distances of all latent frames but the first from the one before: `[B, T, H, W, C]` to `[B, T - 1, H, W]`.
pub(crate) fn moved(features_bthwc: &Tensor) -> Result<Tensor, NnError> {
    // libtorch's norm has gradient 0 at 0, where nothing moves; a written-out square root would have NaN.
    let distance = || features_bthwc.f_diff(1, 1, None::<Tensor>, None::<Tensor>)?.f_norm_scalaropt_dim(2, -1, false);
    distance().during("scoring")
}

/// Scores of all latent frames from those of all but the first, `[B, T - 1, H, W]` to `[B, T, H, W]`. An only one has 0.
pub(crate) fn first_copied(moved_bthw: &Tensor) -> Result<Tensor, NnError> {
    let copied = || {
        let (b, t, h, w) = moved_bthw.size4()?;
        if t == 0 {
            return moved_bthw.f_new_zeros([b, 1, h, w], (moved_bthw.kind(), moved_bthw.device()));
        }
        Tensor::f_cat(&[&moved_bthw.f_narrow(1, 0, 1)?, moved_bthw], 1)
    };
    copied().during("scoring")
}
