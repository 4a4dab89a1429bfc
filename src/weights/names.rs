use std::cell::RefCell;
use std::collections::BTreeSet;

use spec::Patch;
use tch::{Kind, Tensor};
use train::NamedTensors;

use crate::exit::BadInput;

/// How much of a model weights are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The ViT alone: transformers' `VideoMAEModel`.
    Encoder,
    /// With decoder and head: `VideoMAEForPreTraining`.
    Model,
}

/// Whose names weights have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    Transformers,
    Published,
}

/// The names of one file.
#[derive(Clone, Debug)]
struct Names {
    layout: Layout,
    /// What stands before the encoder's names.
    encoder: String,
    /// What stands before the others.
    outer: String,
}

/// What follows these names of ours has another beginning in transformers and in the published code.
const ENCODER: [(&str, &str, &str); 3] = [
    ("encoder.embed.", "embeddings.patch_embeddings.projection.", "patch_embed.proj."),
    ("encoder.blocks.", "encoder.layer.", "blocks."),
    ("encoder.norm.", "layernorm.", "norm."),
];
const OUTER: [(&str, &str, &str); 5] = [
    ("to_decoder.", "encoder_to_decoder.", "encoder_to_decoder."),
    ("query", "mask_token", "mask_token"),
    ("decoder.", "decoder.decoder_layers.", "decoder.blocks."),
    ("norm.", "decoder.norm.", "decoder.norm."),
    ("head.", "decoder.head.", "decoder.head."),
];
/// Within a block the published code has our names.
const BLOCK: [(&str, &str); 6] = [
    (".norm1.", ".layernorm_before."),
    (".attn.proj.", ".attention.output.dense."),
    (".attn.", ".attention.attention."),
    (".norm2.", ".layernorm_after."),
    (".mlp.fc1.", ".intermediate.dense."),
    (".mlp.fc2.", ".output.dense."),
];
/// Beginnings of what may be left over: classifiers, and the decoder where the encoder alone is wanted.
const CLASSIFIER: [&str; 3] = ["fc_norm.", "classifier.", "head."];
const DECODER: [&str; 3] = ["decoder.", "encoder_to_decoder.", "mask_token"];

impl Names {
    /// Their name of a variable of ours.
    fn of(&self, ours: &str) -> String {
        let begins = |table: &[(&str, &'static str, &'static str)]| {
            let row = table.iter().find(|(our, ..)| ours.starts_with(our))?;
            let theirs = if self.layout == Layout::Transformers { row.1 } else { row.2 };
            Some((theirs, ours[row.0.len()..].to_owned()))
        };
        let (prefix, (begin, mut rest)) = match (begins(&ENCODER), begins(&OUTER)) {
            (Some(found), _) => (&self.encoder, found),
            (None, Some(found)) => (&self.outer, found),
            (None, None) => return ours.to_owned(),
        };
        if self.layout == Layout::Transformers
            && let Some((our, theirs)) = BLOCK.iter().find(|(our, _)| rest.contains(our))
        {
            rest = rest.replacen(our, theirs, 1);
        }
        format!("{prefix}{begin}{rest}")
    }
}

/// Weights of another program.
#[derive(Debug)]
pub(crate) struct Foreign {
    origin: String,
    tensors: NamedTensors,
    names: Names,
    used: RefCell<BTreeSet<String>>,
}

impl Foreign {
    /// Finds out whose names these are.
    ///
    /// * `origin` - the file, for errors
    ///
    /// # Errors
    /// [`BadInput`] when they are not VideoMAE's.
    pub(crate) fn new(origin: &str, tensors: NamedTensors) -> Result<Self, BadInput> {
        let before = |end: &str| tensors.keys().find_map(|key| key.strip_suffix(end).map(str::to_owned));
        let (layout, encoder, owner) = match (
            before("embeddings.patch_embeddings.projection.weight"),
            before("patch_embed.proj.weight"),
        ) {
            (Some(prefix), _) => (Layout::Transformers, prefix, "videomae."),
            (None, Some(prefix)) => (Layout::Published, prefix, "encoder."),
            (None, None) => {
                let some: Vec<&str> = tensors.keys().take(3).map(String::as_str).collect();
                return Err(BadInput(format!(
                    "{origin} holds no VideoMAE: neither embeddings.patch_embeddings.projection.weight (transformers) nor \
                         patch_embed.proj.weight (the published code) is among its {} tensors, first {some:?}",
                    tensors.len()
                )));
            }
        };
        let outer = encoder.strip_suffix(owner).unwrap_or(&encoder).to_owned();
        let names = Names { layout, encoder, outer };
        Ok(Foreign { origin: origin.to_owned(), tensors, names, used: RefCell::default() })
    }

    /// Shape of the tensor that a variable of ours comes from.
    pub(crate) fn size_of(&self, ours: &str) -> Option<Vec<i64>> {
        self.tensors.get(&self.names.of(ours)).map(Tensor::size)
    }

    /// Whether there is a decoder.
    pub(crate) fn part(&self) -> Part {
        if self.size_of("to_decoder.weight").is_some() { Part::Model } else { Part::Encoder }
    }

    /// Number of blocks under a name of ours: `encoder.blocks` or `decoder`.
    pub(crate) fn depth(&self, stack: &str) -> i64 {
        (0..).take_while(|i| self.size_of(&format!("{stack}.{i}.norm1.weight")).is_some()).count() as i64
    }

    /// One of our variables, f32 on the CPU.
    ///
    /// # Errors
    /// [`BadInput`] with the key, and both shapes where they differ.
    pub(crate) fn variable(&self, ours: &str, want: &[i64], patch: Patch) -> Result<Tensor, BadInput> {
        if ours == "encoder.embed.weight" {
            let width = want[0];
            let kernel = self.take(&self.names.of(ours), &[width, 3, patch.t, patch.h, patch.w])?;
            return Ok(kernel.permute([0, 2, 3, 4, 1]).reshape([width, -1]));
        }
        match ours.strip_suffix("qkv.weight").or(ours.strip_suffix("qkv.bias")) {
            Some(attn) if ours.ends_with("weight") => self.qkv_weight(attn, want),
            Some(attn) => self.qkv_bias(attn, want),
            None => self.take(&self.names.of(ours), want),
        }
    }

    fn qkv_weight(&self, attn: &str, want: &[i64]) -> Result<Tensor, BadInput> {
        if self.names.layout == Layout::Published {
            return self.take(&self.names.of(&format!("{attn}qkv.weight")), want);
        }
        let of = |name: &str| self.take(&self.names.of(&format!("{attn}{name}.weight")), &[want[0] / 3, want[1]]);
        Ok(Tensor::cat(&[of("query")?, of("key")?, of("value")?], 0))
    }

    fn qkv_bias(&self, attn: &str, want: &[i64]) -> Result<Tensor, BadInput> {
        let name = |name: &str| self.names.of(&format!("{attn}{name}"));
        // timm has one bias for all three.
        if self.tensors.contains_key(&name("qkv.bias")) {
            return self.take(&name("qkv.bias"), want);
        }
        let width = want[0] / 3;
        let of = |released: &str, newer: &str| {
            let key = if self.tensors.contains_key(&name(newer)) { name(newer) } else { name(released) };
            self.take(&key, &[width])
        };
        let (q, v) = (of("q_bias", "query.bias")?, of("v_bias", "value.bias")?);
        Ok(Tensor::cat(&[&q, &q.zeros_like(), &v], 0))
    }

    fn take(&self, key: &str, want: &[i64]) -> Result<Tensor, BadInput> {
        let origin = &self.origin;
        let found = self.tensors.get(key).ok_or_else(|| {
            BadInput(format!(
                "{origin} lacks {key}, of shape {want:?}: it is damaged or another model; save it again whole, or say what it \
                 is with --set"
            ))
        })?;
        if found.size() != want {
            return Err(BadInput(format!(
                "{key} has shape {:?} in {origin}, {want:?} in the model; change the model with --set (longvid's blocks have \
                 an MLP of 4 widths)",
                found.size()
            )));
        }
        self.used.borrow_mut().insert(key.to_owned());
        Ok(found.to_kind(Kind::Float))
    }

    /// Checks, once all variables were asked for, that nothing was left that the part's numbers hang on.
    ///
    /// # Errors
    /// [`BadInput`] with the first such key.
    pub(crate) fn expect_used(&self, part: Part) -> Result<(), BadInput> {
        let used = self.used.borrow();
        let decoder: &[&str] = if part == Part::Encoder { &DECODER } else { &[] };
        let extra = |key: &&String| {
            let name = key.strip_prefix(&self.names.outer).unwrap_or(key);
            !used.contains(*key) && !CLASSIFIER.iter().chain(decoder).any(|begin| name.starts_with(begin))
        };
        match self.tensors.keys().find(extra) {
            None => Ok(()),
            Some(key) => Err(BadInput(format!(
                "{} holds {key}, which longvid's model has no place for: without it the features would be others",
                self.origin
            ))),
        }
    }
}

/// Our variables as released checkpoints of transformers' VideoMAE name them (`q_bias`; transformers 5 reads it as
/// `query.bias`).
pub(crate) fn to_transformers(variables: &NamedTensors, part: Part, patch: Patch) -> NamedTensors {
    let encoder = if part == Part::Model { "videomae." } else { "" };
    let names = Names { layout: Layout::Transformers, encoder: encoder.to_owned(), outer: String::new() };
    let mut theirs = NamedTensors::new();
    for (ours, variable) in variables {
        let width = variable.size().first().copied().unwrap_or_default();
        if ours == "encoder.embed.weight" {
            let kernel = variable.view([width, patch.t, patch.h, patch.w, 3]).permute([0, 4, 1, 2, 3]);
            theirs.insert(names.of(ours), kernel.contiguous());
        } else if let Some(attn) = ours.strip_suffix("qkv.weight") {
            for (name, part) in ["query", "key", "value"].iter().zip(variable.chunk(3, 0)) {
                theirs.insert(names.of(&format!("{attn}{name}.weight")), part.contiguous());
            }
        } else if let Some(attn) = ours.strip_suffix("qkv.bias") {
            for (name, at) in [("q_bias", 0), ("v_bias", 2)] {
                theirs.insert(
                    names.of(&format!("{attn}{name}")),
                    variable.narrow(0, at * width / 3, width / 3).contiguous(),
                );
            }
        } else {
            theirs.insert(names.of(ours), variable.contiguous());
        }
    }
    theirs
}
