use rand::RngExt;
use spec::{Purpose, Rng, rng_for};

use super::options::Place;
use super::vec3::{Vec3, mix, vec3};

/// Sources draw from items above all videos.
const FIRST_SOURCE_ITEM: u64 = 1 << 32;

/// Red, green, blue in `[0, 1]`, as displayed; a [`Vec3`] so that colours mix and scale.
pub(super) type Rgb = Vec3;

/// Where the pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    Indoor,
    Outdoor,
}

/// What a source video fixes: pool, colours, light and where the camera stands. Every source films all classes as evenly
/// as their number allows, so that nothing in here tells a class.
#[derive(Clone, Debug)]
pub struct Scene {
    pub(super) place: Place,
    pub(super) setting: Setting,
    /// Shift of the procedural textures, metres.
    pub(super) offset: f32,
    pub(super) board_height: f32,
    pub(super) camera: Vec3,
    /// Height of what the camera sees at the diver's distance, metres.
    pub(super) view_height: f32,
    /// Filmed from the other side of the pool.
    pub(super) mirrored: bool,
    pub(super) wall: Rgb,
    pub(super) deck: Rgb,
    pub(super) water: Rgb,
    pub(super) banner: Rgb,
    /// Suit in front, behind and at the sides.
    pub(super) suit: [Rgb; 3],
    pub(super) cap: Rgb,
    /// Direction to the light, unit length.
    pub(super) light: Vec3,
    /// Standard deviation of the sensor noise, of 1.
    pub(super) noise: f32,
    /// How far the brightness wanders, of 1.
    pub(super) flicker: f32,
}

impl Scene {
    /// Draws source number `source` of the set.
    pub fn draw(seed: u64, source: u64) -> Scene {
        let rng = &mut rng_for(seed, 0, FIRST_SOURCE_ITEM + source, Purpose::Synth);
        let setting = if rng.random::<bool>() { Setting::Indoor } else { Setting::Outdoor };
        let yaw = between(rng, -0.45, 0.45);
        let distance = between(rng, 9.0, 12.0);
        let hue = rng.random::<f32>();
        let front = hsv(hue, between(rng, 0.1, 0.9), 0.97);
        let back = hsv(hue + between(rng, 0.4, 0.6), between(rng, 0.7, 0.95), between(rng, 0.2, 0.4));
        let wall_shade = between(rng, 0.45, 0.75);
        Scene {
            place: Place::Pool,
            setting,
            offset: between(rng, 0.0, 100.0),
            board_height: between(rng, 2.7, 3.6),
            camera: vec3(0.8 + distance * yaw.sin(), between(rng, 2.2, 4.2), distance * yaw.cos()),
            view_height: between(rng, 2.8, 3.3),
            mirrored: rng.random(),
            wall: hsv(rng.random(), between(rng, 0.05, 0.3), wall_shade),
            deck: hsv(between(rng, 0.05, 0.15), between(rng, 0.05, 0.35), between(rng, 0.55, 0.8)),
            water: hsv(between(rng, 0.5, 0.6), between(rng, 0.55, 0.8), between(rng, 0.55, 0.8)),
            banner: hsv(rng.random(), 0.7, between(rng, 0.4, 0.7)),
            suit: [front, back, hsv(hue + 0.25, 0.2, if rng.random::<bool>() { 0.95 } else { 0.1 })],
            cap: hsv(rng.random(), between(rng, 0.1, 0.8), between(rng, 0.15, 0.5)),
            light: vec3(between(rng, -0.6, 0.6), 1.0, between(rng, 0.3, 0.9)).unit(),
            noise: between(rng, 0.006, 0.018),
            flicker: between(rng, 0.01, 0.05),
        }
    }

    /// The same source before a plain wall: nothing is in the picture but diver, board and splash.
    pub(super) fn in_studio(self) -> Scene {
        Scene { place: Place::Studio, ..self }
    }

    /// Height of the board above the water, metres.
    pub fn board_height(&self) -> f32 {
        self.board_height
    }
}

/// Colour from hue (turns, any number), saturation and value.
pub(super) fn hsv(hue: f32, saturation: f32, value: f32) -> Rgb {
    let channel = |shift: f32| {
        let distance = ((hue + shift).rem_euclid(1.0) * 6.0 - 3.0).abs() - 1.0;
        value * mix(1.0, distance.clamp(0.0, 1.0), saturation)
    };
    vec3(channel(0.0), channel(2.0 / 3.0), channel(1.0 / 3.0))
}

fn between(rng: &mut Rng, low: f32, high: f32) -> f32 {
    low + (high - low) * rng.random::<f32>()
}
