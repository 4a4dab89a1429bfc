//! Network parts that know no paper: transformer blocks over fused attention, position codes, the ViT encoder that all
//! pre-training methods share, causal convolution, and the checks at the entrances.
//!
//! Letters in names: B clips, N tokens, I chosen tokens, D width, H heads, T frames, C channels, Q queries, M memory.

mod attention;
mod block;
mod block_causal;
mod conv;
pub mod cost;
mod cubes;
mod drop_path;
mod error;
mod gauges;
pub mod init;
mod losses;
mod mix;
mod past;
mod position;
mod shape;
mod stack;
mod target;
mod vit;

pub use attention::Attention;
pub use block::{Block, CrossBlock, DecoderAttention, DecoderReach, StackConfig, layer_norm};
pub use block_causal::{BlockCausal, Blocks};
pub use conv::{CausalConv3d, Conv3dConfig, FrameNormSilu};
pub use cubes::{Cubes, PixelNorm};
pub use drop_path::{DropPath, Mode};
pub use error::{During, NnError};
pub use gauges::{code_counts, code_gauges, gauges};
pub use losses::{Codes, Losses};
pub use mix::{ClipLayout, CutBox, Mix, MixConfig, smooth_labels};
pub use past::Past;
pub use position::{Position, position_codes};
pub use shape::{expect_kind, expect_shape};
pub use stack::{CrossStack, Recompute, Stack};
pub use target::{Comparison, Target, Targets};
pub use vit::{FinalNorm, Vit, VitConfig};
