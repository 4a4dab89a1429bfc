use std::collections::BTreeMap;

use nn::During;
use tch::{Tensor, nn::VarStore};

use crate::TrainError;

/// Tensors by name, in the order of the names.
pub type NamedTensors = BTreeMap<String, Tensor>;

/// All variables of a model, trained or not, sharing storage with it.
pub fn named(vs: &VarStore) -> NamedTensors {
    vs.variables().into_iter().collect()
}

/// Copies values by name. Both sides must hold the same names and shapes; nothing is copied unless all fit.
pub(crate) fn copy_all(from: &NamedTensors, to: &NamedTensors) -> Result<(), TrainError> {
    for (name, target) in to {
        let source = from.get(name).ok_or_else(|| TrainError::MissingVariable { name: name.clone() })?;
        if source.size() != target.size() {
            let (found, wanted) = (source.size(), target.size());
            return Err(TrainError::VariableShape { name: name.clone(), found, wanted });
        }
    }
    let mut extra = from.keys().filter(|name| !to.contains_key(*name));
    if let Some(name) = extra.next() {
        return Err(TrainError::ExtraVariables { name: name.clone(), count: 1 + extra.count() });
    }
    tch::no_grad(|| {
        to.iter().try_for_each(|(name, target)| {
            target.shallow_clone().f_copy_(&from[name]).during("copying weights into the model")
        })
    })?;
    Ok(())
}
