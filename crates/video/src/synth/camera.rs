use super::Camera;
use super::dive::Dive;
use super::scene::Scene;
use super::vec3::{Vec3, vec3};

/// How fast the operator catches up with the diver, per second.
const FOLLOW_RATE: f32 = 6.0;
/// The camera follows the diver no lower than this, metres above the water.
const LOWEST_AIM: f32 = 0.7;

/// The camera during one frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    pub(super) eye: Vec3,
    /// Directions of the picture's right and top and of the view, unit length.
    pub(super) right: Vec3,
    pub(super) up: Vec3,
    pub(super) forward: Vec3,
    /// Focal length in picture heights.
    pub(super) focal: f32,
}

/// A point in the picture: right and up from its centre in picture heights, and its depth in metres.
#[derive(Clone, Copy, Debug)]
pub(super) struct Projected {
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) depth: f32,
}

impl View {
    /// * `view_height` - metres that the picture shows at the diver's distance
    fn towards(aim: Vec3, view_height: f32, scene: &Scene) -> View {
        let forward = (aim - scene.camera).unit();
        let right = forward.cross(vec3(0.0, 1.0, 0.0)).unit();
        let up = right.cross(forward);
        let distance = (vec3(0.8, scene.camera.y, 0.0) - scene.camera).dot(forward);
        let right = if scene.mirrored { right * -1.0 } else { right };
        View { eye: scene.camera, right, up, forward, focal: distance / view_height }
    }

    pub(super) fn project(&self, point: Vec3) -> Projected {
        let from_eye = point - self.eye;
        let depth = from_eye.dot(self.forward).max(0.1);
        let scale = self.focal / depth;
        Projected { x: from_eye.dot(self.right) * scale, y: from_eye.dot(self.up) * scale, depth }
    }

    /// The ray through a point of the picture, of depth 1.
    pub(super) fn ray(&self, x: f32, y: f32) -> Vec3 {
        self.forward + self.right * (x / self.focal) + self.up * (y / self.focal)
    }
}

/// The camera in every frame.
pub(super) fn views(dive: &Dive, scene: &Scene) -> Vec<View> {
    match dive.camera {
        Camera::Follow => follow(dive, scene),
        Camera::Still => vec![still(dive, scene); dive.num_frames],
    }
}

/// How much more a still camera shows than one that follows.
const STILL_VIEW: f32 = 1.6;
/// Room that a still camera leaves above the diver's centre of mass at the top of the flight, metres: an arm's reach.
const STILL_HEADROOM: f32 = 1.0;

/// Aimed so that the flight is in the picture from the board to shortly above the water.
fn still(dive: &Dive, scene: &Scene) -> View {
    let view_height = STILL_VIEW * scene.view_height;
    let out = dive.entry().0.x / 2.0;
    View::towards(vec3(out, dive.top() + STILL_HEADROOM - view_height / 2.0, 0.0), view_height, scene)
}

/// The camera pans after the diver, late and with a trembling hand, and stays above the water.
fn follow(dive: &Dive, scene: &Scene) -> Vec<View> {
    let frame_secs = 1.0 / dive.frames_per_sec;
    let catch_up = 1.0 - (-FOLLOW_RATE * frame_secs).exp();
    let mut aim: Option<Vec3> = None;
    (0..dive.num_frames)
        .map(|frame| {
            let t = frame as f32 * frame_secs;
            let mut target = dive.centre_at(t);
            target.y = target.y.max(LOWEST_AIM);
            let followed = aim.map_or(target, |aim| aim.lerp(target, catch_up));
            aim = Some(followed);
            View::towards(followed + tremble(dive, t), scene.view_height, scene)
        })
        .collect()
}

/// The operator's error at `t`, metres: slow drifts and a faster tremble.
fn tremble(dive: &Dive, t: f32) -> Vec3 {
    let [a, b, c, d] = dive.sway;
    vec3(
        0.16 * (1.7 * t + a).sin() + 0.03 * (9.0 * t + b).sin(),
        0.16 * (1.3 * t + c).sin() + 0.03 * (11.0 * t + d).sin(),
        0.0,
    )
}
