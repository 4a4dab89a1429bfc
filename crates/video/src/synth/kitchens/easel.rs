use super::super::camera::View;
use super::super::canvas::{Canvas, Capsule};
use super::super::scene::Rgb;
use super::super::vec3::{Rotation, Vec3, smooth_step, vec3};

/// Share of the light that comes from everywhere.
const AMBIENT: f32 = 0.55;

/// Where a thing stands: its own origin and axes in the world.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stand {
    pub(super) at: Vec3,
    pub(super) turn: Rotation,
}

impl Stand {
    /// A point given in the thing's own axes.
    pub(super) fn point(&self, own: Vec3) -> Vec3 {
        self.at + self.turn.apply(own)
    }

    /// A part of the thing: moved by `own` and turned by `turn` in its axes.
    pub(super) fn part(&self, own: Vec3, turn: Rotation) -> Stand {
        Stand { at: self.point(own), turn: self.turn.after(turn) }
    }

    fn own(&self, world: Vec3) -> Vec3 {
        vec3(world.dot(self.turn.x), world.dot(self.turn.y), world.dot(self.turn.z))
    }
}

/// A truncated cone that stands upright: radii at the bottom and at the top, and height, metres.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drum {
    pub(super) radii: [f32; 2],
    pub(super) height: f32,
}

/// What a drum looks like from above: the colour of its inside and how much of the top's radius it takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inside {
    pub(super) share: f32,
    pub(super) colour: Rgb,
}

/// A canvas with a camera before it and a light on the motif.
pub(super) struct Easel<'a> {
    pub(super) canvas: &'a mut Canvas,
    pub(super) view: &'a View,
    /// Direction to the light, unit length.
    pub(super) light: Vec3,
}

impl Easel<'_> {
    /// A bar with round ends.
    pub(super) fn rod(&mut self, ends: [Vec3; 2], radii: [f32; 2], colour: Rgb) {
        let light = self.light;
        self.canvas.capsule(self.view, Capsule { ends, radii }, |normal| shade(colour, normal, light));
    }

    /// A block of twice the size `half`, about the stand's origin.
    pub(super) fn block(&mut self, stand: &Stand, half: Vec3, colour: Rgb) {
        let (eye, light) = (stand.own(self.view.eye - stand.at), self.light);
        self.canvas.cast(self.view, (stand.at, half.dot(half).sqrt()), |ray, seen, nearest| {
            if let Some((depth, normal)) = meet_block(eye, stand.own(ray), half)
                && depth < *nearest
            {
                (*seen, *nearest) = (shade(colour, stand.turn.apply(normal), light), depth);
            }
        });
    }

    /// A drum on the stand's origin; solid without an `inside`.
    pub(super) fn drum(&mut self, stand: &Stand, drum: Drum, colour: Rgb, inside: Option<Inside>) {
        let (eye, light) = (stand.own(self.view.eye - stand.at), self.light);
        let widest = drum.radii[0].max(drum.radii[1]);
        let reach = (widest * widest + drum.height * drum.height / 4.0).sqrt();
        let middle = stand.point(vec3(0.0, drum.height / 2.0, 0.0));
        self.canvas.cast(self.view, (middle, reach), |ray, seen, nearest| {
            let ray = stand.own(ray);
            if let Some((depth, normal)) = meet_drum(eye, ray, drum)
                && depth < *nearest
            {
                let hit = eye + ray * depth;
                let from_axis = (hit.x * hit.x + hit.z * hit.z).sqrt();
                let own = match inside {
                    Some(inside) if normal.y == 1.0 && from_axis < inside.share * drum.radii[1] => inside.colour,
                    _ => colour,
                };
                (*seen, *nearest) = (shade(own, stand.turn.apply(normal), light), depth);
            }
        });
    }

    /// Darkens the level ground around `centre` by up to `strength`, out to `radius`.
    pub(super) fn shadow(&mut self, centre: Vec3, radius: f32, strength: f32) {
        let eye = self.view.eye;
        self.canvas.cast(self.view, (centre, radius), |ray, seen, nearest| {
            let depth = (centre.y - eye.y) / ray.y;
            let away = eye + ray * depth - centre;
            let share = (away.x * away.x + away.z * away.z).sqrt() / radius;
            if (depth - *nearest).abs() < 1e-3 && share < 1.0 {
                *seen = *seen * (1.0 - strength * (1.0 - smooth_step(0.5, 1.0, share)));
            }
        });
    }
}

pub(super) fn shade(colour: Rgb, normal: Vec3, light: Vec3) -> Rgb {
    let lit = normal.dot(light).max(0.0);
    colour * (AMBIENT + (1.08 - AMBIENT) * lit + 0.06 * normal.y)
}

/// Where a ray first meets a block about the origin: the depth and the normal, in the block's axes (Kay and Kajiya's
/// slabs).
fn meet_block(eye: Vec3, ray: Vec3, half: Vec3) -> Option<(f32, Vec3)> {
    let (mut enter, mut leave, mut normal) = (0.0f32, f32::INFINITY, Vec3::ZERO);
    let axes = [
        (eye.x, ray.x, half.x, vec3(1.0, 0.0, 0.0)),
        (eye.y, ray.y, half.y, vec3(0.0, 1.0, 0.0)),
        (eye.z, ray.z, half.z, vec3(0.0, 0.0, 1.0)),
    ];
    for (from, along, half, axis) in axes {
        let (near, far) = ((-half * along.signum() - from) / along, (half * along.signum() - from) / along);
        if near > enter {
            (enter, normal) = (near, axis * -along.signum());
        }
        leave = leave.min(far);
    }
    (enter > 0.0 && enter < leave).then_some((enter, normal))
}

/// Where a ray first meets a drum on the origin: the depth and the normal, in the drum's axes.
fn meet_drum(eye: Vec3, ray: Vec3, drum: Drum) -> Option<(f32, Vec3)> {
    let Drum { radii: [bottom, top], height } = drum;
    let slope = (top - bottom) / height;
    let mut first: Option<(f32, Vec3)> = None;
    let mut offer = |depth: f32, normal: Vec3| {
        if depth > 0.0 && first.is_none_or(|(nearest, _)| depth < nearest) {
            first = Some((depth, normal));
        }
    };
    for (y, radius, normal) in [(0.0, bottom, vec3(0.0, -1.0, 0.0)), (height, top, vec3(0.0, 1.0, 0.0))] {
        let depth = (y - eye.y) / ray.y;
        let hit = eye + ray * depth;
        if hit.x * hit.x + hit.z * hit.z <= radius * radius {
            offer(depth, normal);
        }
    }
    // x^2 + z^2 = (bottom + slope y)^2 along the ray.
    let radius = bottom + slope * eye.y;
    let a = ray.x * ray.x + ray.z * ray.z - (slope * ray.y).powi(2);
    let b = eye.x * ray.x + eye.z * ray.z - slope * ray.y * radius;
    let c = eye.x * eye.x + eye.z * eye.z - radius * radius;
    let root = (b * b - a * c).max(0.0).sqrt();
    if b * b >= a * c {
        for depth in [(-b - root) / a, (-b + root) / a] {
            let hit = eye + ray * depth;
            if (0.0..=height).contains(&hit.y) && bottom + slope * hit.y >= 0.0 {
                offer(depth, vec3(hit.x, -slope * (bottom + slope * hit.y), hit.z).unit());
            }
        }
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rays_meet_blocks_and_drums_where_a_walk_along_them_enters() {
        let half = vec3(0.3, 0.1, 0.2);
        let drum = Drum { radii: [0.1, 0.25], height: 0.4 };
        let in_block = |p: Vec3| p.x.abs() < half.x && p.y.abs() < half.y && p.z.abs() < half.z;
        let in_drum = |p: Vec3| {
            let radius = 0.1 + (0.25 - 0.1) * p.y / 0.4;
            (0.0..0.4).contains(&p.y) && p.x * p.x + p.z * p.z < radius * radius
        };
        let eye = vec3(0.2, 1.0, 0.9);
        let mut met = [0, 0];
        for i in 0..400 {
            let ray = vec3((i % 20) as f32 * 0.07 - 0.8, -1.0, (i / 20) as f32 * 0.07 - 1.6);
            let walk = |inside: &dyn Fn(Vec3) -> bool| {
                (0..20_000).map(|step| step as f32 * 1e-4).find(|depth| inside(eye + ray * *depth))
            };
            let hits = [
                (walk(&in_block), meet_block(eye, ray, half).map(|hit| hit.0)),
                (walk(&in_drum), meet_drum(eye, ray, drum).map(|hit| hit.0)),
            ];
            for (n, (walked, computed)) in hits.into_iter().enumerate() {
                match (walked, computed) {
                    (Some(walked), Some(computed)) => {
                        assert!((walked - computed).abs() < 2e-4, "ray {i}: {walked} and {computed}");
                        met[n] += 1;
                    }
                    // A ray that cuts off less than a step of an edge.
                    (None, Some(depth)) => assert!(!in_block(eye + ray * (depth + 2e-3)) || n == 1, "ray {i}"),
                    (Some(walked), None) => panic!("ray {i} missed what it meets at {walked}"),
                    (None, None) => (),
                }
            }
        }
        assert!(met.iter().all(|met| *met > 20), "{met:?}");
    }
}
