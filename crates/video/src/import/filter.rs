use std::collections::BTreeSet;

use super::ImportPlan;
use crate::annotations::Row;
use crate::{LabelSpace, VideoError};

/// For each label space, the labels of the classes to leave out. A class is named by itself, or by `SPACE:CLASS`; that is
/// needed where several spaces have a class of that name.
pub(super) fn excluded(
    names: &BTreeSet<String>,
    label_spaces: &[LabelSpace],
) -> Result<Vec<BTreeSet<usize>>, VideoError> {
    let mut excluded = vec![BTreeSet::new(); label_spaces.len()];
    for name in names {
        let refuse = |rule| VideoError::Option { option: "excluded label", value: format!("{name:?}"), rule };
        let is_named = |space: &LabelSpace, class: &String| {
            class == name || name.strip_prefix(&space.name).and_then(|rest| rest.strip_prefix(':')) == Some(class)
        };
        let labels_of = |(i, space)| {
            let of_space: &LabelSpace = space;
            let labels = of_space.classes.iter().enumerate().filter(move |(_, class)| is_named(of_space, class));
            labels.map(move |(label, _)| (i, label)).collect::<Vec<_>>()
        };
        let found: Vec<(usize, usize)> = label_spaces.iter().enumerate().flat_map(labels_of).collect();
        let [(space, label)] = found[..] else {
            return Err(refuse(match found.len() {
                0 => "one that the data have",
                _ => "in one label space alone; write SPACE:CLASS",
            }));
        };
        excluded[space].insert(label);
    }
    Ok(excluded)
}

/// Takes out the segments of these classes, and the classes themselves; the others move up.
pub(super) fn remove_classes(plan: &mut ImportPlan, excluded: &[BTreeSet<usize>]) {
    let is_out = |(label, out): (&Option<usize>, &BTreeSet<usize>)| label.is_some_and(|label| out.contains(&label));
    plan.rows.retain(|row: &Row| !row.labels.iter().zip(excluded).any(is_out));
    for (i, (space, out)) in plan.label_spaces.iter_mut().zip(excluded).enumerate() {
        let kept: Vec<usize> = (0..space.classes.len()).filter(|label| !out.contains(label)).collect();
        space.classes = kept.iter().map(|label| space.classes[*label].clone()).collect();
        for row in &mut plan.rows {
            row.labels[i] = row.labels[i].and_then(|label| kept.binary_search(&label).ok());
        }
    }
}

/// A misspelled filter must not leave out, or keep, everything in silence.
pub(super) fn expect_known<'a>(
    option: &'static str,
    given: impl IntoIterator<Item = &'a String>,
    known: impl IntoIterator<Item = &'a String>,
) -> Result<(), VideoError> {
    let known: BTreeSet<&String> = known.into_iter().collect();
    match given.into_iter().find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(name) => Err(VideoError::Option { option, value: format!("{name:?}"), rule: "one that the data have" }),
    }
}
