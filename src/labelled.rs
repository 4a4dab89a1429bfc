//! What a probe is fitted to and tested on.

use std::sync::Arc;

use video::ClipStore;

use crate::exit::BadInput;

/// A clip store and the label space that is predicted.
pub(crate) struct Labelled {
    pub(crate) store: Arc<ClipStore>,
    space: usize,
}

impl Labelled {
    /// The label space `name`; without a name the only one.
    ///
    /// # Errors
    /// For an unknown name, and for none where there are several spaces; both list the names.
    pub(crate) fn of(store: Arc<ClipStore>, name: Option<&str>) -> anyhow::Result<Self> {
        let space = match (name, store.label_spaces()) {
            (Some(name), _) => store.label_space(name)?.0,
            (None, [_, _, ..]) => {
                let names: Vec<&str> = store.label_spaces().iter().map(|space| space.name.as_str()).collect();
                let (path, names) = (store.path(), names.join(", "));
                return Err(
                    BadInput(format!("{path:?} has several label spaces: choose by --labels from {names}")).into()
                );
            }
            (None, _) => 0,
        };
        Ok(Labelled { store, space })
    }

    /// Names of the classes; none in a store without labels.
    pub(crate) fn classes(&self) -> &[String] {
        self.store.label_spaces().get(self.space).map_or(&[], |space| &space.classes)
    }

    /// Indices of the segments with a label.
    pub(crate) fn segments(&self) -> impl Iterator<Item = usize> {
        (0..self.store.segments().len()).filter(|segment| self.label(*segment).is_some())
    }

    /// Label of a segment; `None` without one.
    pub(crate) fn label(&self, segment: usize) -> Option<i64> {
        let labels = &self.store.segments()[segment].labels;
        labels.get(self.space).filter(|label| **label >= 0).map(|label| i64::from(*label))
    }

    /// Group of every segment with a label.
    pub(crate) fn groups(&self) -> Vec<&str> {
        self.segments().map(|segment| self.store.segments()[segment].group.as_str()).collect()
    }
}
