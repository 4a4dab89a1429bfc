//! The adaptive video tokenizer of LVMAE ("Extending Video Masked Autoencoders to 128 frames", NeurIPS 2024,
//! arXiv:2411.13683, section 3.3 and appendix A.1): a causal 3-D CNN autoencoder in the manner of MAGVIT with finite scalar
//! quantization, which learns, together with its codes, which tokens matter.
//!
//! A small CNN gives each token a feature; how far it moved since the latent frame before is the token's score. In training
//! only the top-scoring tokens pass, the others are set to 0 before quantization and the decoder paints over the gap.
//! Because the top-k is differentiable, the reconstruction loss also trains the scorer. Afterwards both are frozen: codes of
//! **all** tokens and their scores go to the token store, as targets and priorities of pre-training.
//!
//! | paper                    | here                                                    |
//! | ------------------------ | ------------------------------------------------------- |
//! | VQ(V)                    | `Tokenizer::encode_clip`, then `values_from_codes`      |
//! | `c_{t,p}`                | `Scorer::features`                                      |
//! | `s_{t,p}`                | `adjacent_distance`; in the end `Tokens::priorities`    |
//! | k                        | `top_k.keep_ratio` of the tokens after the first frame  |
//! | differentiable top-k     | `topk::straight_through`                                |
//! | z after zeroing          | `model::masked`                                         |
//! | 16-frame sliding window  | `WINDOW_FRAMES`, `window.rs`                            |
//! | MAGVIT's discriminator   | `loss/discriminator.rs`                                 |
//!
//! Letters in names: B clips, F frames, T latent frames, H and W rows and columns (of pixels for clips, of tokens for
//! latents), D channels of the latent, C other channels, N tokens, K codes.
//!
//! Departures from the paper, each for a reason:
//!
//! - No perceptual loss unless the user has the weights of VGG16: without, reconstructions are blurrier; codes and
//!   priorities work the same way. MAGVIT's is on a ResNet.
//! - From MAGVIT-v2, not v1: causal convolutions, strided down-sampling and depth-to-space. Average pooling and nearest
//!   neighbours, v1's pair, cannot pass a 2x2 detail from the fine grid to the coarse one in a single step.
//! - Normalization is per frame, so that a window can be cut short without changing what came before. None stands before
//!   the decoder's last layer, which has to bring out each frame's own brightness and contrast.
//! - `stem_patch` can fold pixels into channels before the first layer, which makes training on a CPU possible.
//! - Not published, chosen here: FSQ levels, scorer widths, the kind of differentiable top-k, channel multipliers for
//!   2x16x16, normalization groups.

mod cnn;
mod config;
mod error;
mod loss;
mod model;
mod scorer;
mod topk;
mod window;

#[cfg(test)]
mod tests;

pub use config::{CheckedTokenizer, ScorerConfig, TokenizerConfig, TopKConfig, WINDOW_FRAMES};
pub use error::TokenizerError;
pub use loss::{
    AdaptiveConfig, AdversarialConfig, Critics, Downsample, GanConfig, GanLoss, LossConfig, PenaltyConfig,
    PerceptualConfig, Recon,
};
pub use model::Tokenizer;
pub use window::{Keep, Tokens};
