use tch::{Device, Kind, Tensor, nn};

use super::*;
use crate::Blocks;

const CFG: StackConfig = StackConfig { width: 12, depth: 2, heads: 3 };

fn tokens(n: i64) -> Tensor {
    tch::manual_seed(5);
    Tensor::randn([2, n, 12], (Kind::Float, Device::Cpu))
}

/// softmax(q k' / sqrt(d) + mask) v, one query and head at a time.
fn naive(q: &Tensor, k: &Tensor, v: &Tensor, mask: Option<&Tensor>) -> Tensor {
    let (b, h, n, d) = q.size4().unwrap();
    let m = k.size()[2];
    let out = Tensor::zeros([b, n, h * d], (Kind::Float, Device::Cpu));
    for bi in 0..b {
        for hi in 0..h {
            for i in 0..n {
                let at = |t: &Tensor, j: i64, c: i64| t.double_value(&[bi, hi, j, c]);
                let logit = |j: i64| {
                    (0..d).map(|c| at(q, i, c) * at(k, j, c)).sum::<f64>() / (d as f64).sqrt()
                        + mask.map_or(0.0, |x| x.double_value(&[i, j]))
                };
                let weights: Vec<f64> = (0..m).map(|j| logit(j).exp()).collect();
                let total: f64 = weights.iter().sum();
                for c in 0..d {
                    let mixed: f64 = (0..m).map(|j| weights[j as usize] / total * at(v, j, c)).sum();
                    drop(out.get(bi).get(i).get(hi * d + c).fill_(mixed));
                }
            }
        }
    }
    out
}

#[test]
fn fused_attention_equals_the_sum_over_keys() {
    tch::manual_seed(1);
    let made = |n: i64| Tensor::randn([2, 3, n, 4], (Kind::Float, Device::Cpu));
    let (q, k, v) = (made(5), made(7), made(7));
    let sees = Tensor::rand([5, 7], (Kind::Float, Device::Cpu)).gt(0.4);
    drop(sees.select(1, 0).fill_(1));
    let mask = Tensor::zeros([5, 7], (Kind::Float, Device::Cpu)).masked_fill(&sees.logical_not(), f64::NEG_INFINITY);
    for mask in [None, Some(&mask)] {
        let worst = (attention(&q, &k, &v, mask) - naive(&q, &k, &v, mask)).abs().max().double_value(&[]);
        assert!(worst < 1e-6, "{worst:e}");
    }
}

#[test]
fn cross_attention_does_not_mix_queries() {
    let vs = nn::VarStore::new(Device::Cpu);
    let block = CrossBlock::new(vs.root(), &CFG, DecoderAttention::Cross);
    let (queries, memory) = (tokens(4), tokens(9));
    let changed = queries.copy();
    drop(changed.select(1, 2).fill_(1.0));
    let (a, b) = (block.forward(&queries, &memory, None), block.forward(&changed, &memory, None));
    assert!(a.narrow(1, 0, 2).equal(&b.narrow(1, 0, 2)) && a.select(1, 3).equal(&b.select(1, 3)));
    assert!(!a.select(1, 2).equal(&b.select(1, 2)));
}

#[test]
fn attention_in_spans_is_attention_under_the_whole_mask_with_the_same_gradients() {
    // Keys of 1 are aligned in eights of blocks: 200 blocks of 4 queries are 72 and 128.
    let blocks = Blocks { count: 200, queries: 4, keys: 1 };
    let reach = BlockCausal::new(blocks, Device::Cpu).unwrap();
    let vs = nn::VarStore::new(Device::Cpu);
    let proj = init::linear(vs.root(), 12, 12);
    tch::manual_seed(3);
    let made = |n: i64| Tensor::randn([2, 3, n, 4], (Kind::Float, Device::Cpu));
    let values = [made(800), made(200), made(200)];
    let run = |in_spans: bool| {
        let [q, k, v] = values.each_ref().map(|x| x.copy().set_requires_grad(true));
        let mixed = if in_spans {
            assert_eq!(reach.split([&q, &k, &v]).len(), 2);
            mix([&q, &k, &v], Some(&reach), &proj)
        } else {
            let number =
                |n: i64, size: i64| Tensor::arange(n, (Kind::Int64, Device::Cpu)).divide_scalar_mode(size, "floor");
            let hidden = number(200, 1).unsqueeze(0).gt_tensor(&number(800, 4).unsqueeze(1));
            let mask = Tensor::zeros([800, 200], (Kind::Float, Device::Cpu)).masked_fill(&hidden, f64::NEG_INFINITY);
            attention(&q, &k, &v, Some(&mask)).apply(&proj)
        };
        mixed.sin().sum(Kind::Float).f_backward().unwrap();
        [mixed.detach(), q.grad(), k.grad(), v.grad()]
    };
    for (got, want) in run(true).iter().zip(&run(false)) {
        let apart = (got - want).abs().max().double_value(&[]);
        assert!(apart < 1e-5 * want.abs().max().double_value(&[]).max(1.0), "{apart:e}");
    }
}

#[test]
fn heads_that_do_not_divide_are_refused() {
    let said = StackConfig { heads: 5, ..CFG }.check().unwrap_err().to_string();
    assert_eq!(said, "heads = 5 is impossible: must divide the width");
}
