//! The adaptive video tokenizer of LVMAE ("Extending Video Masked Autoencoders to 128 frames", NeurIPS 2024,
//! arXiv:2411.13683, section 3.3 and appendix A.1): a causal 3-D CNN autoencoder in the manner of MAGVIT with finite scalar
//! quantization, which learns, together with its codes, which tokens matter.
//!
//! A small CNN gives each token a feature; how far it moved since the latent frame before is the token's score. In training
//! only the top-scoring tokens pass, the others are set to 0 and the decoder paints over the gap. Because the top-k is
//! differentiable, the reconstruction loss also trains the scorer. Afterwards both are frozen: codes of **all** tokens and
//! their scores go to the token store, as targets and priorities of pre-training.
//!
//! | paper                    | here                                                       |
//! | ------------------------ | ---------------------------------------------------------- |
//! | VQ(V)                    | `Tokenizer::encode_clip`, then `values_from_codes`         |
//! | `c_{t,p}`                | `Scorer::clues`                                            |
//! | `s_{t,p}`                | `Scorer::scores`; in the end `Tokens::priorities`          |
//! | k                        | `top_k.keep`, of the tokens after the first latent frame   |
//! | differentiable top-k     | `top_k.gradient`: `topk.rs` has three                      |
//! | z after zeroing          | `model::masked`                                            |
//! | what it is compared with | `Selection`: random, uniform and motion instead of top-k   |
//! | MQ-VAE's scorer          | `ScorerConfig::Importance`                                 |
//! | LFQ, VQ, residual        | `tokenizer.quantizer`, the crate `vector_quantize`         |
//! | 16-frame sliding window  | `LongVideo::Windows`                                    |
//! | MAGVIT-v2's 1 + t k      | `TimeLayout::FirstFrame`                                |
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
//! - MAGVIT-v2's layout of time (`first_frame`, for an image or a video that starts with one) is the other one's (`pairs`) behind
//!   t - 1 blank frames, whose reconstruction is dropped: all convolutions stay the same. What scores compare is led in by
//!   stills of the first frame instead.
//! - Beside the paper's windows, a long video can pass as one (`LongVideo::Carried`): in chunks between which each
//!   convolution carries the frames that it still needs.
//! - Tokens are set to 0 behind the quantizer, not before it. For FSQ, of whose values 0 is one, forward is the same; the
//!   gradient of a token that did not pass then says what its quantized value would have changed; and quantizers without a
//!   code for 0 work, too. Codes are known of all tokens.
//! - The budget can be drawn for each window (`KeepShare::Drawn`), so that one tokenizer draws from any number of tokens.
//! - `stem_patch` can fold pixels into channels before the first layer, which makes training on a CPU possible.
//! - Not published, chosen here: FSQ levels, scorer widths, the kind of differentiable top-k, channel multipliers for
//!   2x16x16, normalization groups.

mod beside;
mod cnn;
mod config;
mod error;
mod loss;
mod model;
mod scorer;
mod select;
mod time;
mod topk;
mod watch;
mod window;

#[cfg(test)]
mod tests;

pub use beside::{Beside, Place};
pub use config::{CheckedTokenizer, KeepShare, ScorerConfig, TokenizerConfig, TopKConfig, TopKGradient, WINDOW_FRAMES};
pub use error::TokenizerError;
pub use loss::{
    AdaptiveConfig, AdversarialConfig, Critics, Downsample, GanConfig, GanLoss, LossConfig, PenaltyConfig,
    PerceptualConfig, Recon,
};
pub use model::Tokenizer;
pub use select::{Selection, num_kept, pixel_motion};
pub use time::TimeLayout;
pub use vector_quantize::Share;
pub use watch::{DEAD_AFTER_STEPS, Watch};
pub use window::{Keep, LongVideo, Tokens};
