//! `longvid eval submit`: scores of EPIC-KITCHENS-100's test segments as its challenge takes them.

use ::eval::EvalError;

use crate::cli::SubmitArgs;
use crate::cmd::training::say;
use crate::exit::BadInput;
use crate::submission::{Levels, Submission};
use crate::{scores, truth};

pub(crate) fn run(args: &SubmitArgs) -> anyhow::Result<()> {
    let table = scores::read(&args.scores)?;
    let rows = truth::rows_file(&args.annotations, "EPIC_100_test_timestamps.csv");
    let ids: Vec<String> =
        video::Annotations::Epic100(truth::epic_files(&rows)).rows()?.rows.into_iter().map(|row| row.id).collect();
    if ids.is_empty() {
        return Err(BadInput(format!("{rows:?} has no segment")).into());
    }
    let known: std::collections::BTreeSet<&String> = ids.iter().collect();
    if let Some(row) = table.ids().iter().position(|id| !known.contains(id)) {
        return Err(EvalError::ScoreUnknown { row, id: table.ids()[row].clone() }.into());
    }
    let levels = Levels { pretraining: args.sls_pt, labels: args.sls_tl, data: args.sls_td };
    let submission = Submission::new(&table, ids, args.average.averaging(), levels)?;
    submission.write(&args.out)?;
    let (num, out) = (submission.num_segments(), args.out.display());
    Ok(say(&format!("wrote {out}: 97 verb and 300 noun scores of {num} segments, read back and the same"))?)
}
