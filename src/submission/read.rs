//! Reads a submission back, by names and not by the order in which it was written.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use zip::{CompressionMethod, ZipArchive};

use super::{CHALLENGE, Levels, MEMBER, NUM_NOUNS, NUM_VERBS, SegmentScores, VERSION};

/// What stands in a submission.
pub(super) struct Read {
    pub(super) levels: Levels,
    pub(super) segments: BTreeMap<String, SegmentScores>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    version: String,
    challenge: String,
    sls_pt: u8,
    sls_tl: u8,
    sls_td: u8,
    results: Results,
}

struct Results(BTreeMap<String, SegmentScores>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Heads {
    #[serde(deserialize_with = "verbs")]
    verb: Vec<f32>,
    #[serde(deserialize_with = "nouns")]
    noun: Vec<f32>,
}

impl Read {
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let mut zip = ZipArchive::new(BufReader::new(File::open(path)?))?;
        anyhow::ensure!(zip.len() == 1, "it has {} files, not one", zip.len());
        let member = zip.by_name(MEMBER)?;
        anyhow::ensure!(member.compression() == CompressionMethod::Deflated, "{MEMBER} is not deflated");
        let Json { version, challenge, sls_pt, sls_tl, sls_td, results } =
            serde_json::from_reader(BufReader::new(member))?;
        anyhow::ensure!(version == VERSION && challenge == CHALLENGE, "it is of {challenge:?}, version {version:?}");
        let levels = Levels { pretraining: sls_pt, labels: sls_tl, data: sls_td };
        Ok(Read { levels, segments: results.0 })
    }
}

impl<'de> Deserialize<'de> for Results {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Segments;
        impl<'de> Visitor<'de> for Segments {
            type Value = Results;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("segments by narration id")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Results, A::Error> {
                let mut segments = BTreeMap::new();
                while let Some((narration_id, Heads { verb, noun })) = map.next_entry::<String, Heads>()? {
                    let segment = SegmentScores { narration_id: narration_id.clone(), verbs: verb, nouns: noun };
                    if segments.insert(narration_id.clone(), segment).is_some() {
                        return Err(A::Error::custom(format!("{narration_id} stands there twice")));
                    }
                }
                Ok(Results(segments))
            }
        }
        deserializer.deserialize_map(Segments)
    }
}

fn verbs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
    ByClass(NUM_VERBS).deserialize(deserializer)
}

fn nouns<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
    ByClass(NUM_NOUNS).deserialize(deserializer)
}

/// A number for each class `"0"`, `"1"` ... below this.
struct ByClass(usize);

impl<'de> DeserializeSeed<'de> for ByClass {
    type Value = Vec<f32>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<f32>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ByClass {
    type Value = Vec<f32>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a number for each of {} classes", self.0)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<f32>, A::Error> {
        let mut scores = vec![f32::NAN; self.0];
        while let Some((class, score)) = map.next_entry::<String, f32>()? {
            let slot = class.parse().ok().and_then(|class: usize| scores.get_mut(class));
            match slot.filter(|slot| slot.is_nan()) {
                Some(slot) => *slot = score,
                None => return Err(A::Error::custom(format!("class {class:?} is none of {}, or there twice", self.0))),
            }
        }
        match scores.iter().position(|score| score.is_nan()) {
            None => Ok(scores),
            Some(class) => Err(A::Error::custom(format!("class {class} has no score"))),
        }
    }
}
