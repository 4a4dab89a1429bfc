//! Finished weights (`tokenizer.safetensors`, `encoder.safetensors`): what one part of the program hands to the next.

use std::collections::BTreeMap;
use std::path::Path;

use tch::nn::VarStore;

use crate::named::copy_all;
use crate::tensor_file::{self, Label, Snapshot};
use crate::{NamedTensors, TrainError, named};

/// Weights as read from a file.
#[derive(Debug)]
pub struct Weights {
    config_toml: String,
    tensors: NamedTensors,
    id: String,
}

/// Writes weights of some `kind` (`"tokenizer"`, `"encoder"`) with the resolved preset that they were trained by.
/// Returns their id (see [`Weights::id`]).
///
/// # Errors
/// [`TrainError::Io`], which leaves a file that stood there before as it was; [`TrainError::ElementType`].
pub fn save(path: &Path, kind: &str, config_toml: &str, tensors: &NamedTensors) -> Result<String, TrainError> {
    let label = Label { kind: kind.to_owned(), config_toml: config_toml.to_owned(), notes: BTreeMap::new() };
    let (staged, id) = Snapshot::copy(&label, tensors, Vec::new())?.stage(path)?;
    staged.publish()?;
    Ok(id)
}

/// Reads weights and checks them whole.
///
/// # Errors
/// [`TrainError::Io`], [`TrainError::NotSafetensors`], [`TrainError::Truncated`], [`TrainError::Foreign`],
/// [`TrainError::NewerVersion`], [`TrainError::Damaged`], [`TrainError::OtherKind`].
pub fn load(path: &Path, expected_kind: &str) -> Result<Weights, TrainError> {
    let file = tensor_file::read(path, expected_kind)?;
    Ok(Weights { config_toml: file.label.config_toml, tensors: file.tensors, id: file.checksum })
}

/// What the weights in a file are of, read without their tensors: `"encoder"`, `"checkpoint"`; `None` where longvid did not
/// write it.
pub fn kind(path: &Path) -> Option<String> {
    tensor_file::peek(path).map(|label| label.kind)
}

/// Reads the tensors of another program's safetensors file, on the CPU: names and values as they are.
///
/// # Errors
/// [`TrainError::Io`], [`TrainError::Pickle`], [`TrainError::NotSafetensors`], [`TrainError::Truncated`],
/// [`TrainError::ElementType`].
pub fn load_foreign(path: &Path) -> Result<NamedTensors, TrainError> {
    tensor_file::read_foreign(path)
}

/// Writes tensors for other programs, as Hugging Face's save them (`format = "pt"`).
///
/// # Errors
/// As [`save`].
pub fn save_foreign(path: &Path, tensors: &NamedTensors) -> Result<(), TrainError> {
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    Snapshot::copy_beside(metadata, tensors, Vec::new())?.stage(path)?.0.publish()
}

impl Weights {
    /// The resolved preset, TOML.
    pub fn config_toml(&self) -> &str {
        &self.config_toml
    }

    /// The tensors by name, on the CPU.
    pub fn tensors(&self) -> &NamedTensors {
        &self.tensors
    }

    /// Hash of kind, config and values, hex: two files share it exactly when they stand for the same model.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The same weights without those variables whose names `keep` does not accept; the id stays that of the file.
    #[must_use]
    pub fn retain(mut self, keep: impl Fn(&str) -> bool) -> Self {
        self.tensors.retain(|name, _| keep(name));
        self
    }

    /// Sets every variable of a model. Nothing is set unless names and shapes all fit.
    ///
    /// # Errors
    /// [`TrainError::MissingVariable`], [`TrainError::VariableShape`], [`TrainError::ExtraVariables`], each naming the
    /// first one.
    pub fn copy_into(&self, vs: &VarStore) -> Result<(), TrainError> {
        copy_all(&self.tensors, &named(vs))
    }

    /// Sets every variable of a part of a model, as [`Weights::copy_into`] does all; the others stay as they are.
    ///
    /// * `prefix` - what the part's names begin with: `encoder.`
    ///
    /// # Errors
    /// As [`Weights::copy_into`].
    pub fn copy_into_part(&self, vs: &VarStore, prefix: &str) -> Result<(), TrainError> {
        copy_all(&self.tensors, &named(vs).into_iter().filter(|(name, _)| name.starts_with(prefix)).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tch::{Device, Kind, Tensor, nn};

    use super::*;

    fn model(width: i64) -> VarStore {
        let vs = VarStore::new(Device::Cpu);
        nn::linear(vs.root() / "head", 3, width, Default::default());
        vs
    }

    /// A folder with `w.safetensors` of kind `encoder` in it, and the bytes of that file.
    fn saved() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.safetensors");
        save(&path, "encoder", "model.width = 2\n", &named(&model(2))).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        (dir, path, bytes)
    }

    /// What reading says once the file's bytes are changed.
    fn refusal(change: impl FnOnce(&mut Vec<u8>)) -> TrainError {
        let (_dir, path, mut bytes) = saved();
        change(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        load(&path, "encoder").unwrap_err()
    }

    fn replace(bytes: &mut Vec<u8>, from: &str, to: &str) {
        assert_eq!(from.len(), to.len());
        let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
        bytes.splice(at..at + from.len(), to.bytes());
    }

    #[test]
    fn values_of_every_element_type_come_back_bit_for_bit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.safetensors");
        let values = Tensor::from_slice(&[0.0f64, 1.5, -2.0, 100.0, 1.0, 3.0]).view([2, 3]);
        let kinds = [Kind::Float, Kind::Double, Kind::Half, Kind::BFloat16, Kind::Int64, Kind::Uint8, Kind::Bool];
        let tensors: NamedTensors =
            kinds.iter().map(|k| (format!("{k:?}"), values.abs().to_kind(*k).transpose(0, 1))).collect();
        let id = save(&path, "encoder", "a = 1\n", &tensors).unwrap();
        let back = load(&path, "encoder").unwrap();
        assert_eq!(back.id(), id);
        assert_eq!(back.config_toml(), "a = 1\n");
        for (name, tensor) in &tensors {
            assert_eq!(&back.tensors()[name], tensor, "{name}");
            assert_eq!(back.tensors()[name].kind(), tensor.kind());
        }
    }

    #[test]
    fn safetensors_own_reader_finds_the_same_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.safetensors");
        let tensors = NamedTensors::from([("x".to_owned(), Tensor::from_slice(&[1.0f32, -2.0]))]);
        save(&path, "encoder", "", &tensors).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.tensor("x").unwrap().data(), [1.0f32.to_le_bytes(), (-2.0f32).to_le_bytes()].concat());
    }

    #[test]
    fn equal_weights_give_equal_bytes_and_another_config_another_id() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        let weights = named(&model(2));
        let id = save(&a, "encoder", "x = 1", &weights).unwrap();
        assert_eq!(save(&b, "encoder", "x = 1", &weights).unwrap(), id);
        assert_eq!(std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap());
        assert_ne!(save(&b, "encoder", "x = 2", &weights).unwrap(), id);
    }

    #[test]
    fn every_kind_of_damage_is_refused_by_name() {
        let flipped = |at_end: usize| move |b: &mut Vec<u8>| *b.iter_mut().rev().nth(at_end).unwrap() ^= 1;
        assert!(matches!(refusal(flipped(0)), TrainError::Damaged { .. }));
        assert!(matches!(refusal(flipped(20)), TrainError::Damaged { .. }));
        assert!(matches!(refusal(|b| replace(b, "width = 2", "width = 3")), TrainError::Damaged { .. }));
        assert!(matches!(refusal(|b| replace(b, "head.bias", "head.bios")), TrainError::Damaged { .. }));
        assert!(matches!(refusal(|b| b.truncate(b.len() - 1)), TrainError::Truncated { .. }));
        assert!(matches!(refusal(|b| b.truncate(100)), TrainError::Truncated { .. }));
        assert!(matches!(refusal(|b| b.truncate(5)), TrainError::Truncated { .. }));
        assert!(matches!(refusal(Vec::clear), TrainError::Truncated { .. }));
        assert!(matches!(refusal(|b| *b = b"a text file, no weights".to_vec()), TrainError::NotSafetensors { .. }));
        let newer = refusal(|b| replace(b, r#""format_version":"1""#, r#""format_version":"2""#));
        assert!(matches!(&newer, TrainError::NewerVersion { found, known: 1, .. } if found == "2"), "{newer}");
    }

    #[test]
    fn another_kind_and_another_programs_file_are_refused() {
        let (_dir, path, _) = saved();
        let said = load(&path, "tokenizer").unwrap_err().to_string();
        assert!(said.contains("kind \"encoder\", not \"tokenizer\""), "{said}");
        let x = [0u8; 4];
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &x).unwrap();
        std::fs::write(&path, safetensors::serialize([("x", view)], None).unwrap()).unwrap();
        assert!(matches!(load(&path, "encoder"), Err(TrainError::Foreign { .. })));
    }

    #[test]
    fn foreign_files_are_written_and_read_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        let tensors = NamedTensors::from([("a.weight".to_owned(), Tensor::from_slice(&[1.0f32, -2.0]))]);
        save_foreign(&path, &tensors).unwrap();
        assert_eq!(load_foreign(&path).unwrap(), tensors);
        let bytes = std::fs::read(&path).unwrap();
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(header.metadata().as_ref().unwrap()["format"], "pt");
    }

    #[test]
    fn a_pickle_is_refused_with_the_line_that_converts_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoint.pth");
        for start in [&b"PK\x03\x04rest"[..], b"\x80\x02rest"] {
            std::fs::write(&path, start).unwrap();
            let said = load_foreign(&path).unwrap_err().to_string();
            assert!(said.contains("checkpoint.pth") && said.contains("save_file"), "{said}");
        }
    }

    #[test]
    fn a_part_of_a_model_is_set_and_the_rest_stays() {
        let (_dir, path, _) = saved();
        let weights = load(&path, "encoder").unwrap();
        let larger = model(2);
        nn::linear(larger.root() / "neck", 3, 2, Default::default());
        let before: NamedTensors = named(&larger).into_iter().map(|(name, tensor)| (name, tensor.copy())).collect();
        weights.copy_into_part(&larger, "head.").unwrap();
        for (name, tensor) in named(&larger) {
            let want = if name.starts_with("head.") { &weights.tensors()[&name] } else { &before[&name] };
            assert_eq!(&tensor, want, "{name}");
        }
        assert!(weights.copy_into_part(&model(4), "head.").is_err());
        assert!(matches!(weights.copy_into_part(&larger, "neck."), Err(TrainError::MissingVariable { .. })));
    }

    #[test]
    fn weights_of_another_model_are_refused_and_change_nothing() {
        let (_dir, path, _) = saved();
        let weights = load(&path, "encoder").unwrap();
        let same = model(2);
        weights.copy_into(&same).unwrap();
        for (name, tensor) in named(&same) {
            assert_eq!(tensor, weights.tensors()[&name]);
        }

        let wider = model(4);
        let before: NamedTensors = named(&wider).into_iter().map(|(name, tensor)| (name, tensor.copy())).collect();
        let said = weights.copy_into(&wider).unwrap_err().to_string();
        assert_eq!(said, "variable head.bias has shape [2] in the weights, [4] in the model");
        assert_eq!(named(&wider), before);

        let more = model(2);
        nn::linear(more.root() / "neck", 3, 2, Default::default());
        let said = weights.copy_into(&more).unwrap_err().to_string();
        assert!(said.contains("lack the model's variable neck.bias"), "{said}");

        let fewer = VarStore::new(Device::Cpu);
        assert!(matches!(weights.copy_into(&fewer), Err(TrainError::ExtraVariables { count: 2, .. })));
    }
}
