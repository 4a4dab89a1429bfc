use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{EpicFiles, ImportPlan, Source};
use crate::VideoError;
use crate::annotations::{Row, Rows, diving48, table};
use crate::spool::io_error;

/// Where segments, labels and groups come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Annotations {
    /// A plain table: see [`table`].
    Csv(PathBuf),
    /// Diving48 V2, the video of an entry being `VID_NAME.mp4`: see [`diving48`].
    Diving48 {
        /// `Diving48_V2_train.json` or `Diving48_V2_test.json`.
        entries: PathBuf,
        /// `Diving48_vocab.json`; without it, one beside the entries is taken, else classes are called by number.
        vocabulary: Option<PathBuf>,
    },
    /// EPIC-KITCHENS-100: see [`epic100`](crate::annotations::epic100). The video of a row is `PARTICIPANT/videos/VIDEO_ID.MP4`, as the official
    /// download script writes it, or `PARTICIPANT/VIDEO_ID.MP4`, or `VIDEO_ID.MP4`; the ending may be `.mp4`.
    Epic100(EpicFiles),
}

impl Annotations {
    /// What the annotations ask for, as far as it is found in `folder`.
    pub(super) fn plan(&self, folder: &Path) -> Result<ImportPlan, VideoError> {
        let Rows { label_spaces, mut rows, ignored_columns } = self.rows()?;
        std::fs::read_dir(folder).map_err(io_error("read", folder))?;
        let mut found: BTreeMap<String, Option<String>> = BTreeMap::new();
        for row in &mut rows {
            let place = || self.places(row).into_iter().find(|name| folder.join(name).is_file());
            if let Some(name) = found.entry(row.video.clone()).or_insert_with(place) {
                row.video.clone_from(name);
            }
        }
        let missing = found.iter().filter(|(_, name)| name.is_none()).map(|(video, _)| video.clone()).collect();
        let names: BTreeSet<String> = found.into_values().flatten().collect();
        let files = names.into_iter().map(|name| Source { path: folder.join(&name), name }).collect();
        Ok(ImportPlan { files, rows, label_spaces, missing, ignored_columns })
    }

    /// The rows, checked, in the order of the file; what they are labelled with.
    ///
    /// # Errors
    /// [`VideoError::Annotation`], [`VideoError::Io`].
    pub fn rows(&self) -> Result<Rows, VideoError> {
        match self {
            Annotations::Csv(path) => table::rows(path, &read(path)?),
            Annotations::Diving48 { entries, vocabulary } => {
                let beside = entries.with_file_name("Diving48_vocab.json");
                let vocabulary = vocabulary.as_ref().or_else(|| beside.is_file().then_some(&beside));
                let classes = vocabulary.map(|path| diving48::vocabulary(path, &read(path)?)).transpose()?;
                diving48::entries(entries, &read(entries)?, classes.as_deref())
            }
            Annotations::Epic100(files) => files.read(),
        }
    }

    /// Where the video of a row may lie, paths below the folder of videos.
    fn places(&self, row: &Row) -> Vec<String> {
        let Row { video, subject, .. } = row;
        match self {
            Annotations::Csv(_) => vec![video.clone()],
            Annotations::Diving48 { .. } => vec![format!("{video}.mp4")],
            Annotations::Epic100(_) => {
                let bases = [format!("{subject}/videos/{video}"), format!("{subject}/{video}"), video.clone()];
                bases.iter().flat_map(|base| ["MP4", "mp4"].map(|ending| format!("{base}.{ending}"))).collect()
            }
        }
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, VideoError> {
    std::fs::read(path).map_err(io_error("read", path))
}
