use crate::VideoError;

use super::options::within;

/// How the diver leaves the board: which way they face and which way they rotate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takeoff {
    /// Faces the water, rotates forwards.
    Forward,
    /// Back to the water, rotates backwards.
    Back,
    /// Faces the water, rotates backwards, towards the board.
    Reverse,
    /// Back to the water, rotates forwards, towards the board.
    Inward,
}

/// The shape of the body in the air.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Any shape: here slightly bent with open arms.
    Free,
    /// Bent at the hips, legs straight.
    Pike,
    /// Hips and knees bent, hands on the shins.
    Tuck,
    /// Straight, arms at the sides.
    Straight,
}

/// One class of dives, in the attributes of Diving48's vocabulary. Somersaults count a half on top of a whole number and
/// twists are whole, so that every dive enters the water head first and facing the same way: neither the first nor the
/// last second tells how often the diver turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiveClass {
    /// Direction of take-off.
    pub takeoff: Takeoff,
    /// Turns about the lateral axis, in halves: 3 stands for one and a half somersaults.
    pub half_somersaults: u32,
    /// Turns about the body's long axis.
    pub twists: u32,
    /// Shape in the air.
    pub position: Position,
}

impl DiveClass {
    /// `[takeoff, somersault, twist, position]` in Diving48's words.
    pub fn words(&self) -> [String; 4] {
        let takeoff = match self.takeoff {
            Takeoff::Forward => "Forward",
            Takeoff::Back => "Back",
            Takeoff::Reverse => "Reverse",
            Takeoff::Inward => "Inward",
        };
        let position = match self.position {
            Position::Free => "FREE",
            Position::Pike => "PIKE",
            Position::Tuck => "TUCK",
            Position::Straight => "STR",
        };
        let twist = match self.twists {
            0 => "NoTwis".to_owned(),
            n => format!("{n}Twis"),
        };
        [takeoff.to_owned(), format!("{}5som", self.half_somersaults / 2), twist, position.to_owned()]
    }

    pub(super) fn somersaults(&self) -> f32 {
        self.half_somersaults as f32 / 2.0
    }
}

const TAKEOFFS: [Takeoff; 4] = [Takeoff::Forward, Takeoff::Back, Takeoff::Reverse, Takeoff::Inward];
const HALF_SOMERSAULTS: [u32; 3] = [3, 5, 7];
const TWISTS: [u32; 4] = [1, 2, 3, 0];
const POSITIONS: [Position; 4] = [Position::Free, Position::Pike, Position::Tuck, Position::Straight];

/// How many values of each attribute the first 4, 8, 16, 48 and 192 classes use: each of these sets is a full product,
/// so that no attribute tells a class on its own. The two counts come first: they are what takes the whole dive to see.
const SHELLS: [[usize; 4]; 5] = [[1, 2, 2, 1], [2, 2, 2, 1], [2, 2, 2, 2], [4, 2, 3, 2], [4, 3, 4, 4]];

/// The classes of a synthetic set: the first `num_classes` of a fixed order.
#[derive(Clone, Debug)]
pub struct DiveSet {
    classes: Vec<DiveClass>,
}

impl DiveSet {
    /// The most classes that a set can have.
    pub const MAX_CLASSES: usize = 192;

    /// The first `num_classes` classes. With 4, 8, 16, 48 or 192 the set is a full product of its attributes' values;
    /// with another number a few attribute values are rarer than others.
    ///
    /// # Errors
    /// [`VideoError::Option`] unless `num_classes` is in `2..=192`.
    pub fn new(num_classes: usize) -> Result<Self, VideoError> {
        within("num_classes", num_classes, (2..=Self::MAX_CLASSES).contains(&num_classes), "in 2..=192")?;
        let mut classes = Vec::with_capacity(Self::MAX_CLASSES);
        for shell in SHELLS {
            for class in product(shell) {
                if !classes.contains(&class) {
                    classes.push(class);
                }
            }
        }
        classes.truncate(num_classes);
        Ok(DiveSet { classes })
    }

    /// The classes; a label is an index into them.
    pub fn classes(&self) -> &[DiveClass] {
        &self.classes
    }

    pub(super) fn max_twists(&self) -> u32 {
        self.classes.iter().map(|class| class.twists).max().unwrap_or(0)
    }
}

fn product([takeoffs, somersaults, twists, positions]: [usize; 4]) -> Vec<DiveClass> {
    let mut classes = Vec::new();
    for &takeoff in &TAKEOFFS[..takeoffs] {
        for &half_somersaults in &HALF_SOMERSAULTS[..somersaults] {
            for &twists in &TWISTS[..twists] {
                for &position in &POSITIONS[..positions] {
                    classes.push(DiveClass { takeoff, half_somersaults, twists, position });
                }
            }
        }
    }
    classes
}
