use std::path::Path;

use serde::{Deserialize, Serialize};

use super::tables::{Tables, expect_labels, store_id};
use super::{KIND, LabelSpace, Rejected, Segment, Shard, Video};
use crate::h5::{self, At};
use crate::spool::{Begin, Spool};
use crate::{Decoded, VideoError};

/// What every video of a store has in common.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoreOptions {
    /// Shorter side of the frames, pixels.
    pub short_side_px: u32,
    /// Cap on the frame rate; `None` keeps the files' own.
    pub max_frames_per_sec: Option<f64>,
}

/// First line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Header {
    kind: String,
    format_version: u32,
    options: StoreOptions,
    shard: Shard,
}

/// One line of the journal.
#[derive(Debug, Serialize, Deserialize)]
enum Row {
    Video { video: Video, frame_bytes: Vec<u32> },
    Rejected(Rejected),
}

/// What became of one file of an import, in the order of the files.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// Path relative to the imported folder.
    pub name: String,
    /// BLAKE3 of the file, hex.
    pub content_hash: String,
    /// Whether it became a video of the store.
    pub is_video: bool,
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
    /// What ffmpeg warned of; empty for most.
    pub notes: &'a str,
}

/// Writes a clip store, video by video. Until [`ClipStoreWriter::finish`] it is `NAME.part` and `NAME.journal`, and
/// whatever was committed before this process ends, however it ends, is kept.
#[derive(Debug)]
pub struct ClipStoreWriter {
    spool: Spool,
    options: StoreOptions,
    shard: Shard,
    done: Vec<Done>,
    videos: Vec<Video>,
    rejected: Vec<Rejected>,
    /// Length of every frame of `videos`.
    frame_bytes: Vec<u32>,
    /// Lengths of the frames pushed since the last commit.
    pushed: Vec<u32>,
    /// Over the frames pushed since the last commit.
    hasher: blake3::Hasher,
}

impl ClipStoreWriter {
    /// Begins the store `path`, or goes on with an interrupted one.
    ///
    /// # Errors
    /// [`VideoError::Exists`], [`VideoError::Busy`], [`VideoError::CannotResume`] when the options differ, and what
    /// the disk says.
    pub fn begin(path: &Path, options: StoreOptions) -> Result<(Self, Begin), VideoError> {
        Self::begin_shard(path, options, Shard::WHOLE)
    }

    /// Begins the store `path`, or goes on with an interrupted one, as one of several parts.
    ///
    /// # Errors
    /// As [`ClipStoreWriter::begin`].
    pub fn begin_shard(path: &Path, options: StoreOptions, shard: Shard) -> Result<(Self, Begin), VideoError> {
        let header = Header { kind: KIND.name.to_owned(), format_version: KIND.version, options, shard };
        let (spool, begin, found, rows) = Spool::begin::<Header, Row>(path, &header)?;
        expect_header(&spool, &found, &header)?;
        let (done, videos, rejected, frame_bytes, pushed) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let hasher = blake3::Hasher::new();
        let mut writer = ClipStoreWriter { spool, options, shard, done, videos, rejected, frame_bytes, pushed, hasher };
        rows.into_iter().for_each(|row| writer.add(row));
        Ok((writer, begin))
    }

    /// Files with a verdict, in order.
    pub fn done(&self) -> &[Done] {
        &self.done
    }

    /// Videos committed so far.
    pub fn videos(&self) -> &[Video] {
        &self.videos
    }

    /// Files rejected so far.
    pub fn rejected(&self) -> &[Rejected] {
        &self.rejected
    }

    /// Drops everything but the first `num_done` files.
    ///
    /// # Errors
    /// What the disk says.
    pub fn keep(&mut self, num_done: usize) -> Result<(), VideoError> {
        self.spool.keep(num_done)?;
        self.done.truncate(num_done);
        let num_videos = self.done.iter().filter(|done| done.is_video).count();
        self.videos.truncate(num_videos);
        self.rejected.truncate(self.done.len() - num_videos);
        self.frame_bytes.truncate(self.num_frames() as usize);
        self.forget_pushed();
        Ok(())
    }

    /// Takes the next frame, as JPEG, of the video that is being written.
    ///
    /// # Errors
    /// [`VideoError::DiskFull`], and what the disk says.
    pub fn push_frame(&mut self, jpeg: &[u8]) -> Result<(), VideoError> {
        let len = u32::try_from(jpeg.len());
        self.pushed.push(len.map_err(|_over| VideoError::Jpeg { problem: "it has more than 4 GiB".to_owned() })?);
        self.hasher.update(jpeg);
        self.spool.push(jpeg)
    }

    /// Completes the video whose frames were pushed.
    ///
    /// # Errors
    /// [`VideoError::DiskFull`], and what the disk says.
    pub fn commit(&mut self, new: NewVideo<'_>) -> Result<(), VideoError> {
        let num_frames = new.decoded.num_frames;
        if num_frames as usize != self.pushed.len() {
            let what = format!("number of frames of {:?}", new.name);
            return Err(VideoError::OutOfRange { what, index: num_frames.into(), len: self.pushed.len() as u64 + 1 });
        }
        let video = Video {
            name: new.name.to_owned(),
            first_frame: self.num_frames(),
            num_frames,
            frames_per_sec: new.decoded.frames_per_sec,
            source_frames_per_sec: new.decoded.source_frames_per_sec,
            height_px: new.decoded.height_px,
            width_px: new.decoded.width_px,
            content_hash: new.content_hash.to_owned(),
            frames_hash: self.pushed_hash(),
            notes: new.notes.to_owned(),
        };
        let row = Row::Video { video, frame_bytes: std::mem::take(&mut self.pushed) };
        self.forget_pushed();
        self.spool.commit(&row)?;
        self.add(row);
        Ok(())
    }

    /// Drops the frames pushed since the last commit and notes that the file is not used.
    ///
    /// # Errors
    /// What the disk says.
    pub fn reject(&mut self, rejected: Rejected) -> Result<(), VideoError> {
        self.forget_pushed();
        self.spool.drop_row()?;
        let row = Row::Rejected(rejected);
        self.spool.commit(&row)?;
        self.add(row);
        Ok(())
    }

    /// Writes the HDF5 file, named by its contents, and gives it its final name. Returns the store's id.
    ///
    /// # Errors
    /// [`VideoError::Labels`], [`VideoError::Option`] for a label space's name, [`VideoError::DiskFull`], and what the
    /// disk and HDF5 say.
    pub fn finish(self, segments: &[Segment], label_spaces: &[LabelSpace]) -> Result<String, VideoError> {
        expect_labels(segments, label_spaces)?;
        let ClipStoreWriter { spool, options, shard, videos, rejected, frame_bytes, .. } = self;
        let tables = Tables { options, shard, videos: &videos, rejected: &rejected, segments, label_spaces };
        let mut offset = Vec::with_capacity(frame_bytes.len() + 1);
        offset.push(0);
        offset.extend(frame_bytes.iter().scan(0, |end, len| {
            *end += u64::from(*len);
            Some(*end)
        }));
        let store_id = store_id((&videos, segments), label_spaces, &offset);
        spool.finish(|spool, file| {
            let path = spool.final_path().to_owned();
            tables.write(file, &store_id).at(&path, "write")?;
            h5::write_column(file, "frames/offset", &offset).at(&path, "write")?;
            let blob = h5::create_column::<u8>(file, "frames/blob", spool.data_bytes() as usize).at(&path, "write")?;
            let piece = |start: u64, bytes: &[u8]| {
                let start = start as usize;
                blob.write_slice(bytes, start..start + bytes.len()).at(&path, "write")
            };
            spool.read_data(piece)
        })?;
        Ok(store_id)
    }

    /// Gives the store up: nothing of it stays.
    ///
    /// # Errors
    /// [`VideoError::Io`].
    pub fn discard(self) -> Result<(), VideoError> {
        self.spool.discard()
    }

    /// BLAKE3 of the frames pushed since the last commit, hex.
    pub(super) fn pushed_hash(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }

    fn forget_pushed(&mut self) {
        self.pushed.clear();
        self.hasher.reset();
    }

    fn num_frames(&self) -> u64 {
        self.videos.last().map_or(0, |video| video.first_frame + u64::from(video.num_frames))
    }

    fn add(&mut self, row: Row) {
        let (name, content_hash, is_video) = match row {
            Row::Video { video, frame_bytes } => {
                let named = (video.name.clone(), video.content_hash.clone(), true);
                self.frame_bytes.extend(frame_bytes);
                self.videos.push(video);
                named
            }
            Row::Rejected(rejected) => {
                let named = (rejected.name.clone(), rejected.content_hash.clone(), false);
                self.rejected.push(rejected);
                named
            }
        };
        self.done.push(Done { name, content_hash, is_video });
    }
}

fn expect_header(spool: &Spool, found: &Header, wanted: &Header) -> Result<(), VideoError> {
    let fields = |header: &Header| {
        [
            ("kind", header.kind.clone()),
            ("format_version", header.format_version.to_string()),
            ("short_side_px", header.options.short_side_px.to_string()),
            ("max_frames_per_sec", format!("{:?}", header.options.max_frames_per_sec)),
            ("shard", header.shard.to_string()),
        ]
    };
    spool.expect_equal(&fields(found), &fields(wanted))
}
