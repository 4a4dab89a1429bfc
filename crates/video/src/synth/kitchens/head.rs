use std::f32::consts::TAU;

use spec::Rng;

use super::super::camera::View;
use super::super::dive::between;
use super::super::vec3::{Vec3, smooth_step, vec3};
use super::layout::COUNTER_Y;

/// Where the eyes are at rest and what they look at, metres.
const EYE: Vec3 = vec3(0.0, COUNTER_Y + 0.55, 0.3);
const AIM: Vec3 = vec3(0.0, COUNTER_Y, -0.12);
/// Focal length in picture heights: 57 degrees from top to bottom.
const FOCAL: f32 = 0.92;
/// The head turns quickly once in this many seconds.
const GLANCE_SECS: [f32; 2] = [2.0, 6.0];
const TURN_SECS: f32 = 0.3;

/// A camera on the head of a standing person: slow sway, and now and then a glance to the side. Nothing in it depends on
/// what the hands do.
#[derive(Clone, Debug)]
pub(super) struct Head {
    /// Sways of the eye's and the aim's coordinates and of the roll.
    sways: [Sway; 7],
    /// When the head turns (seconds) and by how much the aim then is off, metres.
    glances: Vec<(f32, Vec3)>,
}

/// Two sines.
#[derive(Clone, Copy, Debug, Default)]
struct Sway {
    amplitude: f32,
    rates: [f32; 2],
    phases: [f32; 2],
}

impl Sway {
    fn draw(amplitude: f32, rng: &mut Rng) -> Sway {
        let rates = [between(rng, [0.8, 1.6]), between(rng, [2.0, 4.0])];
        Sway { amplitude, rates, phases: [(); 2].map(|()| between(rng, [0.0, TAU])) }
    }

    fn at(&self, t: f32) -> f32 {
        let [slow, fast] = [0, 1].map(|i| (self.rates[i] * t + self.phases[i]).sin());
        self.amplitude * (slow + 0.3 * fast)
    }
}

impl Head {
    pub(super) fn draw(secs: f32, rng: &mut Rng) -> Head {
        let sways = [0.016, 0.01, 0.012, 0.022, 0.0, 0.018, 0.03].map(|amplitude| Sway::draw(amplitude, rng));
        let glance = |rng: &mut Rng| vec3(between(rng, [-0.05, 0.05]), 0.0, between(rng, [-0.03, 0.03]));
        let mut glances = vec![(-TURN_SECS, glance(rng))];
        let mut t = between(rng, GLANCE_SECS);
        while t < secs {
            glances.push((t, glance(rng)));
            t += between(rng, GLANCE_SECS);
        }
        Head { sways, glances }
    }

    /// What the camera sees at `t` seconds.
    pub(super) fn view(&self, t: f32) -> View {
        let [eye_x, eye_y, eye_z, aim_x, aim_y, aim_z, roll] = self.sways.map(|sway| sway.at(t));
        let eye = EYE + vec3(eye_x, eye_y, eye_z);
        let aim = AIM + vec3(aim_x, aim_y, aim_z) + self.glance(t);
        let forward = (aim - eye).unit();
        let level = forward.cross(vec3(0.0, 1.0, 0.0)).unit();
        let (sin, cos) = roll.sin_cos();
        let right = level * cos + level.cross(forward) * sin;
        View { eye, right, up: right.cross(forward), forward, focal: FOCAL }
    }

    fn glance(&self, t: f32) -> Vec3 {
        let next = self.glances.partition_point(|(start, _)| *start <= t);
        let (start, towards) = self.glances[next.max(1) - 1];
        let from = self.glances[next.max(2) - 2].1;
        from.lerp(towards, smooth_step(start, start + TURN_SECS, t))
    }
}

#[cfg(test)]
impl Head {
    /// A head that does not move.
    pub(super) fn still() -> Head {
        Head { sways: [Sway::default(); 7], glances: vec![(0.0, Vec3::ZERO)] }
    }
}
