//! What a clip's tokens look like: frames over time in columns, one row per way of seeing them.

use std::collections::BTreeSet;
use std::ops::Range;

use spec::{ClipGeometry, Grid};
use video::LoadedClip;

use crate::report::picture::{PatchGrid, Picture};

/// Columns of a strip: latent frames spread evenly over the clip.
const COLUMNS: i64 = 8;
/// A frame is shown at least this large, pixels.
const SHOWN_PX: usize = 96;
/// Gap between frames, pixels.
const GAP_PX: usize = 4;

const DECODED_COLOUR: [u8; 3] = [255, 190, 30];

const CLUSTER_COLOUR: [u8; 3] = [255; 3];

/// A clip as a strip of frames: rows are added, then drawn.
#[derive(Debug)]
pub(crate) struct Strip {
    latent_frames: Vec<i64>,
    /// The first frame under each shown latent frame.
    frames: Vec<Picture>,
    grid: Grid,
    rows: Vec<Vec<Picture>>,
}

impl Strip {
    /// * `rgb` - pixels `[T, S, S, 3]`
    pub(crate) fn new(rgb: &[u8], geometry: &ClipGeometry) -> anyhow::Result<Self> {
        Strip::of_frames(rgb, geometry, stretches(geometry.grid()).map(|stretch| middle(&stretch)).collect())
    }

    fn of_frames(rgb: &[u8], geometry: &ClipGeometry, latent_frames: Vec<i64>) -> anyhow::Result<Self> {
        let (grid, side) = (geometry.grid(), geometry.size_px() as usize);
        let patch_t = geometry.patch().t;
        let all = Picture::from_frames_u8(rgb, [rgb.len() / (side * side * 3), side, side, 3])?;
        let frames = latent_frames.iter().filter_map(|t| all.get((t * patch_t) as usize).cloned()).collect();
        Ok(Strip { latent_frames, frames, grid, rows: Vec::new() })
    }

    /// The frames themselves.
    pub(crate) fn plain(mut self) -> Self {
        self.rows.push(self.frames.clone());
        self
    }

    /// Frames of another clip of the same geometry: a reconstruction.
    pub(crate) fn other(mut self, rgb: &[u8], geometry: &ClipGeometry) -> anyhow::Result<Self> {
        self.rows.push(Strip::new(rgb, geometry)?.frames);
        Ok(self)
    }

    /// Only these tokens are shown, the rest is dark.
    pub(crate) fn only(self, tokens: &[i64]) -> anyhow::Result<Self> {
        self.row(|frame, patches, places| Ok(frame.dim_patches(&places.map(|n| !tokens.contains(&n)), patches)?))
    }

    /// These tokens of another clip of the same geometry, the rest is dark.
    fn only_of(mut self, rgb: &[u8], tokens: &[i64], geometry: &ClipGeometry) -> anyhow::Result<Self> {
        let own = std::mem::replace(&mut self.frames, Strip::new(rgb, geometry)?.frames);
        let mut strip = self.only(tokens)?;
        strip.frames = own;
        Ok(strip)
    }

    /// These tokens are outlined.
    pub(crate) fn outlined(self, tokens: &[i64]) -> anyhow::Result<Self> {
        self.row(|frame, patches, places| {
            Ok(frame.outline_patches(&places.map(|n| tokens.contains(&n)), patches, DECODED_COLOUR)?)
        })
    }

    /// A value per token as a heat map, scaled to the clip's own range (its 99th percentile is the brightest).
    pub(crate) fn heat(self, values_n: &[f32]) -> anyhow::Result<Self> {
        let heat = Heat::of(values_n, values_n);
        self.row(|frame, patches, places| Ok(frame.overlay_grid_heat(&places.map(|n| heat.at(n)), patches)?))
    }

    /// The same of some tokens, the rest is dark.
    fn heat_of(self, values_n: &[f32], tokens: &[i64]) -> anyhow::Result<Self> {
        let some: Vec<f32> = tokens.iter().filter_map(|n| values_n.get(*n as usize).copied()).collect();
        let heat = Heat::of(values_n, &some);
        self.row(|frame, patches, places| {
            let warm = frame.overlay_grid_heat(&places.map(|n| heat.at(n)), patches)?;
            Ok(warm.dim_patches(&places.map(|n| !tokens.contains(&n)), patches)?)
        })
    }

    /// The place of each token's cluster in the order as a heat map, each cluster outlined.
    fn ranks(self, plan: &arvideo::ClusterPlan, clusters: &arvideo::Clusters) -> anyhow::Result<Self> {
        let mut rank_n = vec![0; self.grid.num_tokens() as usize];
        for (rank, cluster) in plan.order.iter().enumerate() {
            clusters.tokens(*cluster).iter().for_each(|token| rank_n[*token as usize] = rank);
        }
        let values_n: Vec<f32> = rank_n.iter().map(|rank| *rank as f32).collect();
        let heat = Heat::of(&values_n, &values_n);
        self.row(|frame, patches, places| {
            let mut drawn = frame.overlay_grid_heat(&places.map(|n| heat.at(n)), patches)?;
            let ranks = places.map(|n| rank_n[n as usize]);
            for rank in ranks.iter().collect::<BTreeSet<_>>() {
                let marked: Vec<bool> = ranks.iter().map(|other| other == rank).collect();
                drawn = drawn.outline_patches(&marked, patches, CLUSTER_COLOUR)?;
            }
            Ok(drawn)
        })
    }

    /// Adds a row: `draw` gets each frame, large enough to draw on, and the tokens under it.
    fn row(mut self, draw: impl Fn(&Picture, PatchGrid, Places) -> anyhow::Result<Picture>) -> anyhow::Result<Self> {
        let patches = PatchGrid { rows: self.grid.h as usize, cols: self.grid.w as usize };
        let num = self.grid.tokens_per_frame();
        let row = self
            .latent_frames
            .iter()
            .zip(&self.frames)
            .map(|(t, frame)| draw(&frame.upscale(magnification(frame))?, patches, Places { first: t * num, num }));
        let row = row.collect::<anyhow::Result<_>>()?;
        self.rows.push(row);
        Ok(self)
    }

    /// All rows in one picture.
    pub(crate) fn draw(&self) -> anyhow::Result<Picture> {
        let mut cells = Vec::new();
        for picture in self.rows.iter().flatten() {
            cells.push(picture.upscale(magnification(picture))?);
        }
        Ok(Picture::contact_sheet(&cells, self.latent_frames.len(), GAP_PX)?)
    }
}

/// Values on the scale of a heat map.
struct Heat<'a> {
    values_n: &'a [f32],
    low: f32,
    scale: f32,
}

impl<'a> Heat<'a> {
    /// * `shown` - the values that give the range: their 99th percentile is the brightest
    fn of(values_n: &'a [f32], shown: &[f32]) -> Self {
        let mut sorted = shown.to_vec();
        sorted.sort_by(f32::total_cmp);
        let low = sorted.first().copied().unwrap_or_default();
        let high = sorted.get(sorted.len() * 99 / 100).copied().unwrap_or(1.0);
        Heat { values_n, low, scale: 1.0 / (high - low).max(f32::MIN_POSITIVE) }
    }

    fn at(&self, token: i64) -> f32 {
        let value = self.values_n.get(token as usize).copied().unwrap_or_default();
        if value.is_finite() { ((value - self.low) * self.scale).clamp(0.0, 1.0) } else { 0.0 }
    }
}

/// The latent frames of a clip in equal parts, one for each column.
fn stretches(grid: Grid) -> impl Iterator<Item = Range<i64>> {
    let columns = COLUMNS.min(grid.t);
    (0..columns).map(move |i| i * grid.t / columns..(i + 1) * grid.t / columns)
}

fn middle(stretch: &Range<i64>) -> i64 {
    (stretch.start + stretch.end) / 2
}

/// The middle of a stretch, or if nothing is decoded there, its first latent frame with decoded tokens.
fn shown(stretch: Range<i64>, decoded: &[i64], grid: Grid) -> i64 {
    let has_decoded = |t: &i64| decoded.iter().any(|token| token / grid.tokens_per_frame() == *t);
    let middle = middle(&stretch);
    std::iter::once(middle).chain(stretch).find(has_decoded).unwrap_or(middle)
}

/// The tokens of one latent frame.
struct Places {
    first: i64,
    num: i64,
}

impl Places {
    fn map<T>(&self, of: impl Fn(i64) -> T) -> Vec<T> {
        (self.first..self.first + self.num).map(of).collect()
    }
}

fn magnification(picture: &Picture) -> usize {
    SHOWN_PX.div_ceil(picture.width().max(picture.height()))
}

/// What a masked autoencoder sees and predicts: frames, visible tokens, what the masks look at, decoded tokens.
///
/// * `cues_n` - values of each token
pub(crate) fn mask_picture(
    clip: &LoadedClip,
    mask: &lvmae::ClipMask,
    cues_n: &[Vec<f32>],
    geometry: &ClipGeometry,
) -> anyhow::Result<Picture> {
    let grid = geometry.grid();
    let latent_frames = stretches(grid).map(|stretch| shown(stretch, &mask.decoded, grid)).collect();
    let mut strip = Strip::of_frames(&clip.rgb, geometry, latent_frames)?.plain().only(&mask.visible)?;
    for values_n in cues_n {
        strip = strip.heat(values_n)?;
    }
    strip.outlined(&mask.decoded)?.draw()
}

/// What next-cluster prediction said of the predicted tokens of one clip.
#[derive(Debug)]
pub(crate) enum Answers {
    /// It was not asked.
    None,
    /// A clip of the same geometry with what it predicted in their places, `[T, S, S, 3]`.
    Pixels(Vec<u8>),
    /// How wrong it was, a value for every token of the clip.
    Errors(Vec<f32>),
}

/// What next-cluster prediction sees and says: frames, the clusters and their order, the tokens that are read, and what was
/// made of those that are predicted.
pub(crate) fn cluster_picture(
    clip: &LoadedClip,
    (plan, clusters): (&arvideo::ClusterPlan, &arvideo::Clusters),
    answers: &Answers,
    geometry: &ClipGeometry,
) -> anyhow::Result<Picture> {
    let strip = Strip::new(&clip.rgb, geometry)?.plain().ranks(plan, clusters)?.only(&plan.inputs)?;
    match answers {
        Answers::None => strip,
        Answers::Pixels(rgb) => strip.only_of(rgb, &plan.predicted, geometry)?,
        Answers::Errors(error_n) => strip.heat_of(error_n, &plan.predicted)?,
    }
    .draw()
}
