use super::Picture;
use crate::report::ReportError;

/// How patches tile a picture; patch `(row, col)` has index `row * cols + col`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PatchGrid {
    /// Patches, vertical.
    pub(crate) rows: usize,
    /// Patches, horizontal.
    pub(crate) cols: usize,
}

/// How much of a heat map's colour covers the grey picture under it.
const HEAT_SHARE: f32 = 0.5;

/// What stays of a hidden patch's brightness.
const HIDDEN_SHARE: f32 = 0.2;

/// Matplotlib's viridis at 0, 1/8 .. 1 (CC0): its lightness rises evenly, in grey print and for the colour-blind too.
const VIRIDIS: [[u8; 3]; 9] = [
    [68, 1, 84],
    [71, 45, 123],
    [59, 82, 139],
    [44, 114, 142],
    [33, 144, 140],
    [40, 174, 128],
    [93, 201, 99],
    [171, 220, 50],
    [253, 231, 37],
];

/// Colour of a value in `[0, 1]`.
pub(super) fn viridis(value: f32) -> [u8; 3] {
    let place = value.clamp(0.0, 1.0) * (VIRIDIS.len() - 1) as f32;
    let below = (place as usize).min(VIRIDIS.len() - 2);
    mix(VIRIDIS[below], VIRIDIS[below + 1], place - below as f32)
}

impl Picture {
    /// The picture in grey under one heat colour per patch: dark blue for 0, yellow for 1.
    ///
    /// # Errors
    /// [`ReportError::NotTiled`], [`ReportError::PatchCount`], [`ReportError::HeatRange`].
    pub(crate) fn overlay_grid_heat(&self, values: &[f32], grid: PatchGrid) -> Result<Self, ReportError> {
        let patches = Patches::tile(self, grid, values.len())?;
        if let Some(index) = values.iter().position(|v| !(0.0..=1.0).contains(v)) {
            return Err(ReportError::HeatRange { index, value: values[index] });
        }
        Ok(self.recoloured(|x, y, pixel| mix([luma(pixel); 3], viridis(values[patches.index(x, y)]), HEAT_SHARE)))
    }

    /// Patches with `true` dark and hatched, as hidden; the others as they are.
    ///
    /// # Errors
    /// [`ReportError::NotTiled`], [`ReportError::PatchCount`].
    pub(crate) fn dim_patches(&self, hidden: &[bool], grid: PatchGrid) -> Result<Self, ReportError> {
        let patches = Patches::tile(self, grid, hidden.len())?;
        let hatch_px = (patches.width.min(patches.height) / 4).max(4);
        Ok(self.recoloured(|x, y, pixel| {
            if !hidden[patches.index(x, y)] {
                pixel
            } else if (x + y) % hatch_px == 0 {
                [96; 3]
            } else {
                mix([0; 3], pixel, HIDDEN_SHARE)
            }
        }))
    }

    /// A line of `colour` around the patches with `true`, inside them; neighbours share one outline.
    ///
    /// # Errors
    /// [`ReportError::NotTiled`], [`ReportError::PatchCount`].
    pub(crate) fn outline_patches(
        &self,
        marked: &[bool],
        grid: PatchGrid,
        colour: [u8; 3],
    ) -> Result<Self, ReportError> {
        let patches = Patches::tile(self, grid, marked.len())?;
        let line_px = (patches.width.min(patches.height) / 10).max(1);
        let is_marked = |x: Option<usize>, y: Option<usize>| match (x, y) {
            (Some(x), Some(y)) if x < self.width && y < self.height => marked[patches.index(x, y)],
            _ => false,
        };
        Ok(self.recoloured(|x, y, pixel| {
            if !is_marked(Some(x), Some(y)) {
                return pixel;
            }
            let xs = [x.checked_sub(line_px), Some(x), Some(x + line_px)];
            let ys = [y.checked_sub(line_px), Some(y), Some(y + line_px)];
            let surrounded = ys.iter().all(|y| xs.iter().all(|x| is_marked(*x, *y)));
            if surrounded { pixel } else { colour }
        }))
    }

    fn recoloured(&self, colour: impl Fn(usize, usize, [u8; 3]) -> [u8; 3]) -> Self {
        let mut out = self.clone();
        for y in 0..self.height {
            for x in 0..self.width {
                out.set(x, y, colour(x, y, self.at(x, y)));
            }
        }
        out
    }
}

/// A checked [`PatchGrid`] over one picture.
struct Patches {
    width: usize,
    height: usize,
    cols: usize,
}

impl Patches {
    fn tile(picture: &Picture, PatchGrid { rows, cols }: PatchGrid, num_values: usize) -> Result<Self, ReportError> {
        let (width, height) = (picture.width, picture.height);
        if !(1..=height).contains(&rows) || !(1..=width).contains(&cols) || height % rows != 0 || width % cols != 0 {
            return Err(ReportError::NotTiled { rows, cols, width, height });
        }
        if num_values != rows * cols {
            return Err(ReportError::PatchCount { rows, cols, found: num_values });
        }
        Ok(Patches { width: width / cols, height: height / rows, cols })
    }

    fn index(&self, x: usize, y: usize) -> usize {
        y / self.height * self.cols + x / self.width
    }
}

/// `from` at share 0, `to` at share 1.
fn mix(from: [u8; 3], to: [u8; 3], share: f32) -> [u8; 3] {
    std::array::from_fn(|c| (f32::from(from[c]) * (1.0 - share) + f32::from(to[c]) * share).round() as u8)
}

/// Brightness by Rec. 601.
fn luma([r, g, b]: [u8; 3]) -> u8 {
    (0.299 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b)).round() as u8
}
