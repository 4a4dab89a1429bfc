use nn::{Block, CrossBlock, Cubes, DropPath, Position, StackConfig, init, layer_norm, position_codes};
use tch::nn::{LayerNorm, Linear, Module, VarStore};
use tch::{Device, Tensor};

use super::{Case, GRID, PATCH};
use crate::ClusterPlan;

/// The same weights behind the public parts of nn, so that tokens can be a leaf and no mask is needed.
pub(crate) struct Naive {
    embed: Linear,
    pub(super) blocks: Vec<Block>,
    pub(super) encoder_norm: LayerNorm,
    to_decoder: Linear,
    query: Tensor,
    cross: Vec<CrossBlock>,
    norm: LayerNorm,
    head: Linear,
    num_blocks: usize,
}

impl Naive {
    pub(crate) fn of(case: &Case) -> Self {
        let cfg = case.model.checked.config();
        let mut vs = VarStore::new(Device::Cpu);
        let (root, stack) = (vs.root(), StackConfig { width: 24, depth: 2, heads: 3 });
        let (encoder, d) = (&root / "encoder", cfg.decoder.width);
        let naive = Naive {
            embed: init::linear(&encoder / "embed", PATCH.num_pixels() * 3, 24),
            blocks: (0..2).map(|i| Block::new(&encoder / "blocks" / i, &stack)).collect(),
            encoder_norm: layer_norm(&(&encoder / "norm"), 24),
            to_decoder: init::linear_without_bias(&root / "to_decoder", 24, d),
            query: init::query_token(&root, "query", d),
            cross: (0..2)
                .map(|i| CrossBlock::new(&root / "decoder" / i, &cfg.decoder, cfg.decoder_attention))
                .collect(),
            norm: layer_norm(&(&root / "norm"), d),
            head: init::linear(&root / "head", d, case.model.head.ws.size()[0]),
            num_blocks: case.model.checked.clusters().count() - 1,
        };
        vs.copy(&case.vs).unwrap();
        naive
    }

    /// What enters the encoder's blocks, `[B, I, D]`.
    pub(super) fn tokens(&self, cubes: &Cubes, index_bi: &Tensor) -> Tensor {
        cubes.normalised(index_bi).unwrap().apply(&self.embed) + position_codes(Position::Separable, GRID, index_bi, 24)
    }

    /// Predictions of one clip, `[1, Q, C]`: a cluster at a time, each layer run again over the clusters so far, with
    /// no mask, no batch and no parts.
    pub(crate) fn predict(&self, clip_1thwc: &Tensor, plan: &ClusterPlan) -> Tensor {
        let cubes = Cubes::new(clip_1thwc, GRID, PATCH).unwrap();
        let index = |tokens: &[i64]| Tensor::from_slice(tokens).unsqueeze(0);
        let codes = |tokens: &[i64]| position_codes(Position::Separable, GRID, &index(tokens), 18);
        let of_blocks = |tokens| -> Vec<&[i64]> { <[i64]>::chunks(tokens, tokens.len() / self.num_blocks).collect() };
        // What a layer makes of the newest of the clusters so far.
        let newest = |all: Tensor, num: i64| all.narrow(1, all.size()[1] - num, num);
        let so_far = |x: &[Tensor], i: usize| Tensor::cat(&x[..=i], 1);
        let inputs = of_blocks(&plan.inputs);
        let mut x: Vec<Tensor> = inputs.iter().map(|tokens| self.tokens(&cubes, &index(tokens))).collect();
        for block in &self.blocks {
            let of_cluster = |i| newest(block.forward(&so_far(&x, i), None, DropPath::OFF), x[i].size()[1]);
            x = (0..x.len()).map(of_cluster).collect();
        }
        let memory: Vec<Tensor> = x
            .iter()
            .zip(inputs)
            .map(|(x, tokens)| x.apply(&self.encoder_norm).apply(&self.to_decoder) + codes(tokens))
            .collect();
        let mut asked: Vec<Tensor> =
            of_blocks(&plan.predicted).iter().map(|tokens| codes(tokens) + &self.query).collect();
        for block in &self.cross {
            let of_cluster =
                |i| newest(block.forward(&so_far(&asked, i), &so_far(&memory, i), None), asked[i].size()[1]);
            asked = (0..asked.len()).map(of_cluster).collect();
        }
        self.head.forward(&Tensor::cat(&asked, 1).apply(&self.norm))
    }
}
