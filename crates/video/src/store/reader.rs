use std::path::{Path, PathBuf};

use hdf5::types::VarLenUnicode;
use hdf5::{Dataset, File};

use super::{KIND, LabelSpace, Rejected, Segment, Shard, StoreOptions, Video};
use crate::VideoError;
use crate::h5::{self, At};

/// Wanted frames that lie closer together than this are read as one piece: cheaper than a second read.
const JOIN_BYTES: u64 = 64 << 10;

/// A finished clip store, open for reading. Any number of threads may use it; HDF5 reads one after the other, and
/// pictures are decoded outside its lock.
#[derive(Debug)]
pub struct ClipStore {
    path: PathBuf,
    id: String,
    options: StoreOptions,
    shard: Shard,
    created_by: String,
    pub(super) blob: Dataset,
    pub(super) offset: Dataset,
    videos: Vec<Video>,
    segments: Vec<Segment>,
    label_spaces: Vec<LabelSpace>,
    rejected: Vec<Rejected>,
}

impl ClipStore {
    /// Opens a store and reads its tables.
    ///
    /// # Errors
    /// [`VideoError::Unfinished`], [`VideoError::NotAStore`], [`VideoError::WrongKind`],
    /// [`VideoError::OlderFormat`], [`VideoError::NewerFormat`], each with the path.
    pub fn open(path: &Path) -> Result<Self, VideoError> {
        let file = h5::open_finished(path, KIND)?;
        let store = read_tables(path, &file).map_err(|err| VideoError::NotAStore {
            path: path.to_owned(),
            wanted: KIND.name,
            problem: format!("a table cannot be read: {err}"),
        })?;
        store.check()?;
        Ok(store)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names the store by its contents: equal ids, equal clips.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Shorter side of every frame, pixels.
    pub fn short_side_px(&self) -> u32 {
        self.options.short_side_px
    }

    /// What its videos have in common.
    pub fn options(&self) -> StoreOptions {
        self.options
    }

    /// Which part of a larger import it is.
    pub fn shard(&self) -> Shard {
        self.shard
    }

    /// Program and version that wrote it.
    pub fn created_by(&self) -> &str {
        &self.created_by
    }

    /// Its videos.
    pub fn videos(&self) -> &[Video] {
        &self.videos
    }

    /// Its segments; their `video` and `labels` are valid indices.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// What its segments are labelled with: none, one or several spaces.
    pub fn label_spaces(&self) -> &[LabelSpace] {
        &self.label_spaces
    }

    /// The label space of that name and its index, which is also the index within [`Segment::labels`].
    ///
    /// # Errors
    /// [`VideoError::UnknownLabelSpace`], with the names that there are.
    pub fn label_space(&self, name: &str) -> Result<(usize, &LabelSpace), VideoError> {
        let found = self.label_spaces.iter().enumerate().find(|(_, space)| space.name == name);
        found.ok_or_else(|| VideoError::UnknownLabelSpace {
            path: self.path.clone(),
            name: name.to_owned(),
            known: LabelSpace::names(&self.label_spaces),
        })
    }

    /// Files that were not imported, with the reason.
    pub fn rejected(&self) -> &[Rejected] {
        &self.rejected
    }

    /// Names what a segment shows: BLAKE3 over its video's frames, their rate and size, and where it starts and stops, hex.
    /// Labels and other segments change nothing.
    pub fn source_hash(&self, segment: usize) -> String {
        let Segment { video, start_secs, stop_secs, .. } = &self.segments[segment];
        let Video { frames_hash, num_frames, frames_per_sec, height_px, width_px, .. } = &self.videos[*video as usize];
        let shown = (frames_hash, num_frames, frames_per_sec, height_px, width_px, start_secs, stop_secs);
        // `Debug` prints floats so that they read back bit for bit.
        blake3::hash(format!("{shown:?}").as_bytes()).to_hex().to_string()
    }

    /// The JPEG bytes of `frames` (indices within the video), in the order asked for, repeats included.
    ///
    /// # Errors
    /// [`VideoError::OutOfRange`] for a video or frame that is not there; what HDF5 says.
    pub fn read_jpegs(&self, video: usize, frames: &[u32]) -> Result<Vec<Vec<u8>>, VideoError> {
        let len = self.videos.len() as u64;
        let out_of_range = |what: String, index: u64, len: u64| VideoError::OutOfRange { what, index, len };
        let row = self.videos.get(video).ok_or_else(|| out_of_range("video".to_owned(), video as u64, len))?;
        let (Some(&lowest), Some(&highest)) = (frames.iter().min(), frames.iter().max()) else { return Ok(Vec::new()) };
        if highest >= row.num_frames {
            return Err(out_of_range(format!("frame of {:?}", row.name), highest.into(), row.num_frames.into()));
        }
        let first = row.first_frame as usize;
        let ends: Vec<u64> = h5::read_range(&self.offset, first + lowest as usize, first + highest as usize + 2)
            .at(&self.path, "read")?;
        self.expect_inside(row, &ends)?;
        let span = |frame: u32| (ends[(frame - lowest) as usize], ends[(frame - lowest) as usize + 1]);
        let mut wanted: Vec<(u64, u64)> = frames.iter().map(|frame| span(*frame)).collect();
        wanted.sort_unstable();
        let pieces = self.read_pieces(&wanted).at(&self.path, "read")?;
        let jpeg = |frame: &u32| {
            let (start, stop) = span(*frame);
            let (piece_start, bytes) = &pieces[pieces.partition_point(|(at, _)| *at <= start) - 1];
            bytes[(start - piece_start) as usize..(stop - piece_start) as usize].to_vec()
        };
        Ok(frames.iter().map(jpeg).collect())
    }

    /// Checks the ends of a video's frames before anything is read or allocated by them.
    pub(super) fn expect_inside(&self, video: &Video, ends: &[u64]) -> Result<(), VideoError> {
        if ends.is_sorted() && ends.last().is_some_and(|end| *end <= self.blob.size() as u64) {
            return Ok(());
        }
        let problem = format!("the frames of {:?} lie outside the file", video.name);
        Err(VideoError::NotAStore { path: self.path.clone(), wanted: KIND.name, problem })
    }

    /// Reads sorted, possibly equal spans of the blob; neighbours become one piece `(start, bytes)`.
    fn read_pieces(&self, wanted: &[(u64, u64)]) -> hdf5::Result<Vec<(u64, Vec<u8>)>> {
        let mut joined: Vec<(u64, u64)> = Vec::new();
        for (start, stop) in wanted {
            match joined.last_mut() {
                Some(last) if *start <= last.1 + JOIN_BYTES => last.1 = last.1.max(*stop),
                _ => joined.push((*start, *stop)),
            }
        }
        joined.iter().map(|(a, b)| Ok((*a, h5::read_range(&self.blob, *a as usize, *b as usize)?))).collect()
    }

    /// Everything that readers rely on without looking again.
    fn check(&self) -> Result<(), VideoError> {
        let num_frames = self.offset.size().saturating_sub(1) as u64;
        let video_fits = |v: &Video| {
            v.num_frames > 0
                // What decoding hands out; a lower one would make a timeline longer than memory.
                && (0.01..=1000.0).contains(&v.frames_per_sec)
                && v.first_frame.saturating_add(v.num_frames.into()) <= num_frames
        };
        let segment_fits = |s: &Segment| {
            (s.video as usize) < self.videos.len()
                && LabelSpace::fit(&self.label_spaces, &s.labels)
                && s.start_secs >= 0.0
                && s.stop_secs > s.start_secs
        };
        let bad_video = self.videos.iter().find(|v| !video_fits(v)).map(|v| format!("video {:?}", v.name));
        let bad_segment = || self.segments.iter().find(|s| !segment_fits(s)).map(|s| format!("segment {:?}", s.id));
        match bad_video.or_else(bad_segment) {
            None => Ok(()),
            Some(which) => {
                let problem = format!("{which} does not fit the other tables");
                Err(VideoError::NotAStore { path: self.path.clone(), wanted: KIND.name, problem })
            }
        }
    }
}

fn read_tables(path: &Path, file: &File) -> hdf5::Result<ClipStore> {
    let rows = |name: &str| Ok::<usize, hdf5::Error>(h5::open_column(file, name)?.size());
    let label_spaces = read_label_spaces(file)?;
    Ok(ClipStore {
        path: path.to_owned(),
        id: h5::text(file, "store_id")?,
        options: read_options(file)?,
        shard: h5::shard(file)?,
        created_by: h5::text(file, "created_by")?,
        blob: h5::open_column(file, "frames/blob")?,
        offset: h5::open_column(file, "frames/offset")?,
        videos: read_videos(file, rows("videos/name")?)?,
        segments: read_segments(file, rows("segments/id")?, &label_spaces)?,
        label_spaces,
        rejected: read_rejected(file, rows("rejected/name")?)?,
    })
}

fn read_options(file: &File) -> hdf5::Result<StoreOptions> {
    let cap: f64 = h5::number(file, "max_frames_per_sec")?;
    Ok(StoreOptions {
        short_side_px: h5::number(file, "short_side_px")?,
        max_frames_per_sec: Some(cap).filter(|cap| cap.is_finite()),
    })
}

/// The first `len` items of a column; an error where it is shorter.
fn column<T: hdf5::H5Type>(file: &File, name: &str, len: usize) -> hdf5::Result<Vec<T>> {
    h5::read_range(&h5::open_column(file, name)?, 0, len)
}

fn texts(file: &File, name: &str, len: usize) -> hdf5::Result<Vec<String>> {
    column::<VarLenUnicode>(file, name, len)?.iter().map(h5::checked).collect()
}

fn read_videos(file: &File, len: usize) -> hdf5::Result<Vec<Video>> {
    let names = texts(file, "videos/name", len)?;
    let hashes = texts(file, "videos/content_hash", len)?;
    let frames_hashes = texts(file, "videos/frames_hash", len)?;
    let notes = texts(file, "videos/notes", len)?;
    let first: Vec<u64> = column(file, "videos/first_frame", len)?;
    let num: Vec<u32> = column(file, "videos/num_frames", len)?;
    let rate: Vec<f64> = column(file, "videos/frames_per_sec", len)?;
    let source_rate: Vec<f64> = column(file, "videos/source_frames_per_sec", len)?;
    let height: Vec<u32> = column(file, "videos/height_px", len)?;
    let width: Vec<u32> = column(file, "videos/width_px", len)?;
    let row = |(i, (((name, content_hash), frames_hash), notes))| Video {
        name,
        first_frame: first[i],
        num_frames: num[i],
        frames_per_sec: rate[i],
        source_frames_per_sec: source_rate[i],
        height_px: height[i],
        width_px: width[i],
        content_hash,
        frames_hash,
        notes,
    };
    Ok(names.into_iter().zip(hashes).zip(frames_hashes).zip(notes).enumerate().map(row).collect())
}

fn read_label_spaces(file: &File) -> hdf5::Result<Vec<LabelSpace>> {
    let names = h5::text(file, "label_spaces")?;
    let space = |name: &str| {
        // A name becomes part of a path within the file.
        if !LabelSpace::is_name(name) {
            return Err(format!("{name:?} is no name of a label space").as_str().into());
        }
        Ok(LabelSpace { name: name.to_owned(), classes: h5::read_texts(file, &format!("classes/{name}"))? })
    };
    names.split(',').filter(|_| !names.is_empty()).map(space).collect()
}

fn read_segments(file: &File, len: usize, label_spaces: &[LabelSpace]) -> hdf5::Result<Vec<Segment>> {
    let ids = texts(file, "segments/id", len)?;
    let groups = texts(file, "segments/group", len)?;
    let subjects = texts(file, "segments/subject", len)?;
    let video: Vec<u32> = column(file, "segments/video", len)?;
    let start: Vec<f64> = column(file, "segments/start_secs", len)?;
    let stop: Vec<f64> = column(file, "segments/stop_secs", len)?;
    let labels = |space: &LabelSpace| column(file, &format!("labels/{}", space.name), len);
    let labels: Vec<Vec<i32>> = label_spaces.iter().map(labels).collect::<hdf5::Result<_>>()?;
    let row = |(i, ((id, group), subject))| Segment {
        id,
        video: video[i],
        start_secs: start[i],
        stop_secs: stop[i],
        labels: labels.iter().map(|of_space| of_space[i]).collect(),
        group,
        subject,
    };
    Ok(ids.into_iter().zip(groups).zip(subjects).enumerate().map(row).collect())
}

fn read_rejected(file: &File, len: usize) -> hdf5::Result<Vec<Rejected>> {
    let names = texts(file, "rejected/name", len)?;
    let reasons = texts(file, "rejected/reason", len)?;
    let hashes = texts(file, "rejected/content_hash", len)?;
    let row = |((name, reason), content_hash)| Rejected { name, reason, content_hash };
    Ok(names.into_iter().zip(reasons).zip(hashes).map(row).collect())
}
