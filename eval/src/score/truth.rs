use std::collections::{BTreeMap, BTreeSet};

use crate::EvalError;

/// A label space of a test set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TruthSpace {
    /// `class`, `verb`, `noun`.
    pub name: String,
    /// Names of the classes; their places are the labels.
    pub classes: Vec<String>,
    /// Labels of the tail classes; empty where there is no such list.
    pub tail: BTreeSet<usize>,
}

/// A clip of a test set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TruthClip {
    /// Its name, by which scores are found.
    pub id: String,
    /// Its label in each label space.
    pub labels: Vec<usize>,
    /// Whether no training clip shows the same subject.
    pub is_unseen: bool,
}

/// A test set: the right answers, in the order of the annotations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    spaces: Vec<TruthSpace>,
    clips: Vec<TruthClip>,
    index: BTreeMap<String, usize>,
}

impl Truth {
    /// # Errors
    /// [`EvalError::EmptyTruth`], [`EvalError::TruthLabel`] for a clip that has not one label of each space, or one that
    /// the space has not, [`EvalError::TruthTwice`].
    pub fn new(spaces: Vec<TruthSpace>, clips: Vec<TruthClip>) -> Result<Self, EvalError> {
        if clips.is_empty() || spaces.is_empty() {
            return Err(EvalError::EmptyTruth);
        }
        let mut index = BTreeMap::new();
        for (number, clip) in clips.iter().enumerate() {
            let is_label = |(label, space): (&usize, &TruthSpace)| *label < space.classes.len();
            let fits = clip.labels.len() == spaces.len() && clip.labels.iter().zip(&spaces).all(is_label);
            if !fits {
                let (id, labels) = (clip.id.clone(), clip.labels.clone());
                let num_classes = spaces.iter().map(|space| space.classes.len()).collect();
                return Err(EvalError::TruthLabel { id, labels, num_classes });
            }
            if index.insert(clip.id.clone(), number).is_some() {
                return Err(EvalError::TruthTwice { id: clip.id.clone() });
            }
        }
        Ok(Truth { spaces, clips, index })
    }

    /// What the clips are labelled with.
    pub fn spaces(&self) -> &[TruthSpace] {
        &self.spaces
    }

    /// The clips.
    pub fn clips(&self) -> &[TruthClip] {
        &self.clips
    }

    /// Whether there is a clip of that name.
    pub fn has(&self, id: &str) -> bool {
        self.index.contains_key(id)
    }
}
