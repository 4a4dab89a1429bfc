//! The layout of a clip store as HDF5: what is written here is what `reader` reads.

use std::collections::BTreeSet;

use hdf5::File;

use super::{KIND, LabelSpace, Rejected, Segment, Shard, StoreOptions, Video};
use crate::VideoError;
use crate::h5;

/// What [`ClipStore::open`](super::ClipStore::open) relies on must be so before it is written.
pub(super) fn expect_labels(segments: &[Segment], spaces: &[LabelSpace]) -> Result<(), VideoError> {
    let names: BTreeSet<&str> = spaces.iter().map(|space| space.name.as_str()).collect();
    if names.len() < spaces.len() || !names.iter().all(|name| LabelSpace::is_name(name)) {
        let rule = "different words of lower-case letters and _";
        return Err(VideoError::Option { option: "label spaces", value: LabelSpace::names(spaces), rule });
    }
    match segments.iter().find(|segment| !LabelSpace::fit(spaces, &segment.labels)) {
        None => Ok(()),
        Some(Segment { id, labels, .. }) => {
            Err(VideoError::Labels { segment: id.clone(), labels: labels.clone(), spaces: LabelSpace::names(spaces) })
        }
    }
}

/// The tables of a store that is about to be written.
pub(super) struct Tables<'a> {
    pub(super) options: StoreOptions,
    pub(super) shard: Shard,
    pub(super) videos: &'a [Video],
    pub(super) rejected: &'a [Rejected],
    pub(super) segments: &'a [Segment],
    pub(super) label_spaces: &'a [LabelSpace],
}

impl Tables<'_> {
    pub(super) fn write(&self, file: &File, store_id: &str) -> hdf5::Result<()> {
        for group in ["frames", "videos", "segments", "classes", "labels", "rejected"] {
            file.create_group_builder().obj_track_times(false).create(group)?;
        }
        h5::describe(file, KIND)?;
        h5::set_text(file, "store_id", store_id)?;
        h5::set_number(file, "short_side_px", self.options.short_side_px)?;
        h5::set_number(file, "max_frames_per_sec", self.options.max_frames_per_sec.unwrap_or(f64::INFINITY))?;
        h5::set_text(file, "shard", &self.shard.to_string())?;
        self.write_videos(file)?;
        self.write_segments(file)?;
        self.write_labels(file)?;
        h5::write_texts(file, "rejected/name", self.rejected.iter().map(|row| &row.name))?;
        h5::write_texts(file, "rejected/reason", self.rejected.iter().map(|row| &row.reason))?;
        h5::write_texts(file, "rejected/content_hash", self.rejected.iter().map(|row| &row.content_hash))
    }

    fn write_videos(&self, file: &File) -> hdf5::Result<()> {
        fn column<T: hdf5::H5Type>(file: &File, name: &str, values: impl Iterator<Item = T>) -> hdf5::Result<()> {
            h5::write_column(file, &format!("videos/{name}"), &values.collect::<Vec<T>>())
        }
        let videos = self.videos;
        h5::write_texts(file, "videos/name", videos.iter().map(|v| &v.name))?;
        h5::write_texts(file, "videos/content_hash", videos.iter().map(|v| &v.content_hash))?;
        h5::write_texts(file, "videos/frames_hash", videos.iter().map(|v| &v.frames_hash))?;
        h5::write_texts(file, "videos/notes", videos.iter().map(|v| &v.notes))?;
        column(file, "first_frame", videos.iter().map(|v| v.first_frame))?;
        column(file, "num_frames", videos.iter().map(|v| v.num_frames))?;
        column(file, "frames_per_sec", videos.iter().map(|v| v.frames_per_sec))?;
        column(file, "source_frames_per_sec", videos.iter().map(|v| v.source_frames_per_sec))?;
        column(file, "height_px", videos.iter().map(|v| v.height_px))?;
        column(file, "width_px", videos.iter().map(|v| v.width_px))
    }

    fn write_segments(&self, file: &File) -> hdf5::Result<()> {
        fn column<T: hdf5::H5Type>(file: &File, name: &str, values: impl Iterator<Item = T>) -> hdf5::Result<()> {
            h5::write_column(file, &format!("segments/{name}"), &values.collect::<Vec<T>>())
        }
        let segments = self.segments;
        h5::write_texts(file, "segments/id", segments.iter().map(|s| &s.id))?;
        h5::write_texts(file, "segments/group", segments.iter().map(|s| &s.group))?;
        h5::write_texts(file, "segments/subject", segments.iter().map(|s| &s.subject))?;
        column(file, "video", segments.iter().map(|s| s.video))?;
        column(file, "start_secs", segments.iter().map(|s| s.start_secs))?;
        column(file, "stop_secs", segments.iter().map(|s| s.stop_secs))
    }

    fn write_labels(&self, file: &File) -> hdf5::Result<()> {
        let names: Vec<&str> = self.label_spaces.iter().map(|space| space.name.as_str()).collect();
        h5::set_text(file, "label_spaces", &names.join(","))?;
        for (i, LabelSpace { name, classes }) in self.label_spaces.iter().enumerate() {
            h5::write_texts(file, &format!("classes/{name}"), classes.iter())?;
            let labels: Vec<i32> = self.segments.iter().map(|segment| segment.labels[i]).collect();
            h5::write_column(file, &format!("labels/{name}"), &labels)?;
        }
        Ok(())
    }
}

/// BLAKE3 over everything that a clip depends on: tables, label spaces, where each frame lies, and the frames through
/// the hash that each video has of its own.
pub(super) fn store_id(
    (videos, segments): (&[Video], &[Segment]),
    label_spaces: &[LabelSpace],
    offset: &[u64],
) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut add = |text: String| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    // `Debug` prints floats so that they read back bit for bit.
    videos.iter().for_each(|video| add(format!("{video:?}")));
    segments.iter().for_each(|segment| add(format!("{segment:?}")));
    label_spaces.iter().for_each(|space| add(format!("{space:?}")));
    offset.iter().for_each(|end| _ = hasher.update(&end.to_le_bytes()));
    hasher.finalize().to_hex().to_string()
}
