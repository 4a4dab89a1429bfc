use nn::{During, NnError};
use tch::{Kind, Tensor, nn::VarStore};
use torch_ext::AdamWStep;

use crate::named::copy_all;
use crate::{GradNorms, NamedTensors, Side, TrainError, layer_scales, named};

/// Added to the root of the second moment; PyTorch's default, which MAE and VideoMAE keep.
const EPS: f64 = 1e-8;

/// Settings of [`AdamW`].
#[derive(Clone, Debug, PartialEq)]
pub struct AdamWConfig {
    /// Decay of the first and second moment.
    pub betas: [f64; 2],
    /// Decoupled weight decay of the parameters that decay (see [`decays`]).
    pub weight_decay: f64,
    /// Layer-wise decay of the learning rate; 1 for none (see [`crate::layer_scales`]).
    pub layer_decay: f64,
    /// Parameters that are no part of the model; all others are.
    pub sides: Vec<Side>,
}

/// AdamW (Loshchilov and Hutter, arXiv:1711.05101) by libtorch's fused kernel, with its state in plain tensors, so that a
/// checkpoint can hold it.
///
/// A parameter without a gradient in a step is left alone in that step, moments and decay too, as in PyTorch.
#[derive(Debug)]
pub struct AdamW {
    betas: [f64; 2],
    sides: Vec<Side>,
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
    /// Place in [`AdamW`]'s sides; `None` for the model's own.
    side: Option<usize>,
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
        let mut optimizer =
            AdamW { betas: config.betas, sides: config.sides, groups: Vec::new(), parameters: Vec::new() };
        for (name, value) in trained {
            let weight_decay = if decays(&name, &value.size()) { config.weight_decay } else { 0.0 };
            let side = optimizer.sides.iter().position(|side| side.holds(&name));
            let scale = scales[&name] * side.map_or(1.0, |side| optimizer.sides[side].learning_rate_scale);
            let group = optimizer.group(ParameterGroup { weight_decay, scale });
            let parameter = Parameter::new(name, value, (group, side)).during("making optimizer state")?;
            optimizer.parameters.push(parameter);
        }
        Ok(optimizer)
    }

    /// Takes all gradients off: memory that the forward pass can have, and no sum to make in the backward pass.
    ///
    /// # Errors
    /// [`NnError`] when libtorch fails.
    pub fn drop_gradients(&mut self) -> Result<(), NnError> {
        let values: Vec<Tensor> = self.parameters.iter().map(|parameter| parameter.value.shallow_clone()).collect();
        Ok(torch_ext::drop_gradients(&values)?)
    }

    /// Scales the gradients of the model down to the length `max` where they are longer, and those of each side to its own,
    /// whether others are too long or not. Returns the lengths before. Waits for the device once for the model and for each
    /// side, however many parameters there are.
    ///
    /// # Errors
    /// [`NnError`] when libtorch fails.
    pub fn clip_grad_norm(&mut self, max: Option<f64>) -> Result<GradNorms, NnError> {
        let grads_of = |side: Option<usize>| -> Vec<Tensor> {
            self.with_gradient().filter(|(parameter, _)| parameter.side == side).map(|(_, grad)| grad).collect()
        };
        let mut sides = Vec::new();
        for (i, side) in self.sides.iter().enumerate() {
            if let Some(key) = side.grad_norm_key {
                sides.push((key, clip(grads_of(Some(i)), side.clip_grad_norm)?));
            }
        }
        Ok(GradNorms { model: clip(grads_of(None), max)?, sides })
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

/// L2 norm over all gradients together, before they are scaled down to `max` where it is longer; 0 without any gradient.
fn clip(mut grads: Vec<Tensor>, max: Option<f64>) -> Result<f64, NnError> {
    let during = "clipping gradients";
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

impl Parameter {
    fn new(name: String, value: Tensor, (group, side): (usize, Option<usize>)) -> Result<Self, tch::TchError> {
        let zeros = || value.f_zeros_like().map(|zeros| zeros.set_requires_grad(false));
        Ok(Parameter {
            group,
            side,
            exp_avg: zeros()?,
            exp_avg_sq: zeros()?,
            num_steps: Tensor::f_zeros([], (Kind::Float, value.device()))?,
            name,
            value,
        })
    }
}

#[cfg(test)]
mod tests;
