//! Which operations RandAugment applies to a clip, and how strongly: timm's "increasing" levels.

use rand::RngExt as _;
use rand_distr::StandardNormal;
use spec::Rng;

use super::op::Op;
use super::{OpSet, RandAugment};

/// Magnitudes are `0..=MAX_LEVEL`.
const MAX_LEVEL: f64 = 10.0;
/// An operation that was drawn is applied with this probability (timm).
const APPLY: f64 = 0.5;

/// An operation and its sign at a share `0..=1` of its largest level.
type Leveled = fn(share: f64, sign: f64) -> Op;

/// Operations that move no pixel.
const PHOTOMETRIC: [Leveled; 10] = [
    |_, _| Op::AutoContrast,
    |_, _| Op::Equalise,
    |_, _| Op::Invert,
    |share, _| Op::Posterise { bits: 4 - (share * 4.0) as u32 },
    |share, _| Op::Solarise { threshold: 256 - (share * 256.0) as u16 },
    |share, _| Op::SolariseAdd { added: (share * 110.0) as u8 },
    |share, sign| Op::Colour { factor: (1.0 + sign * 0.9 * share) as f32 },
    |share, sign| Op::Contrast { factor: (1.0 + sign * 0.9 * share) as f32 },
    |share, sign| Op::Brightness { factor: (1.0 + sign * 0.9 * share) as f32 },
    |share, sign| Op::Sharpness { factor: (1.0 + sign * 0.9 * share) as f32 },
];

/// Operations that move pixels.
const GEOMETRIC: [Leveled; 5] = [
    |share, sign| Op::Rotate { degrees: sign * 30.0 * share },
    |share, sign| Op::ShearX { slope: sign * 0.3 * share },
    |share, sign| Op::ShearY { slope: sign * 0.3 * share },
    |share, sign| Op::TranslateX { share: sign * 0.45 * share },
    |share, sign| Op::TranslateY { share: sign * 0.45 * share },
];

impl RandAugment {
    /// The operations of one clip, in order.
    pub(super) fn draw(self, rng: &mut Rng) -> Vec<Op> {
        let RandAugment::Increasing { num_ops, magnitude, magnitude_std, ops } = self else { return Vec::new() };
        let geometric = match ops {
            OpSet::All => GEOMETRIC.as_slice(),
            OpSet::Photometric => &[],
        };
        let choices: Vec<&Leveled> = PHOTOMETRIC.iter().chain(geometric).collect();
        let mut drawn = Vec::new();
        for _ in 0..num_ops {
            let choice = choices[rng.random_range(0..choices.len())];
            let level = magnitude + magnitude_std * rng.sample::<f64, _>(StandardNormal);
            let sign = if rng.random_bool(0.5) { 1.0 } else { -1.0 };
            if rng.random_bool(APPLY) {
                drawn.push(choice(level.clamp(0.0, MAX_LEVEL) / MAX_LEVEL, sign));
            }
        }
        drawn
    }
}

#[cfg(test)]
mod tests {
    use spec::{Purpose, rng_for};

    use super::*;

    #[test]
    fn levels_are_those_of_timm_at_magnitude_seven() {
        // Its formulas at level 7: 4 - int(2.8), 256 - int(179.2), int(77.0), 1 + 0.63, 21 degrees, 0.21, 0.315.
        let at = |choice: &Leveled, sign| choice(0.7, sign);
        assert_eq!(at(&PHOTOMETRIC[3], 1.0), Op::Posterise { bits: 2 });
        assert_eq!(at(&PHOTOMETRIC[4], 1.0), Op::Solarise { threshold: 77 });
        assert_eq!(at(&PHOTOMETRIC[5], 1.0), Op::SolariseAdd { added: 77 });
        let Op::Contrast { factor } = at(&PHOTOMETRIC[7], -1.0) else { panic!("contrast is the eighth") };
        assert!((factor - 0.37).abs() < 1e-6);
        let Op::Rotate { degrees } = at(&GEOMETRIC[0], 1.0) else { panic!("rotation is the first") };
        assert!((degrees - 21.0).abs() < 1e-9);
        let Op::ShearY { slope } = at(&GEOMETRIC[2], 1.0) else { panic!("vertical shear is the third") };
        let Op::TranslateX { share } = at(&GEOMETRIC[3], -1.0) else { panic!("translation is the fourth") };
        assert!((slope - 0.21).abs() < 1e-9 && (share + 0.315).abs() < 1e-9);
    }

    #[test]
    fn half_of_the_drawn_operations_are_applied_and_each_kind_as_often() {
        let cfg = RandAugment::Increasing { num_ops: 4, magnitude: 7.0, magnitude_std: 0.5, ops: OpSet::All };
        let mut rng = rng_for(0, 0, 0, Purpose::RandAugment);
        let drawn: Vec<Op> = (0..15_000).flat_map(|_| cfg.draw(&mut rng)).collect();
        // 60,000 coins: standard deviation 122. Each of 15 kinds has 1/30 of the 60,000: 2,000, deviation 44.
        assert!(drawn.len().abs_diff(30_000) < 5 * 122, "{}", drawn.len());
        let count = |kind: fn(&Op) -> bool| drawn.iter().filter(|op| kind(op)).count();
        let counts = [
            count(|op| matches!(op, Op::Equalise)),
            count(|op| matches!(op, Op::Rotate { .. })),
            count(|op| matches!(op, Op::TranslateY { .. })),
            count(|op| matches!(op, Op::Sharpness { .. })),
        ];
        assert!(counts.iter().all(|n| n.abs_diff(2000) < 5 * 44), "{counts:?}");
        let turned: Vec<f64> =
            drawn.iter().filter_map(|op| if let Op::Rotate { degrees } = op { Some(*degrees) } else { None }).collect();
        let mean = turned.iter().map(|degrees| degrees.abs()).sum::<f64>() / turned.len() as f64;
        let left = turned.iter().filter(|degrees| **degrees > 0.0).count();
        // 21 degrees with deviation 1.5; the mean of 2,000 has 0.034.
        assert!((mean - 21.0).abs() < 5.0 * 0.034, "{mean}");
        assert!(left.abs_diff(turned.len() / 2) < 5 * 23, "{left} of {}", turned.len());
    }

    #[test]
    fn photometric_operations_are_never_geometric() {
        let cfg = RandAugment::Increasing { num_ops: 8, magnitude: 10.0, magnitude_std: 5.0, ops: OpSet::Photometric };
        let mut rng = rng_for(0, 0, 0, Purpose::RandAugment);
        let turned = |op: &Op| matches!(op, Op::Rotate { .. } | Op::ShearX { .. } | Op::ShearY { .. });
        let moved = |op: &Op| matches!(op, Op::TranslateX { .. } | Op::TranslateY { .. });
        let drawn: Vec<Op> = (0..2000).flat_map(|_| cfg.draw(&mut rng)).collect();
        assert!(drawn.len() > 7000 && !drawn.iter().any(|op| turned(op) || moved(op)));
    }
}
