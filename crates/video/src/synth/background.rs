use super::options::Place;
use super::scene::{Rgb, Scene, Setting, hsv};
use super::vec3::{Vec3, mix, smooth_step, vec3};

/// The far wall and the pool's edges, metres.
const WALL_Z: f32 = -13.0;
const FAR_EDGE_Z: f32 = -6.5;
const BOARD_EDGE_X: f32 = -1.0;
/// Rows of seats begin and end at these heights on the wall, metres.
const SEATS: [f32; 2] = [1.1, 4.4];
/// How far the spectators fade into the wall, so that the diver stands out.
const SEAT_HAZE: f32 = 0.4;
const SEAT_ROW: f32 = 0.55;
const SEAT_PITCH: f32 = 0.6;
const BANNER_PITCH: f32 = 2.6;
const WHITE: Rgb = vec3(1.0, 1.0, 1.0);

/// What the diver does to the water.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ripples {
    pub(super) centre: Vec3,
    /// Seconds since the entry; negative before it.
    pub(super) since: f32,
    pub(super) strength: f32,
}

impl Scene {
    /// What a ray from the camera meets behind the diver: its colour and the distance along `ray` in multiples of its
    /// length. The pool is a water plane with a deck around it and one wall with seats.
    pub(super) fn backdrop(&self, ray: Vec3, t: f32, ripples: &Ripples) -> (Rgb, f32) {
        if self.place == Place::Studio {
            return (self.wall, f32::INFINITY);
        }
        let to_wall = if ray.z < 0.0 { (WALL_Z - self.camera.z) / ray.z } else { f32::INFINITY };
        let to_ground = if ray.y < 0.0 { -self.camera.y / ray.y } else { f32::INFINITY };
        if to_ground < to_wall {
            let hit = self.camera + ray * to_ground;
            (self.ground(hit, t, ripples), to_ground)
        } else if to_wall.is_finite() {
            let hit = self.camera + ray * to_wall;
            (self.wall(hit.x + self.offset, hit.y), to_wall)
        } else {
            (self.wall, to_wall)
        }
    }

    fn ground(&self, hit: Vec3, t: f32, ripples: &Ripples) -> Rgb {
        if hit.z < FAR_EDGE_Z || hit.x < BOARD_EDGE_X {
            let into_deck = (FAR_EDGE_Z - hit.z).max(BOARD_EDGE_X - hit.x);
            let tile = lattice(hit.x + self.offset, hit.z, 0.5) * 0.06;
            return if into_deck < 0.3 { hsv(0.58, 0.1, 0.9) } else { self.deck * (0.94 + tile) };
        }
        self.water(hit, t, ripples)
    }

    fn water(&self, hit: Vec3, t: f32, ripples: &Ripples) -> Rgb {
        let (x, z) = (hit.x + self.offset, hit.z);
        let swell = (2.1 * x + 1.3 * z + 2.0 * t).sin()
            + (3.7 * z - 1.9 * x + 2.9 * t).sin()
            + (5.3 * x + 0.7 * z - 3.3 * t).sin();
        let far = ((self.camera.z - z) / 20.0).clamp(0.0, 1.0);
        let lane = 1.0 - smooth_step(0.1, 0.25, ((z + 0.06 * swell).rem_euclid(2.5) - 1.25).abs());
        let mut colour = self.water * (0.88 + 0.05 * swell - 0.18 * lane);
        colour = colour.lerp(WHITE, 0.1 + 0.25 * far + 0.12 * smooth_step(1.6, 2.6, swell));
        if ripples.since > 0.0 {
            let away = hit - ripples.centre;
            let distance = (away.x * away.x + away.z * away.z).sqrt();
            let reach = 0.35 + 1.2 * ripples.since;
            let ring = (9.0 * (distance - 1.4 * ripples.since)).sin() * (-(distance - reach).abs() * 1.5).exp();
            let foam = (1.0 - smooth_step(0.3 * reach, 1.1 * reach, distance)) * (-1.1 * ripples.since).exp();
            let grain = 0.55 + 0.45 * noise(8.0 * x, 8.0 * z + 3.0 * t);
            colour = colour * (1.0 + 0.25 * ring * (-1.2 * ripples.since).exp());
            colour = colour.lerp(WHITE, (1.3 * ripples.strength * foam * grain).min(0.95));
        }
        colour
    }

    fn wall(&self, x: f32, y: f32) -> Rgb {
        if y < 0.25 {
            return self.wall * 0.55;
        }
        if y < SEATS[0] {
            let panel = (x / BANNER_PITCH).floor();
            let along = (x / BANNER_PITCH - panel) * BANNER_PITCH;
            let letter = along > 0.5 && along < 2.1 && (0.5..0.85).contains(&y) && hash(x * 6.0, panel) > 0.4;
            let base = if panel.rem_euclid(2.0) < 1.0 { self.banner } else { hsv(0.6, 0.1, 0.85) };
            return if letter { WHITE.lerp(base, 0.25 + 0.5 * (panel.rem_euclid(2.0))) } else { base };
        }
        if y < SEATS[1] { self.seats(x, y) } else { self.above_seats(x, y) }
    }

    fn seats(&self, x: f32, y: f32) -> Rgb {
        let row = ((y - SEATS[0]) / SEAT_ROW).floor();
        let up = (y - SEATS[0]) / SEAT_ROW - row;
        let column = (x / SEAT_PITCH + 0.5 * row).floor();
        let across = x / SEAT_PITCH + 0.5 * row - column - 0.5;
        let step = self.wall * mix(0.66, 0.55, up);
        if hash(column, row) < 0.3 {
            return step;
        }
        let tall = 0.62 + 0.2 * hash(column, row + 31.0);
        let (head_x, head_y) = (across * SEAT_PITCH, (up - tall) * SEAT_ROW);
        if head_x * head_x + head_y * head_y < 0.011 {
            return hsv(0.07, 0.35, 0.4 + 0.3 * hash(column, row + 7.0)).lerp(self.wall, SEAT_HAZE);
        }
        if up < tall - 0.12 && across.abs() < 0.36 {
            let cloth = hsv(hash(column, row + 3.0), 0.4, 0.3 + 0.35 * hash(column, row + 5.0));
            return cloth.lerp(self.wall, SEAT_HAZE);
        }
        step
    }

    fn above_seats(&self, x: f32, y: f32) -> Rgb {
        let height = smooth_step(SEATS[1], 13.0, y);
        match self.setting {
            Setting::Indoor => {
                let beam = (x.rem_euclid(3.6) - 1.8).abs() < 0.16;
                let window =
                    (x.rem_euclid(3.6) - 1.8).abs() > 0.5 && (6.2..9.0).contains(&y) && (y.rem_euclid(1.4) > 0.1);
                let panel = 0.04 * lattice(x, y, 1.2);
                if beam {
                    self.wall * 0.6
                } else if window {
                    vec3(0.78, 0.86, 0.93) * (0.85 + 0.15 * height)
                } else {
                    self.wall * (1.0 + panel + 0.1 * height)
                }
            }
            Setting::Outdoor => {
                let trees = 5.0 + 1.1 * noise(0.5 * x, 2.0) + 0.5 * noise(2.1 * x, 9.0);
                if y < trees {
                    return vec3(0.16, 0.31, 0.17) * (0.7 + 0.6 * noise(3.0 * x, 3.0 * y));
                }
                let sky = vec3(0.74, 0.85, 0.95).lerp(vec3(0.3, 0.53, 0.86), height);
                let cloud = 0.6 * noise(0.28 * x, 0.7 * y) + 0.4 * noise(0.7 * x, 1.7 * y);
                sky.lerp(WHITE, 0.75 * smooth_step(0.5, 0.8, cloud))
            }
        }
    }
}

/// 1 on alternate squares of side `pitch`.
pub(super) fn lattice(x: f32, y: f32, pitch: f32) -> f32 {
    ((x / pitch).floor() + (y / pitch).floor()).rem_euclid(2.0)
}

/// A fixed scatter of the integer parts of `x` and `y` over `[0, 1)`.
pub(super) fn hash(x: f32, y: f32) -> f32 {
    let mixed =
        (x.floor() as i32 as u32).wrapping_mul(0x9E37_79B1) ^ (y.floor() as i32 as u32).wrapping_mul(0x85EB_CA77);
    let mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x2C1B_3C6D);
    ((mixed ^ (mixed >> 12)) >> 8) as f32 / (1 << 24) as f32
}

/// Smooth noise in `[0, 1)`: [`hash`] at whole numbers, blended between them.
pub(super) fn noise(x: f32, y: f32) -> f32 {
    let (fx, fy) = (x - x.floor(), y - y.floor());
    let (wx, wy) = (fx * fx * (3.0 - 2.0 * fx), fy * fy * (3.0 - 2.0 * fy));
    let row = |y: f32| mix(hash(x, y), hash(x + 1.0, y), wx);
    mix(row(y), row(y + 1.0), wy)
}
