use super::*;
use crate::{Position, Recompute, StackConfig, VitConfig};

const F32: Computing = Computing { precision: Precision::F32, attention: Attention::Fused };
const BF16: Computing = Computing { precision: Precision::Bf16, attention: Attention::Fused };

fn vit_b() -> VitConfig {
    let position = Position::Flat;
    VitConfig {
        width: 768,
        depth: 12,
        heads: 12,
        position,
        recompute: Recompute::None,
        drop_path: 0.0,
        final_norm: crate::FinalNorm::Tokens,
    }
}

fn part(count: i64, kept_bytes: i64, forward_bytes: i64, backward_bytes: i64) -> Part {
    let name = "part";
    Part {
        name,
        count,
        kept_bytes,
        attention_bytes: 0,
        forward_bytes,
        backward_bytes,
        forward_flops: 2,
        backward_flops: 5,
        gradient_bytes: 0,
    }
}

#[test]
fn most_is_held_where_kept_and_passing_bytes_add_up_to_most() {
    let cost = |parts: Vec<Part>| StepCost { num_parameters: 0, constant_bytes: 0, parts };
    // Forward 100 - 10 on top of 30; backward 5 on top of 30, 60 on top of 33.
    let three = cost(vec![part(3, 10, 100, 5), part(1, 3, 8, 60)]);
    let peak = three.peak(1).unwrap();
    assert_eq!((peak.part, peak.pass, peak.kept_bytes, peak.passing_bytes), (0, Pass::Forward, 30, 90));
    let three = cost(vec![part(3, 10, 20, 5), part(1, 3, 8, 60)]);
    let peak = three.peak(1).unwrap();
    assert_eq!((peak.part, peak.pass, peak.bytes()), (1, Pass::Backward, 93));
    assert_eq!(three.flops(), 3 * 7 + 7);
    assert!(cost(Vec::new()).peak(1).is_none());
}

#[test]
fn gradients_of_weights_grow_while_what_was_kept_goes() {
    let cost = |gradients: [i64; 2]| StepCost {
        num_parameters: 0,
        constant_bytes: 0,
        parts: vec![
            Part { gradient_bytes: gradients[0], ..part(3, 10, 10, 5) },
            Part { gradient_bytes: gradients[1], ..part(1, 3, 3, 4) },
        ],
    };
    let peak = |gradients, num_micro_batches| {
        let peak = cost(gradients).peak(num_micro_batches).unwrap();
        (peak.part, peak.pass, peak.gradient_bytes, peak.bytes())
    };
    // At the start of the way back all 33 are kept, and no gradient is there.
    assert_eq!(peak([1, 1], 1), (1, Pass::Backward, 0, 33 + 4));
    // Behind two of the first three: one is kept, the others' gradients are there.
    assert_eq!(peak([12, 1], 1), (0, Pass::Backward, 25, 10 + 5 + 25));
    // In the end all are there and nothing else.
    assert_eq!(peak([100, 1], 1), (1, Pass::Update, 301, 301));
    // A second micro-batch has all of the first's.
    assert_eq!(peak([1, 1], 2), (1, Pass::Backward, 4, 33 + 4 + 4));
}

#[test]
fn a_block_keeps_sixteen_values_for_each_of_its_input() {
    let cfg = StackConfig { width: 768, depth: 12, heads: 12 };
    let tokens = Tokens { clips: 2, per_clip: 80, reach: None };
    let one = block("block", &cfg, tokens, F32);
    let stream = 160 * 768;
    // Two norms' rows of 8 bytes, and attention's sums.
    assert_eq!(one.kept_bytes, 16 * 4 * stream + 2 * 160 * 8 + 160 * 12 * 4);
    assert_eq!(one.attention_bytes, 4 * 4 * stream + 160 * 12 * 4);
    // The incoming gradient, that of the hidden layer, that of a weight of 768 x 3072.
    assert_eq!(one.backward_bytes, 5 * 4 * stream + 4 * 768 * 3072);
    // bf16: the stream's two inputs stay f32, 14 values halve, all weights are copied.
    let half = block("block", &cfg, tokens, BF16);
    let weights = 12 * 768 * 768;
    assert_eq!(half.kept_bytes, (2 * 4 + 14 * 2) * stream + 2 * 160 * 8 + 160 * 12 * 4 + 2 * weights);
}

#[test]
fn a_part_that_runs_again_keeps_its_input_and_computes_twice() {
    let one = Part { kept_bytes: 160, ..part(8, 0, 200, 30) };
    let names = |recompute| -> Vec<(i64, i64)> {
        stack(one.clone(), 8, recompute, 10).iter().map(|p| (p.count, p.backward_bytes)).collect()
    };
    assert_eq!(names(Recompute::None), [(8, 30)]);
    assert_eq!(names(Recompute::EveryBlock), [(8, 160 + 30)]);
    // Three and three and two.
    assert_eq!(names(Recompute::Every(3)), [(2, 3 * 160 + 30), (1, 2 * 160 + 30)]);
    assert_eq!(names(Recompute::Every(100)), [(1, 8 * 160 + 30)]);
    let kept = stack(one.clone(), 8, Recompute::EveryBlock, 10);
    let cost = |parts| StepCost { num_parameters: 0, constant_bytes: 0, parts };
    assert_eq!(cost(kept).flops(), 8 * (2 + 2 + 5));
}

#[test]
fn vit_b_over_16_frames_takes_the_published_number_of_operations() {
    let (cfg, tokens) = (vit_b(), Tokens { clips: 1, per_clip: 1568, reach: None });
    let parts = cfg.parts(tokens, 1536, F32);
    let forward: i64 = parts.iter().map(|p| p.count * p.forward_flops).sum();
    // VideoMAE, table 6: 180 GFLOPs, which are multiplications and additions together.
    assert!((forward as f64 / 2e9 - 180.0).abs() < 0.5, "{forward}");
    assert_eq!(cfg.num_parameters(1536), 86_236_416);
}

#[test]
fn eager_attention_keeps_and_passes_the_weights_of_all_pairs() {
    let cfg = StackConfig { width: 12, depth: 1, heads: 3 };
    let tokens = Tokens { clips: 2, per_clip: 1000, reach: None };
    let eager = Computing { attention: Attention::Eager, ..F32 };
    let (fused, eager) = (block("block", &cfg, tokens, F32), block("block", &cfg, tokens, eager));
    let weights = 2 * 3 * 1000 * 1000 * 4;
    assert_eq!(eager.kept_bytes - fused.kept_bytes, weights + 4 * 2000 * 12 - 2000 * 3 * 4);
    assert_eq!(eager.backward_bytes, 2 * weights - 9 * 4 * 2000 * 12);
    // Two products of N N d a head forward; backward four, or five.
    assert_eq!(fused.backward_flops - eager.backward_flops, 2 * 2 * 1000 * 1000 * 12);
}
