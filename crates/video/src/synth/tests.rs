use std::collections::BTreeSet;
use std::f32::consts::{PI, TAU};
use std::sync::atomic::AtomicBool;

use super::body::Body;
use super::dive::TURNING;
use super::vec3::vec3;
use super::*;

const BOARD_HEIGHT: f32 = 3.0;

fn options() -> DiveOptions {
    DiveOptions::new(std::path::PathBuf::new())
}

fn draw(class: DiveClass, index: u64) -> Dive {
    Dive::draw(class, &options(), index, BOARD_HEIGHT)
}

fn all_classes() -> Vec<DiveClass> {
    DiveSet::new(DiveSet::MAX_CLASSES).unwrap().classes().to_vec()
}

/// Sum of the changes of an angle, each taken the short way round.
fn unwrapped(angles: impl Iterator<Item = f32>) -> f32 {
    let angles: Vec<f32> = angles.collect();
    angles.windows(2).map(|pair| (pair[1] - pair[0] + PI).rem_euclid(TAU) - PI).sum()
}

/// Bodies at 2000 moments from the take-off to the entry.
fn flight(dive: &Dive) -> Vec<Body> {
    let secs = dive.entry_secs - dive.takeoff_secs;
    (0..=2000).map(|i| dive.body_at(dive.takeoff_secs + secs * i as f32 / 2000.0)).collect()
}

#[test]
fn the_skeleton_somersaults_as_often_as_the_label_says_and_in_the_direction_of_the_takeoff() {
    for (i, class) in all_classes().into_iter().enumerate() {
        let bodies = flight(&draw(class, i as u64));
        // Seen from the camera's side, x to the right: clockwise is head over towards the water.
        let turned = unwrapped(bodies.iter().map(|body| {
            let spine = body.neck - body.pelvis;
            spine.x.atan2(spine.y)
        }));
        let clockwise = match class.takeoff {
            Takeoff::Forward | Takeoff::Back => 1.0,
            Takeoff::Reverse | Takeoff::Inward => -1.0,
        };
        let wanted = clockwise * class.half_somersaults as f32 * PI;
        assert!((turned - wanted).abs() < 0.02, "{:?}: turned {turned}, wanted {wanted}", class.words());
    }
}

#[test]
fn the_skeleton_twists_as_often_as_the_label_says() {
    for (i, class) in all_classes().into_iter().enumerate() {
        let bodies = flight(&draw(class, i as u64));
        // Angle of the shoulders about the spine, from the axis of the somersault.
        let turned = unwrapped(bodies.iter().map(|body| {
            let spine = (body.neck - body.pelvis).unit();
            let shoulders = body.shoulders[1] - body.shoulders[0];
            let level = vec3(0.0, 0.0, 1.0);
            shoulders.dot(spine.cross(level)).atan2(shoulders.dot(level))
        }));
        let wanted = class.twists as f32 * TAU;
        assert!((turned.abs() - wanted).abs() < 0.02, "{:?}: turned {turned}, wanted {wanted}", class.words());
    }
}

#[test]
fn before_the_takeoff_and_after_the_entry_all_classes_of_a_takeoff_look_alike() {
    for class in all_classes() {
        for index in 0..3 {
            let like = DiveClass { half_somersaults: 3, twists: 1, position: Position::Free, ..class };
            let (dive, other) = (draw(class, index), draw(like, index));
            assert_eq!(dive.num_frames(), other.num_frames());
            let end = dive.num_frames() as f32 / dive.frames_per_sec;
            for t in [0.0, 0.4, 0.8, 1.0].map(|x| x * dive.takeoff_secs).into_iter().chain([dive.entry_secs, end]) {
                for (a, b) in dive.body_at(t).limbs.iter().zip(&other.body_at(t).limbs) {
                    for (p, q) in a.ends.iter().zip(&b.ends) {
                        let apart = (*p - *q).dot(*p - *q).sqrt();
                        assert!(apart < 1e-3, "{:?} at {t} s: {apart} m apart", class.words());
                    }
                }
            }
        }
    }
}

/// The best share of right answers that one threshold on `cue` gives for telling `few` from `many`.
fn best_threshold(few: &[f32], many: &[f32]) -> f32 {
    let share = |values: &[f32], cut: f32| values.iter().filter(|v| **v < cut).count() as f32 / values.len() as f32;
    let right = |cut: f32| (share(few, cut) + 1.0 - share(many, cut)) / 2.0;
    few.iter().chain(many).map(|cut| right(*cut).max(1.0 - right(*cut))).fold(0.0, f32::max)
}

#[test]
fn neither_speed_nor_duration_alone_tells_one_twist_from_two() {
    let class = |twists| DiveClass { takeoff: Takeoff::Forward, half_somersaults: 3, twists, position: Position::Free };
    let durations = |twists: u32| -> Vec<f32> {
        (0..2000)
            .map(|i| {
                let window = draw(class(twists), u64::from(twists) * 2000 + i).twist.unwrap();
                window.end - window.start
            })
            .collect()
    };
    let (one, two) = (durations(1), durations(2));
    let speeds = |secs: &[f32], turns: f32| -> Vec<f32> { secs.iter().map(|s| turns / s).collect() };
    // By hand: the logarithms are uniform over 1 (base 2) and lie 1/2 apart, so a quarter is confused.
    for right in [best_threshold(&one, &two), best_threshold(&speeds(&one, 1.0), &speeds(&two, 2.0))] {
        assert!((right - 0.75).abs() < 0.04, "{right}");
    }
}

/// Turns of the twist from one sampled frame to the next while the diver twists: the mean, and the most.
fn advance(dive: &Dive, num_sampled: usize) -> (f32, f32) {
    let step = dive.num_frames() as f32 / dive.frames_per_sec / num_sampled as f32;
    let window = dive.twist.unwrap();
    let mean = step * dive.class.twists as f32 / (window.end - window.start);
    let most = (0..num_sampled * 8)
        .map(|i| i as f32 * step / 8.0)
        .map(|t| dive.twist_turns(t + step) - dive.twist_turns(t))
        .fold(0.0, f32::max);
    (mean, most)
}

#[test]
fn twists_alias_at_16_frames_and_not_at_128_and_the_twist_rate_moves_that() {
    for class in all_classes().into_iter().filter(|class| class.twists > 0) {
        for index in 0..20 {
            let dive = draw(class, index);
            assert!(advance(&dive, 16).0 > 0.5, "{:?}", class.words());
            assert!(advance(&dive, 128).1 < 0.4, "{:?}", class.words());
        }
    }
    let slow = DiveOptions { num_classes: 8, twist_rate: 1.4, ..options() };
    slow.check().unwrap();
    let one = DiveClass { takeoff: Takeoff::Back, half_somersaults: 5, twists: 1, position: Position::Free };
    let aliased = (0..200).filter(|i| advance(&Dive::draw(one, &slow, *i, BOARD_HEIGHT), 16).0 > 0.5).count();
    assert!(aliased < 100, "{aliased} of 200");
}

#[test]
fn the_feet_stay_on_the_board_and_the_hands_meet_the_water_at_the_entry() {
    let dive = draw(all_classes()[0], 5);
    for t in [0.0, 0.5 * dive.takeoff_secs, 0.99 * dive.takeoff_secs] {
        let above = dive.body_at(t).feet.y - (BOARD_HEIGHT - dive.board_bend(t));
        assert!((0.0..0.1).contains(&above), "{above} m above the board at {t} s");
    }
    let lowest = |t: f32| dive.body_at(t).limbs.iter().map(|l| l.ends[0].y.min(l.ends[1].y)).fold(f32::MAX, f32::min);
    assert!(lowest(dive.entry_secs).abs() < 0.15, "{}", lowest(dive.entry_secs));
    assert!(lowest(dive.entry_secs - 0.1) > 0.1);
}

#[test]
fn sets_are_products_of_known_words_without_repeats() {
    let words =
        |n: usize| -> Vec<[String; 4]> { DiveSet::new(n).unwrap().classes().iter().map(DiveClass::words).collect() };
    let all = words(192);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 192);
    assert_eq!(all[..48], words(48)[..]);
    let four = [["15som", "1Twis"], ["15som", "2Twis"], ["25som", "1Twis"], ["25som", "2Twis"]];
    assert_eq!(words(4), four.map(|[s, t]| ["Forward", s, t, "FREE"].map(str::to_owned)));
    let known = [
        &["Forward", "Back", "Reverse", "Inward"][..],
        &["15som", "25som", "35som"],
        &["NoTwis", "1Twis", "2Twis", "3Twis"],
        &["FREE", "PIKE", "STR", "TUCK"],
    ];
    for n in [4, 8, 16, 48, 192] {
        for attribute in 0..4 {
            let mut counts = std::collections::BTreeMap::new();
            for word in words(n) {
                assert!(known[attribute].contains(&word[attribute].as_str()), "{word:?}");
                *counts.entry(word[attribute].clone()).or_insert(0) += 1;
            }
            assert_eq!(counts.values().collect::<BTreeSet<_>>().len(), 1, "{n} classes: {counts:?}");
        }
    }
}

#[test]
fn options_out_of_range_are_refused_by_name() {
    let refused = |options: DiveOptions| options.check().unwrap_err().to_string();
    options().check().unwrap();
    assert!(refused(DiveOptions { size_px: 97, ..options() }).contains("size_px = 97"));
    assert!(refused(DiveOptions { num_classes: 1, ..options() }).contains("num_classes = 1"));
    assert!(refused(DiveOptions { seconds: [5.0, 4.0], ..options() }).contains("seconds"));
    assert!(refused(DiveOptions { twist_rate: 0.5, ..options() }).contains("twist_rate = 0.5"));
    assert!(refused(DiveOptions { twist_rate: 9.0, ..options() }).contains("lower"));
    assert!(refused(DiveOptions { twist_rate: f64::NAN, ..options() }).contains("twist_rate"));
}

#[test]
fn a_render_repeats_and_changes_with_seed_and_source() {
    let class = all_classes()[3];
    let short = |seed| DiveOptions { seconds: [3.0, 3.0], frames_per_sec: 10.0, seed, ..options() };
    let render = |seed, source| -> Vec<Vec<u8>> {
        let scene = Scene::draw(seed, source);
        render_dive(&Dive::draw(class, &short(seed), 7, scene.board_height()), &scene, 32).collect()
    };
    let frames = render(1, 0);
    assert_eq!(frames.len(), 30);
    assert!(frames.iter().all(|frame| frame.len() == 3 * 32 * 32));
    assert_eq!(frames, render(1, 0));
    assert_ne!(frames, render(2, 0));
    assert_ne!(frames, render(1, 1));
}

/// A set that takes a moment: 4 classes, two sources to train on and one to test on.
fn small(out: &std::path::Path) -> DiveOptions {
    DiveOptions {
        num_train: 8,
        num_test: 4,
        num_classes: 4,
        size_px: 32,
        frames_per_sec: 15.0,
        seconds: [3.0, 4.0],
        num_sources: [2, 1],
        ..DiveOptions::new(out.to_owned())
    }
}

fn synth(options: &DiveOptions) -> Result<SynthReport, crate::VideoError> {
    synth_dives(options, &|_, _| (), &AtomicBool::new(false))
}

#[test]
fn a_set_has_the_form_of_diving48_and_sources_hold_all_classes_of_one_split() {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Entry {
        vid_name: String,
        label: usize,
        start_frame: usize,
        end_frame: usize,
    }
    let folder = tempfile::tempdir().unwrap();
    synth(&small(folder.path())).unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let vocab: Vec<[String; 4]> = serde_json::from_str(&read("Diving48_vocab.json")).unwrap();
    assert_eq!(vocab.len(), 4);
    let mut sources = Vec::new();
    for (name, count) in [("Diving48_V2_train.json", 8), ("Diving48_V2_test.json", 4)] {
        let entries: Vec<Entry> = serde_json::from_str(&read(name)).unwrap();
        assert_eq!(entries.len(), count);
        let mut labels = std::collections::BTreeMap::<String, Vec<usize>>::new();
        for entry in entries {
            assert!(folder.path().join(format!("rgb/{}.mp4", entry.vid_name)).is_file());
            assert!(entry.start_frame == 0 && (45..=60).contains(&entry.end_frame), "{}", entry.end_frame);
            let (source, number) = entry.vid_name.rsplit_once('_').unwrap();
            assert!(number.len() == 5 && number.parse::<u32>().is_ok(), "{number}");
            labels.entry(source.to_owned()).or_default().push(entry.label);
        }
        assert!(labels.values().all(|labels| *labels == [0, 1, 2, 3]), "{labels:?}");
        sources.extend(labels.into_keys());
    }
    assert_eq!(sources, ["pool0000", "pool0001", "pool0002"]);
}

#[test]
fn a_second_call_renders_only_what_is_missing_and_one_thread_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let options = small(folder.path());
    let first = synth(&options).unwrap();
    assert_eq!((first.num_rendered, first.num_kept), (12, 0));
    let lost = folder.path().join("rgb/pool0001_00002.mp4");
    let bytes = std::fs::read(&lost).unwrap();
    std::fs::remove_file(&lost).unwrap();
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let second = one_thread.install(|| synth(&options)).unwrap();
    assert_eq!((second.num_rendered, second.num_kept), (1, 11));
    assert_eq!(std::fs::read(&lost).unwrap(), bytes);
    assert_eq!(second.num_bytes, first.num_bytes);
    let other = synth(&DiveOptions { seed: 1, ..options }).unwrap_err();
    assert!(matches!(other, crate::VideoError::CannotResume { .. }), "{other}");
}

#[test]
fn an_interrupt_leaves_no_annotations_and_videos_of_unknown_origin_are_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let options = small(folder.path());
    std::fs::create_dir(folder.path().join("rgb")).unwrap();
    let stranger = folder.path().join("rgb/pool0000_00001.mp4");
    std::fs::write(&stranger, "not a video").unwrap();
    let stopped = synth_dives(&options, &|_, _| (), &AtomicBool::new(true)).unwrap_err();
    assert!(matches!(stopped, crate::VideoError::Interrupted { num_done: 0 }), "{stopped}");
    assert!(!stranger.exists() && !folder.path().join("Diving48_V2_train.json").exists());
}

#[test]
fn from_a_tripod_the_diver_turns_within_the_picture() {
    let options = DiveOptions { camera: Camera::Still, ..options() };
    for (index, &class) in all_classes().iter().enumerate().step_by(7) {
        let scene = Scene::draw(5, index as u64);
        let dive = Dive::draw(class, &options, index as u64, scene.board_height());
        let view = camera::views(&dive, &scene)[0];
        // Until most of the somersaults and all of the twists are done.
        let turning = dive.takeoff_secs + TURNING[1] * (dive.entry_secs - dive.takeoff_secs);
        for i in 0..=100 {
            let t = dive.takeoff_secs + (turning - dive.takeoff_secs) * i as f32 / 100.0;
            let centre = view.project(dive.centre_at(t));
            assert!(centre.x.abs() < 0.5 && centre.y.abs() < 0.5, "dive {index} at {t} s: {}, {}", centre.x, centre.y);
        }
    }
}

#[test]
fn a_studio_is_of_one_colour() {
    let scene = Scene::draw(5, 1).in_studio();
    let still = background::Ripples { centre: vec3(0.0, 0.0, 0.0), since: -1.0, strength: 1.0 };
    for (x, y) in [(0.0, 0.0), (0.4, 0.5), (-0.4, -0.5), (0.1, -2.0)] {
        let ray = vec3(x, y, -1.0);
        assert_eq!(scene.backdrop(ray, 0.0, &still).0, scene.wall);
        // The pool has a wall with windows, beams and seats, and water below them.
        assert_ne!(Scene::draw(5, 1).backdrop(ray, 0.0, &still).0, scene.wall);
    }
}
