use std::f32::consts::PI;

use super::class::Position;
use super::vec3::mix;

/// Joint angles of one arm, radians.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ArmPose {
    /// From hanging down (0) forwards to overhead (pi), relative to the chest.
    pub(super) raise: f32,
    /// Away from the midline.
    pub(super) spread: f32,
    /// Bend of the elbow.
    pub(super) elbow: f32,
    /// Forearm across the chest.
    pub(super) cross: f32,
}

/// Joint angles of the figure, radians.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pose {
    /// Bend between trunk and thighs.
    pub(super) hip: f32,
    /// Bend of the knees.
    pub(super) knee: f32,
    /// Bend of the chest over the waist.
    pub(super) spine: f32,
    /// Nod of the head.
    pub(super) neck: f32,
    /// 0 with pointed toes, 1 with the soles on the ground.
    pub(super) flat_feet: f32,
    /// Right and left arm.
    pub(super) arms: [ArmPose; 2],
}

const fn arm(raise: f32, spread: f32, elbow: f32, cross: f32) -> ArmPose {
    ArmPose { raise, spread, elbow, cross }
}

const fn pose([hip, knee, spine, neck]: [f32; 4], flat_feet: f32, arms: [ArmPose; 2]) -> Pose {
    Pose { hip, knee, spine, neck, flat_feet, arms }
}

impl Pose {
    pub(super) const STAND: Pose = pose([0.0; 4], 1.0, [arm(0.05, 0.12, 0.1, 0.0); 2]);
    pub(super) const ARMS_UP: Pose = pose([0.0, 0.0, 0.0, -0.1], 1.0, [arm(2.8, 0.25, 0.0, 0.0); 2]);
    pub(super) const CROUCH: Pose = pose([1.15, 1.45, 0.25, -0.3], 1.0, [arm(-0.7, 0.2, 0.1, 0.0); 2]);
    pub(super) const REACH: Pose = pose([0.0; 4], 0.0, [arm(PI - 0.1, 0.1, 0.0, 0.0); 2]);
    /// The stretched line of the entry, hands together.
    pub(super) const LINE: Pose = pose([0.0, 0.0, 0.0, 0.1], 0.0, [arm(PI, -0.16, 0.0, 0.0); 2]);
    /// One arm across the chest and one behind the head: how divers start and hold a twist.
    pub(super) const WRAP: Pose = pose([0.0; 4], 0.0, [arm(0.75, 0.15, 1.9, 0.9), arm(2.7, 0.5, 2.0, 0.4)]);

    const FREE: Pose = pose([0.75, 0.15, 0.1, 0.1], 0.0, [arm(1.1, 1.1, 0.2, 0.0); 2]);
    const PIKE: Pose = pose([2.2, 0.0, 0.35, 0.35], 0.0, [arm(1.95, 0.1, 0.1, 0.0); 2]);
    const TUCK: Pose = pose([2.3, 2.45, 0.55, 0.45], 0.0, [arm(0.95, 0.15, 0.6, 0.2); 2]);
    const STRAIGHT: Pose = pose([0.0, 0.0, 0.0, 0.0], 0.0, [arm(0.15, 0.1, 0.1, 0.0); 2]);

    pub(super) fn of(position: Position) -> Pose {
        match position {
            Position::Free => Pose::FREE,
            Position::Pike => Pose::PIKE,
            Position::Tuck => Pose::TUCK,
            Position::Straight => Pose::STRAIGHT,
        }
    }

    /// The pose `weight` of the way to `other`.
    pub(super) fn towards(self, other: Pose, weight: f32) -> Pose {
        let to = |a, b| mix(a, b, weight);
        let arm = |i: usize| {
            let (a, b): (ArmPose, ArmPose) = (self.arms[i], other.arms[i]);
            arm(to(a.raise, b.raise), to(a.spread, b.spread), to(a.elbow, b.elbow), to(a.cross, b.cross))
        };
        Pose {
            hip: to(self.hip, other.hip),
            knee: to(self.knee, other.knee),
            spine: to(self.spine, other.spine),
            neck: to(self.neck, other.neck),
            flat_feet: to(self.flat_feet, other.flat_feet),
            arms: [arm(0), arm(1)],
        }
    }
}
