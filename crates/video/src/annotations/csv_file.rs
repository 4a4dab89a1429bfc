use std::collections::BTreeSet;
use std::path::Path;

use csv::{ErrorKind, Position, StringRecord};

use super::Place;
use crate::VideoError;

/// A CSV file with a header.
pub(super) struct CsvFile<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    header: Vec<String>,
}

/// A column that the header has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    name: &'static str,
    index: usize,
}

/// A row with as many fields as the header.
pub(super) struct CsvRow<'a> {
    file: &'a CsvFile<'a>,
    record: StringRecord,
}

impl<'a> CsvFile<'a> {
    /// Reads the header, whose names must differ.
    pub(super) fn new(path: &'a Path, bytes: &'a [u8]) -> Result<Self, VideoError> {
        let bytes = super::without_byte_order_mark(bytes);
        let mut file = CsvFile { path, bytes, header: Vec::new() };
        if let Err(err) = std::str::from_utf8(bytes) {
            return Err(file.place(err.valid_up_to()).wrong("row", "bytes that are not UTF-8", "text"));
        }
        // The store's texts end at one.
        if let Some(offset) = bytes.iter().position(|byte| *byte == 0) {
            return Err(file.place(offset).wrong("row", "\0", "text without null characters"));
        }
        let mut reader = file.reader();
        let header = reader.headers().map_err(|err| file.broken(&err))?;
        file.header = header.iter().map(str::to_owned).collect();
        let mut seen = BTreeSet::new();
        match file.header.iter().find(|name| !seen.insert(*name)) {
            Some(twice) => Err(file.place(0).wrong("header", twice, "each column once")),
            None => Ok(file),
        }
    }

    /// The column of that name.
    pub(super) fn column(&self, name: &'static str) -> Option<Column> {
        self.header.iter().position(|column| column == name).map(|index| Column { name, index })
    }

    /// Columns that must be there.
    pub(super) fn columns<const N: usize>(&self, names: [&'static str; N]) -> Result<[Column; N], VideoError> {
        let mut columns = [Column { name: "", index: 0 }; N];
        for (column, name) in columns.iter_mut().zip(names) {
            *column = self.column(name).ok_or_else(|| self.header_wrong(&format!("a column {name:?}")))?;
        }
        Ok(columns)
    }

    /// The error of the header as a whole.
    pub(super) fn header_wrong(&self, expected: &str) -> VideoError {
        self.place(0).wrong("header", &self.header.join(","), expected)
    }

    /// Names of the columns that are none of these.
    pub(super) fn others(&self, known: &[&str]) -> Vec<String> {
        self.header.iter().filter(|column| !known.contains(&column.as_str())).cloned().collect()
    }

    /// The rows after the header; empty lines are none.
    pub(super) fn rows(&self) -> impl Iterator<Item = Result<CsvRow<'_>, VideoError>> {
        self.reader().into_records().map(|record| {
            let row = CsvRow { file: self, record: record.map_err(|err| self.broken(&err))? };
            // A quote that is not closed swallows the rows after it.
            match row.record.iter().zip(&self.header).find(|(field, _)| field.contains(['\r', '\n'])) {
                None => Ok(row),
                Some((field, name)) => Err(row.place().wrong(name, field, "a field on one line")),
            }
        })
    }

    fn reader(&self) -> csv::Reader<&'a [u8]> {
        csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(self.bytes)
    }

    fn place(&self, offset: usize) -> Place<'a> {
        Place::at(self.path, self.bytes, offset)
    }

    fn broken(&self, err: &csv::Error) -> VideoError {
        let place = self.place(err.position().map_or(0, |position| position.byte() as usize));
        match err.kind() {
            ErrorKind::UnequalLengths { expected_len, len, .. } => {
                place.wrong("row", &format!("{len} fields"), format!("{expected_len}, as in the header"))
            }
            // Bytes in memory that are UTF-8 have no other fault.
            other => place.wrong("row", &format!("{other:?}"), "a row"),
        }
    }
}

impl CsvRow<'_> {
    /// The field in a column.
    pub(super) fn get(&self, column: Column) -> &str {
        self.record.get(column.index).unwrap_or_default()
    }

    /// The fields in several columns.
    pub(super) fn fields<const N: usize>(&self, columns: [Column; N]) -> [&str; N] {
        columns.map(|column| self.get(column))
    }

    /// Where it starts in the file, bytes.
    pub(super) fn offset(&self) -> usize {
        self.record.position().map_or(0, Position::byte) as usize
    }

    /// The line on which the row at `offset` stands.
    pub(super) fn line_of(&self, offset: usize) -> u64 {
        self.file.place(offset).line
    }

    /// A field that must not be empty.
    pub(super) fn filled(&self, column: Column) -> Result<&str, VideoError> {
        Some(self.get(column)).filter(|text| !text.is_empty()).ok_or_else(|| self.wrong(column, "a text"))
    }

    /// A field that is an index into a list of `len`.
    pub(super) fn index(&self, column: Column, len: usize) -> Result<usize, VideoError> {
        let end = u32::try_from(len).unwrap_or(u32::MAX);
        let number = super::whole_number(self.get(column), end);
        number.map(|number| number as usize).ok_or_else(|| self.wrong(column, format!("a whole number below {len}")))
    }

    /// The error of a field.
    pub(super) fn wrong(&self, column: Column, expected: impl Into<String>) -> VideoError {
        self.place().wrong(column.name, self.get(column), expected)
    }

    fn place(&self) -> Place<'_> {
        self.file.place(self.offset())
    }
}
