use std::collections::BTreeMap;

use tch::Tensor;
use tch::nn::Path;
use torch_ext::Group;

use super::adversarial::Adversary;
use super::perceptual::Perceptual;
use crate::{AdversarialConfig, LossConfig, TokenizerError};

/// The networks that judge a reconstruction in training, beside the distance of pixels. A trained tokenizer does without.
#[derive(Debug)]
pub struct Critics {
    pub(super) perceptual: Option<Perceptual>,
    pub(super) adversary: Option<Adversary>,
}

impl Critics {
    /// What the variables' names begin with: weights of the discriminator, which learn beside the tokenizer, and what no
    /// gradient moves.
    pub const PREFIX: &str = "discriminator.";

    /// None, whatever the config asks for.
    pub fn none() -> Self {
        Critics { perceptual: None, adversary: None }
    }

    /// Those that the config asks for. Adds the discriminator's variables to `root`, drawn from libtorch's generator.
    ///
    /// * `size_px` - side of the frames in training
    /// * `perceptual` - tensors of the file that the config names, not needed for other kinds
    ///
    /// # Errors
    /// [`TokenizerError::PerceptualMissing`] and [`TokenizerError::PerceptualShape`] for a file of another network;
    /// [`TokenizerError::Nn`] when libtorch cannot allocate them.
    pub fn new(
        root: &Path,
        config: &LossConfig,
        size_px: i64,
        perceptual: &BTreeMap<String, Tensor>,
    ) -> Result<Self, TokenizerError> {
        let perceptual = Perceptual::new(&config.perceptual, perceptual, root.device())?;
        let path = root / Critics::PREFIX.trim_end_matches('.');
        let adversary = match &config.adversarial {
            AdversarialConfig::None {} => None,
            AdversarialConfig::Gan(gan) => Some(Adversary::new(&path, gan, size_px)?),
        };
        Ok(Critics { perceptual, adversary })
    }

    /// Moves what no gradient moves by the clips whose losses were computed since the last call, those of all ranks.
    ///
    /// # Errors
    /// [`TokenizerError::Ranks`] when a rank is missing; [`TokenizerError::Nn`] when libtorch fails.
    pub fn after_step(&mut self, ranks: &Group) -> Result<(), TokenizerError> {
        self.adversary.as_mut().map_or(Ok(()), |adversary| adversary.after_step(ranks))
    }

    /// Forgets the clips whose losses were computed since the last [`Critics::after_step`]: their step was not taken.
    pub fn drop_collected(&mut self) {
        if let Some(adversary) = &mut self.adversary {
            adversary.drop_collected();
        }
    }
}
