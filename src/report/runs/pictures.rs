//! The pictures of a run folder, by the step they were drawn at.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{bytes, files, json};
use crate::report::ReportError;
use crate::report::page::Figure;

/// Pictures shown of those without a step: a page with more is slow to open.
const MAX_UNDATED: usize = 24;

/// Steps whose pictures are shown: the first, the last, and some in between.
const MAX_STEPS: usize = 8;

/// `pictures/*.png`, in order of their names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pictures {
    /// Those that stand for the whole run.
    pub(crate) undated: Vec<Figure>,
    /// `step_000120_*.png` by their step, the newest first.
    pub(crate) by_step: Vec<(u64, Vec<Figure>)>,
}

impl Pictures {
    /// Whether there is nothing to be shown.
    pub(crate) fn is_empty(&self) -> bool {
        self.undated.is_empty() && self.by_step.is_empty()
    }

    pub(super) fn read(folder: &Path, notes: &mut Vec<String>) -> Result<Self, ReportError> {
        let captions: BTreeMap<String, String> = json(&folder.join("captions.json"))?.unwrap_or_default();
        let (mut undated, mut by_step) = (Vec::new(), BTreeMap::<u64, Vec<PathBuf>>::new());
        for path in files(folder, "", ".png")? {
            match step_of(&name(&path)) {
                Some(step) => by_step.entry(step).or_default().push(path),
                None => undated.push(path),
            }
        }
        if undated.len() > MAX_UNDATED {
            notes.push(format!("{}: the last {MAX_UNDATED} of {} pictures are shown", folder.display(), undated.len()));
            undated.drain(..undated.len() - MAX_UNDATED);
        }
        let dated: Vec<(u64, Vec<PathBuf>)> = by_step.into_iter().rev().collect();
        if dated.len() > MAX_STEPS {
            let text = format!("{}: the pictures of {MAX_STEPS} of {} steps are shown", folder.display(), dated.len());
            notes.push(text);
        }
        let mut shown = |paths: &[PathBuf]| read_all(paths, &captions, notes);
        let undated = shown(&undated)?;
        let by_step = spread(dated.len(), MAX_STEPS).map(|i| Ok((dated[i].0, shown(&dated[i].1)?)));
        Ok(Pictures { undated, by_step: by_step.collect::<Result<_, ReportError>>()? })
    }
}

/// `step_000120_mask.png` is of step 120.
fn step_of(name: &str) -> Option<u64> {
    name.strip_prefix("step_")?.split_once('_')?.0.parse().ok()
}

/// At most `max` of `0..len`, evenly spread, the first and the last among them.
fn spread(len: usize, max: usize) -> impl Iterator<Item = usize> {
    let num = len.min(max);
    (0..num).map(move |i| if num < 2 { 0 } else { i * (len - 1) / (num - 1) })
}

fn read_all(
    paths: &[PathBuf],
    captions: &BTreeMap<String, String>,
    notes: &mut Vec<String>,
) -> Result<Vec<Figure>, ReportError> {
    let mut figures = Vec::new();
    for path in paths {
        let name = name(path);
        let caption = captions.get(&name).unwrap_or(&name);
        match bytes(path)?.and_then(|png| Figure::from_png(png, caption)) {
            Some(figure) => figures.push(figure),
            None => notes.push(format!("{}: not a PNG picture; left out", path.display())),
        }
    }
    Ok(figures)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::picture::Picture;

    #[test]
    fn a_step_stands_in_the_name() {
        assert_eq!(step_of("step_000120_mask_a_1.png"), Some(120));
        assert_eq!(step_of("mask_000120_a.png"), None);
        assert_eq!(step_of("step_by_step.png"), None);
    }

    #[test]
    fn the_newest_step_comes_first_and_long_runs_are_thinned_to_both_ends_and_between() {
        let dir = tempfile::tempdir().unwrap();
        let png = Picture::new(1, 1, vec![0; 3]).unwrap().png();
        for step in (10..=150).step_by(10) {
            std::fs::write(dir.path().join(format!("step_{step:06}_a.png")), &png).unwrap();
        }
        std::fs::write(dir.path().join("step_000150_b.png"), &png).unwrap();
        std::fs::write(dir.path().join("mask.png"), &png).unwrap();
        let mut notes = Vec::new();
        let pictures = Pictures::read(dir.path(), &mut notes).unwrap();
        assert_eq!(pictures.undated.len(), 1);
        let shown: Vec<(u64, usize)> = pictures.by_step.iter().map(|(step, figures)| (*step, figures.len())).collect();
        // Fifteen steps, of which every second makes eight.
        assert_eq!(shown, [(150, 2), (130, 1), (110, 1), (90, 1), (70, 1), (50, 1), (30, 1), (10, 1)]);
        assert!(notes.len() == 1 && notes[0].ends_with("the pictures of 8 of 15 steps are shown"), "{notes:?}");
    }
}
