use std::borrow::Borrow;

use serde::{Deserialize, Serialize};
use spec::Patch;
use tch::nn::{self, Path};
use tch::{Kind, Tensor};

use crate::{
    BlockCausal, Cubes, DropPath, Mode, NnError, Position, Recompute, Stack, StackConfig, init, layer_norm,
    position_codes,
};

/// A video ViT: the `[model.encoder]` section of every pre-training preset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VitConfig {
    /// Values per token.
    pub width: i64,
    /// Number of blocks.
    pub depth: i64,
    /// Attention heads; divides `width`.
    pub heads: i64,
    /// Position codes.
    pub position: Position,
    /// Which activations are kept for the backward pass.
    pub recompute: Recompute,
    /// Rate of [`DropPath`] in the last block, at least 0 and below 1; it rises linearly from 0 in the first. 0 in
    /// VideoMAE's pre-training.
    pub drop_path: f64,
    /// What stands after the last block.
    pub final_norm: FinalNorm,
}

/// What stands after the last block of a [`Vit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinalNorm {
    /// A layer norm of each token, as in all pre-training of the MAE family.
    Tokens,
    /// Nothing: VideoMAE's fine-tuned and distilled encoders, whose classifiers norm the mean of the tokens instead.
    None,
}

impl VitConfig {
    pub(crate) fn stack(&self) -> StackConfig {
        StackConfig { width: self.width, depth: self.depth, heads: self.heads }
    }

    /// Checks widths, heads, positions, what is recomputed and what is dropped.
    ///
    /// # Errors
    /// [`NnError::Config`] with the value.
    pub fn check(&self) -> Result<(), NnError> {
        self.stack().check()?;
        self.position.check()?;
        self.recompute.check()?;
        DropPath::check(self.drop_path)
    }
}

/// The encoder that all pre-training methods train and all evaluations read: cubes to tokens by one linear map, position
/// codes, pre-norm blocks, a final norm where the config has one. No class token, as in VideoMAE.
///
/// It sees the tokens it is given and no others, so masking is a matter of which indices come in.
#[derive(Debug)]
pub struct Vit {
    embed: nn::Linear,
    blocks: Stack,
    norm: Option<nn::LayerNorm>,
    cfg: VitConfig,
}

impl Vit {
    /// Variables `embed`, `blocks.<i>` and, with [`FinalNorm::Tokens`], `norm` under `p`.
    ///
    /// # Errors
    /// [`VitConfig::check`].
    pub fn new<'a>(p: impl Borrow<Path<'a>>, cfg: &VitConfig, patch: Patch) -> Result<Self, NnError> {
        let p = p.borrow();
        Ok(Vit {
            embed: init::linear(p / "embed", patch.num_pixels() * 3, cfg.width),
            blocks: Stack::new(p / "blocks", &cfg.stack(), cfg.recompute, cfg.drop_path)?,
            norm: (cfg.final_norm == FinalNorm::Tokens).then(|| layer_norm(&(p / "norm"), cfg.width)),
            cfg: cfg.clone(),
        })
    }

    /// Values per token.
    pub fn width(&self) -> i64 {
        self.cfg.width
    }

    /// Chosen tokens through all blocks: `[B, I, D]`.
    ///
    /// * `index_bi` - token indices `[B, I]` int64; the pixels of all others are never read
    /// * `reach` - which chosen tokens each of them reads; `None`: all
    /// * `mode` - whether branches are dropped
    ///
    /// # Errors
    /// [`NnError::Shape`], [`NnError::Torch`], [`NnError::OutOfMemory`].
    pub fn encode(
        &self,
        cubes: &Cubes,
        index_bi: &Tensor,
        reach: Option<&BlockCausal>,
        mode: Mode,
    ) -> Result<Tensor, NnError> {
        let pixels = cubes.normalised(index_bi)?.apply(&self.embed);
        let tokens = pixels + position_codes(self.cfg.position, cubes.grid(), index_bi, self.cfg.width);
        let tokens = self.blocks.forward(tokens, reach, mode)?;
        Ok(match &self.norm {
            Some(norm) => tokens.apply(norm),
            None => tokens,
        })
    }

    /// How far each token's embedding, before position codes, is from that of the same place one latent frame earlier:
    /// `[B, N]`, without gradient. The first latent frame has the second's values; a clip of one has zeros.
    ///
    /// # Errors
    /// As [`Vit::encode`].
    pub fn embed_motion(&self, cubes: &Cubes) -> Result<Tensor, NnError> {
        let (b, grid, places) = (cubes.num_clips(), cubes.grid(), cubes.grid().tokens_per_frame());
        tch::no_grad(|| {
            // One latent frame at a time: all tokens of a long clip as floats would be the step's largest tensor.
            let embed = |t: i64| -> Result<Tensor, NnError> {
                let index = Tensor::arange_start(t * places, (t + 1) * places, (Kind::Int64, cubes.device()));
                let pixels = cubes.normalised(&index.expand([b, -1], false))?;
                Ok(pixels.apply(&self.embed).to_kind(Kind::Float))
            };
            let mut last_bpd = embed(0)?;
            let mut motion: Vec<Tensor> = Vec::new();
            for t in 1..grid.t {
                let next_bpd = embed(t)?;
                motion.push((&next_bpd - &last_bpd).square().sum_dim_intlist(-1, false, Kind::Float).sqrt());
                last_bpd = next_bpd;
            }
            let first = match motion.first() {
                Some(second) => second.shallow_clone(),
                None => Tensor::zeros([b, places], (Kind::Float, cubes.device())),
            };
            motion.insert(0, first);
            Ok(Tensor::cat(&motion, 1))
        })
    }

    /// All tokens of each clip in grid order: `[B, N, D]`, for a frozen encoder's features or for fine-tuning.
    ///
    /// # Errors
    /// As [`Vit::encode`].
    pub fn encode_all(&self, cubes: &Cubes, mode: Mode) -> Result<Tensor, NnError> {
        let all = Tensor::arange(cubes.grid().num_tokens(), (Kind::Int64, cubes.device()));
        self.encode(cubes, &all.expand([cubes.num_clips(), -1], false), None, mode)
    }
}

#[cfg(test)]
mod tests {
    use spec::Grid;
    use tch::Device;

    use super::*;

    #[test]
    fn pixels_of_tokens_left_out_are_never_read() {
        let (grid, patch) = (Grid { t: 2, h: 2, w: 2 }, Patch { t: 2, h: 4, w: 4 });
        let cfg = VitConfig {
            width: 12,
            depth: 2,
            heads: 2,
            position: Position::Separable,
            recompute: Recompute::None,
            drop_path: 0.0,
            final_norm: FinalNorm::Tokens,
        };
        let vs = nn::VarStore::new(Device::Cpu);
        let vit = Vit::new(vs.root(), &cfg, patch).unwrap();
        tch::manual_seed(0);
        let clip = Tensor::randint(256, [1, 4, 8, 8, 3], (Kind::Int64, Device::Cpu)).to_kind(Kind::Uint8);
        let visible = Tensor::from_slice2(&[[1i64, 6]]);
        let run =
            |clip: &Tensor| vit.encode(&Cubes::new(clip, grid, patch).unwrap(), &visible, None, Mode::Eval).unwrap();

        // Token 1 is (0, 0, 1), token 6 is (1, 1, 0): everything else may change.
        let keep = Tensor::zeros([1, 4, 8, 8, 3], (Kind::Bool, Device::Cpu));
        drop(keep.narrow(1, 0, 2).narrow(2, 0, 4).narrow(3, 4, 4).fill_(1));
        drop(keep.narrow(1, 2, 2).narrow(2, 4, 4).narrow(3, 0, 4).fill_(1));
        let changed = clip.where_self(&keep, &(255 - &clip));
        assert!(!clip.equal(&changed));
        assert!(run(&clip).equal(&run(&changed)));

        let one_pixel = clip.copy();
        drop(one_pixel.get(0).get(3).get(7).get(2).fill_(7));
        assert!(!run(&clip).equal(&run(&one_pixel)));
    }

    #[test]
    fn motion_is_the_distance_of_embeddings_one_latent_frame_apart() {
        let (grid, patch) = (Grid { t: 3, h: 1, w: 2 }, Patch { t: 1, h: 2, w: 2 });
        let (position, recompute) = (Position::Separable, Recompute::None);
        let cfg = VitConfig {
            width: 6,
            depth: 1,
            heads: 1,
            position,
            recompute,
            drop_path: 0.0,
            final_norm: crate::FinalNorm::Tokens,
        };
        let vs = nn::VarStore::new(Device::Cpu);
        let vit = Vit::new(vs.root(), &cfg, patch).unwrap();
        tch::manual_seed(0);
        let clip = Tensor::randint(256, [2, 3, 2, 4, 3], (Kind::Int64, Device::Cpu)).to_kind(Kind::Uint8);
        let cubes = Cubes::new(&clip, grid, patch).unwrap();
        let all = Tensor::arange(6, (Kind::Int64, Device::Cpu)).expand([2, -1], false);
        let embedded = cubes.normalised(&all).unwrap().apply(&vit.embed);
        let motion = vit.embed_motion(&cubes).unwrap();
        assert!(!motion.requires_grad());
        for b in 0..2 {
            for token in 0..6 {
                // The first latent frame, tokens 0 and 1, has the values of the second.
                let later = if token < 2 { token + 2 } else { token };
                let at = |token: i64, d: i64| embedded.double_value(&[b, token, d]);
                let want = (0..6).map(|d| (at(later, d) - at(later - 2, d)).powi(2)).sum::<f64>().sqrt();
                let got = motion.double_value(&[b, token]);
                assert!((got - want).abs() < 1e-5 * want.max(1.0), "clip {b}, token {token}: {got}, not {want}");
            }
        }
    }
}
