use std::f32::consts::TAU;

use rand::Rng as _;
use spec::{Purpose, Rng, rng_for};

use super::background::Ripples;
use super::body::{Cover, Limb};
use super::camera::{View, views};
use super::canvas::{Canvas, Capsule};
use super::dive::Dive;
use super::scene::{Rgb, Scene, hsv};
use super::vec3::{Vec3, mix, plateau, vec3};

/// Droplets thrown up by an entry.
const NUM_DROPLETS: u32 = 130;
/// Pull on the spray, metres per second squared: slow motion, as for the diver.
const SPRAY_GRAVITY: f32 = 6.0;
/// Share of a pixel's colour from which on it counts as the diver's.
const DIVERS_SHARE: f32 = 0.25;
const BOARD: Rgb = vec3(0.72, 0.85, 0.88);
const STEEL: Rgb = vec3(0.62, 0.64, 0.68);
/// A limb moves when one of its ends has come this far since the frame before, whatever the camera does.
const MOVING_METRES_PER_SEC: f32 = 0.5;
/// Share of the light that comes from everywhere.
const AMBIENT: f32 = 0.58;

/// Renders a dive, frame by frame: `[size_px, size_px, 3]` bytes of RGB each, row by row.
///
/// A pure function of its arguments (the scene and the dive carry their seeds).
pub fn render_dive<'a>(dive: &'a Dive, scene: &'a Scene, size_px: u32) -> impl Iterator<Item = Vec<u8>> + 'a {
    views(dive, scene).into_iter().enumerate().map(move |(frame, view)| {
        let t = frame as f32 / dive.frames_per_sec;
        let mut canvas = Canvas::new([size_px; 2]);
        Shot { dive, scene, view, t }.paint(&mut canvas);
        let sensor = &mut rng_for(dive.seed, frame as u64 + 1, dive.index, Purpose::Synth);
        let light = 1.0 + scene.flicker * ((2.3 * t + dive.sway[0]).sin() + 0.5 * (7.1 * t + dive.sway[1]).sin());
        expose(&canvas.pixels(), light, scene.noise, sensor)
    })
}

/// Where the diver moves in each frame of [`render_dive`]: `[size_px, size_px]` each, row by row.
///
/// A limb moves where one of its ends goes at half a metre per second or more, whatever the camera does: all of them in flight,
/// none or the arms before it. A pixel is the diver's where moving limbs make up at least a quarter of its colour: one of four samples above the water, or
/// what the water lets through, which is lost to sight half a metre down. Splash and ripples are not the diver.
pub fn render_dive_masks<'a>(dive: &'a Dive, scene: &'a Scene, size_px: u32) -> impl Iterator<Item = Vec<bool>> + 'a {
    views(dive, scene).into_iter().enumerate().map(move |(frame, view)| {
        let mut canvas = Canvas::new([size_px; 2]);
        Shot { dive, scene, view, t: frame as f32 / dive.frames_per_sec }.paint_silhouette(&mut canvas);
        canvas.pixels().into_iter().map(|pixel| pixel.x >= DIVERS_SHARE).collect()
    })
}

/// One frame before exposure.
struct Shot<'a> {
    dive: &'a Dive,
    scene: &'a Scene,
    view: View,
    /// Seconds since the first frame.
    t: f32,
}

impl Shot<'_> {
    fn paint(&self, canvas: &mut Canvas) {
        let (_, entry_speed) = self.dive.entry();
        let ripples = self.ripples();
        canvas.fill(&self.view, |ray| self.scene.backdrop(ray, self.t, &ripples));
        self.paint_board(canvas);
        for limb in &self.dive.body_at(self.t).limbs {
            let capsule = Capsule { ends: limb.ends, radii: limb.radii };
            canvas.capsule(&self.view, capsule, |normal| shade(self.cover_colour(limb, normal), normal, self.scene));
        }
        self.paint_splash(canvas, &ripples, entry_speed);
    }

    /// The diver's moving limbs in white, everything else in black.
    fn paint_silhouette(&self, canvas: &mut Canvas) {
        let ripples = self.ripples();
        canvas.fill(&self.view, |ray| self.scene.backdrop(ray, self.t, &ripples));
        self.paint_board(canvas);
        canvas.blacken();
        let frame_secs = 1.0 / self.dive.frames_per_sec;
        let before = self.dive.body_at((self.t - frame_secs).max(0.0));
        for (limb, before) in self.dive.body_at(self.t).limbs.iter().zip(&before.limbs) {
            let moved = |end: usize| {
                let way = limb.ends[end] - before.ends[end];
                way.dot(way).sqrt()
            };
            if moved(0).max(moved(1)) >= MOVING_METRES_PER_SEC * frame_secs {
                canvas.silhouette(&self.view, Capsule { ends: limb.ends, radii: limb.radii });
            }
        }
    }

    fn ripples(&self) -> Ripples {
        let (centre, _) = self.dive.entry();
        Ripples { centre, since: self.t - self.dive.entry_secs, strength: self.dive.splash }
    }

    /// The springboard, its stand and the handrails.
    fn paint_board(&self, canvas: &mut Canvas) {
        const SEGMENTS: usize = 6;
        const LENGTH: f32 = 3.6;
        let scene = self.scene;
        let mut bar = |ends: [Vec3; 2], radius: f32, colour: Rgb| {
            let capsule = Capsule { ends, radii: [radius; 2] };
            canvas.capsule(&self.view, capsule, |normal| shade(colour, normal, scene));
        };
        let (bend, top) = (self.dive.board_bend(self.t), scene.board_height);
        let point = |i: usize, z: f32| {
            let out = i as f32 / SEGMENTS as f32;
            vec3((out - 1.0) * LENGTH, top - bend * out * out, z)
        };
        for z in [-0.18, -0.06, 0.06, 0.18] {
            for i in 0..SEGMENTS {
                bar([point(i, z), point(i + 1, z)], 0.045, BOARD);
            }
        }
        for z in [-0.35, 0.35] {
            for x in [-3.4, -2.1] {
                bar([vec3(x, 0.0, z), vec3(x, top - 0.06, z)], 0.09, scene.wall * 0.8);
                bar([vec3(x, top, z), vec3(x, top + 0.95, z)], 0.025, STEEL);
            }
            bar([vec3(-3.4, top + 0.95, z), vec3(-1.7, top + 0.95, z)], 0.028, STEEL);
            bar([vec3(-3.4, top + 0.5, z), vec3(-1.9, top + 0.5, z)], 0.022, STEEL);
            bar([vec3(-3.4, top - 0.1, z), vec3(-1.9, top - 0.1, z)], 0.1, scene.wall * 0.7);
        }
    }

    /// Droplets on parabolas from the place of entry, and the column of water that closes behind the diver.
    fn paint_splash(&self, canvas: &mut Canvas, ripples: &Ripples, entry_speed: f32) {
        let Ripples { centre, since, strength } = *ripples;
        for i in 0..NUM_DROPLETS {
            // Multiples of irrational numbers spread the droplets evenly over direction, speed, start and size.
            let [turn, lift, late, size] =
                [0.618_034, 0.754_878, 0.569_840, 0.438_447].map(|step: f32| (i as f32 * step).fract());
            let flown = since - 0.3 * late;
            let up = entry_speed * strength * mix(0.15, 0.8, lift * lift);
            let height = up * flown - 0.5 * SPRAY_GRAVITY * flown * flown;
            if flown <= 0.0 || height <= 0.0 {
                continue;
            }
            let out = 0.1 + strength * mix(0.15, 1.0, 1.0 - lift) * flown;
            let (sin, cos) = (TAU * turn).sin_cos();
            let radius = mix(0.05, 0.15, size) * (0.6 + flown);
            let opacity = 0.85 * (-1.1 * flown).exp();
            canvas.spray(&self.view, centre + vec3(out * cos, height, out * sin), radius, opacity);
        }
        for i in 0..8 {
            let share = i as f32 / 8.0;
            let height = share * 1.1 * strength * plateau(0.0, 0.75, 0.3, since);
            let opacity = 0.5 * (1.0 - share) * plateau(0.0, 0.8, 0.2, since);
            canvas.spray(&self.view, centre + vec3(0.0, height, 0.0), 0.3 * (1.1 - share), opacity);
        }
    }

    fn cover_colour(&self, limb: &Limb, normal: Vec3) -> Rgb {
        let skin = hsv(0.07, mix(0.35, 0.55, self.dive.skin), mix(0.95, 0.5, self.dive.skin));
        let [to_side, to_top, to_front] = [limb.axes.x, limb.axes.y, limb.axes.z].map(|axis| normal.dot(axis));
        let [front, back, stripe] = self.scene.suit;
        match limb.cover {
            Cover::Skin => skin,
            // The face looks to the front; the cap covers the rest.
            Cover::Cap if to_front > 0.45 && to_top < 0.6 => skin,
            Cover::Cap => self.scene.cap,
            Cover::Suit if to_side.abs() > 0.9 => stripe,
            Cover::Suit if to_front > 0.0 => front,
            Cover::Suit => back,
        }
    }
}

fn shade(colour: Rgb, normal: Vec3, scene: &Scene) -> Rgb {
    let lit = normal.dot(scene.light).max(0.0);
    colour * (AMBIENT + (1.08 - AMBIENT) * lit + 0.06 * normal.y)
}

/// Brightness and sensor noise, then bytes.
pub(super) fn expose(pixels: &[Rgb], light: f32, noise: f32, sensor: &mut Rng) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(3 * pixels.len());
    for pixel in pixels {
        let draw = sensor.next_u64().to_le_bytes().map(f32::from);
        // Sums of two bytes: triangular, standard deviation 104.5.
        for (channel, i) in [(pixel.x, 0), (pixel.y, 2), (pixel.z, 4)] {
            let grain = (draw[i] + draw[i + 1] - 255.0) / 104.5;
            bytes.push(((channel * light + noise * grain) * 255.0).round().clamp(0.0, 255.0) as u8);
        }
    }
    bytes
}
