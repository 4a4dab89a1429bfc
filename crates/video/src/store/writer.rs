use std::path::Path;

use hdf5::Dataset;

use super::tables::{
    REJECTED_COLUMNS, VIDEO_COLUMNS, append_rejected, append_video, create_tables, whole_rows, write_segments,
};
use super::{KIND, Rejected, Segment, Video};
use crate::h5::{self, At, Begin, Unfinished};
use crate::{Decoded, VideoError};

/// Frames are handed to HDF5 in pieces of this size: always the same ones, so that equal frames give equal files.
const PIECE_BYTES: usize = 4 << 20;

/// What every video of a store has in common.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StoreOptions {
    /// Shorter side of the frames, pixels.
    pub short_side_px: u32,
    /// Cap on the frame rate; `None` keeps the files' own.
    pub max_frames_per_sec: Option<f64>,
}

/// A video whose frames have all been given to [`ClipStoreWriter::push_frame`].
#[derive(Clone, Copy, Debug)]
pub struct NewVideo<'a> {
    /// Path relative to the imported folder.
    pub name: &'a str,
    /// BLAKE3 of the source file, hex.
    pub content_hash: &'a str,
    /// Rate and size.
    pub decoded: Decoded,
}

/// Writes a clip store, video by video. Until [`ClipStoreWriter::finish`] it is `NAME.tmp`, and whatever was
/// committed before this process ends, however it ends, is kept.
#[derive(Debug)]
pub struct ClipStoreWriter {
    unfinished: Unfinished,
    blob: Dataset,
    offset: Dataset,
    videos: Vec<Video>,
    rejected: Vec<Rejected>,
    /// Bytes of `blob` that belong to committed videos and to the frames pushed since.
    blob_bytes: u64,
    /// Frames pushed since the last commit: the end of each within `blob`.
    ends: Vec<u64>,
    /// Bytes pushed and not yet handed to HDF5.
    piece: Vec<u8>,
}

impl ClipStoreWriter {
    /// Begins the store `path`, or goes on with an interrupted one after checking what is in it.
    ///
    /// # Errors
    /// [`VideoError::Exists`], [`VideoError::Busy`], [`VideoError::CannotResume`] when the options differ, and what
    /// the disk and HDF5 say.
    pub fn begin(path: &Path, options: StoreOptions) -> Result<(Self, Begin), VideoError> {
        let (mut unfinished, mut begin) = Unfinished::begin(path)?;
        if begin == Begin::Resumed && h5::text(unfinished.file(), "format").is_err() {
            // It was stopped before its tables were there.
            unfinished = unfinished.again()?;
            begin = Begin::Fresh;
        }
        let path = unfinished.path().to_owned();
        if begin != Begin::Resumed {
            create_tables(unfinished.file(), options).at(&path, "create")?;
            unfinished.flush()?;
        }
        expect_options(&unfinished, options)?;
        let (videos, rejected) = whole_rows(unfinished.file()).at(&path, "read")?;
        let file = unfinished.file();
        let (blob, offset) =
            file.dataset("frames/blob").and_then(|b| Ok((b, file.dataset("frames/offset")?))).at(&path, "read")?;
        let (counts, no_frames) = ((videos.len(), rejected.len()), Vec::new());
        let mut writer = ClipStoreWriter {
            unfinished,
            blob,
            offset,
            videos,
            rejected,
            blob_bytes: 0,
            ends: no_frames,
            piece: Vec::new(),
        };
        writer.keep(counts.0, counts.1)?;
        Ok((writer, begin))
    }

    /// Videos committed so far.
    pub fn videos(&self) -> &[Video] {
        &self.videos
    }

    /// Files rejected so far.
    pub fn rejected(&self) -> &[Rejected] {
        &self.rejected
    }

    /// Drops everything but the first `num_videos` videos and `num_rejected` rejected files.
    ///
    /// # Errors
    /// What HDF5 says.
    pub fn keep(&mut self, num_videos: usize, num_rejected: usize) -> Result<(), VideoError> {
        self.videos.truncate(num_videos);
        self.rejected.truncate(num_rejected);
        let num_frames = self.num_frames();
        let cut = || -> hdf5::Result<u64> {
            let file = self.unfinished.file();
            for (names, len) in [(&VIDEO_COLUMNS[..], self.videos.len()), (&REJECTED_COLUMNS[..], self.rejected.len())]
            {
                for name in names {
                    file.dataset(name)?.resize((len,))?;
                }
            }
            self.offset.resize((num_frames + 1,))?;
            let blob_bytes = h5::read_range::<u64>(&self.offset, num_frames, num_frames + 1)?[0];
            self.blob.resize((blob_bytes as usize,))?;
            Ok(blob_bytes)
        };
        self.blob_bytes = cut().at(self.unfinished.path(), "cut")?;
        self.drop_frames();
        self.unfinished.flush()
    }

    /// Takes the next frame, as JPEG, of the video that is being written.
    ///
    /// # Errors
    /// [`VideoError::DiskFull`], and what HDF5 says.
    pub fn push_frame(&mut self, jpeg: &[u8]) -> Result<(), VideoError> {
        self.piece.extend_from_slice(jpeg);
        let end = self.ends.last().copied().unwrap_or(self.blob_bytes) + jpeg.len() as u64;
        self.ends.push(end);
        if self.piece.len() >= PIECE_BYTES { self.write_piece() } else { Ok(()) }
    }

    /// Completes the video whose frames were pushed, and makes it safe.
    ///
    /// # Errors
    /// [`VideoError::DiskFull`], and what HDF5 says.
    pub fn commit(&mut self, new: NewVideo<'_>) -> Result<(), VideoError> {
        self.write_piece()?;
        let video = Video {
            name: new.name.to_owned(),
            first_frame: self.num_frames() as u64,
            num_frames: new.decoded.num_frames,
            frames_per_sec: new.decoded.frames_per_sec,
            source_frames_per_sec: new.decoded.source_frames_per_sec,
            height_px: new.decoded.height_px,
            width_px: new.decoded.width_px,
            content_hash: new.content_hash.to_owned(),
        };
        let pushed = self.ends.len() as u64;
        if u64::from(video.num_frames) != pushed {
            let what = format!("number of frames pushed for {:?}", video.name);
            return Err(VideoError::OutOfRange { what, index: video.num_frames.into(), len: pushed + 1 });
        }
        let write = || {
            h5::append(&self.offset, &self.ends)?;
            append_video(self.unfinished.file(), &video)
        };
        write().at(self.unfinished.path(), "write")?;
        self.blob_bytes = self.ends.last().copied().unwrap_or(self.blob_bytes);
        self.ends.clear();
        self.videos.push(video);
        self.unfinished.flush()
    }

    /// Drops the frames pushed since the last commit and notes that the file is not used.
    ///
    /// # Errors
    /// What HDF5 says.
    pub fn reject(&mut self, rejected: Rejected) -> Result<(), VideoError> {
        self.drop_frames();
        self.unfinished.expect_room(0)?;
        append_rejected(self.unfinished.file(), &rejected).at(self.unfinished.path(), "write")?;
        self.rejected.push(rejected);
        self.unfinished.flush()
    }

    /// Writes segments and classes, names the store by its contents and gives the file its final name.
    /// Returns the store's id.
    ///
    /// # Errors
    /// [`VideoError::DiskFull`], and what the disk and HDF5 say.
    pub fn finish(mut self, segments: &[Segment], classes: &[String]) -> Result<String, VideoError> {
        self.drop_frames();
        self.unfinished.expect_room(segments.len() as u64 * 256)?;
        let store_id = self.store_id(segments, classes).at(self.unfinished.path(), "read")?;
        let write = || {
            self.blob.resize((self.blob_bytes as usize,))?;
            write_segments(self.unfinished.file(), segments, classes)?;
            h5::set_text(self.unfinished.file(), "store_id", &store_id)
        };
        write().at(self.unfinished.path(), "write")?;
        let ClipStoreWriter { unfinished, blob, offset, .. } = self;
        drop((blob, offset));
        unfinished.finish()?;
        Ok(store_id)
    }

    fn num_frames(&self) -> usize {
        self.videos.last().map_or(0, |video| (video.first_frame + u64::from(video.num_frames)) as usize)
    }

    fn drop_frames(&mut self) {
        self.ends.clear();
        self.piece.clear();
    }

    fn write_piece(&mut self) -> Result<(), VideoError> {
        self.unfinished.expect_room(self.piece.len() as u64)?;
        let stop = self.ends.last().copied().unwrap_or(self.blob_bytes) as usize;
        let start = stop - self.piece.len();
        let write = || {
            // Rejected frames may have left the blob longer than what is in use.
            self.blob.resize((stop.max(self.blob.size()),))?;
            self.blob.write_slice(&self.piece, start..stop)
        };
        write().at(self.unfinished.path(), "write")?;
        self.piece.clear();
        Ok(())
    }

    /// BLAKE3 over everything that a clip depends on: tables, classes and where each frame lies.
    fn store_id(&self, segments: &[Segment], classes: &[String]) -> hdf5::Result<String> {
        let mut hasher = blake3::Hasher::new();
        let mut add = |text: String| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        // `Debug` prints floats so that they read back bit for bit.
        self.videos.iter().for_each(|video| add(format!("{video:?}")));
        segments.iter().for_each(|segment| add(format!("{segment:?}")));
        classes.iter().for_each(|class| add(class.clone()));
        let num_frames = self.num_frames();
        for start in (0..=num_frames).step_by(1 << 20) {
            let ends: Vec<u64> = h5::read_range(&self.offset, start, (start + (1 << 20)).min(num_frames + 1))?;
            ends.iter().for_each(|end| {
                hasher.update(&end.to_le_bytes());
            });
        }
        Ok(hasher.finalize().to_hex().to_string())
    }
}

fn expect_options(unfinished: &Unfinished, options: StoreOptions) -> Result<(), VideoError> {
    let (file, path) = (unfinished.file(), unfinished.path());
    let differs = |field, found: String, wanted: String| match found == wanted {
        true => Ok(()),
        false => Err(VideoError::CannotResume { path: path.to_owned(), field, found, wanted }),
    };
    let kind = h5::text(file, "format").at(path, "read")?;
    differs("format", kind, format!("longvid {KIND}"))?;
    let version: u32 = h5::number(file, "format_version").at(path, "read")?;
    differs("format_version", version.to_string(), h5::FORMAT_VERSION.to_string())?;
    let side: u32 = h5::number(file, "short_side_px").at(path, "read")?;
    differs("short_side_px", side.to_string(), options.short_side_px.to_string())?;
    let cap: f64 = h5::number(file, "max_frames_per_sec").at(path, "read")?;
    differs("max_frames_per_sec", cap.to_string(), options.max_frames_per_sec.unwrap_or(0.0).to_string())
}
