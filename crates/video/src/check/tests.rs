use std::process::Command;

use spec::{ClipSpec, Sampling, Short};
use tempfile::TempDir;

use super::*;
use crate::{DecodeLimits, ImportOptions, Shard, StoreOptions, import};

fn ffmpeg() -> Command {
    let mut command = Ffmpeg::find().unwrap().command();
    command.args(["-v", "error", "-y"]);
    command
}

/// Renders a source of ffmpeg's own to `folder/name`.
fn render(dir: &TempDir, name: &str, source: &str) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let done = ffmpeg().args(["-f", "lavfi", "-i", source, "-c:v", "mpeg4", "-q:v", "3"]).arg(&path).status();
    assert!(done.unwrap().success());
    path
}

/// Encodes a video anew.
fn again(dir: &TempDir, from: &Path, name: &str, args: &[&str]) {
    let path = dir.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    assert!(ffmpeg().arg("-i").arg(from).args(args).arg(path).status().unwrap().success());
}

/// Three seconds in one room: a light disc that moves about before a ramp, differently in every take.
fn take(x_speed: f64, y_speed: f64) -> String {
    let (x, y) = (format!("32-24*sin({x_speed}*T)"), format!("24-16*cos({y_speed}*T)"));
    format!(
        "color=black:s=64x48:r=15:d=3,format=gray,geq=lum='if(lt(hypot(X-({x})\\,Y-({y}))\\,10)\\,230\\,40+2*X)',format=yuv420p"
    )
}

fn options(dir: &TempDir, paths: &[&str]) -> CheckOptions {
    let sampling = Sampling::Rate { frames_per_sec: 15.0 };
    CheckOptions {
        paths: paths.iter().map(|path| dir.path().join(path)).collect(),
        decode: DecodeOptions { short_side_px: 32, max_frames_per_sec: None, limits: DecodeLimits::default() },
        geometry: ClipSpec { num_frames: 16, size_px: 32, patch: [2, 8, 8], sampling, short: Short::Hold }
            .check()
            .unwrap(),
        num_workers: 2,
    }
}

fn run(dir: &TempDir, paths: &[&str]) -> CheckReport {
    check(&options(dir, paths), &mut |_| {}, &AtomicBool::new(false)).unwrap().unwrap()
}

/// Names of the pairs, and whether their bytes are the same.
fn pairs(report: &CheckReport) -> Vec<(&str, &str, bool)> {
    let overlaps = report.overlaps.iter();
    overlaps.map(|o| (o.first.name.as_str(), o.second.name.as_str(), o.evidence == Evidence::SameBytes)).collect()
}

fn import_folder(dir: &TempDir, folder: &str, store: &str) {
    let options = ImportOptions {
        folder: dir.path().join(folder),
        store: dir.path().join(store),
        annotations: None,
        groups: None,
        exclude_labels: BTreeSet::new(),
        frames: StoreOptions { short_side_px: 32, max_frames_per_sec: None },
        limits: DecodeLimits::default(),
        num_workers: 2,
        shard: Shard::WHOLE,
        strict: false,
    };
    import::import(&options, &mut |_| {}, &AtomicBool::new(false)).unwrap();
}

#[test]
fn copies_are_found_whatever_was_done_to_them() {
    let dir = tempfile::tempdir().unwrap();
    let original = render(&dir, "train/a.mp4", &take(2.0, 3.1));
    std::fs::create_dir(dir.path().join("test")).unwrap();
    std::fs::copy(&original, dir.path().join("test/equal.mp4")).unwrap();
    // 5 % off each side, another codec, size and frame rate, strong compression.
    let smaller = ["-vf", "crop=iw*0.9:ih*0.9,scale=40:30,fps=12", "-c:v", "libx264", "-crf", "32"];
    again(&dir, &original, "test/smaller.mkv", &smaller);
    again(&dir, &original, "test/trimmed.mp4", &["-ss", "0.7", "-c:v", "mpeg4", "-q:v", "6"]);
    let report = run(&dir, &["train", "test"]);
    let with_a = |pair: &&(&str, &str, bool)| pair.0 == "a.mp4";
    let found: Vec<_> = pairs(&report).iter().filter(with_a).copied().collect();
    let expected = [("a.mp4", "equal.mp4", true), ("a.mp4", "smaller.mkv", false), ("a.mp4", "trimmed.mp4", false)];
    assert_eq!(found, expected, "{:#?}", report.overlaps);
    for overlap in &report.overlaps {
        if let (Evidence::SamePictures { share, shift_secs, .. }, "a.mp4") =
            (overlap.evidence, overlap.first.name.as_str())
        {
            // Pictures come 0.7 s earlier in the trimmed copy, in steps of an eighth of a second.
            let expected_secs = if overlap.second.name == "trimmed.mp4" { -0.7 } else { 0.0 };
            assert!((shift_secs - expected_secs).abs() <= 0.13 && share > 0.8, "{overlap:?}");
        }
    }
}

#[test]
fn another_take_or_another_scene_is_no_copy() {
    let dir = tempfile::tempdir().unwrap();
    for (k, (x, y)) in [(2.0, 3.1), (3.3, 1.7), (1.2, 4.4), (4.1, 2.6)].into_iter().enumerate() {
        render(&dir, &format!("v/take{k}.mp4"), &take(x, y));
    }
    for (name, source) in [
        ("bars.mp4", "testsrc2=s=64x48:r=15:d=3"),
        ("fractal.mp4", "mandelbrot=s=64x48:r=15,trim=duration=3"),
        ("life.mp4", "life=s=64x48:r=15:seed=1,trim=duration=3"),
        ("black.mp4", "color=black:s=64x48:r=15:d=3"),
        ("black too.mp4", "color=black:s=64x48:r=15:d=4"),
        ("still.mp4", "gradients=s=64x48:r=15:d=3:speed=0.00001:seed=5"),
    ] {
        render(&dir, &format!("v/{name}"), source);
    }
    let report = run(&dir, &["v"]);
    assert_eq!(report.manifest.rows.iter().filter(|row| row.verdict == Outcome::Ok).count(), 10, "{report:#?}");
    assert_eq!(pairs(&report), []);
}

#[test]
fn files_get_a_verdict_with_measures() {
    let dir = tempfile::tempdir().unwrap();
    let good = render(&dir, "v/good.mp4", "testsrc=s=64x48:r=10:d=1");
    std::fs::write(dir.path().join("v/empty.mp4"), "").unwrap();
    assert!(Command::new("mkfifo").arg(dir.path().join("v/pipe.mp4")).status().unwrap().success());
    let report = run(&dir, &["v"]);
    let rows: Vec<_> = report.manifest.rows.iter().map(|r| (r.name.as_str(), r.verdict, r.reason.as_str())).collect();
    let rejected = Outcome::Rejected;
    let expected = [
        ("empty.mp4", rejected, "not a media file"),
        ("good.mp4", Outcome::Ok, ""),
        ("pipe.mp4", rejected, "cannot be read"),
    ];
    assert_eq!(rows, expected);
    let row = &report.manifest.rows[1];
    let shape = Shape { num_frames: 10, frames_per_sec: 10.0, width_px: 42, height_px: 32, duration_secs: 1.0 };
    assert_eq!(row.shape, Some(shape));
    assert_eq!(row.bytes, Some(std::fs::metadata(&good).unwrap().len()));
    assert_eq!(row.content_hash, blake3::hash(&std::fs::read(&good).unwrap()).to_hex().to_string());
    assert_eq!(Manifest::parse(Path::new("m"), report.manifest.to_csv().as_bytes()).unwrap(), report.manifest);
}

#[test]
fn a_store_is_read_as_training_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    render(&dir, "v/a.mp4", &take(2.0, 3.1));
    render(&dir, "v/b.mp4", "testsrc=s=64x48:r=15:d=1");
    render(&dir, "w/b.mp4", "testsrc2=s=64x48:r=15:d=2");
    import_folder(&dir, "v", "v.h5");
    import_folder(&dir, "w", "w.h5");
    let report = run(&dir, &["v.h5", "w.h5"]);
    let told = |report: &CheckReport| -> Vec<(Outcome, String)> {
        report.manifest.rows.iter().map(|row| (row.verdict, row.detail.clone())).collect()
    };
    let short = (Outcome::TooShort, "15 real frames of the clip's 16".to_owned());
    assert_eq!(told(&report), [(Outcome::Ok, String::new()), short.clone(), (Outcome::Ok, String::new())]);
    // Without annotations the name is the group.
    let [shared] = report.shared_groups.as_slice() else { panic!("{:?}", report.shared_groups) };
    assert_eq!((shared.group.as_str(), shared.sources.len()), ("b.mp4", 2));
    assert_eq!(report.overlaps, []);

    // The start of the 21st JPEG is wiped out.
    let path = dir.path().join("v.h5");
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(3).enumerate().filter(|(_, w)| w == &[0xFF, 0xD8, 0xFF]).nth(20).unwrap().0;
    bytes[at..at + 2].fill(0);
    std::fs::write(&path, bytes).unwrap();
    std::fs::write(dir.path().join("rubbish.h5"), "no store").unwrap();
    let told = told(&run(&dir, &["v.h5", "rubbish.h5"]));
    assert!(told[0].0 == Outcome::Damaged && told[0].1.starts_with("frame 20: "), "{told:?}");
    assert_eq!(told[1], short);
    assert!(told[2].0 == Outcome::Damaged && told[2].1.contains("HDF5"), "{told:?}");
}

#[test]
fn a_stored_video_and_its_file_are_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = render(&dir, "v/a.mp4", &take(2.0, 3.1));
    again(&dir, &path, "w/copy.mp4", &["-c:v", "libx264", "-crf", "28"]);
    import_folder(&dir, "v", "v.h5");
    let report = run(&dir, &["v.h5", "v", "w"]);
    let expected = [("a.mp4", "a.mp4", true), ("a.mp4", "copy.mp4", false), ("a.mp4", "copy.mp4", false)];
    assert_eq!(pairs(&report), expected, "{:?}", report.overlaps);
}

#[test]
fn an_interrupted_check_reports_nothing() {
    let dir = tempfile::tempdir().unwrap();
    render(&dir, "v/a.mp4", "testsrc=s=64x48:r=10:d=1");
    let report = check(&options(&dir, &["v"]), &mut |_| {}, &AtomicBool::new(true)).unwrap();
    assert!(report.is_none());
}

#[test]
fn a_path_given_twice_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    render(&dir, "v/a.mp4", "testsrc=s=64x48:r=10:d=1");
    let refused = check(&options(&dir, &["v", "./v"]), &mut |_| {}, &AtomicBool::new(false));
    assert!(matches!(refused, Err(VideoError::Option { option: "PATH", .. })), "{refused:?}");
}
