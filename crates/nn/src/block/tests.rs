use tch::{Device, Kind, nn};

use super::*;

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
    let mask = additive_mask(&sees).unwrap();
    for mask in [None, Some(&mask)] {
        let worst = (attention(&q, &k, &v, mask) - naive(&q, &k, &v, mask)).abs().max().double_value(&[]);
        assert!(worst < 1e-6, "{worst:e}");
    }
}

#[test]
fn cross_attention_does_not_mix_queries() {
    let vs = nn::VarStore::new(Device::Cpu);
    let block = CrossBlock::new(vs.root(), &CFG);
    let (queries, memory) = (tokens(4), tokens(9));
    let changed = queries.copy();
    drop(changed.select(1, 2).fill_(1.0));
    let (a, b) = (block.forward(&queries, &memory, None), block.forward(&changed, &memory, None));
    assert!(a.narrow(1, 0, 2).equal(&b.narrow(1, 0, 2)) && a.select(1, 3).equal(&b.select(1, 3)));
    assert!(!a.select(1, 2).equal(&b.select(1, 2)));
}

#[test]
fn heads_that_do_not_divide_are_refused() {
    let said = StackConfig { heads: 5, ..CFG }.check().unwrap_err().to_string();
    assert_eq!(said, "heads = 5 is impossible: must divide the width");
}
