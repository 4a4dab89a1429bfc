//! What EPIC-KITCHENS-100's action recognition challenge takes: a deflated ZIP of one `test.json`, version 0.2.

mod read;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use eval::{Averaging, EvalError, ScoreTable, Scores};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use self::read::Read;
use crate::exit::BadInput;

const NUM_VERBS: usize = 97;
const NUM_NOUNS: usize = 300;
const VERSION: &str = "0.2";
const CHALLENGE: &str = "action_recognition";
/// The one file of the ZIP.
const MEMBER: &str = "test.json";

/// The challenge's supervision levels, 0 to 5 each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Levels {
    /// `sls_pt`.
    pub(crate) pretraining: u8,
    /// `sls_tl`.
    pub(crate) labels: u8,
    /// `sls_td`.
    pub(crate) data: u8,
}

/// Logits of all segments of the test split.
#[derive(Debug)]
pub(crate) struct Submission {
    levels: Levels,
    segments: Vec<SegmentScores>,
}

/// What is written of a segment; numbers as `f32`, which the scores were.
#[derive(Clone, Debug, PartialEq)]
struct SegmentScores {
    narration_id: String,
    verbs: Vec<f32>,
    nouns: Vec<f32>,
}

impl Submission {
    /// * `narration_ids` - of the test split; the table has these clips and maybe others
    /// * `averaging` - of views
    ///
    /// # Errors
    /// [`EvalError::ScoreSpaces`] for other label spaces than 97 verbs and 300 nouns, [`EvalError::ScoresMissing`] for a segment
    /// without scores, [`BadInput`] for a probability of 0, which has no logit.
    pub(crate) fn new(
        table: &ScoreTable,
        narration_ids: Vec<String>,
        averaging: Averaging,
        levels: Levels,
    ) -> anyhow::Result<Self> {
        let find = |wanted: (&str, usize)| table.spaces().position(|space| space == wanted);
        let Some((verb, noun)) = find(("verb", NUM_VERBS)).zip(find(("noun", NUM_NOUNS))) else {
            let found = table.spaces().map(|(name, num_classes)| format!("{name} ({num_classes})")).collect();
            let expected = format!("verb ({NUM_VERBS}) and noun ({NUM_NOUNS})");
            return Err(EvalError::ScoreSpaces { found, expected }.into());
        };
        let num_annotated = narration_ids.len();
        let missing: Vec<String> = narration_ids.iter().filter(|id| table.clip(id).is_none()).cloned().collect();
        if !missing.is_empty() {
            let (num, some) = (missing.len(), missing.iter().take(5).cloned().collect::<Vec<_>>().join(", "));
            let what =
                format!("{num} of the {num_annotated} test segments have no scores: {some}; the challenge wants all");
            return Err(BadInput(what).into());
        }
        let (verbs, nouns) = (table.averaged(verb, averaging), table.averaged(noun, averaging));
        let segment = |narration_id: String| {
            // Looked up above.
            let clip = table.clip(&narration_id).unwrap_or_default();
            let row = |scores: &Scores| finite(&narration_id, scores.of_clip(clip));
            Ok(SegmentScores { verbs: row(&verbs)?, nouns: row(&nouns)?, narration_id })
        };
        let segments = narration_ids.into_iter().map(segment).collect::<anyhow::Result<_>>()?;
        Ok(Submission { levels, segments })
    }

    pub(crate) fn num_segments(&self) -> usize {
        self.segments.len()
    }

    /// Writes the ZIP, whole or not at all, and compares what stands in it with what was to be written.
    ///
    /// # Errors
    /// [`BadInput`] when the file exists; an error when what was written is not what is read.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        if path.exists() {
            return Err(BadInput(format!("{path:?} already exists; remove it or choose another name")).into());
        }
        let mut tmp = path.as_os_str().to_owned();
        tmp.push(".tmp");
        let tmp = PathBuf::from(tmp);
        self.write_zip(&tmp).with_context(|| format!("cannot write {tmp:?}"))?;
        self.check(&tmp).with_context(|| format!("{tmp:?} is not what was to be written"))?;
        std::fs::rename(&tmp, path).with_context(|| format!("cannot write {path:?}"))
    }

    fn write_zip(&self, path: &Path) -> anyhow::Result<()> {
        let mut zip = ZipWriter::new(BufWriter::new(File::create(path)?));
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated).large_file(true);
        zip.start_file(MEMBER, options)?;
        let mut member = BufWriter::new(&mut zip);
        serde_json::to_writer(&mut member, self)?;
        member.flush()?;
        drop(member);
        Ok(zip.finish()?.into_inner()?.sync_all()?)
    }

    fn check(&self, path: &Path) -> anyhow::Result<()> {
        let read = Read::open(path)?;
        let is_same = read.levels == self.levels
            && read.segments.len() == self.segments.len()
            && self.segments.iter().all(|segment| read.segments.get(&segment.narration_id) == Some(segment));
        anyhow::ensure!(is_same, "its scores or levels differ");
        Ok(())
    }
}

fn finite(narration_id: &str, logits: &[f64]) -> anyhow::Result<Vec<f32>> {
    let row: Vec<f32> = logits.iter().map(|logit| *logit as f32).collect();
    match row.iter().position(|logit| !logit.is_finite()) {
        None => Ok(row),
        Some(class) => {
            let what = format!(
                "the score of {narration_id:?} for class {class} is {} as a logit: it must be finite",
                row[class]
            );
            Err(BadInput(what).into())
        }
    }
}

impl Serialize for Submission {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(6))?;
        map.serialize_entry("version", VERSION)?;
        map.serialize_entry("challenge", CHALLENGE)?;
        map.serialize_entry("sls_pt", &self.levels.pretraining)?;
        map.serialize_entry("sls_tl", &self.levels.labels)?;
        map.serialize_entry("sls_td", &self.levels.data)?;
        map.serialize_entry("results", &Results(&self.segments))?;
        map.end()
    }
}

/// Segments by their narration id.
struct Results<'a>(&'a [SegmentScores]);

impl Serialize for Results<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|segment| (&segment.narration_id, Heads(segment))))
    }
}

struct Heads<'a>(&'a SegmentScores);

impl Serialize for Heads<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([("verb", ByClass(&self.0.verbs)), ("noun", ByClass(&self.0.nouns))])
    }
}

/// Scores by the number of their class, as text.
struct ByClass<'a>(&'a [f32]);

impl Serialize for ByClass<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().enumerate().map(|(class, score)| (class.to_string(), score)))
    }
}

#[cfg(test)]
mod tests;
