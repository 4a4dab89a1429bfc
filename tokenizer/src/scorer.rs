use nn::{CausalConv3d, Conv3dConfig, During, NnError, Past};
use tch::nn::Path;
use tch::{Kind, Tensor};

use crate::ScorerConfig;

/// Keeps a latent whose channels are all equal from dividing by zero.
const NORM_EPS: f64 = 1e-5;

/// What gives each token its score, and in the end its priority. Both kinds see a latent frame at a time, so that windows and
/// chunks score as they would inside the whole clip.
#[derive(Debug)]
pub(crate) enum Scorer {
    /// How far a token has moved, since the latent frame before, in a small learned feature space (LVMAE 3.3).
    ///
    /// Kernels reach as many frames as they step, so the features of a latent frame depend on its own cube alone.
    Adjacent {
        /// Strided convolutions on pixels.
        layers: [CausalConv3d; 2],
    },
    /// `sigmoid(conv1(relu(conv3x3(LN(z)))))` (MQ-VAE). Without the paper's batch normalization before the sigmoid, which
    /// would make a token's score depend on the batch's other clips.
    Importance {
        /// 3x3, then 1x1.
        layers: [CausalConv3d; 2],
    },
}

impl Scorer {
    /// * `latent_width` - channels of the latents
    pub(crate) fn new(path: &Path, config: &ScorerConfig, latent_width: i64) -> Result<Self, NnError> {
        match *config {
            ScorerConfig::Adjacent { channels, strides } => {
                let layer = |index: usize, c_in: i64| {
                    let stride = strides[index];
                    // In space each output also sees half of its neighbours, as strided convolutions commonly do.
                    let kernel = [stride[0], 2 * stride[1] - 1, 2 * stride[2] - 1];
                    CausalConv3d::new(&(path / index), c_in, channels, Conv3dConfig { kernel, stride })
                };
                Ok(Scorer::Adjacent { layers: [layer(0, 3)?, layer(1, channels)?] })
            }
            ScorerConfig::Importance { channels } => Ok(Scorer::Importance {
                layers: [
                    CausalConv3d::new(&(path / 0), latent_width, channels, Conv3dConfig::same([1, 3, 3]))?,
                    CausalConv3d::new(&(path / 1), channels, 1, Conv3dConfig::same([1, 1, 1]))?,
                ],
            }),
        }
    }

    /// Its variables, layer by layer.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &Tensor> {
        let (Scorer::Adjacent { layers } | Scorer::Importance { layers }) = self;
        layers.iter().flat_map(CausalConv3d::variables)
    }

    /// What the scores of a stretch of latent frames are made from, one latent frame at a time: features c of each token, or
    /// the scores themselves.
    ///
    /// * `frames_bthwc` - `[B, F, Y, X, 3]` f32 in `[-1, 1]`
    /// * `latents_bthwd` - of the same frames, `[B, T, H, W, D]`
    ///
    /// Returns `[B, T, H, W, C]`, C = 1 for scores.
    pub(crate) fn clues(&self, frames_bthwc: &Tensor, latents_bthwd: &Tensor) -> Result<Tensor, NnError> {
        let during = "scoring";
        // No kernel here reaches beyond its own latent frame.
        let past = &mut Past::none();
        match self {
            Scorer::Adjacent { layers: [first, second] } => {
                let x = frames_bthwc.f_permute([0, 4, 1, 2, 3]).during(during)?;
                let x = first.forward(&x, past)?.f_silu().during(during)?;
                second.forward(&x, past)?.f_permute([0, 2, 3, 4, 1]).during(during)
            }
            Scorer::Importance { layers: [first, second] } => {
                let width = [*latents_bthwd.size().last().unwrap_or(&0)];
                let none = None::<&Tensor>;
                let x = latents_bthwd.f_layer_norm(width, none, none, NORM_EPS, false).during(during)?;
                let x = first.forward(&x.f_permute([0, 4, 1, 2, 3]).during(during)?, past)?.f_relu().during(during)?;
                let logits = second.forward(&x, past)?.f_permute([0, 2, 3, 4, 1]).during(during)?;
                logits.f_to_kind(Kind::Float).and_then(|logits| logits.f_sigmoid()).during(during)
            }
        }
    }

    /// Scores of consecutive latent frames.
    ///
    /// * `clues_bthwc` - what [`Scorer::clues`] gave for them
    ///
    /// Returns `[B, T, H, W]`, at least 0.
    pub(crate) fn scores(&self, clues_bthwc: &Tensor) -> Result<Tensor, NnError> {
        match self {
            Scorer::Adjacent { .. } => adjacent_distance(clues_bthwc),
            Scorer::Importance { .. } => clues_bthwc.f_squeeze_dim(-1).during("scoring"),
        }
    }
}

/// `s_{t,p} = ||c_{t,p} - c_{t-1,p}||_2`. The first latent frame has none before it and copies the scores of the second
/// (EVEREST's rule; the paper gives none); an only one has moved by 0.
fn adjacent_distance(features_bthwc: &Tensor) -> Result<Tensor, NnError> {
    let distance = || {
        // libtorch's norm has gradient 0 at 0, where nothing moves; a written-out square root would have NaN.
        let moved = features_bthwc.f_diff(1, 1, None::<Tensor>, None::<Tensor>)?.f_norm_scalaropt_dim(2, -1, false)?;
        if moved.size()[1] == 0 {
            return features_bthwc.f_select(-1, 0)?.f_zeros_like();
        }
        Tensor::f_cat(&[&moved.f_narrow(1, 0, 1)?, &moved], 1)
    };
    distance().during("scoring")
}
