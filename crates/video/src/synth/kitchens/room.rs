use rand::RngExt;
use spec::Rng;

use super::super::background::{hash, lattice, noise};
use super::super::dive::between;
use super::super::scene::{Rgb, hsv};
use super::super::vec3::{Rotation, Vec3, mix, smooth_step, vec3};
use super::easel::{Drum, Easel, Inside, Stand};
use super::layout::{COUNTER_Y, Kitchen, Material, SINK_Z, WALL_Z};

/// Half the sink's width and depth, metres.
const SINK_HALF: [f32; 2] = [0.13, 0.1];
/// Thickness of the counter's top, metres.
const EDGE: f32 = 0.035;

impl Kitchen {
    /// What a ray of depth 1 meets behind all objects: its colour and depth. A counter, the wall behind it, the cupboards
    /// below its front edge.
    pub(super) fn backdrop(&self, eye: Vec3, ray: Vec3) -> (Rgb, f32) {
        let to_counter = if ray.y < 0.0 { (COUNTER_Y - eye.y) / ray.y } else { f32::INFINITY };
        let reached = eye.z + ray.z * to_counter;
        if reached > 0.0 && ray.z < 0.0 {
            let to_front = -eye.z / ray.z;
            let hit = eye + ray * to_front;
            (self.front(hit.x, hit.y), to_front)
        } else if reached > 0.0 || reached >= WALL_Z {
            let hit = eye + ray * to_counter;
            (self.counter_top(hit.x, hit.z), to_counter)
        } else {
            let to_wall = (WALL_Z - eye.z) / ray.z;
            let hit = eye + ray * to_wall;
            (self.tiles(hit.x, hit.y), to_wall)
        }
    }

    fn counter_top(&self, x: f32, z: f32) -> Rgb {
        let [into_x, into_z] = [(x - self.tap_x()).abs() - SINK_HALF[0], (z - SINK_Z).abs() - SINK_HALF[1]];
        let into_sink = into_x.max(into_z);
        if into_sink < 0.0 {
            let drain = (x - self.tap_x()).powi(2) + (z - SINK_Z).powi(2) < 0.0004;
            let depth = smooth_step(0.0, 0.06, -into_sink);
            return if drain { hsv(0.6, 0.1, 0.15) } else { hsv(0.6, 0.05, mix(0.42, 0.6, depth)) };
        }
        if into_sink < 0.012 {
            return hsv(0.6, 0.04, 0.82);
        }
        let [light, dark] = self.counter;
        let (u, v) = (x + self.offset, z + self.offset);
        let grain = match self.material {
            Material::Stone => {
                smooth_step(0.45, 0.75, 0.5 * noise(90.0 * u, 90.0 * v) + 0.5 * noise(35.0 * u, 35.0 * v))
            }
            Material::Wood => 0.6 * noise(6.0 * u, 70.0 * v) + 0.4 * hash(1.0, v / 0.11) * noise(3.0 * u, 9.0 * v),
            Material::Plain => 0.2 * noise(8.0 * u, 8.0 * v),
        };
        light.lerp(dark, grain) * (1.0 - 0.25 * (1.0 - smooth_step(0.0, 0.1, z - WALL_Z)))
    }

    fn front(&self, x: f32, y: f32) -> Rgb {
        let below = COUNTER_Y - y;
        if below < EDGE {
            return self.counter[1] * 0.8;
        }
        let gap = (x + 0.5).rem_euclid(0.45) < 0.008;
        self.cabinet * if gap { 0.5 } else { mix(0.9, 0.6, (below * 1.6).min(1.0)) }
    }

    fn tiles(&self, x: f32, y: f32) -> Rgb {
        let (u, v) = (x + self.offset, y);
        let joint = u.rem_euclid(self.tile).min(v.rem_euclid(self.tile)) < 0.006;
        let [light, dark] = self.wall;
        if joint { dark * 0.8 } else { light * (0.94 + 0.06 * lattice(u, v, self.tile)) }
    }
}

/// A jar that stands at the wall and is never touched.
#[derive(Clone, Debug)]
pub(super) struct Jar {
    at: Vec3,
    drum: Drum,
    colours: [Rgb; 2],
}

/// Two to five jars; none at the tap.
pub(super) fn draw_jars(kitchen: &Kitchen, rng: &mut Rng) -> Vec<Jar> {
    let num_jars = rng.random_range(2..=5);
    (0..num_jars)
        .map(|i| {
            let along = (i as f32 + between(rng, [0.2, 0.8])) / num_jars as f32;
            let radius = between(rng, [0.025, 0.045]);
            let drum = Drum { radii: [radius, radius * between(rng, [0.6, 1.1])], height: between(rng, [0.06, 0.16]) };
            let colours = [(); 2].map(|()| hsv(rng.random(), between(rng, [0.2, 0.8]), between(rng, [0.3, 0.8])));
            Jar { at: vec3(mix(-0.6, 0.6, along), COUNTER_Y, WALL_Z + 0.05), drum, colours }
        })
        .filter(|jar| (jar.at.x - kitchen.tap_x()).abs() > 0.1)
        .collect()
}

impl Jar {
    pub(super) fn paint(&self, easel: &mut Easel<'_>) {
        let stand = Stand { at: self.at, turn: Rotation::about_y(0.0) };
        easel.shadow(self.at, 1.6 * self.drum.radii[0], 0.4);
        easel.drum(&stand, self.drum, self.colours[0], Some(Inside { share: 0.85, colour: self.colours[1] }));
    }
}
