use rand::RngExt;
use spec::Rng;

use super::super::dive::between;
use super::super::scene::{Rgb, hsv};
use super::super::vec3::{Rotation, Vec3, vec3};
use super::words::Noun;

/// Height of the counter's surface above the floor, metres. `x` runs to the right, `y` up, `z` towards the person; the
/// counter's front edge is at `z = 0`.
pub(super) const COUNTER_Y: f32 = 0.9;
/// Where the wall behind the counter stands.
pub(super) const WALL_Z: f32 = -0.55;
/// Middle of the sink.
pub(super) const SINK_Z: f32 = -0.3;

const ROWS_Z: [f32; 2] = [-0.11, -0.33];
const COLUMNS_X: [f32; 4] = [-0.315, -0.105, 0.105, 0.315];
/// A place nearer than this to the sink's middle is not used, metres along the counter.
const SINK_ROOM: f32 = 0.2;
/// Share of pans with a lid and of boards with bread.
const COVERED_SHARE: f32 = 0.6;

/// An object with a fixed place; `COUNTER_Y` high unless it is furniture.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) noun: Noun,
    pub(super) at: Vec3,
    /// Turn about the vertical.
    pub(super) turn: Rotation,
    pub(super) colour: Rgb,
    /// What lies on it: the lid of a pan, the bread on a board; an index into the items.
    pub(super) cover: Option<usize>,
}

/// What a participant's kitchen fixes: furniture, light, crockery, skin.
#[derive(Clone, Debug)]
pub(super) struct Kitchen {
    pub(super) material: Material,
    pub(super) counter: [Rgb; 2],
    pub(super) wall: [Rgb; 2],
    pub(super) cabinet: Rgb,
    /// Side of wall tiles, metres.
    pub(super) tile: f32,
    /// Shift of the procedural textures, metres.
    pub(super) offset: f32,
    pub(super) skin: Rgb,
    drawer_x: f32,
    tap_x: f32,
    /// One colour for each noun, in the order of [`Noun::ALL`].
    colours: [Rgb; Noun::ALL.len()],
}

/// Of the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Material {
    Stone,
    Wood,
    Plain,
}

impl Kitchen {
    pub(super) fn draw(rng: &mut Rng) -> Kitchen {
        let side = if rng.random::<bool>() { 1.0 } else { -1.0 };
        let (counter_hue, counter_value) = (between(rng, [0.05, 0.15]), between(rng, [0.35, 0.8]));
        let material = match rng.random_range(0..3) {
            0 => Material::Stone,
            1 => Material::Wood,
            _ => Material::Plain,
        };
        let saturation = if material == Material::Wood { between(rng, [0.3, 0.55]) } else { between(rng, [0.0, 0.15]) };
        let counter = [counter_value, counter_value * between(rng, [0.6, 0.85])];
        let wall_hue = rng.random::<f32>();
        let (wall_value, skin) = (between(rng, [0.6, 0.9]), rng.random::<f32>());
        Kitchen {
            material,
            counter: counter.map(|value| hsv(counter_hue, saturation, value)),
            wall: [1.0, 0.75].map(|shade| hsv(wall_hue, 0.25, shade * wall_value)),
            cabinet: hsv(between(rng, [0.02, 0.16]), between(rng, [0.1, 0.5]), between(rng, [0.16, 0.3])),
            tile: between(rng, [0.08, 0.16]),
            offset: between(rng, [0.0, 100.0]),
            skin: hsv(0.06, 0.35 + 0.2 * skin, 0.95 - 0.5 * skin),
            drawer_x: -side * between(rng, [0.05, 0.25]),
            tap_x: side * between(rng, [0.2, 0.28]),
            colours: Noun::ALL.map(|noun| usual_colour(noun, rng)),
        }
    }

    pub(super) fn tap_x(&self) -> f32 {
        self.tap_x
    }

    /// Lays out a video's objects: drawer and tap, then five or six of the others on the places that the sink leaves.
    pub(super) fn lay_out(&self, rng: &mut Rng) -> Vec<Item> {
        let mut items = vec![
            self.item(Noun::Drawer, vec3(self.drawer_x, COUNTER_Y - 0.09, 0.0), 0.0),
            self.item(Noun::Tap, vec3(self.tap_x, COUNTER_Y, SINK_Z - 0.14), 0.0),
        ];
        let mut places: Vec<Vec3> = ROWS_Z
            .into_iter()
            .flat_map(|z| COLUMNS_X.map(|x| vec3(x, COUNTER_Y, z)))
            .filter(|place| place.z == ROWS_Z[0] || (place.x - self.tap_x).abs() > SINK_ROOM)
            .collect();
        let mut nouns = vec![
            (Noun::Cup, 5.0),
            (Noun::Plate, 5.0),
            (Noun::Pan, 4.0),
            (Noun::Knife, 3.0),
            (Noun::Bottle, 3.0),
            (Noun::Board, 3.0),
            (Noun::Spoon, 2.0),
            (Noun::Box, 2.0),
            (Noun::Sponge, 1.5),
        ];
        for _ in 0..rng.random_range(5..=6).min(places.len()) {
            let noun = nouns.remove(pick(nouns.iter().map(|(_, weight)| *weight), rng)).0;
            let place = places.swap_remove(rng.random_range(0..places.len()));
            let jitter = vec3(between(rng, [-0.015, 0.015]), 0.0, between(rng, [-0.015, 0.015]));
            let item = self.item(noun, place + jitter, between(rng, [-0.4, 0.4]));
            let covered = rng.random::<f32>() < COVERED_SHARE;
            let cover = match noun {
                Noun::Pan if covered => Some(Item { noun: Noun::Lid, colour: self.colour(Noun::Lid), ..item.clone() }),
                Noun::Board if covered => {
                    let at = item.at + vec3(0.0, 0.02, 0.0);
                    Some(Item { noun: Noun::Bread, colour: self.colour(Noun::Bread), at, ..item.clone() })
                }
                _ => None,
            };
            items.push(Item { cover: cover.as_ref().map(|_| items.len() + 1), ..item });
            items.extend(cover);
        }
        for item in &mut items {
            item.colour = item.colour * between(rng, [0.9, 1.1]);
        }
        items
    }

    fn item(&self, noun: Noun, at: Vec3, angle: f32) -> Item {
        Item { noun, at, turn: Rotation::about_y(angle), colour: self.colour(noun), cover: None }
    }

    fn colour(&self, noun: Noun) -> Rgb {
        self.colours[noun as usize]
    }
}

/// A colour that an object of this kind often has.
fn usual_colour(noun: Noun, rng: &mut Rng) -> Rgb {
    let hue = rng.random::<f32>();
    let mut near = |middle: f32, by: f32| middle + by * (rng.random::<f32>() - 0.5);
    match noun {
        Noun::Cup => hsv(hue, near(0.7, 0.3), near(0.75, 0.3)),
        Noun::Plate => hsv(hue, near(0.12, 0.2), near(0.9, 0.15)),
        Noun::Pan => hsv(hue, 0.08, near(0.22, 0.16)),
        Noun::Lid => hsv(hue, 0.1, near(0.65, 0.2)),
        Noun::Bottle => hsv(near(0.33, 0.25), near(0.6, 0.3), near(0.5, 0.3)),
        Noun::Box => hsv(near(0.09, 0.06), near(0.5, 0.3), near(0.68, 0.2)),
        Noun::Drawer => hsv(near(0.1, 0.06), near(0.25, 0.3), near(0.78, 0.2)),
        Noun::Tap => hsv(0.6, 0.06, near(0.8, 0.15)),
        Noun::Knife => hsv(hue, near(0.4, 0.7), near(0.2, 0.2)),
        Noun::Spoon => hsv(near(0.08, 0.04), near(0.3, 0.5), near(0.75, 0.2)),
        Noun::Board => hsv(near(0.09, 0.03), near(0.45, 0.2), near(0.75, 0.2)),
        Noun::Bread => hsv(near(0.08, 0.02), near(0.65, 0.15), near(0.66, 0.15)),
        Noun::Sponge => hsv(near(0.15, 0.06), 0.85, near(0.92, 0.1)),
    }
}

/// An index drawn in proportion to `weights`, which are not all zero.
pub(super) fn pick(weights: impl Iterator<Item = f32> + Clone, rng: &mut Rng) -> usize {
    let mut left = rng.random::<f32>() * weights.clone().sum::<f32>();
    let mut chosen = 0;
    for (i, weight) in weights.enumerate().filter(|(_, weight)| *weight > 0.0) {
        chosen = i;
        left -= weight;
        if left < 0.0 {
            break;
        }
    }
    chosen
}
