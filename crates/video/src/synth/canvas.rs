use super::camera::View;
use super::scene::Rgb;
use super::vec3::{Vec3, mix, vec3};

/// Samples per pixel along each axis.
const SAMPLES: usize = 2;
const WHITE: Rgb = vec3(1.0, 1.0, 1.0);

/// A picture with depth, [`SAMPLES`] times as fine as what comes out of it.
pub(super) struct Canvas {
    /// Samples along each axis.
    width: usize,
    height: usize,
    colour: Vec<Rgb>,
    depth: Vec<f32>,
}

/// How well a surface is seen.
#[derive(Clone, Copy, Debug)]
enum Seen {
    /// Above the water.
    Clearly,
    /// As this share of the colour that comes out of the water.
    UnderWater(f32),
}

/// Two balls and the cone between them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Capsule {
    pub(super) ends: [Vec3; 2],
    pub(super) radii: [f32; 2],
}

impl Canvas {
    /// A picture of `[width, height]` pixels.
    pub(super) fn new(size_px: [u32; 2]) -> Canvas {
        let [width, height] = size_px.map(|side| side as usize * SAMPLES);
        let num_samples = width * height;
        Canvas { width, height, colour: vec![Vec3::ZERO; num_samples], depth: vec![f32::INFINITY; num_samples] }
    }

    /// Fills the picture with what `backdrop` (ray to colour and depth) says.
    pub(super) fn fill(&mut self, view: &View, backdrop: impl Fn(Vec3) -> (Rgb, f32)) {
        for row in 0..self.height {
            for column in 0..self.width {
                let (x, y) = self.place(column, row);
                (self.colour[row * self.width + column], self.depth[row * self.width + column]) =
                    backdrop(view.ray(x, y));
            }
        }
    }

    /// Draws a capsule where nothing is nearer; `shade` gives the colour for a surface point's normal. What lies under
    /// water (below `y = 0`) is tinted and fades with depth.
    pub(super) fn capsule(&mut self, view: &View, capsule: Capsule, shade: impl Fn(Vec3) -> Rgb) {
        self.surface(view, capsule, |normal, seen, colour| {
            *colour = match seen {
                Seen::Clearly => shade(normal),
                Seen::UnderWater(share) => colour.lerp(shade(normal).lerp(vec3(0.2, 0.55, 0.65), 0.45), share),
            }
        });
    }

    /// Draws a capsule in white, as far as [`Canvas::capsule`] would let it be seen.
    pub(super) fn silhouette(&mut self, view: &View, capsule: Capsule) {
        self.surface(view, capsule, |_, seen, colour| {
            *colour = match seen {
                Seen::Clearly => WHITE,
                Seen::UnderWater(share) => colour.lerp(WHITE, share),
            }
        });
    }

    /// Makes the whole picture black and leaves its depth: what was drawn hides, and is not seen.
    pub(super) fn blacken(&mut self) {
        self.colour.fill(Vec3::ZERO);
    }

    /// Calls `paint` where nothing is nearer than a capsule, with the normal of its surface, how well that is seen, and the
    /// colour of what is there.
    fn surface(&mut self, view: &View, capsule: Capsule, paint: impl Fn(Vec3, Seen, &mut Rgb)) {
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
                paint(normal, Seen::UnderWater(0.5 * (2.2 * height).exp()), colour);
            } else if depth < *nearest {
                paint(normal, Seen::Clearly, colour);
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

    /// Calls `paint` for the rays (of depth 1) that may meet a ball, with the colour and depth of what they met so far.
    pub(super) fn cast(&mut self, view: &View, ball: (Vec3, f32), mut paint: impl FnMut(Vec3, &mut Rgb, &mut f32)) {
        let (centre, radius) = ball;
        let at = view.project(centre);
        // Seen at a slant a ball reaches further on the picture than its radius at its depth: a quarter is ample here.
        let reach = 1.25 * radius * view.focal / (at.depth - radius).max(0.1);
        self.touched([at.x - reach, at.x + reach], [at.y - reach, at.y + reach], |x, y, colour, nearest| {
            paint(view.ray(x, y), colour, nearest);
        });
    }

    /// Averages the samples: `[height, width]` colours, row by row.
    pub(super) fn pixels(&self) -> Vec<Rgb> {
        let (width, height) = (self.width / SAMPLES, self.height / SAMPLES);
        let share = 1.0 / (SAMPLES * SAMPLES) as f32;
        let mut pixels = Vec::with_capacity(width * height);
        for row in 0..height {
            for column in 0..width {
                let mut sum = Vec3::ZERO;
                for y in row * SAMPLES..(row + 1) * SAMPLES {
                    for x in column * SAMPLES..(column + 1) * SAMPLES {
                        sum = sum + self.colour[y * self.width + x];
                    }
                }
                pixels.push(sum * share);
            }
        }
        pixels
    }

    /// Right and up of the picture's centre, in picture heights, of a sample's middle.
    fn place(&self, column: usize, row: usize) -> (f32, f32) {
        let scale = 1.0 / self.height as f32;
        ((column as f32 + 0.5) * scale - self.half_width(), 0.5 - (row as f32 + 0.5) * scale)
    }

    /// From the centre to the right edge, in picture heights.
    fn half_width(&self) -> f32 {
        0.5 * self.width as f32 / self.height as f32
    }

    /// Calls `paint` for the samples inside a box, with their place, colour and depth.
    fn touched(&mut self, x: [f32; 2], y: [f32; 2], mut paint: impl FnMut(f32, f32, &mut Rgb, &mut f32)) {
        let scale = self.height as f32;
        let row_at = |up: f32| ((0.5 - up) * scale).clamp(0.0, scale) as usize;
        let column_at = |right: f32| ((right + self.half_width()) * scale).clamp(0.0, self.width as f32) as usize;
        let rows = row_at(y[1])..row_at(y[0] - 1.0 / scale);
        let columns = column_at(x[0])..column_at(x[1] + 1.0 / scale);
        for row in rows {
            for column in columns.clone() {
                let (at_x, at_y) = self.place(column, row);
                let i = row * self.width + column;
                paint(at_x, at_y, &mut self.colour[i], &mut self.depth[i]);
            }
        }
    }
}
