mod naive;

use nn::{DropPath, FinalNorm, Position, Recompute, StackConfig, Target, VitConfig};
use spec::{Grid, Patch};
use tch::Kind;
use tch::nn::VarStore;
use torch_ext::{Precision, autocast};

pub(crate) use self::naive::Naive;
use super::*;
use crate::{ArvideoConfig, Order, Predicted};

const GRID: Grid = Grid { t: 4, h: 4, w: 4 };
const PATCH: Patch = Patch { t: 2, h: 4, w: 4 };
/// 16 clusters of 4 tokens, of which 2 are kept: 15 blocks.
const CLUSTER: [i64; 3] = [1, 2, 2];
const NUM_BLOCKS: i64 = 15;
const SIZE: i64 = 4;
const KEPT: i64 = 2;

/// Tokens, frames, tubes, boxes of space alone, and boxes of time and space.
const KINDS: [[i64; 3]; 5] = [[1, 1, 1], [1, 4, 4], [4, 1, 1], CLUSTER, [2, 2, 2]];

const DECODERS: [DecoderAttention; 2] = [DecoderAttention::Cross, DecoderAttention::SelfAndCross];

/// A priority for each token, none twice.
pub(crate) fn priorities() -> Vec<f32> {
    (0..GRID.num_tokens()).map(|n| (n * 37 % 64) as f32 / 8.0).collect()
}

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
    ArvideoConfig {
        encoder,
        decoder,
        decoder_attention: DecoderAttention::Cross,
        cluster: CLUSTER,
        keep_share: 0.5,
        order: Order::Random,
        predicted: Predicted::All {},
        target,
    }
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
        Self::with(target, |cfg| cfg.encoder.recompute = recompute)
    }

    /// With other settings than the usual ones.
    pub(crate) fn with(target: Target, change: impl FnOnce(&mut ArvideoConfig)) -> Self {
        let mut cfg = config(target, Recompute::None);
        change(&mut cfg);
        let checked = cfg.check(GRID, PATCH).unwrap();
        tch::manual_seed(4);
        let vs = VarStore::new(Device::Cpu);
        let width = if target == Target::Codes { 5 } else { PATCH.num_pixels() * 3 };
        let model = Arvideo::new(vs.root(), &checked, width).unwrap();
        let clip = Tensor::randint(256, [2, 8, 16, 16, 3], (Kind::Int64, Device::Cpu)).to_kind(Kind::Uint8);
        let codes = Tensor::rand([2, GRID.num_tokens(), 5], (Kind::Float, Device::Cpu)) * 2 - 1;
        let plans = (0..2).map(|item| checked.plan(&priorities(), (1, 2, item)).unwrap()).collect();
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

fn worst(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

#[test]
fn predictions_are_those_of_a_loop_over_clusters() {
    for attention in DECODERS {
        for cluster in KINDS {
            let case = Case::with(Target::Codes, |cfg| (cfg.decoder_attention, cfg.cluster) = (attention, cluster));
            let naive = Naive::of(&case);
            let got = case.predict(&case.plans);
            for (b, plan) in case.plans.iter().enumerate() {
                let want = naive.predict(&case.clip.narrow(0, b as i64, 1), plan);
                let worst = worst(&got.get(b as i64), &want.get(0));
                assert!(worst < 1e-5, "{attention:?}, {cluster:?}: {worst:e}");
            }
        }
    }
}

/// Lists of equal length as a tensor.
fn rows(lists: [&Vec<i64>; 2]) -> Tensor {
    Tensor::stack(&lists.map(|list| Tensor::from_slice(list)), 0)
}

#[test]
fn a_prediction_has_no_gradient_to_its_own_or_a_later_cluster() {
    for attention in DECODERS {
        for cluster in KINDS {
            let case = Case::with(Target::Codes, |cfg| (cfg.decoder_attention, cfg.cluster) = (attention, cluster));
            check_reach(&case, &format!("{attention:?}, {cluster:?}"));
        }
    }
    for predicted in [Predicted::Top { share: 0.5 }, Predicted::Random { share: 0.5 }] {
        let change = |cfg: &mut ArvideoConfig| {
            (cfg.predicted, cfg.order, cfg.decoder_attention) =
                (predicted, Order::Priority, DecoderAttention::SelfAndCross);
        };
        check_reach(&Case::with(Target::Codes, change), &format!("{predicted:?}"));
    }
}

/// Each block's gradient to the tokens of all clusters so far is there, and to all others exactly zero.
#[track_caller]
fn check_reach(case: &Case, says: &str) {
    let (naive, cubes) = (Naive::of(case), case.cubes());
    let inputs = rows([&case.plans[0].inputs, &case.plans[1].inputs]);
    let predicted = rows([&case.plans[0].predicted, &case.plans[1].predicted]);
    let tokens = naive.tokens(&cubes, &inputs).detach().set_requires_grad(true);
    let reach = &case.model.reach.encoder;
    let encoded =
        naive.blocks.iter().fold(tokens.shallow_clone(), |x, block| block.forward(&x, Some(reach), DropPath::OFF));
    let values = case.model.decode(&encoded.apply(&naive.encoder_norm), &inputs, &predicted).unwrap();
    assert!(values.equal(&case.predict(&case.plans)), "{says}: not the model's own predictions");

    let Blocks { count, queries, keys } = case.model.checked.decoder_blocks();
    for i in 0..count {
        let block = values.narrow(1, i * queries, queries).square().sum(Kind::Float);
        let grad = &Tensor::f_run_backward(&[block], &[&tokens], true, false).unwrap()[0];
        let reach = grad.abs().amax([2i64].as_slice(), false);
        let (so_far, later) =
            (reach.narrow(1, 0, (i + 1) * keys), reach.narrow(1, (i + 1) * keys, (count - i - 1) * keys));
        assert!(so_far.min().double_value(&[]) > 0.0, "{says}: block {i} does not read all clusters so far");
        assert_eq!(later.count_nonzero(None).int64_value(&[]), 0, "{says}: block {i} reads a later cluster");
    }
}

#[test]
fn pixels_of_later_clusters_change_no_bit_of_a_prediction() {
    for attention in DECODERS {
        let mut case = Case::with(Target::Codes, |cfg| cfg.decoder_attention = attention);
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
}

#[test]
fn the_order_of_tokens_within_a_cluster_does_not_matter() {
    for attention in DECODERS {
        let case = Case::with(Target::Codes, |cfg| cfg.decoder_attention = attention);
        let straight = case.predict(&case.plans);
        let mut turned = case.plans.clone();
        for plan in &mut turned {
            plan.inputs.chunks_mut(KEPT as usize).for_each(<[i64]>::reverse);
            plan.predicted.chunks_mut(SIZE as usize).for_each(<[i64]>::reverse);
        }
        let got = case.predict(&turned).view([2, NUM_BLOCKS, SIZE, 5]).flip([2]).flatten(1, 2);
        let worst = worst(&straight, &got);
        assert!(worst < 1e-5, "{attention:?}: {worst:e}");
    }
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
    let kinds = [Precision::F32, Precision::Bf16].into_iter().flat_map(|p| DECODERS.map(|attention| (p, attention)));
    for (precision, attention) in kinds {
        let plain = Case::with(Target::Codes, |cfg| cfg.decoder_attention = attention);
        let want = grads(&plain, precision);
        for recompute in [Recompute::EveryBlock, Recompute::Every(2)] {
            let change =
                |cfg: &mut ArvideoConfig| (cfg.decoder_attention, cfg.encoder.recompute) = (attention, recompute);
            let mut again = Case { clip: plain.clip.copy(), ..Case::with(Target::Codes, change) };
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
    let plan = other.check(GRID, PATCH).unwrap().plan(&[], (1, 2, 3)).unwrap();
    assert!(refused(&[case.plans[0].clone(), plan]));
}
