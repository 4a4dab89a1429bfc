//! Fine-tuning for action recognition, as VideoMAE does it (arXiv:2203.12602, its published code) with LVMAE's changes for
//! long clips (arXiv:2411.13683, A.5.3): tokens are dropped while training, and one layer of class attention may stand in
//! the place of the mean.
//!
//! ```text
//! clip --cubes, TokenDrop--> Vit --HeadPool--> norm --> one linear layer per head --> logits
//! labels --Heads--> class of each head --smooth_labels, Mix--> soft targets --> sum of cross-entropies
//! ```
//!
//! How the weights move (layer-wise decay, averages, warm-up) is the training loop's affair, and how pixels are varied the
//! loader's.

mod classifier;
mod cost;
mod heads;
mod token_drop;

pub use classifier::{Classifier, ClassifierConfig, HeadPool, soft_cross_entropy};
pub use heads::{HeadKind, Heads};
pub use token_drop::TokenDrop;
