use nn::{During, NnError};
use tch::{Kind, Tensor, nn::VarStore};
use torch_ext::AdamWStep;

use crate::named::copy_all;
use crate::{NamedTensors, TrainError, layer_scales, named};

/// Added to the root of the second moment; PyTorch's default, which MAE and VideoMAE keep.
const EPS: f64 = 1e-8;

/// Settings of [`AdamW`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWConfig {
    /// Decay of the first and second moment.
    pub betas: [f64; 2],
    /// Decoupled weight decay of the parameters that decay (see [`decays`]).
    pub weight_decay: f64,
    /// Layer-wise decay of the learning rate; 1 for none (see [`crate::layer_scales`]).
    pub layer_decay: f64,
}

/// AdamW (Loshchilov and Hutter, arXiv:1711.05101) by libtorch's fused kernel, with its state in plain tensors, so that a
/// checkpoint can hold it.
///
/// A parameter without a gradient is left alone, as in PyTorch. One that had a gradient once keeps it, zeroed, and takes
/// part from then on.
#[derive(Debug)]
pub struct AdamW {
    betas: [f64; 2],
    groups: Vec<ParameterGroup>,
    /// All trainable variables, sorted by name.
    parameters: Vec<Parameter>,
}

/// What parameters have in common that are moved by one call.
#[derive(Clone, Copy, Debug, PartialEq)]
struct ParameterGroup {
    weight_decay: f64,
    /// Factor of the learning rate.
    scale: f64,
}

#[derive(Debug)]
struct Parameter {
    name: String,
    /// Place in [`AdamW`]'s groups.
    group: usize,
    value: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    /// Steps taken, an f32 scalar.
    num_steps: Tensor,
}

/// Whether weight decay applies to a parameter: matrices and kernels (two axes or more) decay; biases, the scales of
/// norms and everything else with one axis do not, nor do learned tokens and position codes, whose last name starts with
/// `pos` or ends in `token` (the rule of timm and VideoMAE).
pub fn decays(name: &str, shape: &[i64]) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    shape.len() >= 2 && !last.starts_with("pos") && !last.ends_with("token")
}

impl AdamW {
    /// An optimizer for every trainable variable of `vs`, with zero moments.
    ///
    /// # Errors
    /// [`NnError::OutOfMemory`] when the moments do not fit.
    pub fn new(vs: &VarStore, config: AdamWConfig) -> Result<Self, NnError> {
        let trained: NamedTensors = named(vs).into_iter().filter(|(_, value)| value.requires_grad()).collect();
        let scales = layer_scales(trained.keys().map(String::as_str), config.layer_decay);
        let mut optimizer = AdamW { betas: config.betas, groups: Vec::new(), parameters: Vec::new() };
        for (name, value) in trained {
            let weight_decay = if decays(&name, &value.size()) { config.weight_decay } else { 0.0 };
            let group = optimizer.group(ParameterGroup { weight_decay, scale: scales[&name] });
            let parameter = Parameter::new(name, value, group).during("making optimizer state")?;
            optimizer.parameters.push(parameter);
        }
        Ok(optimizer)
    }

    /// Sets all gradients to zero, in place.
    ///
    /// # Errors
    /// [`NnError`] when libtorch fails.
    pub fn zero_grad(&mut self) -> Result<(), NnError> {
        for (_, mut grad) in self.with_gradient() {
            drop(grad.f_zero_().during("zeroing gradients")?);
        }
        Ok(())
    }

    /// L2 norm over all gradients together, before they are scaled down to `max` where it is longer. 0 without any
    /// gradient. Waits for the device once, however many parameters there are.
    ///
    /// # Errors
    /// [`NnError`] when libtorch fails.
    pub fn clip_grad_norm(&mut self, max: Option<f64>) -> Result<f64, NnError> {
        let during = "clipping gradients";
        let mut grads = self.gradients();
        if grads.is_empty() {
            return Ok(0.0);
        }
        let norm = torch_ext::total_norm(&grads)?;
        let norm = f64::try_from(&norm).during(during)?;
        // PyTorch's formula: the small number keeps a zero gradient from dividing by zero.
        let scale = max.map_or(1.0, |max| max / (norm + 1e-6));
        if scale < 1.0 {
            for grad in &mut grads {
                *grad = grad.f_mul_scalar_(scale).during(during)?;
            }
        }
        Ok(norm)
    }

    /// Moves every parameter that has a gradient.
    ///
    /// # Errors
    /// [`NnError`] when libtorch fails.
    pub fn step(&mut self, learning_rate: f64) -> Result<(), NnError> {
        let [beta1, beta2] = self.betas;
        for (i, group) in self.groups.iter().enumerate() {
            let (members, grads): (Vec<&Parameter>, Vec<Tensor>) =
                self.with_gradient().filter(|(parameter, _)| parameter.group == i).unzip();
            let list = |of: fn(&Parameter) -> &Tensor| -> Vec<Tensor> {
                members.iter().map(|parameter| of(parameter).shallow_clone()).collect()
            };
            let (exp_avgs, exp_avg_sqs) = (list(|p| &p.exp_avg), list(|p| &p.exp_avg_sq));
            let learning_rate = learning_rate * group.scale;
            let by = AdamWStep { learning_rate, beta1, beta2, eps: EPS, weight_decay: group.weight_decay };
            tch::no_grad(|| {
                let moments = (&exp_avgs[..], &exp_avg_sqs[..]);
                torch_ext::fused_adamw(&list(|p| &p.value), &grads, moments, &list(|p| &p.num_steps), &by)
            })?;
        }
        Ok(())
    }

    /// The state by name (`exp_avg.NAME`, `exp_avg_sq.NAME`, `num_steps.NAME`), sharing storage with the optimizer.
    pub fn state(&self) -> NamedTensors {
        let mut state = NamedTensors::new();
        for parameter in &self.parameters {
            for (prefix, tensor) in [
                ("exp_avg", &parameter.exp_avg),
                ("exp_avg_sq", &parameter.exp_avg_sq),
                ("num_steps", &parameter.num_steps),
            ] {
                state.insert(format!("{prefix}.{}", parameter.name), tensor.shallow_clone());
            }
        }
        state
    }

    /// Sets the state to a copy of one that [`AdamW::state`] gave.
    ///
    /// # Errors
    /// [`TrainError::MissingVariable`], [`TrainError::VariableShape`], [`TrainError::ExtraVariables`].
    pub fn set_state(&mut self, state: &NamedTensors) -> Result<(), TrainError> {
        copy_all(state, &self.state())
    }

    /// The gradients, sharing storage, in the order of the parameters' names.
    pub fn gradients(&self) -> Vec<Tensor> {
        self.with_gradient().map(|(_, grad)| grad).collect()
    }

    fn group(&mut self, group: ParameterGroup) -> usize {
        let known = self.groups.iter().position(|known| *known == group);
        known.unwrap_or_else(|| {
            self.groups.push(group);
            self.groups.len() - 1
        })
    }

    /// Parameters that have a gradient, with it.
    fn with_gradient(&self) -> impl Iterator<Item = (&Parameter, Tensor)> {
        self.parameters.iter().map(|parameter| (parameter, parameter.value.grad())).filter(|(_, grad)| grad.defined())
    }
}

impl Parameter {
    fn new(name: String, value: Tensor, group: usize) -> Result<Self, tch::TchError> {
        let zeros = || value.f_zeros_like().map(|zeros| zeros.set_requires_grad(false));
        Ok(Parameter {
            group,
            exp_avg: zeros()?,
            exp_avg_sq: zeros()?,
            num_steps: Tensor::f_zeros([], (Kind::Float, value.device()))?,
            name,
            value,
        })
    }
}

#[cfg(test)]
mod tests {
    use tch::nn::{Module, OptimizerConfig};
    use tch::{Device, nn};

    use super::*;

    const CONFIG: AdamWConfig = AdamWConfig { betas: [0.9, 0.95], weight_decay: 0.1, layer_decay: 1.0 };

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
            ours.zero_grad().unwrap();
            loss(&net, step).f_backward().unwrap();
            let norm = ours.clip_grad_norm(Some(1.0)).unwrap();
            assert!(norm > 1.0, "the test is to see clipping at work, but the norm is {norm}");
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
        assert_eq!(optimizer.clip_grad_norm(None).unwrap(), 5.0);
        assert_eq!(x.grad(), toward);
        assert_eq!(optimizer.clip_grad_norm(Some(2.5)).unwrap(), 5.0);
        let apart = (x.grad() - toward * 0.5).abs().max().double_value(&[]);
        assert!(apart < 1e-5, "{apart}");
    }

    #[test]
    fn a_parameter_without_gradient_stays_and_a_frozen_one_has_no_state() {
        let vs = VarStore::new(Device::Cpu);
        let used = vs.root().var("used", &[2, 2], nn::Init::Const(1.0));
        let unused = vs.root().var("unused", &[2, 2], nn::Init::Const(1.0));
        let frozen = vs.root().zeros_no_train("frozen", &[2, 2]);
        let mut optimizer = AdamW::new(&vs, CONFIG).unwrap();
        assert_eq!(optimizer.clip_grad_norm(Some(1.0)).unwrap(), 0.0);
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
}
