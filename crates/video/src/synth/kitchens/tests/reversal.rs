use std::collections::BTreeSet;

use super::super::super::scene::Rgb;
use super::super::film::{Film, Segment};
use super::super::head::Head;
use super::super::script::{Action, Direction, Kind, Script};
use super::super::words::Verb;
use super::{RATE, film, films};

const TINY: [u32; 2] = [32, 24];

#[test]
fn a_film_shown_backwards_is_its_frames_reversed_and_every_verb_becomes_its_partner() {
    for film in (0..4).map(|i| film(1, i)) {
        let mut other = film.clone();
        other.backwards = !film.backwards;
        let (num_frames, secs) = (film.num_frames(), film.secs());
        for frame in (0..num_frames).step_by(61) {
            assert_eq!(film.picture(frame, TINY), other.picture(num_frames - 1 - frame, TINY));
        }
        let mut mirrored = other.segments();
        for segment in &mut mirrored {
            let Segment { start_secs, stop_secs, .. } = *segment;
            (segment.start_secs, segment.stop_secs) = (secs - stop_secs, secs - start_secs);
        }
        for segment in film.segments() {
            let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
            let partner = mirrored
                .iter()
                .find(|other| close(other.start_secs, segment.start_secs) && close(other.stop_secs, segment.stop_secs));
            let partner = partner.unwrap();
            assert_eq!((partner.verb, partner.noun), (segment.verb.reversed(), segment.noun));
            let motion = num_frames - segment.motion.end..num_frames - segment.motion.start;
            assert_eq!(partner.motion, motion);
        }
    }
}

/// The film with one action only, begun at frame 5, and nothing else that moves.
fn only(film: &Film, index: usize, direction: Direction) -> Film {
    let action = &film.script.actions[index];
    let mut states = [film.script.states[index].clone(), film.script.states[index + 1].clone()];
    if direction != action.direction {
        states.reverse();
    }
    let action = Action { start_frame: 5, direction, ..action.clone() };
    let script = Script { num_frames: action.num_frames + 10, actions: vec![action], states: states.to_vec() };
    let mut only = film.clone();
    (only.script, only.head, only.actor) = (script, Head::still(), film.actor.clone().still());
    (only.backwards, only.flicker) = (false, [0.0, 0.0]);
    only
}

#[test]
fn the_second_verb_of_a_pair_shows_the_frames_of_the_first_in_reverse_bit_for_bit() {
    let mut seen = BTreeSet::new();
    for film in films(0).take(12) {
        for (index, action) in film.script.actions.iter().enumerate() {
            let noun = film.items[action.item].noun;
            if !matches!(action.kind, Kind::Carry | Kind::Alter) || !seen.insert((action.kind as usize, noun)) {
                continue;
            }
            let [there, back] = [Direction::Forward, Direction::Backward].map(|way| only(&film, index, way));
            let [verb, partner] = [&there, &back].map(|film| film.segments()[0].verb);
            assert!(verb != partner && verb.reversed() == partner, "{verb:?} and {partner:?}");
            let num_frames = there.num_frames();
            let shown: Vec<Vec<Rgb>> = (0..num_frames).map(|frame| there.picture(frame, TINY)).collect();
            for (frame, picture) in shown.iter().enumerate() {
                assert_eq!(*picture, back.picture(num_frames - 1 - frame, TINY), "{verb:?} {noun:?}, frame {frame}");
            }
            assert_ne!(shown[0], shown[num_frames - 1], "{verb:?} {noun:?} changes nothing");
        }
    }
    let pairs = |kind: Kind| seen.iter().filter(|(found, _)| *found == kind as usize).count();
    assert!(pairs(Kind::Carry) >= 6 && pairs(Kind::Alter) >= 5, "{seen:?}");
}

/// Mean absolute difference of two pictures.
fn distance(a: &[Rgb], b: &[Rgb]) -> f32 {
    let sum: f32 = a.iter().zip(b).map(|(a, b)| (a.x - b.x).abs() + (a.y - b.y).abs() + (a.z - b.z).abs()).sum();
    sum / (3 * a.len()) as f32
}

#[test]
fn a_motion_begins_and_ends_with_what_is_seen_before_and_after_it() {
    for film in films(0).take(6) {
        for (index, action) in film.script.actions.iter().enumerate() {
            let film = only(&film, index, action.direction);
            let Action { start_frame, num_frames, .. } = film.script.actions[0];
            let end = start_frame + num_frames;
            for (outside, inside) in [(start_frame - 1, start_frame), (end, end - 1)] {
                let jump = distance(&film.picture(outside, TINY), &film.picture(inside, TINY));
                assert!(jump < 1e-3, "{:?} of {:?}: {jump}", action.kind, film.items[action.item].noun);
            }
        }
    }
}

/// Numbers that describe a segment, and whether its verb is the first of the pair.
type Sample = (Vec<f32>, bool);

/// The share of `test` that is nearer to the mean of its own class in `train`.
fn nearest_centroid(train: &[Sample], test: &[Sample]) -> f32 {
    let mean = |class: bool| -> Vec<f32> {
        let members: Vec<&Vec<f32>> = train.iter().filter(|sample| sample.1 == class).map(|sample| &sample.0).collect();
        (0..members[0].len()).map(|i| members.iter().map(|m| m[i]).sum::<f32>() / members.len() as f32).collect()
    };
    let means = [mean(false), mean(true)];
    let far =
        |class: usize, sample: &[f32]| -> f32 { means[class].iter().zip(sample).map(|(a, b)| (a - b) * (a - b)).sum() };
    let right = test.iter().filter(|(sample, class)| (far(1, sample) < far(0, sample)) == *class).count();
    right as f32 / test.len() as f32
}

/// The number of frames taken from a segment; odd, so that one is in the middle.
const NUM_SAMPLED: usize = 9;

/// Brightness of each pixel in frames spread evenly over a segment as annotated: `[NUM_SAMPLED][pixels]`.
fn sampled(film: &Film, segment: &Segment) -> Vec<Vec<f32>> {
    (0..NUM_SAMPLED)
        .map(|i| {
            let share = (i as f64 + 0.5) / NUM_SAMPLED as f64;
            let secs = segment.start_secs + share * (segment.stop_secs - segment.start_secs);
            let frame = (secs * RATE) as usize;
            film.picture(frame, TINY).iter().map(|pixel| pixel.x + pixel.y + pixel.z).collect()
        })
        .collect()
}

fn mean_of(frames: &[Vec<f32>]) -> Vec<f32> {
    (0..frames[0].len()).map(|i| frames.iter().map(|f| f[i]).sum::<f32>() / frames.len() as f32).collect()
}

/// How much neighbouring pixels differ: objects on the counter add to it.
fn detail(frames: &[Vec<f32>]) -> f32 {
    let width = TINY[0] as usize;
    let rows = frames.iter().flat_map(|frame| frame.chunks(width));
    rows.map(|row| row.windows(2).map(|pair| (pair[1] - pair[0]).abs()).sum::<f32>()).sum()
}

#[test]
fn what_ignores_the_order_of_frames_does_not_tell_the_verbs_of_a_pair_and_what_heeds_it_does() {
    type Cue = fn(&[Vec<f32>], &Segment) -> Vec<f32>;
    let blind: [(&str, Cue); 3] = [
        ("duration", |_, segment| vec![(segment.stop_secs - segment.start_secs) as f32]),
        ("middle frame", |frames, _| frames[NUM_SAMPLED / 2].clone()),
        ("mean frame", |frames, _| mean_of(frames)),
    ];
    let late_less_early: Cue = |frames, _| {
        let [early, late] = [mean_of(&frames[..3]), mean_of(&frames[NUM_SAMPLED - 3..])];
        late.iter().zip(&early).map(|(late, early)| late - early).collect()
    };
    let growing_detail: Cue = |frames, _| vec![detail(&frames[NUM_SAMPLED - 3..]) - detail(&frames[..3])];
    let pairs = [(Verb::Open, Verb::Close, late_less_early), (Verb::Take, Verb::Put, growing_detail)];
    // Participants and videos of the two halves differ.
    let [train, test]: [Vec<(Segment, Vec<Vec<f32>>)>; 2] = [0, 1000].map(|first| {
        let of_film = |film: Film| {
            let segments = film.segments().into_iter().filter(|s| pairs.iter().any(|p| p.0 == s.verb || p.1 == s.verb));
            segments.map(|segment| (segment.clone(), sampled(&film, &segment))).collect::<Vec<_>>()
        };
        films(first).flat_map(of_film).collect()
    });
    for (verb, partner, aware) in pairs {
        let score = |cue: Cue| -> (f32, usize) {
            let [train, test] = [&train, &test].map(|half| -> Vec<Sample> {
                let chosen = half.iter().filter(|(segment, _)| segment.verb == verb || segment.verb == partner);
                chosen.map(|(segment, frames)| (cue(frames, segment), segment.verb == verb)).collect()
            });
            (nearest_centroid(&train, &test), test.len())
        };
        for (name, cue) in blind {
            let (right, count) = score(cue);
            // Three and a half standard deviations of a coin.
            let margin = 3.5 * 0.5 / (count as f32).sqrt();
            assert!((right - 0.5).abs() < margin, "{verb:?} by {name}: {right} of {count}");
        }
        let (right, count) = score(aware);
        assert!(right > 0.5 + 5.0 * 0.5 / (count as f32).sqrt(), "{verb:?} by order: {right} of {count}");
    }
}
