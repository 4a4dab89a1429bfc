//! Next-cluster prediction on token grids.
//!
//! ARVideo: "Autoregressive Pretraining for Self-Supervised Video Representation Learning" (TMLR 2025,
//! arXiv:2405.15160). The tokens of a clip are grouped into boxes of time and space, the clusters, which are put in a
//! random order. A ViT reads a fifth of each cluster's tokens under a mask that lets no cluster see a later one; a
//! decoder of cross-attention alone predicts every token of the next cluster from what the encoder made of the clusters
//! so far. Each cluster but the first is predicted, each but the last is read. The paper has no public code; this
//! follows its text, and for the mask its first author's D-iGPT code, the method's ancestor on images.
//!
//! | paper                | here                     |                                                             |
//! | -------------------- | ------------------------ | ----------------------------------------------------------- |
//! | `K_T x K_H x K_W`    | `cluster`                | tokens of a cluster on each axis; 2 x 7 x 7                 |
//! | cluster `c_i`        | [`Clusters`]             | which tokens belong together                                |
//! | rasteration          | [`Order`]                | random, or along space or time first                        |
//! | token dropping, 80 % | `keep_share`             | 0.2 of each cluster enters the encoder                      |
//! | attention mask       | [`nn::BlockCausal`]      | cluster i reads clusters 0..=i; never a table of all tokens |
//! | target               | [`nn::Targets`]          | pixels in the paper; the tokenizer's codes are our addition |
//!
//! Ours, and off by default: priorities of tokens may give the order ([`Order::Priority`]), weight the loss or choose which
//! share of a cluster is predicted ([`Predicted`]).
//!
//! Letters: B clips, N tokens of a clip, I tokens that enter the encoder, Q predicted tokens, M what a query reads, D
//! width, C values of a target. *Block* i of the inputs is the i-th cluster of the order, block i of the predictions
//! the one after it.
//!
//! Departures and gaps of the text:
//! * Rounding of the kept share is not published: down, but at least one token. Fifteen predicted clusters of 98 tokens
//!   make 1470; the paper's table 5 prints 1372.
//! * The memory that the decoder reads carries position codes again, as in the masked family; not published.
//! * The decoder's heads are not published; nor is what its queries may read of each other in the ablation with self-attention:
//!   here each cluster's read one another and those of the clusters before, so that nothing leaks.
//! * The same position codes and recomputation serve encoder and decoder.

mod cluster;
mod config;
mod cost;
mod error;
mod loss;
mod model;

pub use cluster::{ClusterPlan, Clusters, Order, Predicted};
pub use config::{ArvideoConfig, CheckedArvideo};
pub use error::ArvideoError;
pub use model::{Arvideo, Predictions};
