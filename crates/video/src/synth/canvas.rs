use super::camera::View;
use super::scene::Rgb;
use super::vec3::{Vec3, mix, vec3};

/// Samples per pixel along each axis.
const SAMPLES: usize = 2;

/// A square picture with depth, [`SAMPLES`] times as fine as what comes out of it.
pub(super) struct Canvas {
    side: usize,
    colour: Vec<Rgb>,
    depth: Vec<f32>,
}

/// Two balls and the cone between them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Capsule {
    pub(super) ends: [Vec3; 2],
    pub(super) radii: [f32; 2],
}

impl Canvas {
    pub(super) fn new(size_px: usize) -> Canvas {
        let side = size_px * SAMPLES;
        Canvas { side, colour: vec![Vec3::ZERO; side * side], depth: vec![f32::INFINITY; side * side] }
    }

    /// Fills the picture with what `backdrop` (ray to colour and depth) says.
    pub(super) fn fill(&mut self, view: &View, backdrop: impl Fn(Vec3) -> (Rgb, f32)) {
        for row in 0..self.side {
            for column in 0..self.side {
                let (x, y) = self.place(column, row);
                (self.colour[row * self.side + column], self.depth[row * self.side + column]) =
                    backdrop(view.ray(x, y));
            }
        }
    }

    /// Draws a capsule where nothing is nearer; `shade` gives the colour for a surface point's normal. What lies under
    /// water (below `y = 0`) is tinted and fades with depth.
    pub(super) fn capsule(&mut self, view: &View, capsule: Capsule, shade: impl Fn(Vec3) -> Rgb) {
        let [a, b] = capsule.ends.map(|end| view.project(end));
        let radii = [capsule.radii[0] * view.focal / a.depth, capsule.radii[1] * view.focal / b.depth];
        let (along_x, along_y) = (b.x - a.x, b.y - a.y);
        let length2 = (along_x * along_x + along_y * along_y).max(1e-9);
        let reach = radii[0].max(radii[1]);
        let [left, right] = [a.x.min(b.x) - reach, a.x.max(b.x) + reach];
        let [bottom, top] = [a.y.min(b.y) - reach, a.y.max(b.y) + reach];
        self.touched([left, right], [bottom, top], |x, y, colour, nearest| {
            let h = (((x - a.x) * along_x + (y - a.y) * along_y) / length2).clamp(0.0, 1.0);
            let radius = mix(radii[0], radii[1], h);
            let (nx, ny) = ((x - a.x - h * along_x) / radius, (y - a.y - h * along_y) / radius);
            let towards2 = 1.0 - nx * nx - ny * ny;
            if towards2 <= 0.0 {
                return;
            }
            let normal = view.right * nx + view.up * ny - view.forward * towards2.sqrt();
            let thick = mix(capsule.radii[0], capsule.radii[1], h);
            let height = mix(capsule.ends[0].y, capsule.ends[1].y, h) + normal.y * thick;
            let depth = mix(a.depth, b.depth, h) - thick * towards2.sqrt();
            if height < 0.0 {
                let seen = 0.5 * (2.2 * height).exp();
                *colour = colour.lerp(shade(normal).lerp(vec3(0.2, 0.55, 0.65), 0.45), seen);
            } else if depth < *nearest {
                *colour = shade(normal);
                *nearest = depth;
            }
        });
    }

    /// Blends a ball of spray in, where nothing is nearer.
    pub(super) fn spray(&mut self, view: &View, centre: Vec3, radius: f32, opacity: f32) {
        let at = view.project(centre);
        let reach = radius * view.focal / at.depth;
        self.touched([at.x - reach, at.x + reach], [at.y - reach, at.y + reach], |x, y, colour, nearest| {
            let away2 = ((x - at.x).powi(2) + (y - at.y).powi(2)) / (reach * reach);
            if away2 < 1.0 && at.depth < *nearest {
                *colour = colour.lerp(vec3(0.95, 0.98, 1.0), opacity * (1.0 - away2));
            }
        });
    }

    /// Averages the samples: `[size_px, size_px]` colours, row by row.
    pub(super) fn pixels(&self) -> Vec<Rgb> {
        let size = self.side / SAMPLES;
        let share = 1.0 / (SAMPLES * SAMPLES) as f32;
        let mut pixels = Vec::with_capacity(size * size);
        for row in 0..size {
            for column in 0..size {
                let mut sum = Vec3::ZERO;
                for y in row * SAMPLES..(row + 1) * SAMPLES {
                    for x in column * SAMPLES..(column + 1) * SAMPLES {
                        sum = sum + self.colour[y * self.side + x];
                    }
                }
                pixels.push(sum * share);
            }
        }
        pixels
    }

    /// Right and up of the picture's centre, in picture heights, of a sample's middle.
    fn place(&self, column: usize, row: usize) -> (f32, f32) {
        let scale = 1.0 / self.side as f32;
        ((column as f32 + 0.5) * scale - 0.5, 0.5 - (row as f32 + 0.5) * scale)
    }

    /// Calls `paint` for the samples inside a box, with their place, colour and depth.
    fn touched(&mut self, x: [f32; 2], y: [f32; 2], mut paint: impl FnMut(f32, f32, &mut Rgb, &mut f32)) {
        let side = self.side as f32;
        let sample = |at: f32| (at * side).clamp(0.0, side) as usize;
        for row in sample(0.5 - y[1])..sample(0.5 - y[0] + 1.0 / side) {
            for column in sample(x[0] + 0.5)..sample(x[1] + 0.5 + 1.0 / side) {
                let (at_x, at_y) = self.place(column, row);
                let i = row * self.side + column;
                paint(at_x, at_y, &mut self.colour[i], &mut self.depth[i]);
            }
        }
    }
}
