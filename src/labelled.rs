//! What a probe or a classifier learns from and is tested on.

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use video::{ClipStore, LabelSpace};

use crate::exit::BadInput;

/// A clip store and the label spaces that are predicted.
pub(crate) struct Labelled {
    pub(crate) store: Arc<ClipStore>,
    /// Their places in the store, none in a store without labels.
    spaces: Vec<usize>,
}

/// What becomes of a class that occurs in training with a single clip: nothing can be held out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RareClasses {
    /// It ends the command with an error that names the class and its clip.
    Refuse,
    /// It is learned from all the same: EPIC-KITCHENS' tail.
    Keep,
}

impl Labelled {
    /// The label space `name`; without a name the only one.
    ///
    /// # Errors
    /// For an unknown name, and for none where there are several spaces; both list the names.
    pub(crate) fn of(store: Arc<ClipStore>, name: Option<&str>) -> anyhow::Result<Self> {
        let spaces = match (name, store.label_spaces()) {
            (Some(name), _) => vec![store.label_space(name)?.0],
            (None, [_, _, ..]) => {
                let names: Vec<&str> = store.label_spaces().iter().map(|space| space.name.as_str()).collect();
                let (path, names) = (store.path(), names.join(", "));
                return Err(
                    BadInput(format!("{path:?} has several label spaces: choose by --labels from {names}")).into()
                );
            }
            (None, spaces) => (0..spaces.len()).collect(),
        };
        Ok(Labelled { store, spaces })
    }

    /// Several label spaces by their names.
    ///
    /// # Errors
    /// For an unknown name, which lists those there are.
    pub(crate) fn of_spaces(store: Arc<ClipStore>, names: &[String]) -> anyhow::Result<Self> {
        let spaces = names.iter().map(|name| Ok(store.label_space(name)?.0)).collect::<anyhow::Result<_>>()?;
        Ok(Labelled { store, spaces })
    }

    /// The label spaces that are predicted.
    pub(crate) fn spaces(&self) -> impl Iterator<Item = &LabelSpace> {
        self.spaces.iter().map(|space| &self.store.label_spaces()[*space])
    }

    /// Names of the classes of the first space; none in a store without labels.
    pub(crate) fn classes(&self) -> &[String] {
        self.spaces().next().map_or(&[], |space| &space.classes)
    }

    /// Indices of the segments with a label in every space.
    pub(crate) fn segments(&self) -> impl Iterator<Item = usize> {
        (0..self.store.segments().len()).filter(|segment| self.labels(*segment).is_some())
    }

    /// Label of a segment in the first space; `None` without one.
    pub(crate) fn label(&self, segment: usize) -> Option<i64> {
        self.labels(segment)?.first().copied()
    }

    /// Labels of a segment, one for each space; `None` where one is missing.
    pub(crate) fn labels(&self, segment: usize) -> Option<Vec<i64>> {
        let labels = &self.store.segments()[segment].labels;
        let label = |space: &usize| labels.get(*space).filter(|label| **label >= 0).map(|label| i64::from(*label));
        self.spaces.iter().map(label).collect::<Option<Vec<i64>>>().filter(|labels| !labels.is_empty())
    }

    /// Group of every segment with labels.
    pub(crate) fn groups(&self) -> Vec<&str> {
        self.segments().map(|segment| self.store.segments()[segment].group.as_str()).collect()
    }

    /// Checks that there is a labelled segment, and that classes are those of other clips.
    ///
    /// # Errors
    /// [`BadInput`] names the stores.
    pub(crate) fn expect_same_classes(&self, other: &Labelled) -> anyhow::Result<()> {
        for side in [self, other] {
            side.expect_any()?;
        }
        for (mine, theirs) in self.spaces().zip(other.spaces()) {
            if mine.classes != theirs.classes || mine.classes.len() < 2 {
                return Err(BadInput(format!(
                    "{:?} has classes {} and {:?} has {}: both must have the same two or more",
                    self.store.path(),
                    shown(mine),
                    other.store.path(),
                    shown(theirs)
                ))
                .into());
            }
        }
        Ok(())
    }

    /// # Errors
    /// [`BadInput`] for a store without a labelled segment.
    pub(crate) fn expect_any(&self) -> Result<(), BadInput> {
        match self.segments().next() {
            Some(_) => Ok(()),
            None => Err(BadInput(format!("{:?} holds no labelled segment, so it has no classes", self.store.path()))),
        }
    }

    /// Looks for classes of one clip.
    ///
    /// # Errors
    /// [`BadInput`] names the first, its clip, and the setting that keeps it.
    pub(crate) fn expect_common(&self, rare: RareClasses, setting: &str) -> Result<(), BadInput> {
        if rare == RareClasses::Keep {
            return Ok(());
        }
        for (place, space) in self.spaces().enumerate() {
            let mut clips: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
            for segment in self.segments() {
                let labels = self.labels(segment).unwrap_or_default();
                clips.entry(labels[place]).or_default().push(segment);
            }
            if let Some((label, segments)) = clips.iter().find(|(_, segments)| segments.len() == 1) {
                return Err(BadInput(format!(
                    "{} {:?} has one clip in {:?}, {}: add others, leave it out, or {setting}",
                    space.name,
                    space.classes[*label as usize],
                    self.store.path(),
                    self.store.segments()[segments[0]].id
                )));
            }
        }
        Ok(())
    }
}

/// Name, number and first classes of a space.
fn shown(space: &LabelSpace) -> String {
    let first: Vec<&str> = space.classes.iter().take(5).map(String::as_str).collect();
    let rest = if space.classes.len() > first.len() { ", ..." } else { "" };
    format!("{} ({}: {}{rest})", space.name, space.classes.len(), first.join(", "))
}
