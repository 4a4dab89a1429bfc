//! The tables of a clip store, as they are written.

use hdf5::types::VarLenUnicode;
use hdf5::{Dataset, File};

use super::reader::{read_rejected, read_videos};
use super::{KIND, Rejected, Segment, StoreOptions, Video};
use crate::h5;

/// Bytes of `frames/blob` per HDF5 chunk.
const BLOB_CHUNK_BYTES: usize = 1 << 20;
pub(super) const VIDEO_COLUMNS: [&str; 8] = [
    "videos/name",
    "videos/first_frame",
    "videos/num_frames",
    "videos/frames_per_sec",
    "videos/source_frames_per_sec",
    "videos/height_px",
    "videos/width_px",
    "videos/content_hash",
];
pub(super) const REJECTED_COLUMNS: [&str; 3] = ["rejected/name", "rejected/reason", "rejected/content_hash"];

pub(super) fn create_tables(file: &File, options: StoreOptions) -> hdf5::Result<()> {
    for group in ["frames", "videos", "segments", "classes", "rejected"] {
        file.create_group_builder().obj_track_times(false).create(group)?;
    }
    h5::create_column::<u8>(file, "frames/blob", BLOB_CHUNK_BYTES)?;
    h5::create_table_column::<u64>(file, "frames/offset")?;
    h5::append(&file.dataset("frames/offset")?, &[0_u64])?;
    for name in VIDEO_COLUMNS {
        match name.rsplit('/').next() {
            Some("name" | "content_hash") => h5::create_table_column::<VarLenUnicode>(file, name)?,
            Some("first_frame") => h5::create_table_column::<u64>(file, name)?,
            Some("frames_per_sec" | "source_frames_per_sec") => h5::create_table_column::<f64>(file, name)?,
            _ => h5::create_table_column::<u32>(file, name)?,
        }
    }
    for name in REJECTED_COLUMNS {
        h5::create_table_column::<VarLenUnicode>(file, name)?;
    }
    h5::set_number(file, "short_side_px", options.short_side_px)?;
    h5::set_number(file, "max_frames_per_sec", options.max_frames_per_sec.unwrap_or(0.0))?;
    // Last: a file without it was stopped before it was a store.
    h5::describe(file, KIND)
}

/// The rows at the beginning of an interrupted store that are complete in every column and agree with the frames.
pub(super) fn whole_rows(file: &File) -> hdf5::Result<(Vec<Video>, Vec<Rejected>)> {
    let shortest = |names: &[&str]| -> hdf5::Result<usize> {
        names.iter().try_fold(usize::MAX, |len, name| Ok(len.min(file.dataset(name)?.size())))
    };
    let mut videos = read_videos(file, shortest(&VIDEO_COLUMNS)?)?;
    let offset: Vec<u64> = h5::read_column(file, "frames/offset")?;
    let blob_bytes = file.dataset("frames/blob")?.size() as u64;
    let mut next = 0;
    let whole = |video: &Video| {
        let stop = video.first_frame + u64::from(video.num_frames);
        let ends = usize::try_from(next).ok().zip(usize::try_from(stop).ok()).and_then(|(a, b)| offset.get(a..=b));
        let fits = video.first_frame == next
            && ends.is_some_and(|ends| ends.is_sorted() && ends.last().is_some_and(|end| *end <= blob_bytes));
        next = stop;
        fits
    };
    let num_whole = videos.iter().map(whole).take_while(|fits| *fits).count();
    videos.truncate(num_whole);
    Ok((videos, read_rejected(file, shortest(&REJECTED_COLUMNS)?)?))
}

pub(super) fn append_video(file: &File, video: &Video) -> hdf5::Result<()> {
    let column = |name: &str| file.dataset(&format!("videos/{name}"));
    h5::append_texts(&column("name")?, &[&video.name])?;
    h5::append_texts(&column("content_hash")?, &[&video.content_hash])?;
    h5::append(&column("first_frame")?, &[video.first_frame])?;
    h5::append(&column("num_frames")?, &[video.num_frames])?;
    h5::append(&column("frames_per_sec")?, &[video.frames_per_sec])?;
    h5::append(&column("source_frames_per_sec")?, &[video.source_frames_per_sec])?;
    h5::append(&column("height_px")?, &[video.height_px])?;
    h5::append(&column("width_px")?, &[video.width_px])
}

pub(super) fn append_rejected(file: &File, rejected: &Rejected) -> hdf5::Result<()> {
    let texts = [&rejected.name, &rejected.reason, &rejected.content_hash];
    for (column, text) in REJECTED_COLUMNS.iter().zip(texts) {
        h5::append_texts(&file.dataset(column)?, &[text])?;
    }
    Ok(())
}

/// Replaces what an earlier try of [`ClipStoreWriter::finish`] may have left.
pub(super) fn write_segments(file: &File, segments: &[Segment], classes: &[String]) -> hdf5::Result<()> {
    fn column<T: hdf5::H5Type>(file: &File, name: &str) -> hdf5::Result<Dataset> {
        if file.link_exists(name) {
            file.unlink(name)?;
        }
        h5::create_table_column::<T>(file, name)?;
        file.dataset(name)
    }
    fn values<T: hdf5::H5Type>(file: &File, name: &str, values: Vec<T>) -> hdf5::Result<()> {
        h5::append(&column::<T>(file, name)?, &values)
    }
    fn texts<'a>(file: &File, name: &str, texts: impl Iterator<Item = &'a String>) -> hdf5::Result<()> {
        h5::append_texts(&column::<VarLenUnicode>(file, name)?, &texts.map(String::as_str).collect::<Vec<_>>())
    }
    texts(file, "segments/id", segments.iter().map(|s| &s.id))?;
    texts(file, "segments/group", segments.iter().map(|s| &s.group))?;
    values(file, "segments/video", segments.iter().map(|s| s.video).collect())?;
    values(file, "segments/start_secs", segments.iter().map(|s| s.start_secs).collect())?;
    values(file, "segments/stop_secs", segments.iter().map(|s| s.stop_secs).collect())?;
    values(file, "segments/label", segments.iter().map(|s| s.label).collect())?;
    texts(file, "classes/name", classes.iter())
}
