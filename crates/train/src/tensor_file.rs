//! The one file format of this crate: safetensors with a header of ours and a checksum over everything.
//!
//! Equal contents give equal bytes: keys are sorted, which safetensors' own writer (0.8) does not promise for metadata.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use nn::During;
use rustix::fs::Advice;
use safetensors::{Dtype, SafeTensorError, SafeTensors, tensor::TensorInfo};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::atomic::{self, Staged};
use crate::{NamedTensors, TrainError};

/// Value of the metadata key `format`.
const FORMAT: &str = "longvid weights";
/// The newest format version that this program writes and reads.
const VERSION: u32 = 1;
/// Bytes of the header's length, in front of it.
const LENGTH_BYTES: usize = 8;

/// Bytes that are on the disk before more are handed to the system.
const CHUNK_BYTES: usize = 64 << 20;

/// What a file says beside its tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    /// What the weights are of: `tokenizer`, `encoder`, `checkpoint`.
    pub(crate) kind: String,
    /// The resolved preset, TOML.
    pub(crate) config_toml: String,
    /// Whatever else the writer wants to know again, by keys of its own.
    pub(crate) notes: BTreeMap<String, String>,
}

/// A file as read, with every check passed.
#[derive(Debug)]
pub(crate) struct TensorFile {
    pub(crate) label: Label,
    pub(crate) tensors: NamedTensors,
    /// blake3 over header and tensors, hex.
    pub(crate) checksum: String,
}

#[derive(Serialize)]
struct Header {
    #[serde(rename = "__metadata__")]
    metadata: BTreeMap<String, String>,
    #[serde(flatten)]
    tensors: BTreeMap<String, TensorInfo>,
}

impl Header {
    /// The header as JSON, without or with a checksum in it.
    fn json(&self, checksum: Option<&str>) -> Vec<u8> {
        let mut metadata = self.metadata.clone();
        metadata.extend(checksum.map(|checksum| ("checksum".to_owned(), checksum.to_owned())));
        let header = Header { metadata, tensors: self.tensors.clone() };
        serde_json::to_vec(&header).expect("maps from strings to strings and numbers are JSON")
    }
}

#[derive(Deserialize)]
struct PeekedHeader {
    #[serde(rename = "__metadata__")]
    metadata: BTreeMap<String, String>,
}

impl Label {
    fn to_metadata(&self) -> BTreeMap<String, String> {
        let mut metadata = self.notes.clone();
        metadata.insert("format".to_owned(), FORMAT.to_owned());
        metadata.insert("format_version".to_owned(), VERSION.to_string());
        metadata.insert("kind".to_owned(), self.kind.clone());
        metadata.insert("config".to_owned(), self.config_toml.clone());
        metadata
    }

    /// `None` where something that every file of ours has is missing.
    fn from_metadata(mut metadata: BTreeMap<String, String>) -> Option<Self> {
        let (kind, config_toml) = (metadata.remove("kind")?, metadata.remove("config")?);
        for key in ["format", "format_version", "checksum"] {
            metadata.remove(key);
        }
        Some(Label { kind, config_toml, notes: metadata })
    }
}

/// Everything of a file but its name, copied out of the tensors, which may change from then on.
pub(crate) struct Snapshot {
    header: Header,
    bytes: Vec<u8>,
}

impl Snapshot {
    /// Copies the tensors into `buffer`, whose content is lost: one that is large enough already saves the time to get
    /// memory.
    pub(crate) fn copy(label: &Label, tensors: &NamedTensors, buffer: Vec<u8>) -> Result<Self, TrainError> {
        Self::copy_beside(label.to_metadata(), tensors, buffer)
    }

    /// The same with any metadata, for other programs to read.
    pub(crate) fn copy_beside(
        metadata: BTreeMap<String, String>,
        tensors: &NamedTensors,
        mut buffer: Vec<u8>,
    ) -> Result<Self, TrainError> {
        let (header, order) = lay_out(metadata, tensors)?;
        buffer.resize(order.iter().map(|tensor| num_bytes(tensor)).sum(), 0);
        let mut rest = &mut buffer[..];
        for tensor in order {
            let (here, after) = rest.split_at_mut(num_bytes(tensor));
            tensor.f_copy_data_u8(here, tensor.numel()).during("reading weights")?;
            rest = after;
        }
        Ok(Snapshot { header, bytes: buffer })
    }

    /// Writes the file that is to stand at `path` beside it; returns it with its checksum.
    pub(crate) fn stage(&self, path: &Path) -> Result<(Staged, String), TrainError> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.header.json(None)).update(&self.bytes);
        let checksum = hasher.finalize().to_hex().to_string();
        let mut json = self.header.json(Some(&checksum));
        // safetensors wants the data aligned.
        json.resize(json.len().next_multiple_of(LENGTH_BYTES), b' ');
        let staged = atomic::stage(path, |file| {
            file.write_all(&(json.len() as u64).to_le_bytes())?;
            file.write_all(&json)?;
            let mut written = 0;
            for bytes in self.bytes.chunks(CHUNK_BYTES) {
                file.write_all(bytes)?;
                file.flush()?;
                // Nobody reads it soon: pages that it would fill are those that hold the clips. What could not be dropped is
                // only slower.
                file.get_ref().sync_data()?;
                rustix::fs::fadvise(file.get_ref(), written, None, Advice::DontNeed).ok();
                written += bytes.len() as u64;
            }
            Ok(())
        })?;
        Ok((staged, checksum))
    }

    /// The buffer, for the next snapshot.
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }
}

/// The label of a file, whose tensors are not looked at; `None` where it cannot be read.
pub(crate) fn peek(path: &Path) -> Option<Label> {
    let mut file = File::open(path).ok()?;
    let mut length = [0; LENGTH_BYTES];
    file.read_exact(&mut length).ok()?;
    let mut json = Vec::new();
    file.take(u64::from_le_bytes(length)).read_to_end(&mut json).ok()?;
    let header: PeekedHeader = serde_json::from_slice(&json).ok()?;
    Label::from_metadata(header.metadata)
}

/// Reads a file of the given kind and checks it whole.
pub(crate) fn read(path: &Path, kind: &str) -> Result<TensorFile, TrainError> {
    let bytes =
        std::fs::read(path).map_err(|source| TrainError::Io { doing: "read", path: path.to_owned(), source })?;
    let refuse = |source| refusal(path, &bytes, source);
    let (header_bytes, found) = SafeTensors::read_metadata(&bytes).map_err(refuse)?;
    let mut metadata: BTreeMap<String, String> = found.metadata().clone().unwrap_or_default().into_iter().collect();
    let foreign = || TrainError::Foreign { path: path.to_owned() };
    if metadata.get("format").map(String::as_str) != Some(FORMAT) {
        return Err(foreign());
    }
    let version = metadata.get("format_version").cloned().unwrap_or_default();
    if version != VERSION.to_string() {
        return Err(TrainError::NewerVersion { path: path.to_owned(), found: version, known: VERSION });
    }
    let written = metadata.remove("checksum").ok_or_else(foreign)?;
    let tensors = found.tensors().into_iter().map(|(name, info)| (name, info.clone())).collect();
    let header = Header { metadata, tensors };
    let mut hasher = blake3::Hasher::new();
    hasher.update(&header.json(None)).update(&bytes[LENGTH_BYTES + header_bytes..]);
    let checksum = hasher.finalize().to_hex().to_string();
    if checksum != written {
        return Err(TrainError::Damaged { path: path.to_owned() });
    }
    let label = Label::from_metadata(header.metadata).ok_or_else(foreign)?;
    if label.kind != kind {
        return Err(TrainError::OtherKind { path: path.to_owned(), found: label.kind, wanted: kind.to_owned() });
    }
    let file = SafeTensors::deserialize(&bytes).map_err(refuse)?;
    Ok(TensorFile { label, tensors: tensors_of(&file)?, checksum })
}

/// The tensors of another program's file, which has neither our label nor our checksum.
pub(crate) fn read_foreign(path: &Path) -> Result<NamedTensors, TrainError> {
    let bytes =
        std::fs::read(path).map_err(|source| TrainError::Io { doing: "read", path: path.to_owned(), source })?;
    if PICKLES.iter().any(|start| bytes.starts_with(start)) {
        return Err(TrainError::Pickle { path: path.to_owned() });
    }
    tensors_of(&SafeTensors::deserialize(&bytes).map_err(|source| refusal(path, &bytes, source))?)
}

/// How files of `torch.save` begin: a zip archive, or before torch 1.6 a pickle of protocol 2.
const PICKLES: [&[u8]; 2] = [b"PK\x03\x04", b"\x80\x02"];

fn tensors_of(file: &SafeTensors) -> Result<NamedTensors, TrainError> {
    file.iter()
        .map(|(name, view)| {
            let element = kind_of(view.dtype()).ok_or_else(|| element_type(name, format!("{:?}", view.dtype())))?;
            let size: Vec<i64> = view.shape().iter().map(|n| *n as i64).collect();
            let tensor = Tensor::f_from_data_size(view.data(), &size, element).during("making tensors of a file")?;
            Ok((name.to_owned(), tensor))
        })
        .collect()
}

/// The header without its checksum, and the tensors in the order of their bytes: widest elements first, as safetensors
/// wants for alignment, then by name.
fn lay_out(metadata: BTreeMap<String, String>, tensors: &NamedTensors) -> Result<(Header, Vec<&Tensor>), TrainError> {
    let mut listed = Vec::new();
    for (name, tensor) in tensors {
        let kind = tensor.kind();
        let dtype = dtype_of(kind).ok_or_else(|| element_type(name, format!("{kind:?}")))?;
        listed.push((name, dtype, tensor));
    }
    listed.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let mut header = Header { metadata, tensors: BTreeMap::new() };
    let mut end = 0;
    for (name, dtype, tensor) in &listed {
        let shape = tensor.size().iter().map(|n| *n as usize).collect();
        let start = end;
        end += num_bytes(tensor);
        let info = TensorInfo { dtype: *dtype, shape, data_offsets: (start, end) };
        header.tensors.insert((*name).clone(), info);
    }
    Ok((header, listed.into_iter().map(|(_, _, tensor)| tensor).collect()))
}

/// Names what is wrong with a file that safetensors cannot read.
fn refusal(path: &Path, bytes: &[u8], source: SafeTensorError) -> TrainError {
    // A safetensors header is JSON, so an opening brace follows its length.
    let opens = bytes.get(LENGTH_BYTES).is_none_or(|first| *first == b'{');
    match source {
        SafeTensorError::HeaderTooSmall
        | SafeTensorError::InvalidHeaderLength
        | SafeTensorError::MetadataIncompleteBuffer
            if opens =>
        {
            TrainError::Truncated { path: path.to_owned(), num_bytes: bytes.len() }
        }
        source => TrainError::NotSafetensors { path: path.to_owned(), source },
    }
}

fn element_type(name: &str, kind: String) -> TrainError {
    TrainError::ElementType { name: name.to_owned(), kind }
}

fn num_bytes(tensor: &Tensor) -> usize {
    tensor.numel() * tensor.kind().elt_size_in_bytes()
}

/// Element types that are stored.
const ELEMENTS: [(Kind, Dtype); 10] = [
    (Kind::Float, Dtype::F32),
    (Kind::Double, Dtype::F64),
    (Kind::Half, Dtype::F16),
    (Kind::BFloat16, Dtype::BF16),
    (Kind::Int64, Dtype::I64),
    (Kind::Int, Dtype::I32),
    (Kind::Int16, Dtype::I16),
    (Kind::Int8, Dtype::I8),
    (Kind::Uint8, Dtype::U8),
    (Kind::Bool, Dtype::BOOL),
];

fn dtype_of(kind: Kind) -> Option<Dtype> {
    ELEMENTS.iter().find(|(k, _)| *k == kind).map(|(_, dtype)| *dtype)
}

fn kind_of(dtype: Dtype) -> Option<Kind> {
    ELEMENTS.iter().find(|(_, d)| *d == dtype).map(|(kind, _)| *kind)
}
