//! A finished classifier as a file, and what its tests come to.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use eval::{Classifier, Heads, ResultRow, Run, ScoreTable};
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use video::Views;

use super::Setup;
use super::test::Tested;
use crate::cli::TestArgs;
use crate::clips;
use crate::cmd::eval::seen::How;
use crate::cmd::training::say;
use crate::exit::BadInput;
use crate::labelled::Labelled;
use crate::presets::FinetunePreset;
use crate::scores;
use crate::session::Session;
use crate::weights::in_folder;
use crate::whole;

/// File of a run folder.
pub(super) const CLASSIFIER: &str = "classifier.safetensors";

/// Scores of the test clips, beside the results.
const SCORES: &str = "scores.npz";

/// What must be known of a classifier's weights to use them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// The method that trained the encoder before.
    encoder: String,
    num_train: usize,
    /// Names of the classes of each label space.
    classes: BTreeMap<String, Vec<String>>,
    pub(super) heads: Heads,
    preset: FinetunePreset,
}

/// A results file.
#[derive(Debug, Serialize)]
pub(super) struct Results {
    probe: &'static str,
    /// Clips and crops per segment.
    views: Views,
    train_clips: usize,
    test_clips: String,
    rows: Vec<ResultRow>,
}

impl Record {
    /// * `encoder` - the method that trained it before, with the number of training clips
    pub(super) fn new(
        preset: &FinetunePreset,
        heads: Heads,
        train: &Labelled,
        (encoder, num_train): (&str, usize),
    ) -> Self {
        let classes = train.spaces().map(|space| (space.name.clone(), space.classes.clone())).collect();
        Record { encoder: encoder.to_owned(), num_train, classes, heads, preset: preset.clone() }
    }

    /// Writes the weights with this record; their hash.
    pub(super) fn save(&self, path: &Path, vs: &VarStore) -> anyhow::Result<String> {
        let config_toml = toml::to_string(self).context("a classifier's record as TOML")?;
        let id = train::weights::save(path, "classifier", &config_toml, &train::named(vs))?;
        say(&format!("wrote {}", path.display()))?;
        Ok(id)
    }

    pub(super) fn results(&self, tested: &Tested, (clips, views): (&Labelled, Views)) -> anyhow::Result<Results> {
        let num_failed = tested.table.header().num_failed as usize;
        let run = Run { encoder: self.encoder.clone(), probe: String::new(), seed: self.preset.train.seed, num_failed };
        let rows = tested.rows(&self.heads, (&run, self.num_train));
        let test_clips = clips.store.path().display().to_string();
        Ok(Results { probe: "finetune", views, train_clips: self.num_train, test_clips, rows })
    }

    /// # Errors
    /// [`BadInput`] for clips whose classes are not those that the heads were trained on.
    fn expect_classes_of(&self, clips: &Labelled) -> Result<(), BadInput> {
        for space in clips.spaces() {
            let known = self.classes.get(&space.name).map_or(&[][..], Vec::as_slice);
            if *known != space.classes {
                let differs = known.iter().zip(&space.classes).find(|(a, b)| a != b);
                let first =
                    differs.map_or(String::new(), |(a, b)| format!("; the first that differ are {a:?} and {b:?}"));
                return Err(BadInput(format!(
                    "the classifier's {} head has {} classes, {:?} has {}{first}",
                    space.name,
                    known.len(),
                    clips.store.path(),
                    space.classes.len()
                )));
            }
        }
        Ok(())
    }
}

impl Results {
    /// Writes `eval_finetune.json` and the scores into a run folder, over those of an earlier test.
    pub(super) fn write(&self, folder: &Path, scores: &ScoreTable) -> anyhow::Result<()> {
        let path = folder.join(SCORES);
        if path.exists() {
            std::fs::remove_file(&path).with_context(|| format!("cannot remove {path:?}"))?;
        }
        scores::write(&path, scores)?;
        say(&format!("wrote {}", path.display()))?;
        self.write_to(&folder.join("eval_finetune.json"))
    }

    fn write_to(&self, path: &Path) -> anyhow::Result<()> {
        let json = serde_json::to_string_pretty(self)?;
        whole::write(path, json)?;
        Ok(say(&format!("wrote {}", path.display()))?)
    }
}

/// `longvid eval test`: a finished classifier on other clips, or seen from other views.
pub(crate) fn test_saved(args: &TestArgs, session: &Session) -> anyhow::Result<()> {
    let weights = train::weights::load(&in_folder(&args.classifier, CLASSIFIER), "classifier")?;
    let origin = args.classifier.display().to_string();
    let record: Record = spec::Preset::from_text(&origin, weights.config_toml())?.parse()?;
    let setup = Setup::check(&record.preset)?;
    let clips = Labelled::of_spaces(clips::open_clips(&args.test_clips)?, &record.preset.labels.spaces)?;
    clips.expect_any()?;
    record.expect_classes_of(&clips)?;
    let (vs, classifier): (VarStore, Classifier) = setup.build(&record.heads, session.device)?;
    weights.copy_into(&vs)?;
    let how = How { geometry: setup.geometry, views: args.views };
    let tested = Tested::of((&classifier, &record.heads, weights.id()), (&clips, how), session)?;
    let results = record.results(&tested, (&clips, args.views))?;
    results.write_to(&args.out)?;
    if let Some(path) = &args.scores {
        scores::write(path, &tested.table)?;
        say(&format!("wrote {}", path.display()))?;
    }
    say_rows(&results)
}

/// Prints a table.
pub(super) fn say_rows(results: &Results) -> anyhow::Result<()> {
    say(&format!("{:>8} {:>17} {:>10} {:>8}  test", "top-1", "95 % interval", "mean class", "chance"))?;
    for row in &results.rows {
        let interval = format!("{:.3} to {:.3}", row.low, row.high);
        let (accuracy, mean, chance) = (row.accuracy, row.mean_class, row.chance);
        say(&format!("{accuracy:8.3} {interval:>17} {mean:10.3} {chance:8.3}  {}", row.probe))?;
    }
    let Some(row) = results.rows.first() else { return Ok(()) };
    let counts = format!("{} training clips, {} test clips, {} failed", row.num_train, row.num_test, row.num_failed);
    Ok(say(&format!("{}; {counts}; {} views of each", row.encoder, results.views))?)
}
