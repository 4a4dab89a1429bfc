use tch::nn::{Module, OptimizerConfig};
use tch::{Device, nn};

use super::*;

const CONFIG: AdamWConfig = AdamWConfig { betas: [0.9, 0.95], weight_decay: 0.1, layer_decay: 1.0, sides: Vec::new() };

/// Two linear layers of fixed weights; biases in libtorch's group 1.
fn net() -> (VarStore, nn::Sequential) {
    let vs = VarStore::new(Device::Cpu);
    let mut net = nn::seq();
    for (i, (inputs, outputs)) in [(3, 5), (5, 2)].into_iter().enumerate() {
        let path = vs.root() / i;
        let ws = path.var("weight", &[outputs, inputs], nn::Init::Const(0.0));
        let bs = path.clone().set_group(1).var("bias", &[outputs], nn::Init::Const(0.0));
        net = net.add(nn::Linear { ws, bs: Some(bs) }).add_fn(Tensor::tanh);
    }
    for (i, (_, value)) in named(&vs).into_iter().enumerate() {
        let n = value.numel() as i64;
        let fixed = (Tensor::arange(n, (Kind::Float, Device::Cpu)) + i as i64).sin().view_as(&value);
        tch::no_grad(|| value.shallow_clone().copy_(&fixed));
    }
    (vs, net)
}

fn loss(net: &nn::Sequential, step: i64) -> Tensor {
    let x = (Tensor::arange(12, (Kind::Float, Device::Cpu)) * 0.3 + step).cos().view([4, 3]);
    net.forward(&x).square().sum(Kind::Float)
}

#[test]
fn ten_steps_equal_libtorchs_own_adamw() {
    let ((vs, net), (their_vs, their_net)) = (self::net(), self::net());
    let mut ours = AdamW::new(&vs, CONFIG).unwrap();
    let mut theirs = nn::adamw(0.9, 0.95, 0.1).build(&their_vs, 0.0).unwrap();
    theirs.set_weight_decay_group(1, 0.0);
    let start: NamedTensors = named(&vs).into_iter().map(|(name, value)| (name, value.copy())).collect();
    for step in 0..10 {
        let learning_rate = 0.01 * (step + 1) as f64;
        ours.drop_gradients().unwrap();
        loss(&net, step).f_backward().unwrap();
        let norm = ours.clip_grad_norm(Some(1.0)).unwrap();
        assert!(norm.model > 1.0, "the test is to see clipping at work, but the norm is {norm:?}");
        ours.step(learning_rate).unwrap();
        theirs.set_lr(learning_rate);
        theirs.backward_step_clip_norm(&loss(&their_net, step), 1.0);
    }
    for ((name, ours), (_, theirs)) in named(&vs).into_iter().zip(named(&their_vs)) {
        let apart = (&ours - &theirs).abs().max().double_value(&[]);
        assert!(apart < 1e-6, "{name} differs by {apart}");
        let moved = (&ours - &start[&name]).abs().max().double_value(&[]);
        assert!(moved > 0.05, "{name} moved by {moved} only");
    }
}

#[test]
fn matrices_and_kernels_decay_and_nothing_else() {
    for (name, shape, want) in [
        ("blocks.0.attn.qkv.weight", vec![1152, 384], true),
        ("patch_embed.weight", vec![384, 3, 2, 16, 16], true),
        ("head.weight", vec![1, 384], true),
        ("codebook", vec![512, 8], true),
        ("blocks.0.attn.qkv.bias", vec![1152], false),
        ("blocks.0.norm1.weight", vec![384], false),
        ("blocks.0.gamma_1", vec![384], false),
        ("temperature", vec![], false),
        ("pos_embed", vec![1, 1568, 384], false),
        ("decoder.mask_token", vec![1, 1, 384], false),
        ("cls_token", vec![1, 1, 384], false),
    ] {
        assert_eq!(decays(name, &shape), want, "{name}");
    }
}

#[test]
fn lower_layers_move_less_by_the_layer_decay() {
    let vs = VarStore::new(Device::Cpu);
    let config = AdamWConfig { layer_decay: 0.5, weight_decay: 0.0, ..CONFIG };
    let names = ["encoder.embed.weight", "encoder.blocks.0.fc.weight", "encoder.blocks.1.fc.weight", "head.weight"];
    for name in names {
        let (path, last) = name.rsplit_once('.').unwrap();
        let path = path.split('.').fold(vs.root(), |path, part| path / part);
        path.var(last, &[2, 2], nn::Init::Const(0.0)).sum(Kind::Float).f_backward().unwrap();
    }
    AdamW::new(&vs, config).unwrap().step(0.08).unwrap();
    // The first step of Adam moves by the learning rate.
    let moved: Vec<f64> = names.iter().map(|name| -named(&vs)[*name].double_value(&[0, 0])).collect();
    for (moved, want) in moved.into_iter().zip([0.01, 0.02, 0.04, 0.08]) {
        assert!((moved - want).abs() < 1e-6, "{moved} is not {want}");
    }
}

#[test]
fn the_norm_is_taken_before_clipping_and_the_gradient_is_scaled_after() {
    let vs = VarStore::new(Device::Cpu);
    let x = vs.root().var("x", &[2], nn::Init::Const(0.0));
    let mut optimizer = AdamW::new(&vs, CONFIG).unwrap();
    let toward = Tensor::from_slice(&[3.0f32, -4.0]);
    (&x * &toward).sum(Kind::Float).f_backward().unwrap();
    assert_eq!(optimizer.clip_grad_norm(None).unwrap().model, 5.0);
    assert_eq!(x.grad(), toward);
    assert_eq!(optimizer.clip_grad_norm(Some(2.5)).unwrap().model, 5.0);
    let apart = (x.grad() - toward * 0.5).abs().max().double_value(&[]);
    assert!(apart < 1e-5, "{apart}");
}

/// A model and an opponent of one number each, whose gradients are 3 and -8.
fn opponents(sides: Vec<Side>) -> (AdamW, [Tensor; 2]) {
    let vs = VarStore::new(Device::Cpu);
    let [model, opponent] = ["model", "opponent"].map(|path| (vs.root() / path).var("x", &[1], nn::Init::Const(0.0)));
    let optimizer = AdamW::new(&vs, AdamWConfig { sides, ..CONFIG }).unwrap();
    (&model * 3.0 - &opponent * 8.0).sum(Kind::Float).f_backward().unwrap();
    (optimizer, [model, opponent])
}

#[test]
fn a_side_is_measured_and_clipped_by_itself_and_learns_at_its_own_pace() {
    let side = Side {
        prefix: "opponent.",
        grad_norm_key: Some("grad_norm_opponent"),
        learning_rate_scale: 0.5,
        clip_grad_norm: Some(2.0),
    };
    let (mut optimizer, [model, opponent]) = opponents(vec![side.clone()]);
    let norms = optimizer.clip_grad_norm(Some(6.0)).unwrap();
    assert_eq!(norms, GradNorms { model: 3.0, sides: vec![("grad_norm_opponent", 8.0)] });
    assert_eq!(model.grad().double_value(&[0]), 3.0);
    assert!((opponent.grad().double_value(&[0]) + 2.0).abs() < 1e-5);
    // The first step of Adam moves by the learning rate.
    optimizer.step(0.1).unwrap();
    assert!((model.double_value(&[0]) + 0.1).abs() < 1e-6);
    assert!((opponent.double_value(&[0]) - 0.05).abs() < 1e-6);

    let (mut together, _) = opponents(Vec::new());
    assert!((together.clip_grad_norm(None).unwrap().model - 73.0_f64.sqrt()).abs() < 1e-6);
    let (mut free, [_, opponent]) = opponents(vec![Side { clip_grad_norm: None, ..side }]);
    let norms = free.clip_grad_norm(Some(1.0)).unwrap();
    assert_eq!((norms.model, opponent.grad().double_value(&[0])), (3.0, -8.0));
}

#[test]
fn a_gradient_of_a_side_that_is_not_finite_is_the_norm_that_is_told() {
    let norms = |model, side| GradNorms { model, sides: vec![("side", side)] };
    assert!(norms(3.0, f64::NAN).worst().is_nan());
    assert_eq!(norms(f64::INFINITY, 1.0).worst(), f64::INFINITY);
    assert_eq!(norms(3.0, 8.0).worst(), 3.0);
}

#[test]
fn a_parameter_without_gradient_stays_and_a_frozen_one_has_no_state() {
    let vs = VarStore::new(Device::Cpu);
    let used = vs.root().var("used", &[2, 2], nn::Init::Const(1.0));
    let unused = vs.root().var("unused", &[2, 2], nn::Init::Const(1.0));
    let frozen = vs.root().zeros_no_train("frozen", &[2, 2]);
    let mut optimizer = AdamW::new(&vs, CONFIG).unwrap();
    assert_eq!(optimizer.clip_grad_norm(Some(1.0)).unwrap().model, 0.0);
    (used.sum(Kind::Float) + frozen.sum(Kind::Float)).f_backward().unwrap();
    optimizer.step(0.1).unwrap();
    assert_eq!(unused, Tensor::ones([2, 2], (Kind::Float, Device::Cpu)));
    // First step of Adam: learning rate times the gradient's sign; decay is 0.1 * 0.1 of the value.
    assert!((used.double_value(&[0, 0]) - (1.0 - 0.01 - 0.1)).abs() < 1e-6, "{used:?}");
    let names: Vec<String> = optimizer.state().into_keys().filter(|name| name.starts_with("exp_avg.")).collect();
    assert_eq!(names, ["exp_avg.unused", "exp_avg.used"]);
}

#[test]
fn state_of_another_model_is_refused() {
    let small = VarStore::new(Device::Cpu);
    drop(small.root().zeros("x", &[2]));
    let state = AdamW::new(&small, CONFIG).unwrap().state();
    let large = VarStore::new(Device::Cpu);
    drop(large.root().zeros("x", &[3]));
    let refused = AdamW::new(&large, CONFIG).unwrap().set_state(&state).unwrap_err();
    assert_eq!(refused.to_string(), "variable exp_avg.x has shape [2] in the weights, [3] in the model");
}

#[test]
fn a_parameter_without_a_gradient_in_a_step_is_left_alone() {
    let vs = VarStore::new(Device::Cpu);
    let x = vs.root().var("x", &[2], nn::Init::Const(1.0));
    let mut optimizer = AdamW::new(&vs, CONFIG).unwrap();
    x.sum(Kind::Float).f_backward().unwrap();
    optimizer.step(0.1).unwrap();
    let after_one = x.detach().copy();
    assert_ne!(after_one, Tensor::ones([2], (Kind::Float, Device::Cpu)));
    // Neither momentum nor decay moves it on, and its count of steps stands.
    optimizer.drop_gradients().unwrap();
    optimizer.step(0.1).unwrap();
    assert_eq!(x.detach(), after_one);
    assert_eq!(optimizer.state()["num_steps.x"].double_value(&[]), 1.0);
}
