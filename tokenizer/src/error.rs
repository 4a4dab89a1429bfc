use nn::NnError;
use spec::SpecError;
use vector_quantize::VqError;

/// What can go wrong in a tokenizer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// A setting is out of range.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The strides of a stack do not make the patch, so its grid would not be the token grid.
    #[error(
        "{keys} make a cube of {product:?}, but clip.patch is {patch:?}: their product must equal it on every axis"
    )]
    Strides {
        /// The settings that multiply, in the preset's words.
        keys: &'static str,
        /// Their product, `[frames, pixels, pixels]`.
        product: [i64; 3],
        /// The patch, `[frames, pixels, pixels]`.
        patch: [i64; 3],
    },
    /// A clip is not a whole number of windows or patches.
    #[error("a clip has {axis} = {size}, which is not a positive multiple of {step}")]
    ClipSize {
        /// `frames`, `height` or `width`.
        axis: &'static str,
        /// The clip's size on that axis.
        size: i64,
        /// The window's or the patch's frames, or the patch's pixels.
        step: i64,
    },
    /// A clip that begins with a frame of its own does not go on with whole latent frames.
    #[error(
        "a clip has {num_frames} frames, but tokenizer.time = \"first_frame\" takes 1 and a multiple of {step} more"
    )]
    FirstFrame {
        /// The clip's frames.
        num_frames: i64,
        /// The patch's frames.
        step: i64,
    },
    /// The file of perceptual weights is of another network, or incomplete.
    #[error("the perceptual weights lack {name}; docs/formats.md says how VGG16 is exported")]
    PerceptualMissing {
        /// The tensor.
        name: String,
    },
    /// A tensor of the file of perceptual weights does not fit the one before it.
    #[error(
        "{name} of the perceptual weights has shape {found:?}, not {wanted:?} (-1 is any); docs/formats.md says how VGG16 \
         is exported"
    )]
    PerceptualShape {
        /// The tensor.
        name: String,
        /// Its shape in the file.
        found: Vec<i64>,
        /// The shape that fits, -1 for any size.
        wanted: Vec<i64>,
    },
    /// The ranks of a run lost each other.
    #[error(transparent)]
    Ranks(#[from] torch_ext::GroupError),
    /// The network failed, out of memory included.
    #[error(transparent)]
    Nn(#[from] NnError),
    /// The quantizer failed or refused its levels.
    #[error(transparent)]
    Vq(#[from] VqError),
}
