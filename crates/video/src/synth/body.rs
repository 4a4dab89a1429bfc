use std::f32::consts::FRAC_PI_2;

use super::pose::Pose;
use super::vec3::{Rotation, Vec3, mix, vec3};

/// What a limb is covered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cover {
    Skin,
    Suit,
    Cap,
}

/// One capsule of the figure: two balls and what lies between them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limb {
    pub(super) ends: [Vec3; 2],
    /// Radius at each end, metres.
    pub(super) radii: [f32; 2],
    /// To the left, up and to the front of this part of the body, for the colours of the suit.
    pub(super) axes: Rotation,
    pub(super) cover: Cover,
    /// Share of the body's mass, times 1000.
    mass: f32,
}

/// The figure's capsules and the points that the motion hangs on.
#[derive(Clone, Debug)]
pub(super) struct Body {
    pub(super) limbs: Vec<Limb>,
    pub(super) pelvis: Vec3,
    pub(super) neck: Vec3,
    /// Right and left.
    pub(super) shoulders: [Vec3; 2],
    /// Midpoint of the balls of the feet.
    pub(super) feet: Vec3,
}

/// Lengths of an adult of 1.7 m, metres.
const WAIST: f32 = 0.24;
const CHEST: f32 = 0.28;
const SHOULDER_HALF: f32 = 0.19;
const HIP_HALF: f32 = 0.085;
const UPPER_ARM: f32 = 0.29;
const FOREARM: f32 = 0.25;
const HAND: f32 = 0.16;
const THIGH: f32 = 0.43;
const SHIN: f32 = 0.42;
const FOOT: f32 = 0.17;

/// Right is `-1`, left `1` along the body's `x`.
const SIDES: [f32; 2] = [-1.0, 1.0];
const DOWN: Vec3 = vec3(0.0, -1.0, 0.0);
const UP: Vec3 = vec3(0.0, 1.0, 0.0);

impl Body {
    /// The figure in `pose`, turned by `turn` about its centre of mass, which lies at the origin. A bend of the hips
    /// moves trunk and legs by half the angle each, so that `turn` is the direction of the whole body.
    pub(super) fn new(pose: &Pose, turn: Rotation) -> Body {
        let mut body = Body {
            limbs: Vec::with_capacity(22),
            pelvis: Vec3::ZERO,
            neck: Vec3::ZERO,
            shoulders: [Vec3::ZERO; 2],
            feet: Vec3::ZERO,
        };
        let waist_axes = turn.after(Rotation::about_x(pose.hip / 2.0));
        let chest_axes = waist_axes.after(Rotation::about_x(pose.spine));
        let waist = waist_axes.apply(UP * WAIST);
        body.neck = waist + chest_axes.apply(UP * CHEST);
        body.add_trunk(waist, waist_axes, chest_axes);
        body.add_head(chest_axes.after(Rotation::about_x(pose.neck)));
        for (i, side) in SIDES.into_iter().enumerate() {
            body.add_arm(pose, i, side, chest_axes);
            body.add_leg(pose, side, turn);
        }
        body.centre();
        body
    }

    /// Makes the figure `by` times as large about its centre of mass, which must still lie at the origin.
    pub(super) fn scale(&mut self, by: f32) {
        for limb in &mut self.limbs {
            limb.ends = limb.ends.map(|end| end * by);
            limb.radii = limb.radii.map(|radius| radius * by);
        }
        self.shoulders = self.shoulders.map(|p| p * by);
        for point in [&mut self.pelvis, &mut self.neck, &mut self.feet] {
            *point = *point * by;
        }
    }

    /// Moves every point by `by`.
    pub(super) fn shift(&mut self, by: Vec3) {
        for limb in &mut self.limbs {
            limb.ends = limb.ends.map(|end| end + by);
        }
        self.shoulders = self.shoulders.map(|p| p + by);
        for point in [&mut self.pelvis, &mut self.neck, &mut self.feet] {
            *point = *point + by;
        }
    }

    fn add_trunk(&mut self, waist: Vec3, waist_axes: Rotation, chest_axes: Rotation) {
        for side in SIDES {
            let at = |axes: Rotation, base: Vec3, x: f32, y: f32| base + axes.apply(vec3(side * x, y, 0.0));
            let hip = at(waist_axes, Vec3::ZERO, 0.075, 0.02);
            let middle = at(waist_axes, waist, 0.06, 0.0);
            let chest = at(chest_axes, waist, 0.09, 0.2);
            self.push([hip, middle], [0.105, 0.095], waist_axes, Cover::Suit, 110.0);
            self.push([middle, chest], [0.095, 0.105], chest_axes, Cover::Suit, 140.0);
        }
    }

    fn add_head(&mut self, axes: Rotation) {
        let neck = self.neck;
        let chin = neck + axes.apply(vec3(0.0, 0.09, 0.015));
        let crown = neck + axes.apply(vec3(0.0, 0.2, 0.0));
        self.push([neck, chin], [0.065, 0.055], axes, Cover::Skin, 10.0);
        self.push([chin, crown], [0.085, 0.1], axes, Cover::Cap, 70.0);
    }

    fn add_arm(&mut self, pose: &Pose, index: usize, side: f32, chest_axes: Rotation) {
        let arm = pose.arms[index];
        let shoulder = self.neck + chest_axes.apply(vec3(side * SHOULDER_HALF, -0.05, 0.0));
        let upper = chest_axes.after(Rotation::about_x(-arm.raise)).after(Rotation::about_z(side * arm.spread));
        let lower = upper.after(Rotation::about_x(-arm.elbow)).after(Rotation::about_z(-side * arm.cross));
        let elbow = shoulder + upper.apply(DOWN * UPPER_ARM);
        let wrist = elbow + lower.apply(DOWN * FOREARM);
        let fingers = wrist + lower.apply(DOWN * HAND);
        self.shoulders[index] = shoulder;
        self.push([shoulder, elbow], [0.06, 0.045], upper, Cover::Skin, 28.0);
        self.push([elbow, wrist], [0.045, 0.034], lower, Cover::Skin, 16.0);
        self.push([wrist, fingers], [0.036, 0.026], lower, Cover::Skin, 6.0);
    }

    fn add_leg(&mut self, pose: &Pose, side: f32, turn: Rotation) {
        let thigh_bend = -pose.hip / 2.0;
        let shin_bend = thigh_bend + pose.knee;
        let axes = |bend: f32| turn.after(Rotation::about_x(bend));
        let hip = axes(thigh_bend).apply(vec3(side * HIP_HALF, 0.0, 0.0));
        let knee = hip + axes(thigh_bend).apply(DOWN * THIGH);
        let ankle = knee + axes(shin_bend).apply(DOWN * SHIN);
        let foot_axes = axes(mix(shin_bend, -FRAC_PI_2, pose.flat_feet));
        let toes = ankle + foot_axes.apply(DOWN * FOOT);
        let half_thigh = hip.lerp(knee, 0.55);
        self.feet = self.feet + toes * 0.5;
        self.push([hip, half_thigh], [0.095, 0.08], axes(thigh_bend), Cover::Suit, 65.0);
        self.push([half_thigh, knee], [0.08, 0.062], axes(thigh_bend), Cover::Suit, 35.0);
        self.push([knee, ankle], [0.06, 0.04], axes(shin_bend), Cover::Skin, 45.0);
        self.push([ankle, toes], [0.042, 0.03], foot_axes, Cover::Skin, 15.0);
    }

    fn push(&mut self, ends: [Vec3; 2], radii: [f32; 2], axes: Rotation, cover: Cover, mass: f32) {
        self.limbs.push(Limb { ends, radii, axes, cover, mass });
    }

    fn centre(&mut self) {
        let mut weighed = Vec3::ZERO;
        let mut total = 0.0;
        for limb in &self.limbs {
            weighed = weighed + limb.ends[0].lerp(limb.ends[1], 0.5) * limb.mass;
            total += limb.mass;
        }
        self.shift(weighed * (-1.0 / total));
    }
}
