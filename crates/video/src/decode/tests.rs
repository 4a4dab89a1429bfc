use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use super::*;

fn options(short_side_px: u32) -> DecodeOptions {
    DecodeOptions { short_side_px, max_frames_per_sec: None, limits: DecodeLimits::default() }
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
        Verdict::Whole(decoded, _) => decoded,
        other => panic!("{path:?}: {other:?}"),
    }
}

/// Brightness 5 times the frame number.
const RAMP: [&str; 4] = ["-i", "color=black:s=96x64:r=30000/1001:d=1.5,format=gray,geq=lum=5*N", "-c:v", "ffv1"];

#[test]
fn every_frame_comes_once_in_order_at_the_files_own_rate() {
    let (_dir, path) = make("ramp.mkv", &RAMP);
    let (verdict, means) = look(&path, &options(32));
    let Verdict::Whole(decoded, _) = verdict else { panic!("{verdict:?}") };
    assert_eq!((decoded.width_px, decoded.height_px, decoded.num_frames), (48, 32, 45));
    assert!((decoded.frames_per_sec - 30_000.0 / 1001.0).abs() < 1e-9, "{decoded:?}");
    let expected: Vec<u64> = (0..45).map(|n| 5 * n).collect();
    assert!(means.iter().zip(&expected).all(|(got, want)| got.abs_diff(*want) <= 1), "{means:?}");
}

#[test]
fn a_cap_on_the_rate_keeps_time() {
    let (_dir, path) = make("ramp.mkv", &RAMP);
    let (verdict, means) = look(&path, &DecodeOptions { max_frames_per_sec: Some(10.0), ..options(32) });
    let Verdict::Whole(decoded, _) = verdict else { panic!("{verdict:?}") };
    assert_eq!((decoded.frames_per_sec, decoded.num_frames), (10.0, 15));
    // Frame k is at k / 10 s: source frame 3 k, give or take the rounding of the fps filter.
    for (k, mean) in means.iter().enumerate() {
        assert!(mean.abs_diff(15 * k as u64) <= 6, "{means:?}");
    }
}

/// Makes another file from one, `input` being options that stand before it.
fn remake(dir: &TempDir, (from, input): (&Path, &[&str]), to: &str, output: &[&str]) -> PathBuf {
    let path = dir.path().join(to);
    let mut command = Ffmpeg::find().unwrap().command();
    command.args(["-v", "error"]).args(input).arg("-i").arg(from).args(output).arg(&path);
    assert!(command.status().unwrap().success());
    path
}

#[test]
fn rotation_and_sample_aspect_are_applied() {
    let (dir, path) = make("plain.mp4", &["-i", "testsrc=s=96x64:r=10:d=1", "-vf", "setsar=2/1", "-c:v", "mpeg4"]);
    // Shown as 192 x 64.
    for (degrees, size_px) in [("0", (96, 32)), ("90", (32, 96)), ("180", (96, 32)), ("270", (32, 96))] {
        let name = format!("{degrees}.mp4");
        let turned = remake(&dir, (&path, &["-display_rotation", degrees]), &name, &["-c", "copy"]);
        let decoded = whole(&turned, &options(32));
        assert_eq!((decoded.width_px, decoded.height_px), size_px, "{degrees} degrees");
    }
}

#[test]
fn a_turned_picture_is_turned_back() {
    // Left half black, right half white; a player that honours the turn by 180 degrees shows white on the left.
    let halves = "color=black:s=64x64:r=10:d=0.5,format=gray,geq=lum=255*gte(X\\,32)";
    let (dir, path) = make("halves.mp4", &["-i", halves, "-c:v", "mpeg4"]);
    let turned = remake(&dir, (&path, &["-display_rotation", "180"]), "turned.mp4", &["-c", "copy"]);
    for (path, left_is_white) in [(&path, false), (&turned, true)] {
        let mut on_frame = |frame: Frame<'_>| {
            let rgb = crate::jpeg::decode(frame.jpeg).unwrap().rgb;
            assert_eq!((rgb[0] > 128, rgb[31 * 3] > 128), (left_is_white, !left_is_white));
            ControlFlow::Continue(())
        };
        let verdict = decode(&Ffmpeg::find().unwrap(), path, &options(32), &mut on_frame).unwrap();
        assert!(matches!(verdict, Verdict::Whole(..)), "{verdict:?}");
    }
}

#[test]
fn frames_at_irregular_times_are_shown_when_they_should_be() {
    // Frame n is 5 n grey; the first ten come every 0.1 s, the next ten every 0.05 s, the last ten every 0.2 s.
    let times = "settb=1/1000,setpts='if(lt(N,10),100*N,if(lt(N,20),1000+50*(N-10),1500+200*(N-20)))'";
    let source = format!("color=black:s=64x64:r=10:d=3,format=gray,geq=lum=5*N,{times}");
    let (_dir, path) =
        make("a.mkv", &["-i", &source, "-fps_mode", "passthrough", "-enc_time_base", "1/1000", "-c:v", "ffv1"]);
    let secs = |n: usize| match n {
        0..10 => 0.1 * n as f64,
        10..20 => 1.0 + 0.05 * (n - 10) as f64,
        _ => 1.5 + 0.2 * (n - 20) as f64,
    };
    let (verdict, means) = look(&path, &options(32));
    let Verdict::Whole(decoded, _) = verdict else { panic!("{verdict:?}") };
    assert!(decoded.num_frames.abs_diff(30) <= 1 && means.len() >= 29, "{decoded:?}");
    for (k, mean) in means.iter().enumerate() {
        // Frame k stands for the time from k / rate on and shows what the file shows in the middle of it.
        let middle_secs = (k as f64 + 0.5) / decoded.frames_per_sec;
        let shown = (0..30).rfind(|n| secs(*n) <= middle_secs).unwrap();
        let nearest = |n: usize| (secs(n) - middle_secs).abs() < 0.002;
        let wanted = if nearest(shown + 1) { vec![shown, shown + 1] } else { vec![shown] };
        assert!(wanted.iter().any(|n| mean.abs_diff(5 * *n as u64) <= 1), "at {middle_secs} s: {mean}, not {wanted:?}");
    }
}

#[test]
fn a_stream_that_starts_late_counts_from_its_first_picture() {
    let (dir, path) = make("ramp.mkv", &RAMP);
    let late =
        remake(&dir, (&path, &["-itsoffset", "7.3"]), "late.mkv", &["-c", "copy", "-avoid_negative_ts", "disabled"]);
    assert_eq!(look(&late, &options(32)), look(&path, &options(32)));
}

#[test]
fn frames_that_refer_to_later_ones_come_in_the_order_shown() {
    // B-frames shift decoding times, which mp4 corrects by an edit list; a second cut by an edit list drops 10 frames.
    let source = RAMP[1];
    let (dir, path) = make("b.mp4", &["-i", source, "-c:v", "libx264", "-bf", "3", "-g", "15", "-qp", "0"]);
    let (verdict, means) = look(&path, &options(32));
    assert!(matches!(verdict, Verdict::Whole(Decoded { num_frames: 45, .. }, _)), "{verdict:?}");
    assert!(means.iter().enumerate().all(|(n, mean)| mean.abs_diff(5 * n as u64) <= 2), "{means:?}");
    let cut = remake(&dir, (&path, &["-ss", "0.334"]), "cut.mp4", &["-c", "copy"]);
    let (verdict, means) = look(&cut, &options(32));
    assert!(matches!(verdict, Verdict::Whole(..)), "{verdict:?}");
    let first = means[0] / 5;
    // The cut leaves the last frame lasting twice as long.
    assert!((9..=11).contains(&first) && means.len() as u64 + first == 46, "{means:?}");
    assert!(means.iter().zip(first..).all(|(mean, n)| mean.abs_diff(5 * n.min(44)) <= 2), "{means:?}");
}

#[test]
fn ten_bits_show_what_eight_bits_show() {
    let source = ["-i", "testsrc2=s=128x96:r=10:d=0.5", "-pix_fmt", "yuv420p", "-c:v", "ffv1"];
    let (dir, eight_bits) = make("8.mkv", &source);
    let pixels = |path: &Path| {
        let mut pixels = Vec::new();
        let mut on_frame = |frame: Frame<'_>| {
            pixels.extend(crate::jpeg::decode(frame.jpeg).unwrap().rgb);
            ControlFlow::Continue(())
        };
        let verdict = decode(&Ffmpeg::find().unwrap(), path, &options(48), &mut on_frame).unwrap();
        assert!(matches!(verdict, Verdict::Whole(..)), "{path:?}: {verdict:?}");
        pixels
    };
    let eight = pixels(&eight_bits);
    for (name, codec) in [("a.mkv", "ffv1"), ("b.mp4", "libx264"), ("c.mp4", "libx265")] {
        let output = ["-pix_fmt", "yuv420p10", "-c:v", codec, "-qp", "4", "-x265-params", "log-level=error"];
        let ten = pixels(&remake(&dir, (&eight_bits, &[]), name, &output));
        assert_eq!(ten.len(), eight.len(), "{codec}");
        let sum: u64 = ten.iter().zip(&eight).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        let mean = sum as f64 / ten.len() as f64;
        assert!(mean < 2.0, "{codec}: values differ by {mean}");
    }
}

#[test]
fn a_transport_stream_is_decoded() {
    let (_dir, path) = make("a.ts", &["-i", "testsrc=s=64x48:r=25:d=1", "-c:v", "mpeg2video"]);
    assert_eq!(whole(&path, &options(32)).num_frames, 25);
}

#[test]
fn a_file_that_decodes_to_too_much_is_rejected_with_both_numbers() {
    let (_dir, path) = make("ramp.mkv", &RAMP);
    let with = |decoded_bytes| {
        let limits = DecodeLimits { decoded_bytes, ..DecodeLimits::default() };
        look(&path, &DecodeOptions { limits, ..options(32) })
    };
    // 45 frames of 48 x 32 pixels.
    let decoded_bytes = 45 * 48 * 32 * 3;
    assert!(matches!(with(decoded_bytes).0, Verdict::Whole(..)));
    let (verdict, means) = with(decoded_bytes - 1);
    let limit_bytes = decoded_bytes - 1;
    assert_eq!(verdict, Verdict::Rejected(Reject::TooManyBytes { decoded_bytes, limit_bytes }));
    assert_eq!(means.len(), 0, "what the container promises is enough to refuse it");
}

#[test]
fn a_frame_with_too_many_pixels_or_too_much_memory_is_rejected() {
    let (_dir, path) = make("a.avi", &["-i", "testsrc=s=1600x1200:r=5:d=1", "-c:v", "mjpeg"]);
    let with = |limits| look(&path, &DecodeOptions { limits, ..options(32) }).0;
    let verdict = with(DecodeLimits { source_px: 1_000_000, ..DecodeLimits::default() });
    let reject = Reject::TooManyPixels { width_px: 1600, height_px: 1200, limit_px: 1_000_000 };
    assert_eq!(verdict, Verdict::Rejected(reject));
    // A frame takes 5.76 MB.
    let verdict = with(DecodeLimits { memory_bytes: 1_000_000, ..DecodeLimits::default() });
    assert!(matches!(verdict, Verdict::Rejected(_)), "{verdict:?}");
    assert!(matches!(with(DecodeLimits::default()), Verdict::Whole(_, None)));
}

#[test]
fn a_warning_is_noted_and_does_not_reject() {
    let (_dir, path) = make("a.mkv", &["-i", "testsrc=s=64x64:r=10:d=1", "-c:v", "mpeg4"]);
    assert!(matches!(look(&path, &options(32)).0, Verdict::Whole(_, None)));
    let mut bytes = std::fs::read(&path).unwrap();
    // The element id of a tag's name becomes an unknown one.
    let at = bytes.windows(2).position(|two| two == [0x45, 0xA3]).unwrap();
    bytes[at + 1] = 0xA5;
    std::fs::write(&path, bytes).unwrap();
    let (verdict, means) = look(&path, &options(32));
    let Verdict::Whole(_, Some(notes)) = verdict else { panic!("{verdict:?}") };
    assert!(notes.num >= 1 && notes.first.contains("tag") && means.len() == 10, "{notes:?}");
}

#[test]
fn a_file_that_takes_too_long_is_rejected() {
    let (_dir, path) = make("ramp.mkv", &RAMP);
    let limits = DecodeLimits { time: Duration::ZERO, ..DecodeLimits::default() };
    let verdict = look(&path, &DecodeOptions { limits, ..options(32) }).0;
    assert_eq!(verdict, Verdict::Rejected(Reject::TimeLimit { limit_secs: 0 }));
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
fn colours_come_out_as_they_were_whatever_matrix_they_are_stored_by() {
    for (matrix, scaler) in [("smpte170m", "smpte170m"), ("bt709", "bt709"), ("bt2020nc", "bt2020")] {
        for range in ["tv", "pc"] {
            let filter = format!("scale=out_color_matrix={scaler}:out_range={range},format=yuv420p");
            let source = ["-i", "color=0xE02040:s=64x48:r=10:d=0.5,format=rgb24", "-vf", &filter];
            let flags = ["-colorspace", matrix, "-color_range", range, "-c:v", "ffv1"];
            let (_dir, path) = make("colour.mkv", &[&source[..], &flags[..]].concat());
            let mut on_frame = |frame: Frame<'_>| {
                let rgb = crate::jpeg::decode(frame.jpeg).unwrap().rgb;
                let middle = &rgb[(16 * 42 + 20) * 3..][..3];
                let differs = middle.iter().zip([0xE0_u8, 0x20, 0x40]).any(|(got, want)| got.abs_diff(want) > 4);
                assert!(!differs, "{matrix}, {range}: {middle:?}");
                ControlFlow::Continue(())
            };
            let verdict = decode(&Ffmpeg::find().unwrap(), &path, &options(32), &mut on_frame).unwrap();
            assert!(matches!(verdict, Verdict::Whole(..)), "{matrix}, {range}: {verdict:?}");
        }
    }
}
