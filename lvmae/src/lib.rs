//! Masked autoencoding of long token grids.
//!
//! LVMAE: "Extending Video Masked Autoencoders to 128 frames" (NeurIPS 2024, arXiv:2411.13683). A ViT encodes the 10 % of
//! tokens that a tube mask leaves visible; a small decoder predicts, not all others, but a budget of them: those to which
//! the tokenizer gave the highest priority, and a few at random. That is what makes 128 frames fit. The target is the
//! frozen tokenizer's quantised embedding of each token. The paper has no public code; this follows its text.
//!
//! | paper           | here                              |                                              |
//! | --------------- | --------------------------------- | -------------------------------------------- |
//! | `M_e`           | [`EncoderMask`]                   | which tokens the encoder sees                |
//! | `M_d`           | [`DecoderMask`]                   | which hidden tokens are predicted            |
//! | `1 - rho_d`     | `salient_share`                   | 0.10 of all tokens, by priority              |
//! | `rho_r`         | `random_share`                    | 0.05 of all tokens, at random                |
//! | `VQ(V)_i`       | [`nn::Targets::Codes`]            | quantised embedding in `[-1, 1]`             |
//! | `Omega`         | `ClipMask::decoded`               | hidden from the encoder and chosen to decode |
//!
//! VideoMAE (arXiv:2203.12602) is the same model with [`DecoderMask::None`] and pixel targets; [`nn::Target`] has them all.
//!
//! Letters: B clips, N tokens of a clip, V visible, Q decoded, D width, C values of a target.
//!
//! Departures and gaps of the text:
//! * Both shares are drawn from the hidden tokens, so the budget is exact (the text does not say).
//! * The loss set is printed as `M_e` and `M_d`; by the paper's meaning it is hidden *and* chosen.
//! * Decoder width and position codes are not published: VideoMAE's width, and [`nn::Position`] as configured.

mod config;
mod error;
mod loss;
mod mask;
mod model;

pub use config::{CheckedLvmae, LvmaeConfig};
pub use error::LvmaeError;
pub use mask::{ClipMask, DecoderMask, EncoderMask};
pub use model::{Lvmae, Predictions};
