//! `longvid eval export`: a table of scores in another kind of file.

use crate::cli::EvalExportArgs;
use crate::cmd::training::say;
use crate::scores;

pub(crate) fn run(args: &EvalExportArgs) -> anyhow::Result<()> {
    let table = scores::read(&args.scores)?;
    scores::write(&args.out, &table)?;
    Ok(say(&format!("wrote {}: scores of {} clips", args.out.display(), table.ids().len()))?)
}
