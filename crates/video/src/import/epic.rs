use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::annotations::read;
use crate::VideoError;
use crate::annotations::Rows;
use crate::annotations::epic100::{self, ClassList};

/// The files of EPIC-KITCHENS-100. Those that are not named lie beside the rows under their official names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpicFiles {
    /// `EPIC_100_train.csv`, `EPIC_100_validation.csv` or `EPIC_100_test_timestamps.csv`.
    pub rows: PathBuf,
    /// `EPIC_100_verb_classes.csv`.
    pub verbs: Option<PathBuf>,
    /// `EPIC_100_noun_classes.csv`.
    pub nouns: Option<PathBuf>,
    /// `EPIC_100_video_info.csv`; rows are not checked against it where there is none.
    pub video_info: Option<PathBuf>,
}

impl EpicFiles {
    /// The rows, checked against the class lists and the list of videos.
    pub(super) fn read(&self) -> Result<Rows, VideoError> {
        let (verbs, nouns) = (self.classes(ClassList::Verbs)?, self.classes(ClassList::Nouns)?);
        let parse = |path: &PathBuf| epic100::video_info(path, &read(path)?);
        let videos = self.video_info.clone().or_else(|| self.beside("EPIC_100_video_info.csv"));
        let videos = videos.as_ref().map(parse).transpose()?;
        let known = epic100::Known { verbs: &verbs, nouns: &nouns, videos: videos.as_ref() };
        epic100::segments(&self.rows, &read(&self.rows)?, &known)
    }

    /// Keys of the tail classes; `None` where their list does not lie beside the rows.
    ///
    /// # Errors
    /// [`VideoError::Annotation`], [`VideoError::Io`].
    pub fn tail(&self, of: ClassList) -> Result<Option<BTreeSet<String>>, VideoError> {
        let Some(path) = self.beside(match of {
            ClassList::Verbs => "EPIC_100_tail_verbs.csv",
            ClassList::Nouns => "EPIC_100_tail_nouns.csv",
        }) else {
            return Ok(None);
        };
        let keys = self.classes(of)?;
        let ids = epic100::tail(&path, &read(&path)?, of, keys.len())?;
        Ok(Some(ids.into_iter().map(|id| keys[id].clone()).collect()))
    }

    /// Unseen participants of each split (`validation`, `test`) whose list lies beside the rows.
    ///
    /// # Errors
    /// [`VideoError::Annotation`], [`VideoError::Io`].
    pub fn unseen(&self) -> Result<BTreeMap<&'static str, BTreeSet<String>>, VideoError> {
        let mut unseen = BTreeMap::new();
        for split in ["validation", "test"] {
            if let Some(path) = self.beside(&format!("EPIC_100_unseen_participant_ids_{split}.csv")) {
                unseen.insert(split, epic100::participants(&path, &read(&path)?)?);
            }
        }
        Ok(unseen)
    }

    fn classes(&self, of: ClassList) -> Result<Vec<String>, VideoError> {
        let (given, name) = match of {
            ClassList::Verbs => (&self.verbs, "EPIC_100_verb_classes.csv"),
            ClassList::Nouns => (&self.nouns, "EPIC_100_noun_classes.csv"),
        };
        let path = given.clone().unwrap_or_else(|| self.rows.with_file_name(name));
        epic100::classes(&path, &read(&path)?)
    }

    /// A file that lies beside the rows; `None` where it does not.
    fn beside(&self, name: &str) -> Option<PathBuf> {
        Some(self.rows.with_file_name(name)).filter(|path: &PathBuf| Path::is_file(path))
    }
}
