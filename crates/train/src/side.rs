use crate::NamedTensors;

/// Variables that are trained beside the model and are no part of it, such as a discriminator: they share the model's loss,
/// backward pass, optimizer and checkpoints, but learn at a pace of their own, are clipped by themselves, have no average
/// and do not stand in the finished weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Side {
    /// What the names of its variables begin with, the dot included.
    pub prefix: &'static str,
    /// Key of `metrics.jsonl` for the length of its gradient; `None` where no gradient moves any of it.
    pub grad_norm_key: Option<&'static str>,
    /// Factor of the learning rate.
    pub learning_rate_scale: f64,
    /// Longest gradient, L2 norm over its parameters; longer ones are scaled down to it. `None` without clipping.
    pub clip_grad_norm: Option<f64>,
}

impl Side {
    /// Whether a variable belongs to this side.
    pub fn holds(&self, name: &str) -> bool {
        name.starts_with(self.prefix)
    }
}

/// Lengths of a step's gradient before clipping, L2 norms: 0 where there is no gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct GradNorms {
    /// Over the parameters of the model itself.
    pub model: f64,
    /// Over those of each side, under its key.
    pub sides: Vec<(&'static str, f64)>,
}

impl GradNorms {
    /// Of a step whose gradient was not taken.
    pub(crate) fn unknown() -> Self {
        GradNorms { model: f64::NAN, sides: Vec::new() }
    }

    /// The first that is NaN or infinite, else the model's.
    pub(crate) fn worst(&self) -> f64 {
        let all = std::iter::once(self.model).chain(self.sides.iter().map(|(_, norm)| *norm));
        all.into_iter().find(|norm| !norm.is_finite()).unwrap_or(self.model)
    }
}

/// The variables of the model itself: those of no side.
pub(crate) fn of_model(mut variables: NamedTensors, sides: &[Side]) -> NamedTensors {
    variables.retain(|name, _| !sides.iter().any(|side| side.holds(name)));
    variables
}
