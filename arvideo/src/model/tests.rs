use nn::{Block, DropPath, FinalNorm, Position, StackConfig, Target, VitConfig};
use spec::{Grid, Patch};
use tch::nn::{Module, VarStore};
use torch_ext::{Precision, autocast};

use super::*;
use crate::{ArvideoConfig, Order};

const GRID: Grid = Grid { t: 4, h: 4, w: 4 };
const PATCH: Patch = Patch { t: 2, h: 4, w: 4 };
/// 16 clusters of 4 tokens: 15 blocks, 2 in each part of the decoder but the last.
const CLUSTER: [i64; 3] = [1, 2, 2];
const NUM_BLOCKS: i64 = 15;
const SIZE: i64 = 4;
const KEPT: i64 = 2;

fn config(target: Target, recompute: Recompute) -> ArvideoConfig {
    let encoder = VitConfig {
        width: 24,
        depth: 2,
        heads: 3,
        position: Position::Separable,
        recompute,
        drop_path: 0.0,
        final_norm: FinalNorm::Tokens,
    };
    let decoder = StackConfig { width: 18, depth: 2, heads: 3 };
    ArvideoConfig { encoder, decoder, cluster: CLUSTER, keep_share: 0.5, order: Order::Random, target }
}

/// Two clips of noise, each with its own order, and codes of width 5.
pub(crate) struct Case {
    pub(crate) model: Arvideo,
    pub(crate) clip: Tensor,
    pub(crate) codes: Tensor,
    pub(crate) plans: Vec<ClusterPlan>,
    vs: VarStore,
}

impl Case {
    pub(crate) fn new(target: Target, recompute: Recompute) -> Self {
        let checked = config(target, recompute).check(GRID, PATCH).unwrap();
        tch::manual_seed(4);
        let vs = VarStore::new(Device::Cpu);
        let width = if target == Target::Codes { 5 } else { PATCH.num_pixels() * 3 };
        let model = Arvideo::new(vs.root(), &checked, width).unwrap();
        let clip = Tensor::randint(256, [2, 8, 16, 16, 3], (Kind::Int64, Device::Cpu)).to_kind(Kind::Uint8);
        let codes = Tensor::rand([2, GRID.num_tokens(), 5], (Kind::Float, Device::Cpu)) * 2 - 1;
        let plans = (0..2).map(|item| checked.plan((1, 2, item))).collect();
        Case { model, clip, codes, plans, vs }
    }

    pub(crate) fn named(&self) -> Vec<(String, Tensor)> {
        self.vs.variables().into_iter().collect()
    }

    fn cubes(&self) -> Cubes {
        Cubes::new(&self.clip, GRID, PATCH).unwrap()
    }

    fn predict(&self, plans: &[ClusterPlan]) -> Tensor {
        self.model.predictions(&self.cubes(), plans, Mode::Eval).unwrap().values_bqc
    }

    /// The clip with the pixels of each clip's clusters from place `from` of its order inverted.
    pub(crate) fn inverted_from(&self, from: usize) -> Tensor {
        let clip = self.clip.copy();
        for (b, plan) in self.plans.iter().enumerate() {
            for cluster in &plan.order[from..] {
                for token in self.model.checked.clusters().tokens(*cluster) {
                    let (t, h, w) = GRID.place(*token);
                    let time = clip.get(b as i64).narrow(0, t * PATCH.t, PATCH.t);
                    let mut cube = time.narrow(1, h * PATCH.h, PATCH.h).narrow(2, w * PATCH.w, PATCH.w);
                    cube.copy_(&(255 - &cube));
                }
            }
        }
        clip
    }
}

/// The same weights behind the public parts of nn, so that tokens can be a leaf and no mask is needed.
pub(crate) struct Naive {
    embed: Linear,
    blocks: Vec<Block>,
    encoder_norm: LayerNorm,
    to_decoder: Linear,
    query: Tensor,
    cross: Vec<CrossBlock>,
    norm: LayerNorm,
    head: Linear,
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
            cross: (0..2).map(|i| CrossBlock::new(&root / "decoder" / i, &cfg.decoder)).collect(),
            norm: layer_norm(&(&root / "norm"), d),
            head: init::linear(&root / "head", d, case.model.head.ws.size()[0]),
        };
        vs.copy(&case.vs).unwrap();
        naive
    }

    /// What enters the encoder's blocks, `[B, I, D]`.
    fn tokens(&self, cubes: &Cubes, index_bi: &Tensor) -> Tensor {
        cubes.normalised(index_bi).unwrap().apply(&self.embed) + position_codes(Position::Separable, GRID, index_bi, 24)
    }

    /// Predictions of one clip, `[1, Q, C]`: a cluster at a time, each layer run again over the clusters so far, with
    /// no mask, no batch and no parts.
    pub(crate) fn predict(&self, clip_1thwc: &Tensor, plan: &ClusterPlan) -> Tensor {
        let cubes = Cubes::new(clip_1thwc, GRID, PATCH).unwrap();
        let index = |tokens: &[i64]| Tensor::from_slice(tokens).unsqueeze(0);
        let codes = |tokens: &[i64]| position_codes(Position::Separable, GRID, &index(tokens), 18);
        let inputs: Vec<&[i64]> = plan.inputs.chunks(KEPT as usize).collect();
        let mut x: Vec<Tensor> = inputs.iter().map(|tokens| self.tokens(&cubes, &index(tokens))).collect();
        for block in &self.blocks {
            x = (0..x.len())
                .map(|i| block.forward(&Tensor::cat(&x[..=i], 1), None, DropPath::OFF).narrow(1, i as i64 * KEPT, KEPT))
                .collect();
        }
        let memory: Vec<Tensor> = x
            .iter()
            .zip(inputs)
            .map(|(x, tokens)| x.apply(&self.encoder_norm).apply(&self.to_decoder) + codes(tokens))
            .collect();
        let answers = plan.predicted.chunks(SIZE as usize).enumerate().map(|(i, tokens)| {
            let so_far = Tensor::cat(&memory[..=i], 1);
            let asked = codes(tokens) + &self.query;
            let read = self.cross.iter().fold(asked, |q, block| block.forward(&q, &so_far, None));
            self.head.forward(&read.apply(&self.norm))
        });
        Tensor::cat(&answers.collect::<Vec<_>>(), 1)
    }
}

fn worst(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

#[test]
fn predictions_are_those_of_a_loop_over_clusters() {
    let case = Case::new(Target::Codes, Recompute::None);
    let naive = Naive::of(&case);
    let got = case.predict(&case.plans);
    for (b, plan) in case.plans.iter().enumerate() {
        let want = naive.predict(&case.clip.narrow(0, b as i64, 1), plan);
        let worst = worst(&got.get(b as i64), &want.get(0));
        assert!(worst < 1e-5, "{worst:e}");
    }
}

#[test]
fn a_prediction_has_no_gradient_to_its_own_or_a_later_cluster() {
    let case = Case::new(Target::Codes, Recompute::None);
    let (naive, cubes) = (Naive::of(&case), case.cubes());
    let index = |lists: [&Vec<i64>; 2]| Tensor::stack(&lists.map(|l| Tensor::from_slice(l)), 0);
    let inputs = index([&case.plans[0].inputs, &case.plans[1].inputs]);
    let predicted = index([&case.plans[0].predicted, &case.plans[1].predicted]);
    let tokens = naive.tokens(&cubes, &inputs).detach().set_requires_grad(true);
    let mask = &case.model.encoder_mask_ii;
    let encoded =
        naive.blocks.iter().fold(tokens.shallow_clone(), |x, block| block.forward(&x, Some(mask), DropPath::OFF));
    let values = case.model.decode(&encoded.apply(&naive.encoder_norm), &inputs, &predicted).unwrap();
    assert!(values.equal(&case.predict(&case.plans)), "not the model's own predictions");

    for i in 0..NUM_BLOCKS {
        let block = values.narrow(1, i * SIZE, SIZE).square().sum(Kind::Float);
        let grad = &Tensor::f_run_backward(&[block], &[&tokens], true, false).unwrap()[0];
        let reach = grad.abs().amax([2i64].as_slice(), false);
        let (so_far, later) =
            (reach.narrow(1, 0, (i + 1) * KEPT), reach.narrow(1, (i + 1) * KEPT, 30 - (i + 1) * KEPT));
        assert!(so_far.min().double_value(&[]) > 0.0, "block {i} does not read all clusters so far");
        assert_eq!(later.count_nonzero(None).int64_value(&[]), 0, "block {i} reads a later cluster");
    }
}

#[test]
fn pixels_of_later_clusters_change_no_bit_of_a_prediction() {
    let mut case = Case::new(Target::Codes, Recompute::None);
    let before = case.predict(&case.plans);
    let original = case.clip.shallow_clone();
    for from in 0..=NUM_BLOCKS {
        case.clip = case.inverted_from(from as usize);
        let after = case.predict(&case.plans);
        let same = from * SIZE;
        assert!(before.narrow(1, 0, same).equal(&after.narrow(1, 0, same)), "from cluster {from}");
        for i in from..NUM_BLOCKS {
            assert!(!before.narrow(1, i * SIZE, SIZE).equal(&after.narrow(1, i * SIZE, SIZE)), "{i} from {from}");
        }
        case.clip = original.shallow_clone();
    }
}

#[test]
fn the_order_of_tokens_within_a_cluster_does_not_matter() {
    let case = Case::new(Target::Codes, Recompute::None);
    let straight = case.predict(&case.plans);
    let mut turned = case.plans.clone();
    for plan in &mut turned {
        plan.inputs.chunks_mut(KEPT as usize).for_each(<[i64]>::reverse);
        plan.predicted.chunks_mut(SIZE as usize).for_each(<[i64]>::reverse);
    }
    let got = case.predict(&turned).view([2, NUM_BLOCKS, SIZE, 5]).flip([2]).flatten(1, 2);
    let worst = worst(&straight, &got);
    assert!(worst < 1e-5, "{worst:e}");
}

/// Gradients by name of a step in `precision`.
fn grads(case: &Case, precision: Precision) -> Vec<(String, Tensor)> {
    let loss = autocast(Device::Cpu, precision, || case.predict(&case.plans).square().sum(Kind::Float)).unwrap();
    loss.f_backward().unwrap();
    let mut named = case.named();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    named.into_iter().map(|(name, t)| (name, t.grad())).collect()
}

#[test]
fn recomputing_gives_bit_equal_gradients_to_every_variable_in_each_precision() {
    for precision in [Precision::F32, Precision::Bf16] {
        let plain = Case::new(Target::Codes, Recompute::None);
        let want = grads(&plain, precision);
        for recompute in [Recompute::EveryBlock, Recompute::Every(2)] {
            let mut again = Case { clip: plain.clip.copy(), ..Case::new(Target::Codes, recompute) };
            // Copied, not drawn again: all tests of a process share libtorch's generator, so a seed does not fix what
            // is drawn.
            again.vs.copy(&plain.vs).unwrap();
            for ((name, want), (_, got)) in want.iter().zip(&grads(&again, precision)) {
                assert_eq!(got.kind(), Kind::Float, "{name}");
                assert!(want.abs().sum(Kind::Float).double_value(&[]) > 0.0, "{name}");
                assert!(want.equal(got), "{name} in {precision:?} with {recompute:?}");
            }
        }
    }
}

#[test]
fn predictions_in_bf16_are_near_those_in_f32() {
    let case = Case::new(Target::Codes, Recompute::None);
    let exact = case.predict(&case.plans);
    let rounded = autocast(Device::Cpu, Precision::Bf16, || case.predict(&case.plans)).unwrap();
    let apart = (&exact - rounded).norm().double_value(&[]) / exact.norm().double_value(&[]);
    assert!(apart > 0.0 && apart < 0.02, "{apart}");
}

#[test]
fn plans_of_other_clusters_or_too_few_are_refused() {
    let case = Case::new(Target::Codes, Recompute::None);
    let refused = |plans: &[ClusterPlan]| {
        matches!(
            case.model.predictions(&case.cubes(), plans, Mode::Eval),
            Err(NnError::Shape { name: "input tokens", .. })
        )
    };
    assert!(refused(&case.plans[..1]));
    let other = ArvideoConfig { cluster: [2, 2, 2], ..config(Target::Codes, Recompute::None) };
    let plan = other.check(GRID, PATCH).unwrap().plan((1, 2, 3));
    assert!(refused(&[case.plans[0].clone(), plan]));
}

#[test]
fn a_mask_shows_each_block_itself_and_those_before() {
    let mask = block_causal(1..3, [1, 2], Device::Cpu).unwrap();
    let hidden = f64::NEG_INFINITY;
    let want = [[0.0, 0.0, 0.0, 0.0, hidden, hidden], [0.0; 6]];
    assert!(mask.equal(&Tensor::from_slice2(&want).to_kind(Kind::Float)));
}
