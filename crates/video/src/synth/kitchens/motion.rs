use std::f32::consts::TAU;

use rand::RngExt;
use spec::Rng;

use super::super::dive::between;
use super::super::vec3::{Vec3, mix, plateau, smooth_step, vec3};
use super::layout::{COUNTER_Y, Item};
use super::script::{Action, ItemState, Kind, Script};
use super::words::Noun;

/// From a hand to the end of what it holds, metres.
pub(super) const SPOON_TIP: Vec3 = vec3(0.0, -0.1, -0.05);
pub(super) const KNIFE_TIP: Vec3 = vec3(0.0, -0.035, -0.1);
pub(super) const SPONGE_TIP: Vec3 = vec3(0.0, -0.035, -0.01);

/// Things are gone, or in the hand, from this share of a motion on: the hand is then below the picture.
const OUT_OF_SIGHT: f32 = 0.82;
/// Rounds or strokes of a periodic motion, per second.
const STROKES_PER_SEC: [f32; 2] = [1.6, 2.6];
/// Their reach, metres.
const STROKE: f32 = 0.03;

/// Who acts, as far as the motion goes.
#[derive(Clone, Debug)]
pub(super) struct Actor {
    /// 1 when the right hand leads, -1 when the left does.
    pub(super) lead: f32,
    /// Where the leading and the other hand wait, metres.
    rests: [Vec3; 2],
    /// Phases of their idle sway, radians.
    phases: [f32; 2],
    /// How far it goes, metres.
    sway: f32,
}

/// A hand: the point between thumb and fingers, and how far they are closed, `[0, 1]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct HandPose {
    pub(super) grip: Vec3,
    pub(super) closed: f32,
}

/// An object at a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct ItemPose {
    pub(super) present: bool,
    /// How far it is open, on or full, `[0, 1]`.
    pub(super) amount: f32,
    /// Away from its place, metres.
    pub(super) shift: Vec3,
}

/// What the leading hand may hold besides the objects on the counter.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tool {
    Knife,
    /// With so much on it, `[0, 1]`.
    Spoon(f32),
    Sponge,
    BottleCap,
}

/// Everything that moves, at a moment.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub(super) items: Vec<ItemPose>,
    /// The leading and the other hand.
    pub(super) hands: [HandPose; 2],
    pub(super) held: Option<Tool>,
}

impl Actor {
    pub(super) fn draw(rng: &mut Rng) -> Actor {
        let lead = if rng.random::<f32>() < 0.8 { 1.0 } else { -1.0 };
        let rests = [lead, -lead].map(|side| {
            let height = COUNTER_Y + between(rng, [0.02, 0.06]);
            vec3(side * between(rng, [0.16, 0.3]), height, between(rng, [0.1, 0.36]))
        });
        Actor { lead, rests, phases: [(); 2].map(|()| between(rng, [0.0, TAU])), sway: 0.012 }
    }

    /// Hands and objects at one frame of the script.
    pub(super) fn stage(&self, script: &Script, items: &[Item], frame: usize, frames_per_sec: f32) -> Stage {
        let (action, num_begun) = script.action_at(frame);
        let at_rest = |state: &ItemState| ItemPose {
            present: state.present,
            amount: if state.altered { 1.0 } else { 0.0 },
            shift: Vec3::ZERO,
        };
        let rests = self.waiting(frame as f32 / frames_per_sec);
        let mut stage = Stage {
            items: script.states[num_begun].iter().map(at_rest).collect(),
            hands: rests.map(|grip| HandPose { grip, closed: 0.3 }),
            held: None,
        };
        if let Some(action) = action {
            let secs = action.num_frames as f32 / frames_per_sec;
            let part = Part { actor: self, action, item: &items[action.item], rests, secs };
            part.perform(action.progress(frame), &mut stage);
        }
        stage
    }

    fn waiting(&self, t: f32) -> [Vec3; 2] {
        [0, 1].map(|i| {
            let [a, b] = [1.3 * t + self.phases[i], 0.9 * t + 2.0 * self.phases[i]];
            self.rests[i] + vec3(a.sin(), 0.4 * b.cos(), b.sin()) * self.sway
        })
    }

    /// Below the picture, where things come from and go to.
    fn away(&self) -> Vec3 {
        vec3(0.25 * self.lead, COUNTER_Y + 0.03, 0.6)
    }
}

#[cfg(test)]
impl Actor {
    /// The same, with hands that wait without moving.
    pub(super) fn still(self) -> Actor {
        Actor { sway: 0.0, ..self }
    }
}

/// One action of one actor. All of it is a function of the share `x` of the forward motion, so that the backward motion
/// is the same film run backwards.
struct Part<'a> {
    actor: &'a Actor,
    action: &'a Action,
    item: &'a Item,
    rests: [Vec3; 2],
    secs: f32,
}

impl Part<'_> {
    fn perform(&self, x: f32, stage: &mut Stage) {
        let pose = &mut stage.items[self.action.item];
        let [lead, other] = &mut stage.hands;
        lead.closed = mix(0.3, 1.0, plateau(0.15, 0.85, 0.2, x));
        match (self.action.kind, self.item.noun) {
            (Kind::Carry, _) => lead.grip = self.carry(x, pose),
            (Kind::Alter, Noun::Bottle) => (lead.grip, stage.held) = self.unscrew(x, pose),
            (Kind::Alter, Noun::Cup | Noun::Pan) => (lead.grip, stage.held) = self.scoop(x, pose),
            (Kind::Alter, _) => lead.grip = self.pull(x, pose),
            (Kind::Shake, _) => lead.grip = self.shake(x, pose),
            (Kind::Wash, _) => (lead.grip, stage.held) = self.work(x, Tool::Sponge),
            (Kind::Mix, _) => (lead.grip, stage.held) = self.work(x, Tool::Spoon(0.0)),
            (Kind::Cut, _) => (lead.grip, stage.held) = self.work(x, Tool::Knife),
        }
        let alone = matches!(self.item.noun, Noun::Drawer | Noun::Tap | Noun::Lid | Noun::Box);
        if !alone && !matches!(self.action.kind, Kind::Carry | Kind::Shake) {
            let beside = self.item.at + vec3(-0.1 * self.actor.lead, 0.05, 0.02);
            other.grip = along(&[(0.0, self.rests[1]), (0.22, beside), (0.78, beside), (1.0, self.rests[1])], x);
            other.closed = mix(0.3, 0.8, plateau(0.1, 0.9, 0.2, x));
        }
    }

    /// There and back: the share of the motion at which the hand arrives, by chance.
    fn arrival(&self) -> f32 {
        mix(0.27, 0.4, self.action.chance[0])
    }

    fn carry(&self, x: f32, pose: &mut ItemPose) -> Vec3 {
        let (rest, grip, arrival) = (self.rests[0], self.item.carry_grip(), self.arrival());
        let hand = along(&[(0.0, rest), (arrival, grip), (OUT_OF_SIGHT, self.actor.away()), (1.0, rest)], x);
        pose.present = x < OUT_OF_SIGHT;
        if x >= arrival {
            pose.shift = hand - grip;
        }
        hand
    }

    /// Drawers, levers, hinged lids: the hand holds on to what moves.
    fn pull(&self, x: f32, pose: &mut ItemPose) -> Vec3 {
        let (arrival, leaving) = (self.arrival(), mix(0.62, 0.75, self.action.chance[1]));
        pose.amount = smooth_step(arrival, leaving, x);
        let grip = self.item.alter_grip(pose.amount);
        let away = 1.0 - smooth_step(0.0, arrival, x) + smooth_step(leaving, 1.0, x);
        grip.lerp(self.rests[0], away)
    }

    /// The cap turns, comes off and is carried away.
    fn unscrew(&self, x: f32, pose: &mut ItemPose) -> (Vec3, Option<Tool>) {
        let (rest, cap, arrival) = (self.rests[0], self.item.alter_grip(0.0), self.arrival());
        let off = cap + vec3(0.0, 0.04, 0.02);
        let path =
            [(0.0, rest), (arrival, cap), (0.5, cap), (0.6, off), (OUT_OF_SIGHT, self.actor.away()), (1.0, rest)];
        let twist = plateau(arrival, 0.52, 0.05, x) * (TAU * 2.0 * self.secs * x).sin();
        let hand = along(&path, x) + vec3(0.012 * twist, 0.0, 0.0);
        let loose = x >= 0.5;
        pose.amount = if loose { 1.0 } else { 0.0 };
        (hand, (loose && x < OUT_OF_SIGHT).then_some(Tool::BottleCap))
    }

    /// A full spoon comes, dips in and leaves empty.
    fn scoop(&self, x: f32, pose: &mut ItemPose) -> (Vec3, Option<Tool>) {
        let inside = self.item.work_point() - SPOON_TIP;
        let above = inside + vec3(0.0, 0.07, 0.0);
        let path = [(0.38, above), (0.46, inside), (0.54, inside), (0.62, above)];
        pose.amount = smooth_step(0.44, 0.56, x);
        self.with_tool(x, &path, Tool::Spoon(1.0 - pose.amount))
    }

    /// Circles of a sponge or a spoon, strokes of a knife.
    fn work(&self, x: f32, tool: Tool) -> (Vec3, Option<Tool>) {
        let turns = self.secs * mix(STROKES_PER_SEC[0], STROKES_PER_SEC[1], self.action.chance[1]);
        let way = if self.action.chance[2] < 0.5 { 1.0 } else { -1.0 };
        let (sin, cos) = (TAU * turns * (x - 0.5)).sin_cos();
        let (tip, stroke) = match tool {
            Tool::Knife => (KNIFE_TIP, vec3(0.01 * (x - 0.5), 0.35 * (1.0 + cos), 0.9 * sin)),
            Tool::Sponge => (SPONGE_TIP, vec3(way * sin, 0.0, cos)),
            _ => (SPOON_TIP, vec3(way * sin, 0.1, cos)),
        };
        let at = self.item.work_point() - tip;
        let (hand, held) = self.with_tool(x, &[(0.34, at), (0.66, at)], tool);
        (hand + stroke * STROKE * plateau(0.3, 0.7, 0.06, x), held)
    }

    /// The hand fetches a tool from below the picture, does what `path` says and brings the tool back.
    fn with_tool(&self, x: f32, path: &[(f32, Vec3)], tool: Tool) -> (Vec3, Option<Tool>) {
        let (rest, away) = (self.rests[0], self.actor.away());
        let fetched = 1.0 - OUT_OF_SIGHT;
        let mut whole = vec![(0.0, rest), (fetched, away)];
        whole.extend(path);
        whole.extend([(OUT_OF_SIGHT, away), (1.0, rest)]);
        (along(&whole, x), (fetched..OUT_OF_SIGHT).contains(&x).then_some(tool))
    }

    fn shake(&self, x: f32, pose: &mut ItemPose) -> Vec3 {
        let (rest, grip) = (self.rests[0], self.item.carry_grip());
        let turns = self.secs * mix(STROKES_PER_SEC[0], STROKES_PER_SEC[1], self.action.chance[1]);
        let shaking = plateau(0.34, 0.66, 0.05, x) * (TAU * 1.5 * turns * (x - 0.5)).cos();
        let lifted = plateau(0.26, 0.74, 0.12, x);
        pose.shift = vec3(0.0, 0.08 * lifted + 0.03 * shaking, 0.0);
        let hand = along(&[(0.0, rest), (0.25, grip), (0.75, grip), (1.0, rest)], x);
        hand + pose.shift
    }
}

/// The point at `x` on a path through `(x, point)` in rising order, at rest in each.
fn along(path: &[(f32, Vec3)], x: f32) -> Vec3 {
    let next = path.partition_point(|(at, _)| *at <= x).clamp(1, path.len() - 1);
    let ((from_x, from), (to_x, to)) = (path[next - 1], path[next]);
    from.lerp(to, smooth_step(from_x, to_x, x))
}
