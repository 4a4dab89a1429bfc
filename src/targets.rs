//! What a frozen tokenizer gives to pre-training, targets and priorities: read from a token store, or made of every clip.

use anyhow::Context as _;
use nn::{Target, Targets};
use spec::Patch;
use tch::{Device, Kind, Tensor};
use vector_quantize::Quantizer;
use video::{LoadedClip, TokenStore};

use crate::clips;
use crate::exit::BadInput;
use crate::frozen::Frozen;
use crate::quantizer;

/// What is predicted of one token: the width of a model's head follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TargetShape {
    /// The pixels of its cube.
    Pixels,
    /// Its quantized embedding of so many values.
    Codes { width: i64 },
    /// Its latent of so many values.
    Latents { width: i64 },
    /// One of the levels of each channel of its code.
    Factored { levels: Vec<i64> },
    /// One of the codes.
    Full { codebook_size: i64 },
}

impl TargetShape {
    /// As tokenizers come in our presets, FSQ with six channels of eight levels: what a measurement without a tokenizer takes.
    /// One layer of the head hangs on it. Of codes, the most that can be told apart.
    pub(crate) fn usual(target: Target) -> Self {
        match target {
            Target::Codes => TargetShape::Codes { width: 6 },
            Target::Latents => TargetShape::Latents { width: 6 },
            Target::Factored => TargetShape::Factored { levels: vec![8; 6] },
            Target::Full => TargetShape::Full { codebook_size: Target::MOST_CLASSES },
            Target::Pixels | Target::PixelsJoint | Target::PixelsRaw => TargetShape::Pixels,
        }
    }

    /// Under a tokenizer with this quantizer.
    ///
    /// # Errors
    /// [`BadInput`] where its codes are not made of levels, and the levels are the target; where the codes are, and are too
    /// many.
    fn of(target: Target, quantizer: &Quantizer) -> Result<Self, BadInput> {
        let width = quantizer.num_channels();
        Ok(match target {
            Target::Codes => TargetShape::Codes { width },
            Target::Latents => TargetShape::Latents { width },
            Target::Factored => TargetShape::Factored { levels: quantizer.levels().ok_or_else(no_levels)? },
            Target::Full => match quantizer.codebook_size() {
                codebook_size @ ..=Target::MOST_CLASSES => TargetShape::Full { codebook_size },
                too_many => return Err(too_many_codes(too_many)),
            },
            Target::Pixels | Target::PixelsJoint | Target::PixelsRaw => TargetShape::Pixels,
        })
    }

    /// Numbers that a head predicts for one token.
    pub(crate) fn head_width(&self, patch: Patch) -> i64 {
        match self {
            TargetShape::Pixels => patch.num_pixels() * 3,
            TargetShape::Codes { width } | TargetShape::Latents { width } => *width,
            TargetShape::Factored { levels } => levels.iter().sum(),
            TargetShape::Full { codebook_size } => *codebook_size,
        }
    }

    /// Bytes of one token's target where it is made before the step; pixels are taken from the clip in it.
    pub(crate) fn data_bytes(&self) -> i64 {
        match self {
            TargetShape::Pixels => 0,
            TargetShape::Codes { width } | TargetShape::Latents { width } => 4 * width,
            TargetShape::Factored { levels } => 8 * levels.len() as i64,
            TargetShape::Full { .. } => 8,
        }
    }

    /// Random targets of `[num_clips, num_tokens]` tokens.
    pub(crate) fn noise(&self, tokens_bn: [i64; 2], device: Device) -> Targets {
        let [b, n] = tokens_bn;
        let values = |width: i64| Tensor::rand([b, n, width], (Kind::Float, device)) * 2 - 1;
        match self {
            TargetShape::Pixels => Targets::Pixels,
            TargetShape::Codes { width } => Targets::Codes(values(*width)),
            TargetShape::Latents { width } => Targets::Latents(values(*width)),
            TargetShape::Factored { levels } => {
                let channel = |levels: &i64| Tensor::randint(*levels, [b, n], (Kind::Int64, device));
                let digits: Vec<Tensor> = levels.iter().map(channel).collect();
                Targets::Factored { digits_bnd: Tensor::stack(&digits, -1), levels: levels.clone() }
            }
            TargetShape::Full { codebook_size } => {
                let codes_bn = Tensor::randint(*codebook_size, [b, n], (Kind::Int64, device));
                Targets::Full { codes_bn, codebook_size: *codebook_size }
            }
        }
    }
}

fn no_levels() -> BadInput {
    BadInput(
        "target = \"factored\" needs a tokenizer whose codes are levels, channel by channel (tokenizer.quantizer of kind fsq \
         or lfq), and this one has a learned codebook or a residual; set model.target to \"codes\", or train another tokenizer"
            .to_owned(),
    )
}

fn too_many_codes(codebook_size: i64) -> BadInput {
    let [given, most] = [codebook_size, Target::MOST_CLASSES].map(|count| quantizer::grouped(count as u64));
    BadInput(format!(
        "target = \"full\" tells at most {most} codes apart, and this tokenizer has {given}; set model.target to \"factored\" or \
         \"codes\", or train a tokenizer with a smaller codebook"
    ))
}

/// Where codes and priorities come from.
#[derive(Debug)]
enum Source {
    /// Pixels are the target. Where there is a token store, priorities come with the clips.
    Nowhere,
    /// They come with the clips, and this turns codes into targets.
    Store(Quantizer),
    /// They are made of the very pixels that the encoder gets, augmented or not.
    Tokenizer(Box<Frozen>),
}

/// Makes the targets and priorities of a run.
#[derive(Debug)]
pub(crate) struct TargetMaker {
    shape: TargetShape,
    source: Source,
}

/// The targets of a batch, and one list of priorities per clip; no lists without tokens.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) targets: Targets,
    pub(crate) priorities_bn: Vec<Vec<f32>>,
}

impl TargetMaker {
    /// From the clip's own pixels.
    pub(crate) fn of_pixels() -> Self {
        TargetMaker { shape: TargetShape::Pixels, source: Source::Nowhere }
    }

    /// From a token store.
    ///
    /// # Errors
    /// [`BadInput`] for latents, which no store holds; for levels of a quantizer without; for a quantizer that is not known.
    pub(crate) fn of_store(target: Target, tokens: &TokenStore, device: Device) -> anyhow::Result<Self> {
        if target == Target::Latents {
            let said = "model.target = \"latents\" needs the tokenizer itself, since a token store holds codes alone: give \
                        --tokenizer with its tokenizer.safetensors instead of --tokens";
            return Err(BadInput(said.to_owned()).into());
        }
        if target.pixel_norm().is_some() {
            return Ok(Self::of_pixels());
        }
        let quantizer = quantizer::of_tokens(tokens, device)?;
        Ok(TargetMaker { shape: TargetShape::of(target, &quantizer)?, source: Source::Store(quantizer) })
    }

    /// From a tokenizer, for every clip anew.
    ///
    /// # Errors
    /// [`BadInput`] for levels of a quantizer without.
    pub(crate) fn of_tokenizer(target: Target, frozen: Frozen) -> anyhow::Result<Self> {
        let shape = TargetShape::of(target, frozen.model.quantizer())?;
        Ok(TargetMaker { shape, source: Source::Tokenizer(Box::new(frozen)) })
    }

    /// What is predicted of a token.
    pub(crate) fn shape(&self) -> &TargetShape {
        &self.shape
    }

    /// Targets and priorities of a batch.
    ///
    /// * `loaded`, `clip_bthwc` - the clips, and their pixels `[B, T, S, S, 3]` u8
    ///
    /// # Errors
    /// Whatever the tokenizer or the quantizer fails with.
    pub(crate) fn make(&self, loaded: &[LoadedClip], clip_bthwc: &Tensor) -> anyhow::Result<Made> {
        match &self.source {
            Source::Nowhere => Ok(Made { targets: Targets::Pixels, priorities_bn: priorities(loaded) }),
            Source::Store(quantizer) => {
                let codes_bn = clips::codes(loaded, clip_bthwc.device()).context("clips without their tokens")?;
                let targets = self.targets(quantizer, &codes_bn, None)?;
                Ok(Made { targets, priorities_bn: priorities(loaded) })
            }
            Source::Tokenizer(frozen) => {
                let tokens = frozen.tokens(clip_bthwc)?;
                let targets = self.targets(frozen.model.quantizer(), &tokens.codes, Some(&tokens.latents))?;
                let lists = tokens.priorities.to_device(Device::Cpu).split(1, 0);
                let priorities_bn = lists.iter().map(|list| Ok(Vec::<f32>::try_from(list.flatten(0, -1))?));
                Ok(Made { targets, priorities_bn: priorities_bn.collect::<anyhow::Result<_>>()? })
            }
        }
    }

    fn targets(&self, quantizer: &Quantizer, codes_bn: &Tensor, latents: Option<&Tensor>) -> anyhow::Result<Targets> {
        Ok(match (&self.shape, latents) {
            (TargetShape::Codes { .. }, _) => Targets::Codes(quantizer.values_from_codes(codes_bn)?),
            (TargetShape::Factored { levels }, _) => {
                Targets::Factored { digits_bnd: quantizer.levels_from_codes(codes_bn)?, levels: levels.clone() }
            }
            (TargetShape::Full { codebook_size }, _) => {
                Targets::Full { codes_bn: codes_bn.shallow_clone(), codebook_size: *codebook_size }
            }
            (TargetShape::Latents { .. }, Some(latents_bnd)) => Targets::Latents(latents_bnd.shallow_clone()),
            (TargetShape::Latents { .. }, None) => anyhow::bail!("latents were asked of a token store"),
            (TargetShape::Pixels, _) => Targets::Pixels,
        })
    }
}

fn priorities(loaded: &[LoadedClip]) -> Vec<Vec<f32>> {
    loaded.iter().filter_map(|clip| clip.tokens.as_ref().map(|tokens| tokens.priorities.clone())).collect()
}
