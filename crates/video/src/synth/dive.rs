use std::f32::consts::{FRAC_PI_2, TAU};

use rand::RngExt;
use spec::{Purpose, Rng, rng_for};

use super::body::Body;
use super::class::{DiveClass, Takeoff};
use super::pose::Pose;
use super::vec3::{Rotation, Vec3, plateau, smooth_step, vec3};
use super::{Camera, DiveOptions};

/// Turns of the somersault that every class makes slowly over the whole flight.
const SLOW_TURNS: f32 = 0.15;
/// Range of the flight's share of a video.
pub(super) const FLIGHT_SHARE: [f32; 2] = [0.5, 0.56];
/// Both kinds of turning happen between these shares of the flight.
pub(super) const TURNING: [f32; 2] = [0.1, 0.88];
/// How much of a window its speeding up takes, and its slowing down.
pub(super) const RAMP: f32 = 0.15;
/// Share of the flight that one and a half somersaults take, before [`blurred`].
const SPIN_SHARE: f32 = 0.42;
/// Seconds that the body takes to straighten for a twist, and to bend again.
const STRAIGHTEN_SECS: f32 = 0.15;
/// Height of the centre of mass when the hands touch the water, metres.
const ENTRY_HEIGHT: f32 = 1.03;
/// Seconds after which the water has taken most of the speed.
const WATER_DRAG_SECS: f32 = 0.9;

/// A span of time, seconds from the start of the video.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    pub(super) start: f32,
    pub(super) end: f32,
}

impl Window {
    /// Share of the way through at `t`: constant speed but for [`RAMP`] at either end.
    fn progress(self, t: f32) -> f32 {
        let x = ((t - self.start) / (self.end - self.start)).clamp(0.0, 1.0);
        let from_end = x.min(1.0 - x);
        let done = if from_end < RAMP { from_end * from_end / (2.0 * RAMP) } else { from_end - RAMP / 2.0 };
        let done = done / (1.0 - RAMP);
        if x < 0.5 { done } else { 1.0 - done }
    }
}

/// One dive: a class and everything that chance decided about how it is performed. All angles and places are functions
/// of the time in seconds since the first frame.
///
/// The number of turns must not show in anything short of the whole dive. How long a video, its approach and its flight
/// last is drawn without looking at the class. A dive of `n` turns differs from one of `m` by the factor `n/m` in speed
/// times duration; half of it (a factor `sqrt(n/m)`) goes into how long the turning lasts and half into how fast it is,
/// and both are blurred by chance about as much, so that neither duration nor speed decides, but their product does.
#[derive(Clone, Debug)]
pub struct Dive {
    pub(super) class: DiveClass,
    pub(super) num_frames: usize,
    pub(super) frames_per_sec: f32,
    pub(super) seed: u64,
    pub(super) index: u64,
    pub(super) takeoff_secs: f32,
    pub(super) entry_secs: f32,
    somersault: Window,
    pub(super) twist: Option<Window>,
    twist_sign: f32,
    board_height: f32,
    /// Top of the flight above the take-off, metres.
    rise: f32,
    /// Metres to the entry, away from the board and sideways.
    travel: [f32; 2],
    /// Size of the diver against an adult of 1.7 m.
    pub(super) stature: f32,
    /// 0 light to 1 dark.
    pub(super) skin: f32,
    pub(super) splash: f32,
    /// Phases of the camera operator's errors, radians.
    pub(super) sway: [f32; 4],
    pub(super) camera: Camera,
}

impl Dive {
    /// Draws video number `index` of the set. The class changes no draw: two classes at the same index differ in nothing
    /// but how the diver turns and bends.
    ///
    /// * `board_height` - metres above the water, fixed by the source
    pub fn draw(class: DiveClass, options: &DiveOptions, index: u64, board_height: f32) -> Dive {
        let rng = &mut rng_for(options.seed, 0, index, Purpose::Synth);
        let frames_per_sec = options.frames_per_sec as f32;
        let secs = between(rng, options.seconds.map(|s| s as f32));
        let num_frames = (secs * frames_per_sec).round().max(1.0) as usize;
        let takeoff_secs = secs * between(rng, [0.22, 0.3]);
        let entry_secs = takeoff_secs + secs * between(rng, FLIGHT_SHARE);
        let flight = entry_secs - takeoff_secs;
        let blur = [blurred(rng.random()), blurred(rng.random())];
        let place = [rng.random::<f32>(), rng.random::<f32>()];
        let window = |length: f32, place: f32| {
            let [first, last] = TURNING.map(|share| takeoff_secs + share * flight);
            let length = length.min(last - first);
            let start = first + place * (last - first - length);
            Window { start, end: start + length }
        };
        let spin_secs = flight * SPIN_SHARE * (class.somersaults() / 1.5).sqrt() * blur[0];
        let twist_secs = (class.twists as f32).sqrt() * blur[1] / options.twist_rate as f32;
        Dive {
            class,
            num_frames,
            frames_per_sec,
            seed: options.seed,
            index,
            takeoff_secs,
            entry_secs,
            somersault: window(spin_secs, place[0]),
            twist: (class.twists > 0).then(|| window(twist_secs, place[1])),
            twist_sign: if rng.random::<bool>() { 1.0 } else { -1.0 },
            board_height,
            rise: between(rng, [0.9, 1.4]),
            travel: [between(rng, [1.3, 1.9]), between(rng, [-0.3, 0.3])],
            stature: between(rng, [0.95, 1.06]),
            skin: rng.random(),
            splash: between(rng, [0.5, 1.0]),
            sway: [(); 4].map(|()| between(rng, [0.0, TAU])),
            camera: options.camera,
        }
    }

    /// Frames of the video.
    pub fn num_frames(&self) -> usize {
        self.num_frames
    }

    /// Turns about the lateral axis up to `t`, in the direction of the take-off.
    pub fn somersault_turns(&self, t: f32) -> f32 {
        let flight = Window { start: self.takeoff_secs, end: self.entry_secs };
        SLOW_TURNS * flight.progress(t) + (self.class.somersaults() - SLOW_TURNS) * self.somersault.progress(t)
    }

    /// Turns about the body's long axis up to `t`.
    pub fn twist_turns(&self, t: f32) -> f32 {
        self.twist.map_or(0.0, |window| self.class.twists as f32 * window.progress(t))
    }

    /// Height of the centre of mass at the top of the flight, metres above the water.
    pub(super) fn top(&self) -> f32 {
        self.centre_at(self.takeoff_secs).y + self.rise
    }

    /// The diver at `t`, in the world.
    pub(super) fn body_at(&self, t: f32) -> Body {
        let mut body = Body::new(&self.pose_at(t), self.turn_at(t));
        body.scale(self.stature);
        body.shift(self.centre_at(t));
        body
    }

    /// The diver's centre of mass at `t`.
    pub(super) fn centre_at(&self, t: f32) -> Vec3 {
        if t >= self.takeoff_secs {
            return self.flight_at(t);
        }
        let mut body = Body::new(&self.pose_at(t), self.turn_at(t));
        body.scale(self.stature);
        self.toes_at(t) - body.feet
    }

    /// Bend of the board's tip, metres downwards.
    pub(super) fn board_bend(&self, t: f32) -> f32 {
        let since = t - self.takeoff_secs;
        if since < 0.0 {
            0.14 * plateau(0.62, 1.0, 0.18, t / self.takeoff_secs)
        } else {
            0.09 * (-2.5 * since).exp() * (-TAU * 2.5 * since).sin()
        }
    }

    /// Where and how fast (metres, metres per second downwards) the diver enters the water.
    pub(super) fn entry(&self) -> (Vec3, f32) {
        let [gravity, lift] = self.ballistics();
        let at = self.flight_at(self.entry_secs);
        (vec3(at.x, 0.0, at.z), gravity * (self.entry_secs - self.takeoff_secs) - lift)
    }

    fn pose_at(&self, t: f32) -> Pose {
        if t < self.takeoff_secs {
            return approach_pose(t / self.takeoff_secs);
        }
        let flown = (t - self.takeoff_secs) / (self.entry_secs - self.takeoff_secs);
        let straight = self.straightened(t);
        let bent = plateau(0.06, 0.93, 0.12, flown) * (1.0 - straight);
        Pose::REACH
            .towards(Pose::LINE, smooth_step(0.3, 0.7, flown))
            .towards(Pose::of(self.class.position), bent)
            .towards(Pose::WRAP, straight)
    }

    /// 1 while the body is held straight for the twist.
    fn straightened(&self, t: f32) -> f32 {
        self.twist.map_or(0.0, |Window { start, end }| {
            plateau(start - STRAIGHTEN_SECS, end + STRAIGHTEN_SECS, STRAIGHTEN_SECS, t)
        })
    }

    fn turn_at(&self, t: f32) -> Rotation {
        let (facing, forwards) = match self.class.takeoff {
            Takeoff::Forward => (1.0, 1.0),
            Takeoff::Back => (-1.0, -1.0),
            Takeoff::Reverse => (1.0, -1.0),
            Takeoff::Inward => (-1.0, 1.0),
        };
        // The tilt is what turns a somersault partly into a twist in a real dive (Frohlich, Sci. Am. 1980).
        let tilt = 0.16 * self.twist_sign * self.straightened(t);
        Rotation::about_y(facing * FRAC_PI_2)
            .after(Rotation::about_x(forwards * TAU * self.somersault_turns(t)))
            .after(Rotation::about_z(tilt))
            .after(Rotation::about_y(self.twist_sign * TAU * self.twist_turns(t)))
    }

    fn toes_at(&self, t: f32) -> Vec3 {
        vec3(-0.06, self.board_height + 0.05 - self.board_bend(t), 0.0)
    }

    /// Gravity (metres per second squared, below 9.8: slow motion, as in much of Diving48) and lift-off speed with which
    /// the flight lasts as long as was drawn.
    fn ballistics(&self) -> [f32; 2] {
        let fall = self.rise + self.lift_off().y - ENTRY_HEIGHT * self.stature;
        let gravity_root = ((2.0 * self.rise).sqrt() + (2.0 * fall).sqrt()) / (self.entry_secs - self.takeoff_secs);
        [gravity_root * gravity_root, gravity_root * (2.0 * self.rise).sqrt()]
    }

    /// The centre of mass when the toes leave the board.
    fn lift_off(&self) -> Vec3 {
        let mut body = Body::new(&Pose::REACH, self.turn_at(self.takeoff_secs));
        body.scale(self.stature);
        self.toes_at(self.takeoff_secs) - body.feet
    }

    /// The centre of mass from the take-off on: a parabola, then a dive that the water slows down.
    fn flight_at(&self, t: f32) -> Vec3 {
        let [gravity, lift] = self.ballistics();
        let flight = self.entry_secs - self.takeoff_secs;
        let flown = (t - self.takeoff_secs).min(flight);
        let sunk = WATER_DRAG_SECS * (1.0 - (-(t - self.entry_secs).max(0.0) / WATER_DRAG_SECS).exp());
        let forth = (flown + 0.3 * sunk) / flight;
        let fall = lift * flown - gravity * flown * flown / 2.0 - (gravity * flight - lift) * sunk;
        self.lift_off() + vec3(self.travel[0] * forth, fall, self.travel[1] * forth)
    }
}

/// Stand, swing the arms up, crouch with the arms back, push off; `x` runs from 0 to 1 at the take-off.
fn approach_pose(x: f32) -> Pose {
    let push = ((x - 0.84) / 0.16).clamp(0.0, 1.0);
    Pose::STAND
        .towards(Pose::ARMS_UP, smooth_step(0.3, 0.58, x))
        .towards(Pose::CROUCH, smooth_step(0.58, 0.84, x))
        .towards(Pose::REACH, push * push)
}

/// Chance's factor on how long the turning lasts: `1/sqrt(2)` to `sqrt(2)` as `chance` goes from 0 to 1, so that the
/// slowest takes twice as long as the fastest.
pub(super) fn blurred(chance: f32) -> f32 {
    (chance - 0.5).exp2()
}

pub(super) fn between(rng: &mut Rng, [low, high]: [f32; 2]) -> f32 {
    low + (high - low) * rng.random::<f32>()
}
