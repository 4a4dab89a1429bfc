use rand::RngExt;
use spec::Rng;

use super::super::dive::between;
use super::layout::{Item, pick};
use super::words::{Noun, Verb};

/// Median of an action's length, seconds, and how far its logarithm spreads. As in EPIC-KITCHENS-100's validation set
/// (median 1.96 s) but without its long tail.
const MEDIAN_SECS: f32 = 2.0;
const LOG_SPREAD: f32 = 0.55;
const ACTION_SECS: [f32; 2] = [0.8, 4.8];
/// The annotation exceeds the motion at either end by a share of its length within these bounds: 0.6 to 6 s in all.
const MARGIN: [f32; 2] = [-0.1, 0.12];
/// Pauses between actions, seconds: some so short that neighbouring annotations overlap.
const SHORT_PAUSE: f32 = 0.3;
const SHORT_SECS: [f32; 2] = [0.0, 0.2];
const LONG_SECS: [f32; 2] = [0.3, 2.2];
/// Before the first and after the last action; longer than the longest margin.
const REST_SECS: [f32; 2] = [0.7, 2.0];

/// What a hand does; with its [`Direction`] and the object it gives the verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Away from the counter: take; back: put.
    Carry,
    /// Open, turn on or fill, whichever the object can; back: close, turn off, empty.
    Alter,
    Wash,
    Cut,
    Mix,
    Shake,
}

impl Kind {
    const ALL: [Kind; 6] = [Kind::Carry, Kind::Alter, Kind::Wash, Kind::Cut, Kind::Mix, Kind::Shake];
}

/// Of the motion: every motion can be run both ways. Periodic ones look the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Forward,
    Backward,
}

/// Of one object on the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ItemState {
    /// On the counter.
    pub(super) present: bool,
    /// Open, on or full.
    pub(super) altered: bool,
}

/// One motion of the hands.
#[derive(Clone, Debug)]
pub(super) struct Action {
    /// Index into the items.
    pub(super) item: usize,
    pub(super) kind: Kind,
    pub(super) direction: Direction,
    pub(super) start_frame: usize,
    pub(super) num_frames: usize,
    /// Seconds by which the annotation begins before and ends after the motion; negative inside.
    pub(super) margin_secs: [f32; 2],
    /// Chance's part in how it is done, each in `[0, 1)`.
    pub(super) chance: [f32; 4],
}

impl Action {
    /// Share of the forward motion done at `frame` of the script, in `[0, 1]`. Of whole numbers up to one division, so
    /// that both directions show exactly the same moments.
    pub(super) fn progress(&self, frame: usize) -> f32 {
        let (done, last) = (frame - self.start_frame, self.num_frames - 1);
        let done = match self.direction {
            Direction::Forward => done,
            Direction::Backward => last - done,
        };
        done as f32 / last as f32
    }

    pub(super) fn verb(&self, noun: Noun) -> Verb {
        let forward = match (self.kind, noun) {
            (Kind::Carry, _) => Verb::Take,
            (Kind::Alter, Noun::Tap) => Verb::TurnOn,
            (Kind::Alter, Noun::Cup | Noun::Pan) => Verb::Fill,
            (Kind::Alter, _) => Verb::Open,
            (Kind::Wash, _) => Verb::Wash,
            (Kind::Cut, _) => Verb::Cut,
            (Kind::Mix, _) => Verb::Mix,
            (Kind::Shake, _) => Verb::Shake,
        };
        match self.direction {
            Direction::Forward => forward,
            Direction::Backward => forward.reversed(),
        }
    }
}

/// Everything that happens in a video, in frames.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) num_frames: usize,
    /// In the order of time; their motions do not overlap.
    pub(super) actions: Vec<Action>,
    /// States of all items before each action and after the last: one more than actions.
    pub(super) states: Vec<Vec<ItemState>>,
}

impl Script {
    /// Draws `num_actions` actions with idle stretches between. The first states are drawn too, so that neither the place
    /// in the video nor what else is on the counter tells one direction from the other.
    pub(super) fn draw(items: &[Item], num_actions: usize, frames_per_sec: f32, rng: &mut Rng) -> Script {
        let mut state: Vec<ItemState> = items.iter().map(|item| first_state(item, rng)).collect();
        let (mut actions, mut states) = (Vec::new(), vec![state.clone()]);
        let mut end_secs = between(rng, REST_SECS);
        for _ in 0..num_actions {
            let secs = length_secs(rng);
            let (item, kind) = choose(items, &state, rng);
            let margin_secs = [(); 2].map(|()| secs * between(rng, MARGIN));
            let chance = [(); 4].map(|()| rng.random());
            let direction = toggle(&mut state[item], kind);
            let [start_frame, num_frames] = [end_secs, secs].map(|secs| (secs * frames_per_sec).round() as usize);
            actions.push(Action { item, kind, direction, start_frame, num_frames, margin_secs, chance });
            states.push(state.clone());
            let pause = if rng.random::<f32>() < SHORT_PAUSE { SHORT_SECS } else { LONG_SECS };
            // One frame more: the start and the length are both rounded.
            end_secs += secs + between(rng, pause) + 1.0 / frames_per_sec;
        }
        let last = actions.last().map_or(0, |action| action.start_frame + action.num_frames);
        let rest = (between(rng, REST_SECS) * frames_per_sec).ceil() as usize;
        Script { num_frames: last + rest, actions, states }
    }

    /// The action under way at `frame`, if any, and the number of actions begun before or at it.
    pub(super) fn action_at(&self, frame: usize) -> (Option<&Action>, usize) {
        let begun = self.actions.partition_point(|action| action.start_frame <= frame);
        let last = begun.checked_sub(1).map(|i| &self.actions[i]);
        (last.filter(|action| frame < action.start_frame + action.num_frames), begun)
    }
}

fn first_state(item: &Item, rng: &mut Rng) -> ItemState {
    let [gone, altered] = [Kind::Carry, Kind::Alter].map(|kind| weight(item, kind) > 0.0 && rng.random::<bool>());
    ItemState { present: !gone, altered }
}

/// Changes the state as `kind` does; the direction it went.
fn toggle(state: &mut ItemState, kind: Kind) -> Direction {
    let forward = match kind {
        Kind::Carry => {
            state.present = !state.present;
            !state.present
        }
        Kind::Alter => {
            state.altered = !state.altered;
            state.altered
        }
        Kind::Wash | Kind::Cut | Kind::Mix | Kind::Shake => true,
    };
    if forward { Direction::Forward } else { Direction::Backward }
}

/// Log-normal, by the sum of twelve uniform numbers.
fn length_secs(rng: &mut Rng) -> f32 {
    let normal = (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0;
    (MEDIAN_SECS * (LOG_SPREAD * normal).exp()).clamp(ACTION_SECS[0], ACTION_SECS[1])
}

/// What is done next: something that the states allow, by weight. The drawer can always be opened or closed.
fn choose(items: &[Item], states: &[ItemState], rng: &mut Rng) -> (usize, Kind) {
    let choices: Vec<(usize, Kind)> = (0..items.len()).flat_map(|i| Kind::ALL.map(|kind| (i, kind))).collect();
    let weights = choices.iter().map(|(i, kind)| match possible(items, states, *i, *kind) {
        true => weight(&items[*i], *kind),
        false => 0.0,
    });
    choices[pick(weights, rng)]
}

/// Whether the object is there, or to be put there, and nothing lies on it.
fn possible(items: &[Item], states: &[ItemState], i: usize, kind: Kind) -> bool {
    let free = items[i].cover.is_none_or(|cover| match items[cover].noun {
        Noun::Lid => states[cover].altered,
        _ => !states[cover].present,
    });
    free && (kind == Kind::Carry || states[i].present)
}

/// How often something is done to an object, against the others; 0 for never. The tail is long on purpose.
fn weight(item: &Item, kind: Kind) -> f32 {
    use Noun::*;
    match (kind, item.noun) {
        // What something lies on stays where it is.
        (Kind::Carry, _) if item.cover.is_some() => 0.0,
        (Kind::Carry, Cup) => 5.0,
        (Kind::Carry, Plate) => 4.0,
        (Kind::Carry, Knife) => 3.0,
        (Kind::Carry, Bottle | Spoon) => 2.0,
        (Kind::Carry, Pan) => 1.5,
        (Kind::Carry, Bread) => 1.0,
        (Kind::Carry, Box | Board | Sponge) => 0.7,
        (Kind::Alter, Drawer) => 5.0,
        (Kind::Alter, Tap) => 3.0,
        (Kind::Alter, Lid) => 2.0,
        (Kind::Alter, Bottle | Box | Cup | Pan) => 1.0,
        (Kind::Wash, Plate) => 1.5,
        (Kind::Wash, Cup | Pan | Knife) => 1.0,
        (Kind::Wash, Board | Spoon) => 0.5,
        (Kind::Cut, Bread) => 1.5,
        (Kind::Mix, Pan) => 1.0,
        (Kind::Mix, Cup) => 0.4,
        (Kind::Shake, Bottle) => 0.7,
        _ => 0.0,
    }
}
