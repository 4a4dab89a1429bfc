//! What a probe reads as arrays for other programs.

use std::path::Path;

use tch::Tensor;
use train::NamedTensors;

use super::Samples;
use super::encoder::Side;
use crate::cmd::training::say;
use crate::exit::BadInput;
use crate::npz::NpzWriter;

/// # Errors
/// [`BadInput`] for a file that is there, and for another ending than `.npz` and `.safetensors`.
pub(super) fn check(path: &Path) -> Result<(), BadInput> {
    let ending = path.extension().and_then(|ending| ending.to_str());
    if !matches!(ending, Some("npz" | "safetensors")) {
        return Err(BadInput(format!("--export {path:?}: end the name in .npz or .safetensors")));
    }
    match path.exists() {
        true => Err(BadInput(format!("{path:?} already exists; remove it or choose another name"))),
        false => Ok(()),
    }
}

/// Arrays `train_x` and `test_x`, `[n, D]` (`[n, L, D]` for tokens), and `train_labels`, `test_labels`; as `.npz` also the
/// names of segments and classes, which safetensors cannot hold.
pub(super) fn write(path: &Path, samples: &Samples, classes: &[String]) -> anyhow::Result<()> {
    let sides = [("train", &samples.train), ("test", &samples.test)];
    if path.extension().is_some_and(|ending| ending == "npz") {
        let mut file = NpzWriter::create(path)?;
        for (name, side) in sides {
            let x = array(side);
            let shape: Vec<usize> = x.size().iter().map(|size| *size as usize).collect();
            file.array(&format!("{name}_x"), &shape, &Vec::<f32>::try_from(x.flatten(0, -1))?)?;
            file.array(&format!("{name}_labels"), &[side.labels.len()], &side.labels)?;
            file.texts(&format!("{name}_ids"), side.ids.iter().map(String::as_str))?;
        }
        file.texts("classes", classes.iter().map(String::as_str))?;
        file.finish()?;
    } else {
        let arrays = sides.into_iter().flat_map(|(name, side)| {
            [(format!("{name}_x"), array(side)), (format!("{name}_labels"), Tensor::from_slice(&side.labels))]
        });
        train::weights::save_foreign(path, &arrays.collect::<NamedTensors>())?;
    }
    Ok(say(&format!("wrote {}", path.display()))?)
}

fn array(side: &Side) -> Tensor {
    if side.x_nld.size()[1] == 1 { side.x_nld.squeeze_dim(1) } else { side.x_nld.shallow_clone() }
}
