use std::path::Path;

use rand::RngExt as _;
use tempfile::TempDir;

use super::*;
use crate::{Begin, Decoded, VideoError};

const OPTIONS: StoreOptions = StoreOptions { short_side_px: 16, max_frames_per_sec: None };

/// What ffmpeg said of videos of even and of odd numbers.
const NOTES: [&str; 2] = ["", "1 warning: packet corrupt"];

/// Stands for a JPEG: readers of bytes do not look inside.
fn frame(video: usize, k: u32) -> Vec<u8> {
    vec![video as u8 * 16 + k as u8; 1000 + 10 * k as usize]
}

fn add(writer: &mut ClipStoreWriter, video: usize, num_frames: u32) {
    for k in 0..num_frames {
        writer.push_frame(&frame(video, k)).unwrap();
    }
    let decoded =
        Decoded { num_frames, frames_per_sec: 10.0, source_frames_per_sec: 30.0, width_px: 24, height_px: 16 };
    let (name, hash) = (format!("video {video} \u{e9}.mp4"), format!("{video:064}"));
    writer.commit(NewVideo { name: &name, content_hash: &hash, decoded, notes: NOTES[video % 2] }).unwrap();
}

fn segment(video: u32, label: i32) -> Segment {
    let (id, subject) = (format!("s{video}"), format!("P0{video}"));
    Segment { id, video, start_secs: 0.0, stop_secs: 0.25, labels: vec![label, 0], group: "g".to_owned(), subject }
}

fn spaces() -> [LabelSpace; 2] {
    let space = |name: &str, classes: &[&str]| LabelSpace {
        name: name.to_owned(),
        classes: classes.iter().map(|class| (*class).to_owned()).collect(),
    };
    [space("verb", &["take", "put"]), space("noun", &["tap, hot"])]
}

fn begin(path: &Path) -> (ClipStoreWriter, Begin) {
    ClipStoreWriter::begin(path, OPTIONS).unwrap()
}

fn finish(writer: ClipStoreWriter) -> String {
    writer.finish(&[segment(0, 1), segment(1, -1)], &spaces()).unwrap()
}

fn gone() -> Rejected {
    Rejected { name: "bad".to_owned(), reason: "no frames".to_owned(), content_hash: "00".to_owned() }
}

fn written() -> (TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clips.h5");
    let (mut writer, _) = begin(&path);
    add(&mut writer, 0, 5);
    writer.push_frame(&[9; 5000]).unwrap();
    writer.reject(gone()).unwrap();
    add(&mut writer, 1, 3);
    finish(writer);
    (dir, path)
}

#[test]
fn what_was_written_comes_back() {
    let (_dir, path) = written();
    let store = ClipStore::open(&path).unwrap();
    assert_eq!(store.videos().iter().map(|v| (v.first_frame, v.num_frames)).collect::<Vec<_>>(), [(0, 5), (5, 3)]);
    assert_eq!(store.videos()[1].name, "video 1 \u{e9}.mp4");
    assert_eq!(store.videos().iter().map(|v| v.notes.as_str()).collect::<Vec<_>>(), NOTES);
    assert_eq!(store.segments(), [segment(0, 1), segment(1, -1)]);
    assert_eq!(store.label_spaces(), spaces());
    assert_eq!(store.rejected()[0].reason, "no frames");
    // Any order, repeats, and spans that are read in one piece or in two.
    assert_eq!(store.read_jpegs(0, &[4, 0, 0, 2]).unwrap(), [frame(0, 4), frame(0, 0), frame(0, 0), frame(0, 2)]);
    assert_eq!(store.read_jpegs(1, &[2]).unwrap(), [frame(1, 2)]);
    assert!(store.read_jpegs(1, &[]).unwrap().is_empty());
    assert!(matches!(store.read_jpegs(1, &[3]), Err(VideoError::OutOfRange { index: 3, len: 3, .. })));
    assert!(matches!(store.read_jpegs(2, &[0]), Err(VideoError::OutOfRange { index: 2, len: 2, .. })));
}

#[test]
fn a_label_space_is_found_by_name_and_an_unknown_one_is_refused_with_those_there_are() {
    let (_dir, path) = written();
    let store = ClipStore::open(&path).unwrap();
    assert_eq!(store.label_space("noun").unwrap(), (1, &spaces()[1]));
    let said = store.label_space("action").unwrap_err().to_string();
    assert!(said.contains("has no labels \"action\"; it has: verb, noun"), "{said}");
}

#[test]
fn the_label_spaces_are_part_of_the_id() {
    let id = |spaces: &[LabelSpace]| {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, _) = begin(&dir.path().join("clips.h5"));
        add(&mut writer, 0, 1);
        writer.finish(&[segment(0, 0)], spaces).unwrap()
    };
    let mut renamed = spaces();
    renamed[1].name = "object".to_owned();
    let mut fewer = spaces();
    fewer[0].classes.pop();
    assert!(id(&spaces()) != id(&renamed) && id(&spaces()) != id(&fewer));
}

#[test]
fn labels_that_do_not_fit_their_spaces_are_not_written() {
    let refused = |segments: &[Segment], spaces: &[LabelSpace]| {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, _) = begin(&dir.path().join("clips.h5"));
        add(&mut writer, 0, 1);
        writer.finish(segments, spaces).unwrap_err().to_string()
    };
    let said = refused(&[segment(0, 2)], &spaces());
    assert!(said.contains("segment \"s0\" has labels [2, 0], which are not one of each of: verb, noun"), "{said}");
    let said = refused(&[segment(0, 1)], &spaces()[..1]);
    assert!(said.contains("labels [1, 0], which are not one of each of: verb"), "{said}");
    let [verb, mut noun] = spaces();
    for name in ["verb", "", "a/b", "a,b", "Noun"] {
        noun.name = name.to_owned();
        let said = refused(&[segment(0, 1)], &[verb.clone(), noun.clone()]);
        assert!(said.contains("label spaces = verb, "), "{said}");
    }
}

#[test]
fn frames_far_apart_are_read_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("far.h5");
    let (mut writer, _) = begin(&path);
    let far = |k: u8| vec![k; 3_000_000];
    (0..4).for_each(|k| writer.push_frame(&far(k)).unwrap());
    let decoded =
        Decoded { num_frames: 4, frames_per_sec: 1.0, source_frames_per_sec: 1.0, width_px: 16, height_px: 16 };
    writer.commit(NewVideo { name: "a", content_hash: "0", decoded, notes: "" }).unwrap();
    writer.finish(&[], &[]).unwrap();
    let store = ClipStore::open(&path).unwrap();
    assert_eq!(store.read_jpegs(0, &[3, 0]).unwrap(), [far(3), far(0)]);
}

#[test]
fn equal_contents_give_equal_files() {
    let ((_a, first), (_b, second)) = (written(), written());
    assert!(std::fs::read(first).unwrap() == std::fs::read(second).unwrap());
}

#[test]
fn an_interrupted_store_goes_on_to_the_same_id() {
    let (_dir, whole) = written();
    let expected = ClipStore::open(&whole).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clips.h5");
    let (mut writer, start) = begin(&path);
    assert_eq!(start, Begin::Fresh);
    add(&mut writer, 0, 5);
    writer.push_frame(&[7; 300]).unwrap();
    drop(writer);
    assert!(matches!(ClipStore::open(&path), Err(VideoError::Unfinished { .. })));
    let (mut writer, start) = begin(&path);
    assert_eq!((start, writer.videos().len()), (Begin::Resumed, 1));
    writer.reject(expected.rejected()[0].clone()).unwrap();
    add(&mut writer, 1, 3);
    finish(writer);
    let store = ClipStore::open(&path).unwrap();
    assert_eq!(store.id(), expected.id());
    assert_eq!(store.read_jpegs(1, &[0, 1, 2]).unwrap(), expected.read_jpegs(1, &[0, 1, 2]).unwrap());
}

#[test]
fn whatever_a_killed_process_left_the_same_file_comes_out() {
    let (_dir, whole) = written();
    let expected = std::fs::read(&whole).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clips.h5");
    let (mut writer, _) = begin(&path);
    add(&mut writer, 0, 5);
    writer.reject(gone()).unwrap();
    add(&mut writer, 1, 3);
    drop(writer);
    let (part, journal) = (dir.path().join("clips.h5.part"), dir.path().join("clips.h5.journal"));
    let (data, lines) = (std::fs::read(&part).unwrap(), std::fs::read(&journal).unwrap());
    // Journal cut anywhere with all data, and the other way round.
    let cuts = (0..lines.len()).step_by(9).map(|len| (data.len(), len));
    for (data_len, journal_len) in cuts.chain((0..data.len()).step_by(997).map(|len| (len, lines.len()))) {
        std::fs::write(&part, &data[..data_len]).unwrap();
        std::fs::write(&journal, &lines[..journal_len]).unwrap();
        let (mut writer, _) = begin(&path);
        let num_done = writer.done().len();
        if num_done < 1 {
            add(&mut writer, 0, 5);
        }
        if num_done < 2 {
            writer.reject(gone()).unwrap();
        }
        if num_done < 3 {
            add(&mut writer, 1, 3);
        }
        finish(writer);
        assert!(std::fs::read(&path).unwrap() == expected, "{data_len} bytes, journal {journal_len}");
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_journal_that_is_not_ours_is_made_again_and_the_reason_is_told() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("clips.h5.journal"), "rubbish\n").unwrap();
    let (writer, start) = begin(&dir.path().join("clips.h5"));
    assert!(matches!(start, Begin::Again(_)), "{start:?}");
    assert!(writer.videos().is_empty());
}

#[test]
fn other_options_a_second_writer_and_a_finished_store_are_refused() {
    let (_dir, path) = written();
    assert!(matches!(ClipStoreWriter::begin(&path, OPTIONS), Err(VideoError::Exists { .. })));
    let other = path.with_file_name("other.h5");
    let (writer, _) = begin(&other);
    assert!(matches!(ClipStoreWriter::begin(&other, OPTIONS), Err(VideoError::Busy { .. })));
    drop(writer);
    let said = ClipStoreWriter::begin(&other, StoreOptions { short_side_px: 32, ..OPTIONS }).unwrap_err().to_string();
    assert!(said.contains("short_side_px = 16, now it is 32"), "{said}");
}

#[test]
fn files_that_are_no_clip_store_are_named_with_the_problem() {
    let (dir, path) = written();
    let check = |path: &Path, expected: &str| {
        let said = ClipStore::open(path).unwrap_err().to_string();
        assert!(said.contains(expected), "{said}");
        assert!(said.contains(&format!("{path:?}")), "{said}");
    };
    let text = dir.path().join("text.h5");
    std::fs::write(&text, "no store").unwrap();
    check(&text, "is not a readable clip store (HDF5 cannot open it");
    let cut = dir.path().join("cut.h5");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    check(&cut, "is not a readable clip store (HDF5 cannot open it");
    check(&dir.path().join("absent.h5"), "cannot read");
    check(dir.path(), "is not a readable clip store");
    let other = dir.path().join("other_version.h5");
    std::fs::copy(&path, &other).unwrap();
    let set_version = |version: u32| {
        hdf5::File::open_rw(&other).unwrap().attr("format_version").unwrap().write_scalar(&version).unwrap();
    };
    set_version(3);
    check(&other, "format version 3, this program reads up to 2");
    set_version(1);
    check(&other, "format version 1, version 2 is needed: import it again");
}

fn verified(path: &Path) -> Vec<String> {
    let damaged = ClipStore::open(path).unwrap().verify(&mut |_| std::ops::ControlFlow::Continue(())).unwrap();
    damaged.into_iter().map(|damaged| damaged.part).collect()
}

/// Changes one element of a column in place.
fn change<T: hdf5::H5Type>(path: &Path, name: &str, at: usize, value: T) {
    let file = hdf5::File::open_rw(path).unwrap();
    file.dataset(name).unwrap().write_slice(&[value], at..at + 1).unwrap();
}

#[test]
fn a_changed_byte_is_found_where_it_is() {
    let (_dir, path) = written();
    assert!(verified(&path).is_empty());
    // Frame 6 is the second of video 1.
    let offset = ClipStore::open(&path).unwrap().offset.read_raw::<u64>().unwrap();
    change(&path, "frames/blob", offset[6] as usize + 3, 0xAA_u8);
    assert_eq!(verified(&path), ["video 1 \u{e9}.mp4"]);
    change(&path, "labels/verb", 0, 0_i32);
    assert_eq!(verified(&path), ["tables", "video 1 \u{e9}.mp4"]);
}

/// A store of one video, number `k`.
fn single(dir: &Path, k: usize) -> ClipStore {
    let path = dir.join(format!("{k}.h5"));
    let (mut writer, _) = begin(&path);
    add(&mut writer, k, 3);
    let segment = Segment { video: 0, ..segment(k as u32, 0) };
    writer.finish(&[segment], &spaces()).unwrap();
    ClipStore::open(&path).unwrap()
}

fn merged(inputs: &[ClipStore], out: &Path) -> Result<Merged, VideoError> {
    merge(inputs, out, &mut |_, _| {}, &std::sync::atomic::AtomicBool::new(false))
}

#[test]
fn a_merged_store_has_the_videos_of_all_and_moved_segments() {
    let (dir, path) = written();
    let out = dir.path().join("all.h5");
    let report = merged(&[ClipStore::open(&path).unwrap(), single(dir.path(), 7)], &out).unwrap();
    let store = ClipStore::open(&out).unwrap();
    assert_eq!((report.num_videos, report.num_frames, report.store_id.as_str()), (3, 11, store.id()));
    assert_eq!(store.segments()[2], Segment { video: 2, ..segment(7, 0) });
    assert_eq!(store.rejected().len(), 1);
    assert_eq!(store.read_jpegs(2, &[1]).unwrap(), [frame(7, 1)]);
    assert!(verified(&out).is_empty());
}

#[test]
fn stores_that_do_not_go_together_are_refused_with_the_reason() {
    let (dir, path) = written();
    let base = || ClipStore::open(&path).unwrap();
    let out = dir.path().join("all.h5");
    let said = |inputs: &[ClipStore]| merged(inputs, &out).unwrap_err().to_string();
    assert!(said(&[base(), base()]).contains("video \"video 0 \u{e9}.mp4\" is in"), "{}", said(&[base(), base()]));
    let other = dir.path().join("other.h5");
    let (mut writer, _) = ClipStoreWriter::begin(&other, StoreOptions { short_side_px: 32, ..OPTIONS }).unwrap();
    add(&mut writer, 4, 2);
    writer.finish(&[], &spaces()).unwrap();
    assert!(said(&[base(), ClipStore::open(&other).unwrap()]).contains("a short side of 32 px and any frame rate"));
    change(&path, "frames/blob", 3, 0xAA_u8);
    assert!(matches!(merged(&[base()], &out), Err(VideoError::Damaged { .. })));
    assert!(!out.exists());
}

#[test]
fn an_interrupted_merge_goes_on_to_the_same_store() {
    let dir = tempfile::tempdir().unwrap();
    let inputs: Vec<ClipStore> = (0..4).map(|k| single(dir.path(), k)).collect();
    let (whole, halted) = (dir.path().join("whole.h5"), dir.path().join("halted.h5"));
    merged(&inputs, &whole).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let mut on_video = |done: usize, _| stop.store(done == 2, std::sync::atomic::Ordering::Relaxed);
    assert!(matches!(merge(&inputs, &halted, &mut on_video, &stop), Err(VideoError::Interrupted { num_done: 2 })));
    merged(&inputs, &halted).unwrap();
    assert!(std::fs::read(whole).unwrap() == std::fs::read(halted).unwrap());
}

#[test]
fn appending_replaces_the_store_in_one_step_and_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = single(dir.path(), 1).path().to_owned();
    let never = std::sync::atomic::AtomicBool::new(false);
    let append = || append(&path, vec![single(dir.path(), 2)], &mut |_, _| {}, &never).unwrap();
    assert_eq!(append().unwrap().num_videos, 2);
    std::fs::remove_file(dir.path().join("2.h5")).unwrap();
    assert_eq!(append(), None, "the store has them already");
    assert_eq!(ClipStore::open(&path).unwrap().videos().len(), 2);
    assert!(verified(&path).is_empty());
}

#[test]
fn a_column_that_claims_more_than_the_file_holds_is_not_allocated() {
    let (_dir, path) = written();
    let file = hdf5::File::open_rw(&path).unwrap();
    file.unlink("videos/num_frames").unwrap();
    // A terabyte that was never written takes no room in the file.
    file.new_dataset::<u32>().shape(1 << 38).create("videos/num_frames").unwrap();
    file.unlink("frames/offset").unwrap();
    file.new_dataset::<u64>().shape(1 << 37).create("frames/offset").unwrap();
    file.close().unwrap();
    let said = ClipStore::open(&path).unwrap_err().to_string();
    assert!(said.contains("/frames/offset is said to hold 1099511627776 bytes, the file has"), "{said}");
}

#[test]
fn a_frame_rate_that_no_video_has_is_refused_at_the_door() {
    let (_dir, path) = written();
    change(&path, "videos/frames_per_sec", 1, 1e-300_f64);
    assert!(ClipStore::open(&path).unwrap_err().to_string().contains("does not fit the other tables"));
}

/// Opens and verifies a damaged copy in this very process: a crash would end the test.
#[test]
fn a_store_with_any_byte_changed_is_an_error_or_a_finding_and_never_a_crash() {
    let (dir, path) = written();
    let whole = std::fs::read(&path).unwrap();
    let mut rng = spec::rng_for(0, 0, 0, spec::Purpose::Eval);
    let mut num_found = 0;
    for round in 0..400 {
        let mut bytes = whole.clone();
        for _ in 0..1 + round % 3 {
            let at = rng.random_range(0..bytes.len());
            bytes[at] ^= 1 << rng.random_range(0..8);
        }
        if round % 10 == 0 {
            bytes.truncate(rng.random_range(0..bytes.len()));
        }
        let copy = dir.path().join("damaged.h5");
        std::fs::write(&copy, bytes).unwrap();
        let found = ClipStore::open(&copy).and_then(|store| store.verify(&mut |_| std::ops::ControlFlow::Continue(())));
        num_found += usize::from(found.is_err() || found.is_ok_and(|damaged| !damaged.is_empty()));
    }
    // What stays unseen lies in gaps of the file and in attributes that no clip depends on.
    assert!(num_found > 300, "{num_found} of 400");
}
