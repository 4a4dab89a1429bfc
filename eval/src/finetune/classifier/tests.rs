use nn::{FinalNorm, Mix, MixConfig, Position, Recompute, smooth_labels};
use spec::{Purpose, rng_for};
use tch::Device;
use tch::nn::VarStore;

use super::*;

const GRID: Grid = Grid { t: 2, h: 2, w: 2 };
const PATCH: Patch = Patch { t: 2, h: 4, w: 4 };

fn config(pool: HeadPool) -> ClassifierConfig {
    let encoder = VitConfig {
        width: 12,
        depth: 2,
        heads: 2,
        position: Position::Separable,
        recompute: Recompute::None,
        drop_path: 0.0,
        final_norm: FinalNorm::None,
    };
    let (heads, token_drop) = (HeadKind::Each {}, TokenDrop::Tube { share: 0.5 });
    ClassifierConfig { encoder, pool, heads, init_scale: 1.0, token_drop }
}

fn classifier(cfg: &ClassifierConfig, classes: &[usize]) -> (VarStore, Classifier) {
    tch::manual_seed(0);
    let vs = VarStore::new(Device::Cpu);
    let heads = Heads::new(cfg.heads, classes, &[]).unwrap();
    let model = Classifier::new(&vs.root(), cfg, &heads, (GRID, PATCH)).unwrap();
    (vs, model)
}

fn clip(seed: i64) -> Tensor {
    tch::manual_seed(seed);
    Tensor::randint(256, [2, 4, 8, 8, 3], (Kind::Int64, Device::Cpu)).to_kind(Kind::Uint8)
}

#[test]
fn soft_targets_of_mixed_and_smoothed_labels_are_those_worked_by_hand() {
    // Two clips of classes 0 and 2 of 4, smoothed by 0.1: 0.925 on the label, 0.025 elsewhere. At a share of 0.75 the
    // first has 0.75 * 0.925 + 0.25 * 0.025 = 0.7 on class 0 and 0.25 on class 2; the second the reverse.
    let labels = smooth_labels(&Tensor::from_slice(&[0i64, 2]), 4, 0.1).unwrap();
    let mixed = Mix::Mixup { share: 0.75 }.labels(&labels).unwrap();
    let want = Tensor::from_slice2(&[[0.7f32, 0.025, 0.25, 0.025], [0.25, 0.025, 0.7, 0.025]]);
    assert!(mixed.allclose(&want, 0.0, 1e-6, false), "{mixed}");
    // Logits ln 4, 0, 0, 0 give 4/7, 1/7, 1/7, 1/7.
    let logits = Tensor::from_slice(&[4f32.ln(), 0.0, 0.0, 0.0]).expand([2, 4], false);
    let loss = soft_cross_entropy(&logits, &mixed).unwrap().double_value(&[]);
    let (sure, unsure) = ((7f64 / 4.0).ln(), 7f64.ln());
    let want = ((0.7 * sure + 0.3 * unsure) + (0.25 * sure + 0.75 * unsure)) / 2.0;
    assert!((loss - want).abs() < 1e-6, "{loss} instead of {want}");
}

#[test]
fn two_heads_add_their_cross_entropies() {
    let (_vs, model) = classifier(&config(HeadPool::Mean {}), &[3, 2]);
    let clip = clip(1);
    let all = Tensor::arange(8, (Kind::Int64, Device::Cpu)).expand([2, -1], false);
    let targets: Vec<Tensor> =
        [3, 2].map(|n| smooth_labels(&Tensor::from_slice(&[0i64, 1]), n, 0.0).unwrap()).into_iter().collect();
    let total = model.loss(&clip, &all, &targets).unwrap().total.double_value(&[]);
    // Without drop path training computes what a test computes.
    let mut want = 0.0;
    for logits in model.logits(&clip).unwrap() {
        for (b, label) in [(0, 0), (1, 1)] {
            let row: Vec<f64> = (0..logits.size()[1]).map(|k| logits.double_value(&[b, k]).exp()).collect();
            want -= (row[label] / row.iter().sum::<f64>()).ln() / 2.0;
        }
    }
    assert!((total - want).abs() < 1e-5, "{total} instead of {want}");
}

#[test]
fn what_dropped_tokens_show_reaches_no_gradient() {
    for pool in [HeadPool::Mean {}, HeadPool::ClassAttention { heads: 3 }] {
        let cfg = config(pool);
        let visible = cfg.token_drop.visible(GRID, &mut rng_for(0, 0, 0, Purpose::EncoderMask));
        let index = Tensor::from_slice(&visible).expand([2, -1], false);
        // Another clip, but for the visible tokens.
        let (first, second) = (clip(2), clip(3));
        for token in &visible {
            let (t, h, w) = GRID.place(*token);
            let part = |clip: &Tensor| {
                clip.narrow(1, t * PATCH.t, PATCH.t).narrow(2, h * PATCH.h, PATCH.h).narrow(3, w * PATCH.w, PATCH.w)
            };
            part(&second).copy_(&part(&first));
        }
        assert!(!first.equal(&second));
        let gradients = |clip: &Tensor| -> Vec<(String, Tensor)> {
            let (vs, model) = classifier(&cfg, &[3]);
            let target = smooth_labels(&Tensor::from_slice(&[0i64, 2]), 3, 0.1).unwrap();
            model.loss(clip, &index, &[target]).unwrap().total.f_backward().unwrap();
            let mut all: Vec<_> = vs.variables().into_iter().map(|(name, value)| (name, value.grad())).collect();
            all.sort_by(|a, b| a.0.cmp(&b.0));
            all
        };
        let moved = |a: &[(String, Tensor)], b: &[(String, Tensor)]| {
            a.iter().zip(b).filter(|((_, a), (_, b))| !a.equal(b)).count()
        };
        let usual = gradients(&first);
        assert!(usual.iter().all(|(_, grad)| grad.defined()));
        assert_eq!(moved(&usual, &gradients(&second)), 0);
        // One pixel of a visible token is felt.
        let (t, h, w) = GRID.place(visible[0]);
        drop(second.get(0).get(t * PATCH.t).get(h * PATCH.h).get(w * PATCH.w).fill_(0));
        drop(second.get(0).get(t * PATCH.t).get(h * PATCH.h).get(w * PATCH.w + 1).fill_(255));
        assert!(moved(&usual, &gradients(&second)) > 0);
    }
}

#[test]
fn small_first_weights_make_all_classes_equally_likely() {
    let cfg = ClassifierConfig { init_scale: 0.001, ..config(HeadPool::Mean {}) };
    let (_vs, model) = classifier(&cfg, &[5]);
    let probabilities = model.logits(&clip(4)).unwrap().remove(0).softmax(-1, Kind::Float);
    assert!((probabilities - 0.2).abs().max().double_value(&[]) < 1e-3);
}

#[test]
fn impossible_heads_are_refused() {
    let bad = ClassifierConfig { init_scale: f64::NAN, ..config(HeadPool::Mean {}) };
    assert!(bad.check().unwrap_err().to_string().starts_with("model.init_scale = NaN is out of range"));
    let bad = config(HeadPool::ClassAttention { heads: 5 });
    assert!(bad.check().unwrap_err().to_string().contains("must divide the width"));
}

#[test]
fn a_mix_of_one_clip_is_the_clip() {
    let mix = MixConfig { mixup_alpha: 0.8, cutmix_alpha: 1.0, probability: 1.0, cutmix_share: 0.5, smoothing: 0.1 };
    let one = clip(5).narrow(0, 0, 1);
    for item in 0..8 {
        let drawn = mix.draw([8, 8], &mut rng_for(0, 0, item, Purpose::Mix)).unwrap();
        assert!(drawn.clips(&one, nn::ClipLayout::ChannelsLast).unwrap().equal(&one), "{drawn:?}");
    }
}
