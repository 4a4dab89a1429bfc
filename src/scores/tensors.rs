use std::collections::HashMap;
use std::path::Path;

use eval::ScoreTable;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::{FileHeader, Parts, SpaceRows, offset, write_new, wrong};
use crate::exit::BadInput;

/// The one entry of the file's metadata.
const HEADER: &str = "header";

pub(super) fn read(path: &Path) -> anyhow::Result<Parts> {
    let bytes = std::fs::read(path).map_err(|err| BadInput(format!("cannot read {path:?}: {err}")))?;
    let damaged = |err: safetensors::SafeTensorError| wrong(path, &format!("is no safetensors file: {err}"));
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
    let header = metadata.metadata().as_ref().and_then(|metadata| metadata.get(HEADER));
    let mut header = FileHeader::parse(path, header.ok_or_else(|| wrong(path, "has no header: it holds no scores"))?)?;
    let ids = header.ids.take().ok_or_else(|| wrong(path, "its header lacks the clips' names, ids"))?;
    let file = SafeTensors::deserialize(&bytes).map_err(damaged)?;
    let tensor = |name: &str, dtype: Dtype| {
        let found = file.tensor(name).map_err(damaged)?;
        if found.dtype() == dtype {
            return Ok(found);
        }
        Err(wrong(path, &format!("its {name} is of the type {:?}, expected {dtype:?}", found.dtype())))
    };
    let has_offset = file.names().contains(&"offset");
    let offset = has_offset
        .then(|| tensor("offset", Dtype::U64))
        .transpose()?
        .map(|offset| offset.data().as_chunks().0.iter().map(|eight| u64::from_le_bytes(*eight)).collect());
    let space = |name: &String| {
        let rows = tensor(&format!("scores_{name}"), Dtype::F32)?;
        let values = rows.data().as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
        Ok(SpaceRows { name: name.clone(), shape: rows.shape().to_vec(), values })
    };
    let spaces = header.spaces.iter().map(space).collect::<anyhow::Result<_>>()?;
    Ok(Parts { scores: header.scores, ids, offset, spaces })
}

pub(super) fn write(path: &Path, table: &ScoreTable) -> anyhow::Result<()> {
    let header = serde_json::to_string(&FileHeader::of(table, Some(table.ids().to_vec())))?;
    let rows = offset(table);
    let bytes = rows.iter().flat_map(|row| row.to_le_bytes()).collect();
    let mut arrays = vec![Array { name: "offset".to_owned(), dtype: Dtype::U64, shape: vec![rows.len()], bytes }];
    for (number, (name, num_classes)) in table.spaces().enumerate() {
        let values = table.rows(number);
        arrays.push(Array {
            name: format!("scores_{name}"),
            dtype: Dtype::F32,
            shape: vec![values.len() / num_classes, num_classes],
            bytes: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        });
    }
    let views = arrays.iter().map(Array::view).collect::<anyhow::Result<Vec<_>>>()?;
    // With a single entry, a map has only one order.
    let metadata = HashMap::from([(HEADER.to_owned(), header)]);
    write_new(path, &safetensors::serialize(views, Some(metadata))?)
}

/// An array of a file, little endian and row-major.
struct Array {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Array {
    fn view(&self) -> anyhow::Result<(&str, TensorView<'_>)> {
        Ok((&self.name, TensorView::new(self.dtype, self.shape.clone(), &self.bytes)?))
    }
}
