use super::super::scene::{Rgb, hsv};
use super::super::vec3::{Rotation, Vec3, mix, smooth_step, vec3};
use super::easel::{Drum, Easel, Inside, Stand};
use super::layout::{COUNTER_Y, Item};
use super::motion::{HandPose, ItemPose, KNIFE_TIP, SPONGE_TIP, SPOON_TIP, Tool};
use super::words::Noun;

/// How far a drawer comes out, metres.
const DRAWER_PULL: f32 = 0.15;
const DRAWER_HALF: Vec3 = vec3(0.16, 0.05, 0.008);
const PAN_RADIUS: f32 = 0.105;
const PAN_HEIGHT: f32 = 0.06;
const BOX_HALF: Vec3 = vec3(0.085, 0.045, 0.06);
const TAP_HEIGHT: f32 = 0.13;
const STEEL: Rgb = vec3(0.78, 0.8, 0.83);
const FOOD: Rgb = vec3(0.93, 0.6, 0.2);
const WATER: Rgb = vec3(0.72, 0.88, 1.0);
/// Thickness of walls and lids, half of it, metres.
const THIN: f32 = 0.004;

/// Radians by which a lid of a pan and of a box opens.
const PAN_LID_ANGLE: f32 = 1.35;
const BOX_LID_ANGLE: f32 = 1.9;

impl Item {
    fn stand(&self, shift: Vec3) -> Stand {
        Stand { at: self.at + shift, turn: self.turn }
    }

    /// Where a hand takes it to carry it away.
    pub(super) fn carry_grip(&self) -> Vec3 {
        self.stand(Vec3::ZERO).point(match self.noun {
            Noun::Cup => vec3(0.0, 0.095, 0.02),
            Noun::Plate => vec3(0.0, 0.025, 0.09),
            Noun::Pan => vec3(0.09, 0.075, 0.13),
            Noun::Bottle => vec3(0.0, 0.1, 0.035),
            Noun::Box => vec3(0.0, 0.06, 0.065),
            Noun::Knife => vec3(0.05, 0.025, 0.0),
            Noun::Spoon => vec3(0.08, 0.02, 0.0),
            Noun::Board => vec3(0.0, 0.025, 0.075),
            Noun::Bread => vec3(0.0, 0.08, 0.015),
            Noun::Sponge => vec3(0.0, 0.04, 0.0),
            Noun::Lid | Noun::Drawer | Noun::Tap => Vec3::ZERO,
        })
    }

    /// Where a hand holds it to open it or to turn it on, when that is done by `amount`.
    pub(super) fn alter_grip(&self, amount: f32) -> Vec3 {
        let stand = self.stand(Vec3::ZERO);
        match self.noun {
            Noun::Drawer => stand.point(vec3(0.0, 0.03, 0.045 + DRAWER_PULL * amount)),
            Noun::Tap => stand.point(self.lever(amount) + vec3(0.0, 0.01, 0.01)),
            Noun::Lid => pan_hinge(&stand, amount).point(vec3(0.0, 0.055, PAN_RADIUS)),
            Noun::Box => box_hinge(&stand, amount).point(vec3(0.0, 0.015, 2.0 * BOX_HALF.z)),
            Noun::Bottle => stand.point(vec3(0.0, 0.215, 0.0)),
            _ => stand.at,
        }
    }

    /// Where a sponge, a knife or a spoon meets it.
    pub(super) fn work_point(&self) -> Vec3 {
        self.stand(Vec3::ZERO).point(match self.noun {
            Noun::Cup => vec3(0.0, 0.075, 0.0),
            Noun::Pan => vec3(0.0, 0.06, 0.0),
            Noun::Bread => vec3(0.0, 0.085, 0.0),
            Noun::Knife => vec3(-0.05, 0.015, 0.0),
            _ => vec3(0.0, 0.025, 0.0),
        })
    }

    pub(super) fn paint(&self, pose: &ItemPose, easel: &mut Easel<'_>) {
        let stand = self.stand(pose.shift);
        if let Some(radius) = self.shadow_radius() {
            let height = stand.at.y - self.at.y;
            easel.shadow(vec3(stand.at.x, COUNTER_Y, stand.at.z), radius + 0.5 * height.max(0.0), 0.45);
        }
        match self.noun {
            Noun::Cup => self.paint_cup(&stand, pose.amount, easel),
            Noun::Plate => {
                let inside = Inside { share: 0.66, colour: self.colour * 0.82 };
                easel.drum(&stand, Drum { radii: [0.06, 0.105], height: 0.018 }, self.colour, Some(inside));
            }
            Noun::Pan => self.paint_pan(&stand, pose.amount, easel),
            Noun::Lid => self.paint_lid(&pan_hinge(&stand, pose.amount), easel),
            Noun::Bottle => self.paint_bottle(&stand, pose.amount, easel),
            Noun::Box => self.paint_box(&stand, pose.amount, easel),
            Noun::Drawer => self.paint_drawer(&stand, pose.amount, easel),
            Noun::Tap => self.paint_tap(&stand, pose.amount, easel),
            Noun::Knife => {
                easel.block(&stand.part(vec3(-0.06, 0.005, 0.0), flat()), vec3(0.07, 0.003, 0.016), STEEL);
                easel.rod(
                    [vec3(0.02, 0.01, 0.0), vec3(0.09, 0.01, 0.0)].map(|p| stand.point(p)),
                    [0.012; 2],
                    self.colour,
                );
            }
            Noun::Spoon => {
                easel.rod(
                    [vec3(-0.02, 0.008, 0.0), vec3(0.12, 0.01, 0.0)].map(|p| stand.point(p)),
                    [0.006; 2],
                    self.colour,
                );
                let bowl = [vec3(-0.045, 0.01, 0.0), vec3(-0.03, 0.01, 0.0)].map(|p| stand.point(p));
                easel.rod(bowl, [0.02; 2], self.colour * 0.92);
            }
            Noun::Board => easel.block(&stand.part(vec3(0.0, 0.01, 0.0), flat()), vec3(0.11, 0.01, 0.08), self.colour),
            Noun::Bread => self.paint_bread(&stand, easel),
            Noun::Sponge => paint_sponge(&stand.part(vec3(0.0, 0.018, 0.0), flat()), self.colour, easel),
        }
    }

    /// Of what stands on the counter itself.
    fn shadow_radius(&self) -> Option<f32> {
        match self.noun {
            Noun::Plate | Noun::Pan | Noun::Box => Some(0.13),
            Noun::Cup | Noun::Bottle | Noun::Sponge => Some(0.065),
            Noun::Tap => Some(0.04),
            Noun::Board => Some(0.14),
            Noun::Knife | Noun::Spoon | Noun::Lid | Noun::Bread | Noun::Drawer => None,
        }
    }

    fn paint_cup(&self, stand: &Stand, full: f32, easel: &mut Easel<'_>) {
        let inside = Inside { share: 0.82, colour: (self.colour * 0.4).lerp(FOOD, full) };
        easel.drum(stand, Drum { radii: [0.036, 0.048], height: 0.085 }, self.colour, Some(inside));
        let handle = [vec3(0.04, 0.065, 0.0), vec3(0.075, 0.055, 0.0), vec3(0.038, 0.025, 0.0)].map(|p| stand.point(p));
        easel.rod([handle[0], handle[1]], [0.008; 2], self.colour);
        easel.rod([handle[1], handle[2]], [0.008; 2], self.colour);
    }

    fn paint_pan(&self, stand: &Stand, full: f32, easel: &mut Easel<'_>) {
        let inside = Inside { share: 0.9, colour: (self.colour * 0.6).lerp(FOOD, full) };
        let drum = Drum { radii: [0.095, PAN_RADIUS], height: PAN_HEIGHT };
        easel.drum(stand, drum, self.colour + vec3(0.12, 0.12, 0.12), Some(inside));
        easel.rod(
            [vec3(0.06, 0.05, 0.085), vec3(0.13, 0.06, 0.185)].map(|p| stand.point(p)),
            [0.013; 2],
            self.colour * 0.7,
        );
    }

    fn paint_lid(&self, hinge: &Stand, easel: &mut Easel<'_>) {
        let lid = hinge.part(vec3(0.0, 0.0, PAN_RADIUS), flat());
        let inside = Inside { share: 0.9, colour: self.colour * 1.1 };
        easel.drum(&lid, Drum { radii: [PAN_RADIUS + 0.004, 0.07], height: 0.022 }, self.colour, Some(inside));
        let knob = lid.part(vec3(0.0, 0.022, 0.0), flat());
        easel.drum(&knob, Drum { radii: [0.012, 0.02], height: 0.022 }, vec3(0.1, 0.1, 0.1), None);
    }

    fn paint_bottle(&self, stand: &Stand, open: f32, easel: &mut Easel<'_>) {
        let mut ring = |y: f32, radii: [f32; 2], height: f32, colour: Rgb| {
            easel.drum(&stand.part(vec3(0.0, y, 0.0), flat()), Drum { radii, height }, colour, None);
        };
        ring(0.0, [0.036; 2], 0.13, self.colour);
        ring(0.035, [0.0368; 2], 0.06, vec3(0.95, 0.93, 0.85));
        ring(0.13, [0.036, 0.014], 0.035, self.colour);
        ring(0.165, [0.014; 2], 0.02, self.colour * 0.6);
        if open < 0.5 {
            ring(0.18, [0.019; 2], 0.025, self.cap_colour());
        }
    }

    fn cap_colour(&self) -> Rgb {
        vec3(1.0 - self.colour.x, 0.2, 1.0 - self.colour.z)
    }

    fn paint_box(&self, stand: &Stand, open: f32, easel: &mut Easel<'_>) {
        let Vec3 { x, y, z } = BOX_HALF;
        let mut wall = |at: Vec3, half: Vec3, shade: f32| {
            easel.block(&stand.part(at, flat()), half, self.colour * shade);
        };
        wall(vec3(0.0, THIN, 0.0), vec3(x, THIN, z), 0.35);
        for side in [-1.0, 1.0] {
            wall(vec3(side * x, y, 0.0), vec3(THIN, y, z), 0.9);
            wall(vec3(0.0, y, side * z), vec3(x, y, THIN), 0.9);
        }
        let lid = box_hinge(stand, open).part(vec3(0.0, THIN, z), flat());
        easel.block(&lid, vec3(x + 0.004, THIN, z + 0.006), self.colour);
        easel.block(&lid.part(vec3(0.0, THIN, 0.0), flat()), vec3(0.02, 0.002, z), self.colour * 1.25);
    }

    fn paint_drawer(&self, stand: &Stand, open: f32, easel: &mut Easel<'_>) {
        let pull = DRAWER_PULL * open;
        let Vec3 { x, y, z } = DRAWER_HALF;
        let mut wall = |at: Vec3, half: Vec3, shade: f32| {
            easel.block(&stand.part(at, flat()), half, self.colour * shade);
        };
        wall(vec3(0.0, 0.0, z + pull), DRAWER_HALF, 1.0);
        wall(vec3(0.0, -y + 0.02, pull / 2.0), vec3(x - 0.01, THIN, pull / 2.0 + THIN), 0.8);
        for side in [-1.0, 1.0] {
            wall(vec3(side * (x - 0.012), -0.01, pull / 2.0), vec3(THIN, y - 0.012, pull / 2.0 + THIN), 0.95);
        }
        // Spoons and forks lie in it.
        for i in 0..4 {
            let at = vec3(0.06 * (i as f32 - 1.5), -y + 0.035, 0.0);
            let ends = [at + vec3(0.0, 0.0, pull - 0.12), at + vec3(0.01, 0.0, pull - 0.02)];
            easel.rod(ends.map(|p| stand.point(p)), [0.007, 0.011], hsv(0.6, 0.05, 0.5 + 0.1 * i as f32));
        }
        let handle = [-0.05, 0.05].map(|x| stand.point(vec3(x, 0.02, 2.0 * z + 0.018 + pull)));
        easel.rod(handle, [0.009; 2], STEEL * 0.8);
    }

    fn paint_tap(&self, stand: &Stand, on: f32, easel: &mut Easel<'_>) {
        let mut pipe = |ends: [Vec3; 2], radius: f32, colour: Rgb| {
            easel.rod(ends.map(|p| stand.point(p)), [radius; 2], colour);
        };
        let (top, spout) = (vec3(0.0, TAP_HEIGHT, 0.0), vec3(0.0, TAP_HEIGHT - 0.005, 0.13));
        pipe([Vec3::ZERO, top], 0.018, self.colour);
        pipe([top, spout], 0.013, self.colour);
        pipe([spout, spout - vec3(0.0, 0.03, 0.0)], 0.013, self.colour * 0.9);
        pipe([top + vec3(0.0, 0.02, 0.0), self.lever(on)], 0.011, vec3(0.75, 0.15, 0.12));
        let flow = 0.012 * smooth_step(0.25, 0.8, on);
        if flow > 0.0 {
            let drop = vec3(0.0, -0.04, 0.0);
            pipe([spout + drop, vec3(spout.x, 0.0, spout.z)], flow, WATER);
        }
    }

    /// End of the tap's lever: it points to the middle of the counter and swings to the front.
    fn lever(&self, on: f32) -> Vec3 {
        let (sin, cos) = (1.2 * on).sin_cos();
        vec3(-0.1 * cos * self.at.x.signum(), TAP_HEIGHT + 0.025, 0.1 * sin)
    }

    fn paint_bread(&self, stand: &Stand, easel: &mut Easel<'_>) {
        easel.rod([vec3(-0.06, 0.04, 0.0), vec3(0.06, 0.04, 0.0)].map(|p| stand.point(p)), [0.042; 2], self.colour);
        for x in [-0.05, -0.015, 0.02, 0.055] {
            let cut = [vec3(x - 0.01, 0.072, -0.02), vec3(x + 0.01, 0.072, 0.02)].map(|p| stand.point(p));
            easel.rod(cut, [0.011; 2], self.colour.lerp(vec3(1.0, 0.92, 0.75), 0.6));
        }
    }
}

/// What the leading hand holds, as wide as it is seen from above.
pub(super) fn paint_tool(tool: Tool, hand: &HandPose, item: &Item, easel: &mut Easel<'_>) {
    let stand = Stand { at: hand.grip, turn: flat() };
    match tool {
        Tool::Knife => {
            easel.rod(
                [vec3(0.0, 0.0, 0.05), vec3(0.0, 0.0, -0.03)].map(|p| stand.point(p)),
                [0.012; 2],
                vec3(0.1, 0.1, 0.12),
            );
            easel.block(&stand.part(KNIFE_TIP * 0.5 + vec3(0.0, 0.0, -0.05), flat()), vec3(0.003, 0.018, 0.075), STEEL);
        }
        Tool::Spoon(full) => {
            let handle = [vec3(0.0, 0.05, 0.03), SPOON_TIP].map(|p| stand.point(p));
            easel.rod(handle, [0.007; 2], vec3(0.66, 0.47, 0.28));
            let bowl = [SPOON_TIP, SPOON_TIP + vec3(0.0, 0.0, -0.012)].map(|p| stand.point(p));
            easel.rod(bowl, [0.02; 2], vec3(0.6, 0.42, 0.25));
            let heap = bowl.map(|p| p + vec3(0.0, mix(0.0, 0.014, full), 0.0));
            easel.rod(heap, [0.02 * full; 2], FOOD);
        }
        Tool::Sponge => paint_sponge(&stand.part(SPONGE_TIP * 0.6, flat()), vec3(0.95, 0.85, 0.15), easel),
        Tool::BottleCap => {
            let cap = stand.part(vec3(0.0, -0.03, 0.0), flat());
            easel.drum(&cap, Drum { radii: [0.019; 2], height: 0.025 }, item.cap_colour(), None);
        }
    }
}

fn paint_sponge(stand: &Stand, colour: Rgb, easel: &mut Easel<'_>) {
    easel.block(stand, vec3(0.045, 0.014, 0.03), colour);
    easel.block(&stand.part(vec3(0.0, 0.016, 0.0), flat()), vec3(0.045, 0.004, 0.03), vec3(0.15, 0.5, 0.25));
}

fn pan_hinge(pan: &Stand, open: f32) -> Stand {
    pan.part(vec3(0.0, PAN_HEIGHT + 0.002, -PAN_RADIUS), Rotation::about_x(-PAN_LID_ANGLE * open))
}

fn box_hinge(stand: &Stand, open: f32) -> Stand {
    stand.part(vec3(0.0, 2.0 * BOX_HALF.y, -BOX_HALF.z), Rotation::about_x(-BOX_LID_ANGLE * open))
}

fn flat() -> Rotation {
    Rotation::about_y(0.0)
}
