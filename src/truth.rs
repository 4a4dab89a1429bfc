//! The right answers of a test set: from the annotations that a data set is published with, or from a labelled clip store.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use eval::{Protocol, ScoreTable, Truth, TruthClip, TruthSpace};
use video::annotations::Rows;
use video::annotations::epic100::ClassList;
use video::{Annotations, ClipStore, EpicFiles, LabelSpace};

use crate::exit::BadInput;

/// * `path` - Diving48: the JSON of entries; EPIC-KITCHENS-100: the CSV of rows; for both also the folder of the official
///   files, whose test (validation) rows are taken. Plain: a labelled clip store
///
/// # Errors
/// What is wrong with the annotations, by file, line and field; [`BadInput`] for rows without labels and for an official
/// list that does not lie beside the rows.
pub(crate) fn read(protocol: Protocol, path: &Path, table: &ScoreTable) -> anyhow::Result<Truth> {
    match protocol {
        Protocol::Diving48V2 => {
            let entries = rows_file(path, "Diving48_V2_test.json");
            let annotations = Annotations::Diving48 { entries: entries.clone(), vocabulary: None };
            of_rows(&entries, annotations.rows()?, &Subsets::default())
        }
        Protocol::Epic100 => epic(&rows_file(path, "EPIC_100_validation.csv")),
        Protocol::Plain => of_store(&ClipStore::open(path)?, &protocol.spaces(table)),
    }
}

/// The files of EPIC-KITCHENS-100 whose rows these are.
pub(crate) fn epic_files(rows: &Path) -> EpicFiles {
    EpicFiles { rows: rows.to_owned(), verbs: None, nouns: None, video_info: None }
}

#[derive(Default)]
struct Subsets {
    /// Names of the tail classes of each label space.
    tails: Vec<BTreeSet<String>>,
    unseen: BTreeSet<String>,
}

fn epic(rows: &Path) -> anyhow::Result<Truth> {
    let files = epic_files(rows);
    let missing = |name: &str| BadInput(format!("{name} does not lie beside {rows:?}: the official metrics need it"));
    let tail = |of, name| files.tail(of)?.ok_or_else(|| anyhow::Error::from(missing(name)));
    let tails =
        vec![tail(ClassList::Verbs, "EPIC_100_tail_verbs.csv")?, tail(ClassList::Nouns, "EPIC_100_tail_nouns.csv")?];
    // Rows with labels are never of the test split: its list of participants would leave the subset empty.
    let unseen = files.unseen()?.remove("validation");
    let unseen = unseen.ok_or_else(|| missing("EPIC_100_unseen_participant_ids_validation.csv"))?;
    of_rows(rows, Annotations::Epic100(files.clone()).rows()?, &Subsets { tails, unseen })
}

fn of_rows(path: &Path, rows: Rows, subsets: &Subsets) -> anyhow::Result<Truth> {
    let space = |(i, space): (usize, LabelSpace)| {
        let is_tail = |class: &String| subsets.tails.get(i).is_some_and(|tail| tail.contains(class));
        let tail = (0..space.classes.len()).filter(|label| is_tail(&space.classes[*label])).collect();
        TruthSpace { name: space.name, classes: space.classes, tail }
    };
    let clip = |row: video::annotations::Row| {
        let labels = row.labels.iter().copied().collect::<Option<Vec<usize>>>();
        let unlabelled = || {
            let id = &row.id;
            BadInput(format!(
                "{path:?}: {id:?} has no label: a test split cannot be scored, only submitted (eval submit)"
            ))
        };
        let labels = labels.ok_or_else(unlabelled)?;
        Ok(TruthClip { labels, is_unseen: subsets.unseen.contains(&row.subject), id: row.id })
    };
    let clips = rows.rows.into_iter().map(clip).collect::<anyhow::Result<_>>()?;
    let spaces = rows.label_spaces.into_iter().enumerate().map(space).collect();
    Ok(Truth::new(spaces, clips)?)
}

/// Segments that have a label in each of these spaces.
fn of_store(store: &ClipStore, names: &[String]) -> anyhow::Result<Truth> {
    let indices = names.iter().map(|name| Ok(store.label_space(name)?.0)).collect::<anyhow::Result<Vec<usize>>>()?;
    let label = |labels: &[i32], space: usize| labels.get(space).and_then(|label| usize::try_from(*label).ok());
    let clip = |segment: &video::Segment| {
        let labels = indices.iter().map(|space| label(&segment.labels, *space)).collect::<Option<_>>()?;
        Some(TruthClip { id: segment.id.clone(), labels, is_unseen: false })
    };
    let space = |index: &usize| {
        let LabelSpace { name, classes } = store.label_spaces()[*index].clone();
        TruthSpace { name, classes, tail: BTreeSet::new() }
    };
    let clips = store.segments().iter().filter_map(clip).collect();
    Ok(Truth::new(indices.iter().map(space).collect(), clips)?)
}

/// Where the rows lie: the file itself, or the one of that name in the folder.
pub(crate) fn rows_file(path: &Path, name: &str) -> PathBuf {
    if path.is_dir() { path.join(name) } else { path.to_owned() }
}
