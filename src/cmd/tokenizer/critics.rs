//! The networks that judge a tokenizer in training, as a preset asks for them.

use std::collections::BTreeMap;

use anyhow::Context as _;
use tch::Tensor;
use tch::nn::Path;
use tokenizer::{AdversarialConfig, Critics, LossConfig, PerceptualConfig};
use train::Side;

use crate::exit::BadInput;

/// The discriminator's variables among those that are trained; `None` without one.
pub(super) fn side(config: &LossConfig) -> Option<Side> {
    let AdversarialConfig::Gan(gan) = &config.adversarial else { return None };
    Some(Side {
        prefix: Critics::PREFIX,
        grad_norm_key: Some("grad_norm_discriminator"),
        learning_rate_scale: gan.learning_rate_scale,
        clip_grad_norm: Some(gan.clip_grad_norm).filter(|max| *max > 0.0),
    })
}

/// The user's perceptual weights.
pub(super) struct PerceptualWeights {
    /// The file's; empty without one.
    tensors: BTreeMap<String, Tensor>,
    /// Content hash of the file, or why there is none: for the record of the run.
    pub(super) id: String,
}

impl PerceptualWeights {
    /// Reads the file that the preset names.
    ///
    /// # Errors
    /// [`BadInput`] for a file that cannot be read or is no safetensors file.
    pub(super) fn read(config: &LossConfig) -> anyhow::Result<Self> {
        let PerceptualConfig::Vgg16 { weights, .. } = &config.perceptual else {
            tracing::info!("no perceptual loss: no weights given");
            return Ok(PerceptualWeights { tensors: BTreeMap::new(), id: "none: no weights given".to_owned() });
        };
        let refused = |said: String| BadInput(format!("tokenizer.loss.perceptual.weights: {said}"));
        let bytes = std::fs::read(weights).map_err(|err| {
            let export = "docs/formats.md says how VGG16 is exported";
            refused(format!("cannot read {weights:?} ({err}); {export}, or set tokenizer.loss.perceptual to none"))
        })?;
        let tensors = Tensor::read_safetensors(weights).map_err(|err| refused(format!("{weights:?}: {err}")))?;
        Ok(PerceptualWeights { tensors: tensors.into_iter().collect(), id: blake3::hash(&bytes).to_hex().to_string() })
    }

    /// Adds the critics' variables to `root`.
    ///
    /// * `size_px` - side of the frames
    pub(super) fn critics(&self, root: &Path, config: &LossConfig, size_px: i64) -> anyhow::Result<Critics> {
        Critics::new(root, config, size_px, &self.tensors).with_context(|| match &config.perceptual {
            PerceptualConfig::Vgg16 { weights, .. } => format!("cannot train with {weights:?}"),
            PerceptualConfig::None {} => "cannot make the discriminator".to_owned(),
        })
    }
}
