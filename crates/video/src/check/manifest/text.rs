use std::collections::BTreeSet;
use std::fmt::{Display, Formatter};
use std::path::Path;
use std::str::FromStr;

use csv::{ByteRecord, ReaderBuilder, Writer};

use super::{Manifest, ManifestRow, Outcome, RowKind, Shape};
use crate::VideoError;

/// The first line of a manifest: what it is, and the version of its columns.
const FIRST_LINE: &str = "# longvid manifest 1";

/// Its columns.
const COLUMNS: [&str; 13] = [
    "kind",
    "source",
    "name",
    "content_hash",
    "bytes",
    "frames",
    "frames_per_sec",
    "width_px",
    "height_px",
    "duration_secs",
    "verdict",
    "reason",
    "detail",
];

/// How kinds are written.
const KINDS: [(RowKind, &str); 3] = [(RowKind::File, "file"), (RowKind::Segment, "segment"), (RowKind::Store, "store")];

/// How verdicts are written.
const OUTCOMES: [(Outcome, &str); 5] = [
    (Outcome::Ok, "ok"),
    (Outcome::OkWithNotes, "ok with notes"),
    (Outcome::TooShort, "too short"),
    (Outcome::Damaged, "damaged"),
    (Outcome::Rejected, "rejected"),
];

impl Manifest {
    /// Reads what [`Manifest::to_csv`] wrote; anything else is refused. `path` is for messages.
    ///
    /// # Errors
    /// [`VideoError::Manifest`] with line and field.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, VideoError> {
        let wrong = |line: u64, field: &'static str, problem: String| VideoError::Manifest {
            path: path.to_owned(),
            line,
            field,
            problem,
        };
        let first_bytes = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
        let (first, rest) = bytes.split_at(first_bytes);
        if first.trim_ascii_end() != FIRST_LINE.as_bytes() {
            return Err(wrong(1, "version", format!("the first line must be {FIRST_LINE:?}")));
        }
        let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(rest);
        let (mut rows, mut seen) = (Vec::new(), BTreeSet::new());
        let mut record = ByteRecord::new();
        let mut has_header = false;
        // Reading from memory does not fail.
        while reader.read_byte_record(&mut record).map_err(|err| wrong(1, "file", err.to_string()))? {
            let line = 1 + record.position().map_or(0, csv::Position::line);
            if !has_header {
                if !record.iter().eq(COLUMNS.iter().map(|name| name.as_bytes())) {
                    return Err(wrong(line, "header", format!("the columns must be {}", COLUMNS.join(","))));
                }
                has_header = true;
                continue;
            }
            let row = Fields::new(&record).and_then(|fields| fields.row());
            let row = row.map_err(|(field, problem)| wrong(line, field, problem))?;
            if !seen.insert((row.kind, row.source.clone(), row.name.clone())) {
                return Err(wrong(line, "name", "a second row of that kind, source and name".to_owned()));
            }
            rows.push(row);
        }
        if !has_header {
            return Err(wrong(2, "header", "there is none".to_owned()));
        }
        Ok(Manifest { rows })
    }

    /// The table as a file, see [`Manifest`].
    pub fn to_csv(&self) -> String {
        let mut table = Writer::from_writer(format!("{FIRST_LINE}\n").into_bytes());
        let rows = self.rows.iter().map(ManifestRow::fields);
        for fields in std::iter::once(COLUMNS.map(str::to_owned)).chain(rows) {
            table.write_record(&fields).expect("all records have as many fields, and memory takes them");
        }
        let bytes = table.into_inner().expect("memory takes them");
        String::from_utf8(bytes).expect("texts and commas are UTF-8")
    }
}

impl Display for RowKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(KINDS.iter().find(|(kind, _)| kind == self).map_or("", |(_, word)| word))
    }
}

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(OUTCOMES.iter().find(|(outcome, _)| outcome == self).map_or("", |(_, word)| word))
    }
}

impl ManifestRow {
    fn fields(&self) -> [String; 13] {
        let shape = self.shape.map(|shape| {
            let Shape { num_frames, frames_per_sec, width_px, height_px, duration_secs } = shape;
            // Rust prints the fewest digits that read back as the same number.
            [
                num_frames.to_string(),
                frames_per_sec.to_string(),
                width_px.to_string(),
                height_px.to_string(),
                duration_secs.to_string(),
            ]
        });
        let [frames, rate, width, height, duration] = shape.unwrap_or_default();
        [
            self.kind.to_string(),
            self.source.clone(),
            self.name.clone(),
            self.content_hash.clone(),
            self.bytes.map(|bytes| bytes.to_string()).unwrap_or_default(),
            frames,
            rate,
            width,
            height,
            duration,
            self.verdict.to_string(),
            self.reason.clone(),
            self.detail.clone(),
        ]
    }
}

/// Column and problem of a field that is wrong.
type FieldError = (&'static str, String);

/// The fields of one row, as text.
struct Fields<'a>([&'a str; COLUMNS.len()]);

impl<'a> Fields<'a> {
    fn new(record: &'a ByteRecord) -> Result<Self, FieldError> {
        if record.len() != COLUMNS.len() {
            return Err(("row", format!("{} fields, there must be {}", record.len(), COLUMNS.len())));
        }
        let mut fields = [""; COLUMNS.len()];
        for ((field, bytes), column) in fields.iter_mut().zip(record).zip(COLUMNS) {
            *field = str::from_utf8(bytes).map_err(|err| (column, err.to_string()))?;
        }
        Ok(Fields(fields))
    }

    fn row(&self) -> Result<ManifestRow, FieldError> {
        let [kind, source, name, hash, bytes, frames, rate, width, height, duration, verdict, reason, detail] = self.0;
        if !(hash.is_empty() || hash.len() == 64 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))) {
            return Err(("content_hash", format!("{hash:?} is not 64 hexadecimal digits")));
        }
        let is_decoded = [frames, rate, width, height, duration].iter().any(|field| !field.is_empty());
        let shape = is_decoded.then(|| {
            Ok(Shape {
                num_frames: number("frames", frames)?,
                frames_per_sec: positive("frames_per_sec", rate)?,
                width_px: number("width_px", width)?,
                height_px: number("height_px", height)?,
                duration_secs: positive("duration_secs", duration)?,
            })
        });
        Ok(ManifestRow {
            kind: word("kind", kind, &KINDS)?,
            source: source.to_owned(),
            name: name.to_owned(),
            content_hash: hash.to_owned(),
            bytes: (!bytes.is_empty()).then(|| number("bytes", bytes)).transpose()?,
            shape: shape.transpose()?,
            verdict: word("verdict", verdict, &OUTCOMES)?,
            reason: reason.to_owned(),
            detail: detail.to_owned(),
        })
    }
}

fn number<T: FromStr<Err: Display>>(column: &'static str, field: &str) -> Result<T, FieldError> {
    field.parse().map_err(|err| (column, format!("{field:?}: {err}")))
}

fn positive(column: &'static str, field: &str) -> Result<f64, FieldError> {
    let number: f64 = number(column, field)?;
    if number.is_finite() && number >= 0.0 { Ok(number) } else { Err((column, format!("{field:?} is not at least 0"))) }
}

fn word<T: Copy>(column: &'static str, field: &str, known: &[(T, &str)]) -> Result<T, FieldError> {
    known.iter().find(|(_, word)| *word == field).map(|(value, _)| *value).ok_or_else(|| {
        let words: Vec<&str> = known.iter().map(|(_, word)| *word).collect();
        (column, format!("{field:?} is none of {}", words.join(", ")))
    })
}
