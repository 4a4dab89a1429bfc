use hdf5::File;
use serde::{Deserialize, Serialize};
use spec::{ClipGeometry, Sampling, Short};

use crate::h5;
use crate::{Shard, VideoError};

/// What the tokens of a store were made from, and what turns them into values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenHeader {
    /// Hash of the tokenizer's weights and preset.
    pub tokenizer_id: String,
    /// The resolved preset that the tokenizer was trained by, TOML.
    pub tokenizer_toml: String,
    /// [`crate::ClipStore::id`] of the clip store whose segments these are.
    pub clip_store_id: String,
    /// Which of its segments: neighbours, [`Shard::range`] of all.
    pub shard: Shard,
    /// Cube under one token: frames, pixels, pixels.
    pub patch: [i64; 3],
    /// The quantizer's settings, JSON: what turns codes into values, together with [`Codebook`] where it has one.
    pub quantizer: String,
    /// Number of codes, `1..=2^32`.
    pub codebook_size: u64,
    /// Side of the square frames, pixels.
    pub size_px: i64,
    /// Which part of the stored frames they show.
    pub crop: EncodedCrop,
    /// How timelines were sampled.
    pub sampling: Sampling,
    /// Frames per clip, which short timelines were filled up to.
    pub num_frames: i64,
    /// What they were filled with.
    pub short: Short,
    /// Which frames a latent frame stands for.
    pub time_layout: EncodedLayout,
    /// How timelines longer than a window were encoded.
    pub long_videos: LongVideos,
}

/// The part of a stored frame that was encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EncodedCrop {
    /// The square in the middle, as large as fits, brought to `size_px`.
    CentreSquare,
}

/// Which frames of the timeline a latent frame stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EncodedLayout {
    /// Latent frame `k` stands for the frames from `k patch[0]` to `(k + 1) patch[0]`.
    Pairs,
    /// The first frame is a latent frame of its own, `patch[0]` frames share each of the others (MAGVIT-v2).
    FirstFrame,
}

/// How timelines longer than a window were encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LongVideos {
    /// Windows side by side, each seen by itself.
    Windows,
    /// One after the other, the convolutions' state carried over: as if encoded whole.
    Carried,
}

/// Values of a quantizer with a learned codebook: S stages of K codes, each of D values.
#[derive(Clone, Debug, PartialEq)]
pub struct Codebook {
    /// S, K and D.
    pub shape_skd: [usize; 3],
    /// `S K D` values, row-major.
    pub values: Vec<f32>,
}

const ENCODE: &str = "encode the clip store again with this preset (`longvid tokenizer encode`), or use the preset that the \
                      tokens were made with";
const LENGTH: &str = "encode the clip store again for clips of this length (`longvid tokenizer encode --num-frames`), set \
                      clip.num_frames to that of the store, or let `pretrain --tokenizer` make the tokens of every clip";
const OTHER: &str =
    "encode this clip store (`longvid tokenizer encode`), or give the clip store that the tokens were made from";
const MERGE: &str = "give the whole that `longvid data merge` makes of all shards";

impl TokenHeader {
    /// Rows and columns of tokens in one latent frame.
    pub fn grid(&self) -> [usize; 2] {
        [(self.size_px / self.patch[1]) as usize, (self.size_px / self.patch[2]) as usize]
    }

    /// Tokens of one latent frame.
    pub fn tokens_per_frame(&self) -> usize {
        self.grid().iter().product()
    }

    /// Checks that these are all tokens of the clip store `clip_store_id` and that they cover the clips of `geometry`. The
    /// encoded square may be larger than the clip, which then shows whole tokens of it.
    ///
    /// # Errors
    /// [`VideoError::TokenMismatch`] names the first field that differs, both values and what to do.
    pub fn expect_matches(&self, clip_store_id: &str, geometry: &ClipGeometry) -> Result<(), VideoError> {
        let patch = geometry.patch();
        let wanted = TokenHeader {
            clip_store_id: clip_store_id.to_owned(),
            shard: Shard::WHOLE,
            patch: [patch.t, patch.h, patch.w],
            size_px: self.size_px.max(geometry.size_px()),
            sampling: geometry.sampling(),
            num_frames: geometry.num_frames(),
            short: geometry.short(),
            time_layout: EncodedLayout::Pairs,
            ..self.clone()
        };
        self.expect_equal(&wanted)
    }

    /// Checks that tokens of `self` may stand beside those of `wanted`: everything but the clips is equal.
    ///
    /// # Errors
    /// As [`TokenHeader::expect_matches`].
    pub fn expect_same_encoding(&self, wanted: &TokenHeader) -> Result<(), VideoError> {
        let (clip_store_id, shard) = (wanted.clip_store_id.clone(), wanted.shard);
        TokenHeader { clip_store_id, shard, ..self.clone() }.expect_equal(wanted)
    }

    fn expect_equal(&self, wanted: &TokenHeader) -> Result<(), VideoError> {
        let differs = self.fields().into_iter().zip(wanted.fields()).find(|(found, wanted)| found != wanted);
        let Some(((field, found), (_, wanted))) = differs else { return Ok(()) };
        let remedy = match field {
            "clip_store_id" => OTHER,
            "shard" => MERGE,
            "num_frames" => LENGTH,
            _ => ENCODE,
        };
        Err(VideoError::TokenMismatch { field, found, wanted, remedy })
    }

    /// Name and value of every field, in the order in which differences are told.
    pub(super) fn fields(&self) -> [(&'static str, String); 14] {
        [
            ("shard", self.shard.to_string()),
            ("clip_store_id", format!("{:?}", self.clip_store_id)),
            ("tokenizer_id", format!("{:?}", self.tokenizer_id)),
            ("tokenizer_toml", format!("{:?}", self.tokenizer_toml)),
            ("quantizer", self.quantizer.clone()),
            ("codebook_size", self.codebook_size.to_string()),
            ("patch", format!("{:?}", self.patch)),
            ("size_px", self.size_px.to_string()),
            ("crop", format!("{:?}", self.crop)),
            ("sampling", format!("{:?}", self.sampling)),
            ("num_frames", self.num_frames.to_string()),
            ("short", format!("{:?}", self.short)),
            ("time_layout", format!("{:?}", self.time_layout)),
            ("long_videos", format!("{:?}", self.long_videos)),
        ]
    }

    pub(super) fn write(&self, file: &File) -> hdf5::Result<()> {
        h5::set_text(file, "tokenizer_id", &self.tokenizer_id)?;
        h5::set_text(file, "tokenizer_toml", &self.tokenizer_toml)?;
        h5::set_text(file, "clip_store_id", &self.clip_store_id)?;
        h5::set_text(file, "shard", &self.shard.to_string())?;
        file.new_attr_builder().with_data(&self.patch).create("patch")?;
        h5::set_text(file, "quantizer", &self.quantizer)?;
        h5::set_number(file, "codebook_size", self.codebook_size)?;
        h5::set_number(file, "size_px", self.size_px)?;
        h5::set_text(file, "crop", &to_json(&self.crop)?)?;
        h5::set_text(file, "sampling", &to_json(&self.sampling)?)?;
        h5::set_number(file, "num_frames", self.num_frames)?;
        h5::set_text(file, "short", &to_json(&self.short)?)?;
        h5::set_text(file, "time_layout", &to_json(&self.time_layout)?)?;
        h5::set_text(file, "long_videos", &to_json(&self.long_videos)?)
    }

    pub(super) fn read(file: &File) -> hdf5::Result<Self> {
        let patch: Vec<i64> = file.attr("patch")?.read_raw()?;
        let header = TokenHeader {
            tokenizer_id: h5::text(file, "tokenizer_id")?,
            tokenizer_toml: h5::text(file, "tokenizer_toml")?,
            clip_store_id: h5::text(file, "clip_store_id")?,
            shard: h5::shard(file)?,
            patch: patch.try_into().map_err(|_len| hdf5::Error::from("patch is not three numbers"))?,
            quantizer: h5::text(file, "quantizer")?,
            codebook_size: h5::number(file, "codebook_size")?,
            size_px: h5::number(file, "size_px")?,
            crop: from_json(&h5::text(file, "crop")?)?,
            sampling: from_json(&h5::text(file, "sampling")?)?,
            num_frames: h5::number(file, "num_frames")?,
            short: from_json(&h5::text(file, "short")?)?,
            time_layout: from_json(&h5::text(file, "time_layout")?)?,
            long_videos: from_json(&h5::text(file, "long_videos")?)?,
        };
        let [_, height, width] = header.patch;
        // What `ClipSpec::check` allows: products of these cannot overflow.
        let whole = header.patch.iter().all(|step| (1..=1 << 16).contains(step))
            && (1..=1 << 16).contains(&header.size_px)
            && header.size_px % height == 0
            && header.size_px % width == 0
            && (1..=1 << 32).contains(&header.codebook_size);
        if whole { Ok(header) } else { Err(hdf5::Error::from("patch, size_px or codebook_size is out of range")) }
    }
}

impl Codebook {
    pub(super) fn write(&self, file: &File) -> hdf5::Result<()> {
        let dataset = file.new_dataset::<f32>().shape(self.shape_skd).obj_track_times(false).create("codebook")?;
        dataset.write_raw(&self.values)
    }

    /// `None` in a store without one.
    pub(super) fn read(file: &File) -> hdf5::Result<Option<Self>> {
        if !file.link_exists("codebook") {
            return Ok(None);
        }
        let dataset = h5::open_column(file, "codebook")?;
        let shape_skd = dataset.shape().try_into().map_err(|_rank| hdf5::Error::from("codebook is not [S, K, D]"))?;
        Ok(Some(Codebook { shape_skd, values: dataset.read_raw()? }))
    }

    pub(super) fn add_to(&self, hasher: &mut blake3::Hasher) {
        self.shape_skd.iter().for_each(|len| _ = hasher.update(&(*len as u64).to_le_bytes()));
        self.values.iter().for_each(|value| _ = hasher.update(&value.to_le_bytes()));
    }
}

fn to_json<T: Serialize>(value: &T) -> hdf5::Result<String> {
    serde_json::to_string(value).map_err(|err| hdf5::Error::from(err.to_string().as_str()))
}

fn from_json<T: for<'de> Deserialize<'de>>(text: &str) -> hdf5::Result<T> {
    serde_json::from_str(text).map_err(|err| hdf5::Error::from(err.to_string().as_str()))
}
