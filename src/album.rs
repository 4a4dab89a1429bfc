//! A folder of pictures with a caption each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use train::{Drawn, TrainError};

use crate::report::picture::Picture;

const CAPTIONS: &str = "captions.json";

/// Pictures in a folder, and `captions.json` beside them.
#[derive(Debug)]
pub(crate) struct Album {
    folder: PathBuf,
    captions: BTreeMap<String, String>,
}

impl Album {
    /// The album in a folder that exists; what is in it stays.
    ///
    /// # Errors
    /// When the captions that are there cannot be read.
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(CAPTIONS);
        let captions = match std::fs::read(&path) {
            // Captions that a kill cut off are no reason to stop: the pictures are named.
            Ok(text) => serde_json::from_slice(&text).unwrap_or_default(),
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(err) => return Err(err).with_context(|| format!("cannot read {path:?}")),
        };
        Ok(Album { folder: folder.to_owned(), captions })
    }

    /// Writes a picture and its caption.
    ///
    /// * `tag` - what it shows; part of the file's name
    /// * `step` - the training step that it was drawn after, in front of the name
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn add(
        &mut self,
        tag: &str,
        step: Option<u64>,
        caption: &str,
        picture: &Picture,
    ) -> anyhow::Result<Drawn> {
        let safe: String =
            tag.chars().map(|c| if c.is_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect();
        let (file, caption) = match step {
            Some(step) => (format!("step_{step:06}_{safe}.png"), format!("after step {step}, {caption}")),
            None => (format!("{safe}.png"), caption.to_owned()),
        };
        let (path, png) = (self.folder.join(&file), picture.png());
        write(&path, &png)?;
        self.captions.insert(file, caption);
        let path = self.folder.join(CAPTIONS);
        write(&path, serde_json::to_string_pretty(&self.captions)?.as_bytes())?;
        let [width, height] = [picture.width(), picture.height()].map(|pixels| pixels as u64);
        Ok(Drawn { tag: format!("pictures/{tag}"), png, width, height })
    }
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    std::fs::write(path, bytes).map_err(|err| TrainError::write(path, err).into())
}
