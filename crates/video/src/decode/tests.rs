use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

fn options(short_side_px: u32) -> DecodeOptions {
    DecodeOptions { short_side_px, max_frames_per_sec: None, time_limit: Duration::from_secs(60) }
}

/// Makes `name` in a new folder with ffmpeg's own test source.
fn make(name: &str, args: &[&str]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    let mut command = Ffmpeg::find().unwrap().command();
    let done = command.args(["-v", "error", "-f", "lavfi"]).args(args).arg(&path).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    (dir, path)
}

/// The verdict and the mean grey of each frame.
fn look(path: &Path, options: &DecodeOptions) -> (Verdict, Vec<u64>) {
    let mut means = Vec::new();
    let mut on_frame = |frame: Frame<'_>| {
        let rgb = crate::jpeg::decode(frame.jpeg).unwrap().rgb;
        means.push(rgb.iter().map(|v| u64::from(*v)).sum::<u64>() / rgb.len() as u64);
        ControlFlow::Continue(())
    };
    (decode(&Ffmpeg::find().unwrap(), path, options, &mut on_frame).unwrap(), means)
}

#[track_caller]
fn rejected(path: &Path) -> Reject {
    match look(path, &options(32)).0 {
        Verdict::Rejected(reject) => reject,
        other => panic!("{path:?}: {other:?}"),
    }
}

#[track_caller]
fn whole(path: &Path, options: &DecodeOptions) -> Decoded {
    match look(path, options).0 {
        Verdict::Whole(decoded) => decoded,
        other => panic!("{path:?}: {other:?}"),
    }
}

/// Brightness 5 times the frame number.
const RAMP: [&str; 4] = ["-i", "color=black:s=96x64:r=30000/1001:d=1.5,format=gray,geq=lum=5*N", "-c:v", "ffv1"];

#[test]
fn every_frame_comes_once_in_order_at_the_files_own_rate() {
    let (_dir, path) = make("ramp.mkv", &RAMP);
    let (verdict, means) = look(&path, &options(32));
    let Verdict::Whole(decoded) = verdict else { panic!("{verdict:?}") };
    assert_eq!((decoded.width_px, decoded.height_px, decoded.num_frames), (48, 32, 45));
    assert!((decoded.frames_per_sec - 30_000.0 / 1001.0).abs() < 1e-9, "{decoded:?}");
    let expected: Vec<u64> = (0..45).map(|n| 5 * n).collect();
    assert!(means.iter().zip(&expected).all(|(got, want)| got.abs_diff(*want) <= 1), "{means:?}");
}

#[test]
fn a_cap_on_the_rate_keeps_time() {
    let (_dir, path) = make("ramp.mkv", &RAMP);
    let (verdict, means) = look(&path, &DecodeOptions { max_frames_per_sec: Some(10.0), ..options(32) });
    let Verdict::Whole(decoded) = verdict else { panic!("{verdict:?}") };
    assert_eq!((decoded.frames_per_sec, decoded.num_frames), (10.0, 15));
    // Frame k is at k / 10 s: source frame 3 k, give or take the rounding of the fps filter.
    for (k, mean) in means.iter().enumerate() {
        assert!(mean.abs_diff(15 * k as u64) <= 6, "{means:?}");
    }
}

#[test]
fn rotation_and_sample_aspect_are_applied() {
    let (dir, path) = make("plain.mp4", &["-i", "testsrc=s=96x64:r=10:d=1", "-vf", "setsar=2/1", "-c:v", "mpeg4"]);
    // Shown as 192 x 64.
    let wide = whole(&path, &options(32));
    assert_eq!((wide.width_px, wide.height_px), (96, 32));
    let turned = dir.path().join("turned.mp4");
    let mut command = Ffmpeg::find().unwrap().command();
    command.args(["-v", "error", "-display_rotation", "90", "-i"]).arg(&path).args(["-c", "copy"]).arg(&turned);
    assert!(command.status().unwrap().success());
    let tall = whole(&turned, &options(32));
    assert_eq!((tall.width_px, tall.height_px), (32, 96));
}

#[test]
fn what_is_no_video_is_rejected_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("text.txt");
    std::fs::write(&text, "no video\n".repeat(100)).unwrap();
    assert!(matches!(rejected(&text), Reject::NotVideo { .. } | Reject::NotMedia { .. }));
    let empty = dir.path().join("empty.mp4");
    std::fs::write(&empty, "").unwrap();
    assert_eq!(rejected(&empty).to_string(), "not a media file: the file is empty");
    let (_dir, audio) = make("a.m4a", &["-i", "sine=d=1"]);
    assert_eq!(rejected(&audio), Reject::NoVideoStream);
    let (_dir, still) = make("still.png", &["-i", "testsrc=s=64x64", "-frames:v", "1"]);
    assert!(matches!(rejected(&still), Reject::NotVideo { .. }));
    let (_dir, small) = make("small.mkv", &["-i", "testsrc=s=8x8:d=1", "-c:v", "ffv1"]);
    assert_eq!(rejected(&small), Reject::BadSize { width_px: 8, height_px: 8 });
    let (_dir, single) = make("single.mkv", &["-i", "testsrc=s=64x64", "-frames:v", "1", "-c:v", "ffv1"]);
    assert_eq!(rejected(&single), Reject::SingleFrame);
}

#[test]
fn a_file_cut_anywhere_is_rejected() {
    let source = ["-i", "testsrc=s=96x64:r=25:d=4", "-c:v", "mpeg4"];
    for (name, more) in [("a.mkv", &[][..]), ("a.mp4", &["-movflags", "+faststart"]), ("b.mp4", &[]), ("a.avi", &[])] {
        let (_dir, path) = make(name, &[&source[..], more].concat());
        assert_eq!(whole(&path, &options(32)).num_frames, 100, "{name}");
        let bytes = std::fs::read(&path).unwrap();
        for share in [0.2, 0.5, 0.9] {
            std::fs::write(&path, &bytes[..(bytes.len() as f64 * share) as usize]).unwrap();
            rejected(&path);
        }
    }
}

#[test]
fn flipped_bytes_are_seen() {
    let (_dir, path) = make("a.mkv", &["-i", "testsrc=s=96x64:r=25:d=2", "-c:v", "mpeg4"]);
    let mut bytes = std::fs::read(&path).unwrap();
    let len = bytes.len();
    bytes[len / 3..len / 3 + 400].iter_mut().for_each(|byte| *byte ^= 0x5A);
    std::fs::write(&path, bytes).unwrap();
    rejected(&path);
}

#[test]
fn the_receiver_can_stop_the_decoder() {
    let (_dir, path) = make("ramp.mkv", &RAMP);
    let mut left = 3;
    let mut on_frame = |_: Frame<'_>| {
        left -= 1;
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let verdict = decode(&Ffmpeg::find().unwrap(), &path, &options(32), &mut on_frame).unwrap();
    assert_eq!((verdict, left), (Verdict::Stopped, 0));
}

#[test]
fn common_rates_are_exact_and_others_near() {
    assert_eq!(Rate::near(29.97), Rate { num: 30_000, den: 1001 });
    assert_eq!(Rate::near(23.9765), Rate { num: 24_000, den: 1001 });
    assert_eq!(Rate::near(24.0004), Rate { num: 24, den: 1 });
    assert_eq!(Rate::near(16.6667), Rate { num: 16_667, den: 1000 });
    assert_eq!(Rate::near(0.5), Rate { num: 500, den: 1000 });
}
