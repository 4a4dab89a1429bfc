use eval::{Features, Pool, Scores, Split, Tested, TokenSet, pool};
use nn::{Cubes, Mode, Vit};
use serde::Serialize;
use tch::{Device, Kind, Tensor};
use torch_ext::memory;

use crate::cmd::eval::seen::{How, Seen};
use crate::exit::BadInput;
use crate::labelled::Labelled;
use crate::session::Session;

/// What of an encoder's output a probe reads.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Read {
    /// One vector per clip.
    Pooled(Pool),
    /// All tokens.
    Tokens,
    /// For each latent frame the mean of its tokens.
    Frames,
}

/// A frozen ViT and how clips go through it.
pub(crate) struct Encoder<'a> {
    pub(crate) vit: &'a Vit,
    pub(crate) how: How,
    pub(crate) read: Read,
}

/// What a probe reads of some clips.
#[derive(Debug)]
pub(super) struct Side {
    /// `[n, L, D]` float; L is 1 for pooled features.
    pub(super) x_nld: Tensor,
    pub(super) labels: Vec<i64>,
    pub(super) groups: Vec<String>,
    /// Names of the segments.
    pub(super) ids: Vec<String>,
}

/// Training and test clips as an encoder shows them.
#[derive(Debug)]
pub(crate) struct Samples {
    pub(super) train: Side,
    pub(super) test: Side,
    pub(super) num_classes: usize,
    /// Clips that could not be read.
    pub(crate) num_failed: usize,
}

impl Encoder<'_> {
    /// * `sides` - training and test clips
    /// * `doing` - for the progress line
    pub(crate) fn samples(&self, sides: [&Labelled; 2], (doing, session): (&str, &Session)) -> anyhow::Result<Samples> {
        self.expect_room(sides)?;
        let [(train, train_failed), (test, test_failed)] =
            [self.side(sides[0], (doing, session))?, self.side(sides[1], (doing, session))?];
        let num_classes = sides[0].classes().len();
        Ok(Samples { train, test, num_classes, num_failed: train_failed + test_failed })
    }

    /// Checks that what is read of all clips fits into half of the memory that is free.
    fn expect_room(&self, sides: [&Labelled; 2]) -> Result<(), BadInput> {
        let num_clips: usize = sides.iter().map(|side| side.segments().count()).sum();
        let grid = self.how.geometry.grid();
        let vectors = match self.read {
            Read::Pooled(Pool::Mean {}) => 1,
            Read::Pooled(Pool::TimeParts { parts }) => parts,
            Read::Tokens => grid.num_tokens(),
            Read::Frames => grid.t,
        };
        let needed = num_clips as f64 * (vectors * self.vit.width() * 4) as f64;
        match memory::available_bytes() {
            Some(free) if needed > 0.5 * free as f64 => {
                let gib = |bytes: f64| bytes / f64::from(1 << 30);
                let (needed, free) = (gib(needed), gib(free as f64));
                let remedy = if matches!(self.read, Read::Tokens) { "; take --tokens frames" } else { "" };
                Err(BadInput(format!(
                    "what the probe reads of {num_clips} clips takes {needed:.1} GiB, more than half of {free:.1}{remedy}"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Every labelled segment, the mean over its views, and the number of those that could not be read.
    fn side(&self, clips: &Labelled, doing: (&str, &Session)) -> anyhow::Result<(Side, usize)> {
        let Seen { segments, num_failed } = self.how.see(clips, doing, |clip_bthwc| self.encode(clip_bthwc))?;
        let (mut x, mut labels, mut groups, mut ids) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (segment, views) in segments {
            x.push(Tensor::stack(&views, 0).mean_dim([0i64].as_slice(), false, Kind::Float));
            labels.extend(clips.label(segment));
            let row = &clips.store.segments()[segment];
            groups.push(row.group.clone());
            ids.push(row.id.clone());
        }
        Ok((Side { x_nld: Tensor::stack(&x, 0), labels, groups, ids }, num_failed))
    }

    /// What is read of one clip, `[L, D]`.
    fn encode(&self, clip_bthwc: &Tensor) -> anyhow::Result<Tensor> {
        let geometry = &self.how.geometry;
        let grid = geometry.grid();
        let cubes = Cubes::new(clip_bthwc, grid, geometry.patch())?;
        let tokens = self.vit.encode_all(&cubes, Mode::Eval)?;
        let read = match self.read {
            Read::Pooled(how) => pool(&tokens, grid, how)?.unsqueeze(1),
            Read::Tokens => tokens,
            Read::Frames => pool(&tokens, grid, Pool::TimeParts { parts: grid.t })?.view([1, grid.t, self.vit.width()]),
        };
        Ok(read.squeeze_dim(0).to_kind(Kind::Float).to_device(Device::Cpu))
    }
}

impl Samples {
    /// For probes of one vector per clip.
    pub(super) fn split(&self) -> anyhow::Result<Split> {
        let features = |side: &Side| -> anyhow::Result<Features> {
            let x_nd = side.x_nld.flatten(1, 2);
            let (width, x) = (x_nd.size()[1] as usize, Vec::<f32>::try_from(x_nd.flatten(0, 1))?);
            Ok(Features::new(x, width, side.labels.clone(), side.groups.clone())?)
        };
        Ok(Split::new(features(&self.train)?, features(&self.test)?, self.num_classes)?)
    }

    /// For probes that read several vectors of a clip.
    pub(super) fn token_sets(&self) -> anyhow::Result<[TokenSet; 2]> {
        let set = |side: &Side| TokenSet::new(side.x_nld.shallow_clone(), side.labels.clone(), side.groups.clone());
        Ok([set(&self.train)?, set(&self.test)?])
    }

    /// Ranks of the test clips, with what a row of results needs beside them.
    pub(crate) fn tested(&self, scores: &Scores) -> Tested<'_> {
        let labels = &self.test.labels[..];
        Tested {
            labels,
            ranks: scores.ranks(labels),
            num_classes: self.num_classes,
            num_train: self.train.labels.len(),
        }
    }
}
