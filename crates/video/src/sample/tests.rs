use spec::{ClipSpec, Purpose, rng_for};

use super::*;

fn video(num_frames: u32, frames_per_sec: f64) -> Video {
    Video {
        name: "a".to_owned(),
        first_frame: 0,
        num_frames,
        frames_per_sec,
        source_frames_per_sec: frames_per_sec,
        height_px: 8,
        width_px: 8,
        content_hash: String::new(),
        frames_hash: String::new(),
        notes: String::new(),
    }
}

fn segment(start_secs: f64, stop_secs: f64) -> Segment {
    Segment {
        id: String::new(),
        video: 0,
        start_secs,
        stop_secs,
        labels: Vec::new(),
        group: String::new(),
        subject: String::new(),
    }
}

fn geometry((num_frames, sampling): (i64, Sampling), short: Short) -> ClipGeometry {
    ClipSpec { num_frames, size_px: 8, patch: [2, 8, 8], sampling, short }.check().unwrap()
}

fn sample(video: &Video, start_secs: f64, stop_secs: f64, clip: (i64, Sampling)) -> Timeline {
    timeline(video, &segment(start_secs, stop_secs), &geometry(clip, Short::Hold))
}

#[test]
fn half_the_rate_takes_the_later_of_every_two_frames() {
    // 30 fps sampled at 15 per second from 0 s: times 1/30, 3/30, 5/30 ... are the frames 1, 3, 5 ...
    let got = sample(&video(36, 30.0), 0.0, 1.2, (4, Sampling::Rate { frames_per_sec: 15.0 }));
    let mut expected: Vec<u32> = (0..18).map(|k| 2 * k + 1).collect();
    assert_eq!(got.num_real, 18);
    expected.resize(32, 35);
    assert_eq!(got.frames, expected);
}

#[test]
fn the_own_rate_takes_every_frame_once() {
    for frames_per_sec in [25.0, 30_000.0 / 1001.0, 16.667] {
        let video = video(64, frames_per_sec);
        let got = sample(&video, 0.0, video.duration_secs(), (16, Sampling::Rate { frames_per_sec }));
        assert_eq!(got.frames, (0..64).collect::<Vec<u32>>(), "{frames_per_sec}");
    }
}

#[test]
fn a_whole_segment_is_spread_over_the_clip() {
    // 2 s from 1 s on, 16 frames: centres at 1.0625, 1.1875 ... s; times 10 and cut: 10, 11, 13, 14, 15 ...
    let got = sample(&video(40, 10.0), 1.0, 3.0, (16, Sampling::Segment));
    assert_eq!(got.frames, [10, 11, 13, 14, 15, 16, 18, 19, 20, 21, 23, 24, 25, 26, 28, 29]);
    assert_eq!(got.num_real, 16);
}

#[test]
fn a_short_segment_repeats_its_last_frame_up_to_the_clip() {
    // 0.3 s at 10 per second: 3 samples; a clip of 20 frames needs two windows.
    let got = sample(&video(100, 10.0), 5.0, 5.3, (20, Sampling::Rate { frames_per_sec: 10.0 }));
    assert_eq!((got.num_real, got.frames.len()), (3, 32));
    assert_eq!(got.frames[..4], [50, 51, 52, 52]);
    let blink = sample(&video(100, 10.0), 5.0, 5.001, (20, Sampling::Rate { frames_per_sec: 10.0 }));
    assert_eq!((blink.num_real, blink.frames[0], blink.frames[31]), (1, 50, 50));
}

#[test]
fn clips_start_on_cubes_and_avoid_repeats() {
    let spec =
        ClipSpec { num_frames: 16, size_px: 8, patch: [4, 8, 8], sampling: Sampling::Segment, short: Short::Hold };
    let geometry = spec.check().unwrap();
    let starts = |num_real: usize| Timeline { frames: vec![0; 32], num_real }.clip_starts(16, &geometry);
    assert_eq!(starts(27), [0, 4, 8]);
    assert_eq!(starts(28), [0, 4, 8, 12]);
    assert_eq!(starts(3), [0]);
}

#[test]
fn a_looped_segment_starts_again_and_only_its_first_pass_is_real() {
    let rate = (20, Sampling::Rate { frames_per_sec: 10.0 });
    let got = timeline(&video(100, 10.0), &segment(5.0, 5.3), &geometry(rate, Short::Loop));
    assert_eq!((got.num_real, got.frames.len()), (3, 32));
    assert_eq!(got.frames[..8], [50, 51, 52, 50, 51, 52, 50, 51]);
    assert_eq!([0, 2, 4].map(|start| got.num_real_of(start, 20)), [3, 1, 0]);
}

#[test]
fn random_instants_stay_in_their_shares_and_fill_them() {
    // 4 s in 16 shares of 0.25 s, 100 frames per second: share k shows frames 25 k to 25 k + 24.
    let clip = geometry((16, Sampling::Segment), Short::Hold);
    let mut hits = [0u32; 25];
    for epoch in 0..2000 {
        let mut rng = rng_for(1, epoch, 0, Purpose::Instant);
        let got = timeline_at(&video(1000, 100.0), &segment(2.0, 6.0), &clip, Instants::Random(&mut rng));
        for (k, frame) in got.frames.iter().enumerate() {
            hits[(frame - 200 - 25 * k as u32) as usize] += 1;
        }
    }
    // 32,000 instants over 25 places: 1,280 each, standard deviation sqrt(32000 * 0.04 * 0.96) = 35.
    assert!(hits.iter().all(|n| n.abs_diff(1280) < 5 * 35), "{hits:?}");
}

#[test]
fn a_random_instant_does_not_leave_the_segment() {
    // A little over 1.1 s at 5 per second: 6 samples, the last in a share that begins at 1.0 s and would end at 1.2 s.
    for stop_secs in [1.101, 1.15] {
        let clip = geometry((4, Sampling::Rate { frames_per_sec: 5.0 }), Short::Hold);
        for epoch in 0..200 {
            let mut rng = rng_for(0, epoch, 0, Purpose::Instant);
            let got = timeline_at(&video(1000, 100.0), &segment(0.0, stop_secs), &clip, Instants::Random(&mut rng));
            assert_eq!(got.num_real, 6);
            assert!(f64::from(got.frames[got.num_real - 1]) / 100.0 < stop_secs, "{stop_secs} s");
        }
    }
}

#[test]
fn sliding_windows_show_every_real_frame() {
    let clip = geometry((16, Sampling::Segment), Short::Hold);
    let starts = |num_real: usize, stride| {
        Timeline { frames: vec![0; num_real.next_multiple_of(16)], num_real }.sliding(16, stride, &clip)
    };
    assert_eq!(starts(48, 16).unwrap(), [0, 16, 32]);
    // 45 real frames: the last window covers 30..46, whose last frame is filling.
    assert_eq!(starts(45, 12).unwrap(), [0, 12, 24, 30]);
    assert_eq!(starts(16, 8).unwrap(), [0]);
    assert_eq!(starts(3, 8).unwrap(), [0]);
    for stride in [0, 3, 18] {
        assert!(matches!(starts(48, stride), Err(VideoError::Option { .. })), "{stride}");
    }
}
