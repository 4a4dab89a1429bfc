//! What a study trains and tests on.

use std::path::PathBuf;

use super::run_stage;
use crate::cli::{StudyArgs, StudyDataArg};
use crate::cmd::stage::Stage;
use crate::session::Session;

/// The dives of a study: eight classes that no single frame tells apart, filmed from a tripod.
const DIVES: &str = "data synth dives --num-classes 8 --num-train 240 --num-test 120 --num-sources-train 24 \
                     --num-sources-test 12 --camera still --out {}";

/// Kitchens of a study: as many actions of unseen and seen participants, told apart by their verb.
const KITCHENS: &str = "data synth kitchens --num-train-videos 20 --num-val-videos 10 --out {}";

/// Labelled clip stores of different groups.
pub(super) struct Clips {
    pub(super) train: PathBuf,
    pub(super) test: PathBuf,
    /// The label space that is asked for; `None` where there is one only.
    pub(super) labels: Option<&'static str>,
}

/// The given clip stores, or some made for the purpose.
pub(super) fn clips(args: &StudyArgs, size_px: i64, session: &Session) -> anyhow::Result<Clips> {
    let labels = match args.data {
        StudyDataArg::Dives => None,
        StudyDataArg::Kitchens => Some("verb"),
    };
    if let (Some(train), Some(test)) = (&args.train_clips, &args.test_clips) {
        return Ok(Clips { train: train.clone(), test: test.clone(), labels });
    }
    let (name, command, last) = match args.data {
        StudyDataArg::Dives => ("dives", DIVES, "Diving48_vocab.json"),
        StudyDataArg::Kitchens => ("kitchens", KITCHENS, "EPIC_100_validation.csv"),
    };
    let folder = args.out.join(name);
    run_stage(&Stage::new(command, &[&folder], &folder.join(last)), session)?;
    let import = |part: &str| {
        let (kind, annotations, videos) = match args.data {
            StudyDataArg::Dives => ("diving48", format!("Diving48_V2_{part}.json"), folder.join("rgb")),
            StudyDataArg::Kitchens => {
                let csv = if part == "train" { "EPIC_100_train.csv" } else { "EPIC_100_validation.csv" };
                ("epic100", csv.to_owned(), folder.clone())
            }
        };
        let store = args.out.join(format!("{part}.h5"));
        let command = format!("data import {kind} {{}} --videos {{}} --short-side {size_px} --out {{}}");
        run_stage(&Stage::new(&command, &[&folder.join(annotations), &videos, &store], &store), session)?;
        anyhow::Ok(store)
    };
    Ok(Clips { train: import("train")?, test: import("test")?, labels })
}
