//! Which window of the stored frame a clip shows.

use rand::RngExt as _;
use spec::Rng;

use super::Crop;
use crate::{Part, Window};

/// Places of a multi-scale crop, in quarters of the room beside and above it: corners, centre, middles of the sides, and
/// the centres of the four quadrants.
const PLACES: [(u32, u32); 13] =
    [(0, 0), (4, 0), (0, 4), (4, 4), (2, 2), (0, 2), (4, 2), (2, 0), (2, 4), (1, 1), (3, 1), (1, 3), (3, 3)];

/// A side this close to the clip's size becomes it, which spares the resize (VideoMAE).
const SNAP_PX: u32 = 3;

/// Draws of area and shape before a random resized crop falls back to the centre (torchvision).
const ATTEMPTS: u32 = 10;

/// A stored frame's width and height, and the side of the clip.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) width_px: u32,
    pub(crate) height_px: u32,
    pub(crate) clip_px: u32,
}

impl Crop {
    /// The window of one clip.
    pub(super) fn draw(&self, sizes: Sizes, rng: &mut Rng) -> Window {
        match self {
            Crop::Centre {} => square_along(sizes, Part::WHOLE),
            Crop::Random {} => {
                let side = sizes.clip_px.min(sizes.width_px).min(sizes.height_px);
                anywhere(sizes, (side, side), rng)
            }
            Crop::MultiScale { scales } => multi_scale(sizes, scales, rng),
            Crop::RandomResized { scale, ratio } => random_resized(sizes, *scale, *ratio, rng),
        }
    }
}

/// A square of the frame's short side, one of several along its long side.
pub(crate) fn square_along(sizes: Sizes, part: Part) -> Window {
    let (width_px, height_px) = (sizes.width_px, sizes.height_px);
    let side = width_px.min(height_px);
    let start = |len: u32| part.start((len - side) as usize) as u32;
    Window { left_px: start(width_px), top_px: start(height_px), width_px: side, height_px: side }
}

fn anywhere(sizes: Sizes, (width_px, height_px): (u32, u32), rng: &mut Rng) -> Window {
    let left_px = rng.random_range(0..=sizes.width_px - width_px);
    let top_px = rng.random_range(0..=sizes.height_px - height_px);
    Window { left_px, top_px, width_px, height_px }
}

fn multi_scale(sizes: Sizes, scales: &[f64], rng: &mut Rng) -> Window {
    let short = sizes.width_px.min(sizes.height_px);
    let side = |scale: &f64| match (f64::from(short) * scale) as u32 {
        near if near.abs_diff(sizes.clip_px) < SNAP_PX => sizes.clip_px.min(short),
        side => side.max(1),
    };
    let sides: Vec<u32> = scales.iter().map(side).collect();
    let numbers = 0..sides.len();
    let neighbours: Vec<(usize, usize)> = numbers
        .clone()
        .flat_map(|i| numbers.clone().map(move |j| (i, j)))
        .filter(|(i, j)| i.abs_diff(*j) <= 1)
        .collect();
    let (i, j) = neighbours[rng.random_range(0..neighbours.len())];
    let (width_px, height_px) = (sides[i], sides[j]);
    let (right, down) = PLACES[rng.random_range(0..PLACES.len())];
    let left_px = right * ((sizes.width_px - width_px) / 4);
    let top_px = down * ((sizes.height_px - height_px) / 4);
    Window { left_px, top_px, width_px, height_px }
}

fn random_resized(sizes: Sizes, scale: [f64; 2], ratio: [f64; 2], rng: &mut Rng) -> Window {
    let (width, height) = (f64::from(sizes.width_px), f64::from(sizes.height_px));
    for _ in 0..ATTEMPTS {
        let area = width * height * rng.random_range(scale[0]..=scale[1]);
        let shape = rng.random_range(ratio[0].ln()..=ratio[1].ln()).exp();
        let (w, h) = ((area * shape).sqrt().round() as u32, (area / shape).sqrt().round() as u32);
        if (1..=sizes.width_px).contains(&w) && (1..=sizes.height_px).contains(&h) {
            return anywhere(sizes, (w, h), rng);
        }
    }
    // The largest centred box of an allowed shape.
    let shape = (width / height).clamp(ratio[0], ratio[1]);
    let width_px = (width.min(height * shape).round() as u32).clamp(1, sizes.width_px);
    let height_px = (height.min(width / shape).round() as u32).clamp(1, sizes.height_px);
    let (left_px, top_px) = ((sizes.width_px - width_px) / 2, (sizes.height_px - height_px) / 2);
    Window { left_px, top_px, width_px, height_px }
}
