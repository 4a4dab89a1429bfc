use super::super::scene::Rgb;
use super::super::vec3::{Vec3, mix, vec3};
use super::easel::Easel;
use super::layout::COUNTER_Y;
use super::motion::HandPose;

/// Where a forearm comes from, metres; mirrored for the left one. It is below the picture.
const ELBOW: Vec3 = vec3(0.28, COUNTER_Y + 0.03, 0.62);
const UP: Vec3 = vec3(0.0, 1.0, 0.0);

/// A hand and its forearm.
pub(super) struct Hand {
    pub(super) pose: HandPose,
    /// 1 for the right hand, -1 for the left one.
    pub(super) side: f32,
    pub(super) skin: Rgb,
    pub(super) sleeve: Rgb,
}

impl Hand {
    pub(super) fn paint(&self, easel: &mut Easel<'_>) {
        let Hand { pose: HandPose { grip, closed }, side, skin, sleeve } = *self;
        let elbow = vec3(side * ELBOW.x, ELBOW.y, ELBOW.z);
        let ahead = (grip - elbow).unit();
        let across = ahead.cross(UP).unit() * side;
        let wrist = grip - ahead * 0.13 + UP * 0.045;
        let knuckles = grip - ahead * 0.05 + UP * 0.035;
        let cuff = wrist - (wrist - elbow).unit() * 0.06;
        easel.shadow(vec3(grip.x, COUNTER_Y, grip.z), 0.09, 0.35);
        easel.rod([elbow, cuff], [0.06, 0.042], sleeve);
        easel.rod([cuff, wrist], [0.031, 0.03], skin);
        for share in [-1.0, 0.0, 1.0] {
            easel.rod([wrist + across * (0.012 * share), knuckles + across * (0.026 * share)], [0.026, 0.02], skin);
        }
        // Open fingers reach beyond the grip, closed ones bend down to it.
        let reach = mix(0.045, 0.012, closed);
        for finger in [-1.5, -0.5, 0.5, 1.5] {
            let base = knuckles + across * (0.02 * finger);
            let bend = base + ahead * (0.03 + 0.3 * reach) - UP * (0.012 * closed);
            let tip = grip + across * (0.015 * finger) + ahead * reach - UP * (0.01 * closed);
            easel.rod([base, bend], [0.013, 0.012], skin);
            easel.rod([bend, tip], [0.012, 0.009], skin * 0.96);
        }
        let ball = wrist.lerp(knuckles, 0.5) - across * 0.028;
        let thumb = grip - across * mix(0.05, 0.018, closed) - ahead * 0.01;
        easel.rod([ball, thumb], [0.017, 0.011], skin * 0.98);
    }
}
