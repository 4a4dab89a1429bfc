use std::sync::atomic::AtomicBool;

use super::super::{Dive, DiveOptions, DiveSet, Scene, render_dive, render_dive_masks, synth_dives};
use super::*;

/// Two frames of 10 x 4 pixels: the second has one row set, and the pixel below its end.
fn small() -> MaskVideo {
    let mut second = [false; 40];
    second[10..20].fill(true);
    second[29] = true;
    MaskVideo::of([10, 4], [vec![false; 40], second.to_vec()].into_iter())
}

#[test]
fn a_file_is_pbm_pictures_end_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.pbm");
    small().write(&path).unwrap();
    let empty = [0u8; 8];
    // Ten bits in two bytes: the first in the highest bit, six to fill up.
    let second = [0, 0, 0xff, 0xc0, 0x00, 0x40, 0, 0];
    let want = [b"P4\n10 4\n".as_slice(), &empty, b"P4\n10 4\n", &second].concat();
    assert_eq!(std::fs::read(&path).unwrap(), want);
    assert_eq!(MaskVideo::read(&path).unwrap(), small());
}

#[test]
fn patches_of_the_middle_square_are_covered_by_their_share() {
    let mask = small();
    assert_eq!((mask.num_frames(), mask.size_px()), (2, [10, 4]));
    // The square is columns 3 to 6. Its second row is set; the pixel at column 9 lies outside.
    assert_eq!(mask.cover(0, [2, 2]), [0.0; 4]);
    assert_eq!(mask.cover(1, [2, 2]), [0.5, 0.5, 0.0, 0.0]);
    assert_eq!(mask.cover(1, [4, 1]), [0.0, 1.0, 0.0, 0.0]);
    // Three rows of patches of 4/3 pixels: row 1 is a third in the first, two thirds in the second.
    for (got, want) in mask.cover(1, [3, 1]).into_iter().zip([0.25, 0.5, 0.0]) {
        assert!((got - want).abs() < 1e-12, "{got} is not {want}");
    }
}

#[test]
fn files_that_are_no_masks_are_refused() {
    let refused = |file: &[u8]| MaskVideo::parse(Path::new("m.pbm"), file).unwrap_err().to_string();
    for file in [b"".as_slice(), b"P5\n10 4\n", b"P4\n10\n", b"P4\n0 4\n", b"P4\n99999 4\n", b"P4\n10 4"] {
        assert_eq!(refused(file), "\"m.pbm\" is no mask of that video: it does not begin like a PBM picture (P4)");
    }
    let whole = [b"P4\n10 4\n".as_slice(), &[0; 8]].concat();
    assert!(refused(&whole[..15]).contains("picture 0 is cut short"));
    let other = [&whole[..], b"P4\n11 4\n", &[0; 8]].concat();
    assert!(refused(&other).contains("picture 1 is cut short, or not of 10 x 4"));
}

#[test]
fn the_mask_is_where_the_flying_diver_changes_the_picture_and_none_stands_still() {
    let options = DiveOptions { seconds: [3.0, 3.0], frames_per_sec: 10.0, ..DiveOptions::new("".into()) };
    let scene = Scene { noise: 0.0, flicker: 0.0, ..Scene::draw(3, 0) };
    let dive = Dive::draw(DiveSet::new(4).unwrap().classes()[3], &options, 7, scene.board_height());
    // The same dive of a diver dressed and tanned otherwise: only the diver's own pixels can differ.
    let other_scene = Scene { suit: scene.suit.map(|colour| colour * 0.3), cap: scene.cap * 0.3, ..scene.clone() };
    let mut other_dive = dive.clone();
    other_dive.skin = 1.0 - dive.skin.round();
    let frames = render_dive(&dive, &scene, 64).zip(render_dive(&other_dive, &other_scene, 64));
    let (mut changed, mut unchanged, mut missed, mut standing) = (0, 0, 0, 0);
    for (frame, ((one, other), mask)) in frames.zip(render_dive_masks(&dive, &scene, 64)).enumerate() {
        let t = frame as f32 / dive.frames_per_sec;
        let num_set = mask.iter().filter(|set| **set).count();
        assert!(num_set < 64 * 64 / 4);
        standing += if t < 0.1 * dive.takeoff_secs { num_set } else { 0 };
        for (pixel, set) in mask.into_iter().enumerate() {
            let differs = (0..3).map(|c| one[3 * pixel + c].abs_diff(other[3 * pixel + c])).max().unwrap();
            changed += usize::from(set && differs > 12);
            unchanged += usize::from(set && differs <= 12);
            let flies = dive.takeoff_secs + 0.1 < t && t < dive.entry_secs;
            missed += usize::from(flies && !set && differs > 60);
        }
    }
    assert_eq!(standing, 0);
    // Some colours come out alike, and spray hides the diver at the entry; for a moment a limb may be the axis of a turn.
    assert!(changed > 15 * 60 && unchanged * 3 < changed, "{changed} changed, {unchanged} not");
    assert!(missed * 20 < changed, "{missed} of the diver's pixels missed, {changed} found");
}

#[test]
fn masks_can_be_added_to_a_finished_folder_and_change_no_video() {
    let folder = tempfile::tempdir().unwrap();
    let options = DiveOptions {
        num_train: 2,
        num_test: 1,
        num_classes: 4,
        size_px: 32,
        frames_per_sec: 15.0,
        seconds: [3.0, 4.0],
        ..DiveOptions::new(folder.path().to_owned())
    };
    let synth = |options: &DiveOptions| synth_dives(options, &|_, _| (), &AtomicBool::new(false)).unwrap();
    let first = synth(&options);
    let second = synth(&DiveOptions { masks: true, ..options });
    assert_eq!((second.num_rendered, second.num_kept, second.num_bytes), (0, 3, first.num_bytes));
    let mut num_frames = 0;
    for entry in std::fs::read_dir(folder.path().join("masks")).unwrap() {
        let path = entry.unwrap().path();
        assert!(folder.path().join("rgb").join(path.file_name().unwrap()).with_extension("mp4").is_file());
        let mask = MaskVideo::read(&path).unwrap();
        assert_eq!(mask.size_px(), [32, 32]);
        num_frames += mask.num_frames();
    }
    assert_eq!(num_frames, first.num_frames);
}
