use std::path::Path;

use eval::ScoreTable;

use super::{FileHeader, Parts, SpaceRows, offset, wrong};
use crate::npz::{NpzFile, NpzWriter};

pub(super) fn read(path: &Path) -> anyhow::Result<Parts> {
    let npz = NpzFile::read(path)?;
    let header = npz.texts("header")?;
    let [header] = &header[..] else { return Err(wrong(path, "its header is not one text")) };
    let header = FileHeader::parse(path, header)?;
    let offset = npz.has("offset").then(|| npz.counts("offset")).transpose()?;
    let space = |name: &String| {
        let (shape, values) = npz.f32s(&format!("scores_{name}"))?;
        Ok(SpaceRows { name: name.clone(), shape: shape.to_vec(), values })
    };
    let spaces = header.spaces.iter().map(space).collect::<anyhow::Result<_>>()?;
    Ok(Parts { scores: header.scores, ids: npz.texts("ids")?, offset, spaces })
}

pub(super) fn write(path: &Path, table: &ScoreTable) -> anyhow::Result<()> {
    let mut npz = NpzWriter::create(path)?;
    npz.text("header", &serde_json::to_string(&FileHeader::of(table, None))?)?;
    npz.texts("ids", table.ids().iter().map(String::as_str))?;
    let offset = offset(table);
    npz.array("offset", &[offset.len()], &offset)?;
    for (number, (name, num_classes)) in table.spaces().enumerate() {
        let rows = table.rows(number);
        npz.array(&format!("scores_{name}"), &[rows.len() / num_classes, num_classes], rows)?;
    }
    npz.finish()
}
