//! What `longvid data import --dry-run` says.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use video::annotations::epic100::ClassList;
use video::annotations::{Row, Span};
use video::{Annotations, EpicFiles, ImportOptions, ImportPlan, VideoError};

use super::list;

/// Everything that is known before a video is decoded.
pub(super) fn text(options: &ImportOptions, plan: &ImportPlan) -> Result<String, VideoError> {
    let ImportPlan { files, rows, label_spaces, missing, ignored_columns } = plan;
    let mut text = String::new();
    let mut row = |name: &str, value: String| _ = writeln!(text, "{name:<22} {value}");
    row("segments", rows.len().to_string());
    row("videos found", format!("{} of {}", files.len(), files.len() + missing.len()));
    for (i, space) in label_spaces.iter().enumerate() {
        let labels: Vec<usize> = rows.iter().filter_map(|row| row.labels[i]).collect();
        let used: BTreeSet<usize> = labels.iter().copied().collect();
        let num_known = space.classes.len();
        row(&space.name, format!("{} of {num_known} classes, {} segments with one", used.len(), labels.len()));
    }
    let different =
        |of: fn(&Row) -> &String| rows.iter().map(of).filter(|text| !text.is_empty()).collect::<BTreeSet<_>>();
    row("groups", different(|row| &row.group).len().to_string());
    row("subjects", different(|row| &row.subject).len().to_string());
    lengths(rows, &mut row);
    if let Some(Annotations::Epic100(files)) = &options.annotations {
        // The test rows have no labels.
        if rows.iter().any(|row| row.labels.iter().any(Option::is_some)) {
            tails(files, plan, &mut row)?;
        }
        unseen(files, plan, &mut row)?;
    }
    list(&mut text, "missing", missing.iter().cloned());
    list(&mut text, "columns ignored", ignored_columns.iter().cloned());
    Ok(text)
}

/// Sum, median and maximum of the segments' lengths, as far as the annotations tell them.
fn lengths(rows: &[Row], row: &mut impl FnMut(&str, String)) {
    let (mut secs, mut frames, mut num_whole) = (Vec::new(), Vec::new(), 0);
    for segment in rows {
        match segment.span {
            Span::Whole => num_whole += 1,
            Span::Secs(start, stop) => secs.push(stop - start),
            Span::Frames(start, stop) => frames.push(f64::from(stop - start)),
        }
    }
    if num_whole > 0 {
        row("whole videos", num_whole.to_string());
    }
    for (unit, decimals, mut lengths) in [("seconds", 2, secs), ("frames", 0, frames)] {
        lengths.sort_by(f64::total_cmp);
        if let (Some(median), Some(longest)) = (median(&lengths), lengths.last()) {
            let total: f64 = lengths.iter().sum();
            row(unit, format!("{total:.decimals$}, median {median:.decimals$}, longest {longest:.decimals$}"));
        }
    }
}

/// Median of sorted numbers: of an even count the mean of the middle two.
fn median(sorted: &[f64]) -> Option<f64> {
    let upper = sorted.get(sorted.len() / 2)?;
    Some(if sorted.len() % 2 == 1 { *upper } else { (sorted[sorted.len() / 2 - 1] + upper) / 2.0 })
}

/// Segments of tail classes: one of the subsets by which EPIC-KITCHENS-100 is scored.
fn tails(files: &EpicFiles, plan: &ImportPlan, row: &mut impl FnMut(&str, String)) -> Result<(), VideoError> {
    let tails = [files.tail(ClassList::Verbs)?, files.tail(ClassList::Nouns)?];
    let is_tail = |segment: &Row, i: usize| {
        let class = segment.labels[i].map(|label| &plan.label_spaces[i].classes[label]);
        tails[i].as_ref().zip(class).is_some_and(|(tail, class)| tail.contains(class))
    };
    let count = |is_in: &dyn Fn(&Row) -> bool| plan.rows.iter().filter(|segment| is_in(segment)).count();
    for (i, (name, tail)) in ["tail verbs", "tail nouns"].iter().zip(&tails).enumerate() {
        if let Some(tail) = tail {
            row(name, format!("{}, in {} segments", tail.len(), count(&|segment| is_tail(segment, i))));
        }
    }
    if tails.iter().all(Option::is_some) {
        row("tail verb or noun", format!("{} segments", count(&|segment| is_tail(segment, 0) || is_tail(segment, 1))));
    }
    Ok(())
}

/// Segments of unseen participants: the other subset.
fn unseen(files: &EpicFiles, plan: &ImportPlan, row: &mut impl FnMut(&str, String)) -> Result<(), VideoError> {
    for (split, participants) in files.unseen()? {
        let names = participants.iter().cloned().collect::<Vec<_>>().join(", ");
        let num_segments = plan.rows.iter().filter(|segment| participants.contains(&segment.subject)).count();
        row(&format!("unseen, {split}"), format!("{} ({names}), in {num_segments} segments", participants.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_count_is_between_the_middle_two() {
        assert_eq!(median(&[1.0, 2.0, 9.0]), Some(2.0));
        assert_eq!(median(&[1.0, 2.0, 4.0, 9.0]), Some(3.0));
        assert_eq!(median(&[]), None);
    }
}
