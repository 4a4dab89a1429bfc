//! What a clip's tokens look like: frames over time in columns, one row per way of seeing them.

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

    /// These tokens are outlined.
    pub(crate) fn outlined(self, tokens: &[i64]) -> anyhow::Result<Self> {
        self.row(|frame, patches, places| {
            Ok(frame.outline_patches(&places.map(|n| tokens.contains(&n)), patches, DECODED_COLOUR)?)
        })
    }

    /// A value per token as a heat map, scaled to the clip's own range (its 99th percentile is the brightest).
    pub(crate) fn heat(self, values_n: &[f32]) -> anyhow::Result<Self> {
        let mut sorted = values_n.to_vec();
        sorted.sort_by(f32::total_cmp);
        let low = sorted.first().copied().unwrap_or_default();
        let high = sorted.get(sorted.len() * 99 / 100).copied().unwrap_or(1.0);
        let scale = 1.0 / (high - low).max(f32::MIN_POSITIVE);
        self.row(|frame, patches, places| {
            let shown = places.map(|n| {
                let value = values_n.get(n as usize).copied().unwrap_or_default();
                if value.is_finite() { ((value - low) * scale).clamp(0.0, 1.0) } else { 0.0 }
            });
            Ok(frame.overlay_grid_heat(&shown, patches)?)
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

/// What next-cluster prediction sees: frames, the place of each token's cluster in the order, the tokens that are read.
pub(crate) fn cluster_picture(
    clip: &LoadedClip,
    plan: &arvideo::ClusterPlan,
    clusters: &arvideo::Clusters,
    geometry: &ClipGeometry,
) -> anyhow::Result<Picture> {
    let mut rank_n = vec![0.0; geometry.grid().num_tokens() as usize];
    for (rank, cluster) in plan.order.iter().enumerate() {
        for token in clusters.tokens(*cluster) {
            rank_n[*token as usize] = rank as f32;
        }
    }
    Strip::new(&clip.rgb, geometry)?.plain().heat(&rank_n)?.only(&plan.inputs)?.draw()
}
