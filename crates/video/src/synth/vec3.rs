use std::ops::{Add, Mul, Sub};

/// A point or direction in metres. In the world: `x` away from the board, `y` up from the water, `z` along the lane
/// lines. In the body: `x` to the left, `y` towards the head, `z` to the front.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Vec3 {
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) z: f32,
}

pub(super) const fn vec3(x: f32, y: f32, z: f32) -> Vec3 {
    Vec3 { x, y, z }
}

impl Vec3 {
    pub(super) const ZERO: Vec3 = vec3(0.0, 0.0, 0.0);

    pub(super) fn dot(self, other: Vec3) -> f32 {
        self.x * other.x + self.y * other.y + self.z * other.z
    }

    pub(super) fn cross(self, other: Vec3) -> Vec3 {
        vec3(
            self.y * other.z - self.z * other.y,
            self.z * other.x - self.x * other.z,
            self.x * other.y - self.y * other.x,
        )
    }

    pub(super) fn unit(self) -> Vec3 {
        self * (1.0 / self.dot(self).sqrt().max(1e-9))
    }

    pub(super) fn lerp(self, other: Vec3, weight: f32) -> Vec3 {
        self + (other - self) * weight
    }
}

impl Add for Vec3 {
    type Output = Vec3;
    fn add(self, other: Vec3) -> Vec3 {
        vec3(self.x + other.x, self.y + other.y, self.z + other.z)
    }
}

impl Sub for Vec3 {
    type Output = Vec3;
    fn sub(self, other: Vec3) -> Vec3 {
        vec3(self.x - other.x, self.y - other.y, self.z - other.z)
    }
}

impl Mul<f32> for Vec3 {
    type Output = Vec3;
    fn mul(self, by: f32) -> Vec3 {
        vec3(self.x * by, self.y * by, self.z * by)
    }
}

/// A rotation, as the images of the three axes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rotation {
    pub(super) x: Vec3,
    pub(super) y: Vec3,
    pub(super) z: Vec3,
}

impl Rotation {
    /// Turns `y` towards `z` by `angle` radians: a forward bend in the body's axes.
    pub(super) fn about_x(angle: f32) -> Self {
        let (s, c) = angle.sin_cos();
        Rotation { x: vec3(1.0, 0.0, 0.0), y: vec3(0.0, c, s), z: vec3(0.0, -s, c) }
    }

    /// Turns `z` towards `x` by `angle` radians: a twist in the body's axes.
    pub(super) fn about_y(angle: f32) -> Self {
        let (s, c) = angle.sin_cos();
        Rotation { x: vec3(c, 0.0, -s), y: vec3(0.0, 1.0, 0.0), z: vec3(s, 0.0, c) }
    }

    /// Turns `x` towards `y` by `angle` radians: a tilt to the side in the body's axes.
    pub(super) fn about_z(angle: f32) -> Self {
        let (s, c) = angle.sin_cos();
        Rotation { x: vec3(c, s, 0.0), y: vec3(-s, c, 0.0), z: vec3(0.0, 0.0, 1.0) }
    }

    pub(super) fn apply(self, v: Vec3) -> Vec3 {
        self.x * v.x + self.y * v.y + self.z * v.z
    }

    /// First `inner`, then this one.
    pub(super) fn after(self, inner: Rotation) -> Rotation {
        Rotation { x: self.apply(inner.x), y: self.apply(inner.y), z: self.apply(inner.z) }
    }
}

/// `t` moved from `[from, to]` to `[0, 1]`, with zero speed at both ends.
pub(super) fn smooth_step(from: f32, to: f32, t: f32) -> f32 {
    let x = ((t - from) / (to - from).max(1e-9)).clamp(0.0, 1.0);
    x * x * (3.0 - 2.0 * x)
}

/// Rises to 1 over `edge` after `from`, falls back to 0 over `edge` before `to`.
pub(super) fn plateau(from: f32, to: f32, edge: f32, t: f32) -> f32 {
    smooth_step(from, from + edge, t) * (1.0 - smooth_step(to - edge, to, t))
}

pub(super) fn mix(a: f32, b: f32, weight: f32) -> f32 {
    a + (b - a) * weight
}
