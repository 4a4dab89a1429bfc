use super::*;

const WIDE: Sizes = Sizes { width_px: 100, height_px: 60, clip_px: 40 };

fn draw(item: u64) -> ClipDraw {
    ClipDraw { seed: 3, epoch: 0, item }
}

fn augment(config: AugmentConfig) -> Augment {
    config.check().unwrap()
}

fn with_crop(crop: Crop) -> Augment {
    augment(AugmentConfig { crop, ..AugmentConfig::default() })
}

fn windows(crop: Crop, num_clips: u64) -> Vec<Window> {
    let augment = with_crop(crop);
    (0..num_clips).map(|item| augment.window(WIDE, draw(item))).collect()
}

/// Everything at once, as VideoMAE fine-tunes, with a flip and colour jitter besides.
fn everything() -> AugmentConfig {
    AugmentConfig {
        crop: Crop::RandomResized { scale: [0.08, 1.0], ratio: [0.75, 4.0 / 3.0] },
        flip: Flip::Horizontal { probability: 0.5 },
        instants: InstantChoice::Random,
        colour: Colour::Jitter { brightness: 0.4, contrast: 0.4, saturation: 0.4 },
        rand_augment: RandAugment::Increasing { num_ops: 4, magnitude: 7.0, magnitude_std: 0.5, ops: OpSet::All },
        erasing: Erasing::Box { probability: 0.5, min_share: 0.02, max_share: 1.0 / 3.0, fill: Fill::Pixel },
        repeats: 2,
    }
}

#[test]
fn a_random_crop_is_the_clips_size_and_lies_anywhere() {
    let got = windows(Crop::Random {}, 61_000);
    let mut left = [0u32; 61];
    let mut top = [0u32; 21];
    for window in &got {
        assert_eq!((window.width_px, window.height_px), (40, 40));
        left[window.left_px as usize] += 1;
        top[window.top_px as usize] += 1;
    }
    // 1,000 at each of 61 columns (deviation 32), 2,905 at each of 21 rows (deviation 53).
    assert!(left.iter().all(|n| n.abs_diff(1000) < 5 * 32), "{left:?}");
    assert!(top.iter().all(|n| n.abs_diff(2905) < 5 * 53), "{top:?}");
}

#[test]
fn a_frame_smaller_than_the_clip_gives_a_square_of_its_short_side() {
    let sizes = Sizes { width_px: 100, height_px: 30, clip_px: 40 };
    for item in 0..50 {
        let window = with_crop(Crop::Random {}).window(sizes, draw(item));
        assert_eq!((window.width_px, window.height_px, window.top_px), (30, 30, 0));
    }
}

#[test]
fn multi_scale_crops_are_of_neighbouring_scales_at_thirteen_places() {
    // Shares of 60 pixels: 60, 52, 45, 39; 39 is near 40 and becomes it. Pairs next to each other: 4 + 2 * 3 = 10.
    let got = windows(Crop::MultiScale { scales: vec![1.0, 0.875, 0.75, 0.66] }, 13_000);
    let sides = [60, 52, 45, 40];
    let mut pairs = [[0u32; 4]; 4];
    let mut centred = 0;
    for window in &got {
        let number = |side| sides.iter().position(|known| *known == side).expect("one of the four sides");
        pairs[number(window.width_px)][number(window.height_px)] += 1;
        let quarters = ((100 - window.width_px) / 4, (60 - window.height_px) / 4);
        assert_eq!((window.left_px % quarters.0, window.left_px / quarters.0 <= 4), (0, true), "{window:?}");
        assert!(window.top_px + window.height_px <= 60, "{window:?}");
        if window.left_px == 2 * quarters.0 && window.top_px == 2 * quarters.1 && window.height_px < 60 {
            centred += 1;
        }
    }
    for (i, row) in pairs.iter().enumerate() {
        for (j, n) in row.iter().enumerate() {
            // 1,300 of each pair that is allowed (deviation 34).
            let fits = if i.abs_diff(j) <= 1 { n.abs_diff(1300) < 5 * 34 } else { *n == 0 };
            assert!(fits, "{pairs:?}");
        }
    }
    // A thirteenth of the 8 in 10 that are lower than the frame: 800, deviation 27.
    assert!(u32::abs_diff(centred, 800) < 5 * 27, "{centred}");
}

#[test]
fn random_resized_crops_have_the_area_and_the_shape_asked_for() {
    let got = windows(Crop::RandomResized { scale: [0.1, 0.4], ratio: [0.75, 4.0 / 3.0] }, 20_000);
    let share = |window: &Window| f64::from(window.width_px * window.height_px) / 6000.0;
    let shape = |window: &Window| f64::from(window.width_px) / f64::from(window.height_px);
    for window in &got {
        // Rounding to whole pixels moves a side of 20 by at most 2.5 %.
        assert!((0.095..0.42).contains(&share(window)) && (0.71..1.41).contains(&shape(window)), "{window:?}");
        assert!(window.left_px + window.width_px <= 100 && window.top_px + window.height_px <= 60, "{window:?}");
    }
    // The area is uniform: mean 0.25, deviation 0.087; the logarithm of the shape is symmetric about 0, deviation 0.166.
    let mean = |f: &dyn Fn(&Window) -> f64| got.iter().map(f).sum::<f64>() / got.len() as f64;
    let (area, log_shape) = (mean(&share), mean(&|window| shape(window).ln()));
    assert!((area - 0.25).abs() < 0.004 && log_shape.abs() < 0.007, "{area}, {log_shape}");
}

#[test]
fn a_shape_that_never_fits_gives_the_largest_centred_box() {
    let augment = with_crop(Crop::RandomResized { scale: [1.0, 1.0], ratio: [1.0, 1.0] });
    let window = augment.window(WIDE, draw(0));
    assert_eq!(window, Window { left_px: 20, top_px: 0, width_px: 60, height_px: 60 });
}

#[test]
fn mirroring_exchanges_columns_and_happens_as_often_as_asked() {
    let augment = augment(AugmentConfig { flip: Flip::Horizontal { probability: 0.3 }, ..AugmentConfig::default() });
    let rgb: Vec<u8> = (0..24).collect();
    let mirrored = [3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8, 15, 16, 17, 12, 13, 14, 21, 22, 23, 18, 19, 20];
    let mut num_mirrored = 0u32;
    for item in 0..10_000 {
        let mut clip = rgb.clone();
        augment.apply(&mut clip, 2, draw(item));
        num_mirrored += u32::from(clip == mirrored);
        assert!(clip == mirrored || clip == rgb);
    }
    // Deviation sqrt(10000 * 0.3 * 0.7) = 46.
    assert!(num_mirrored.abs_diff(3000) < 5 * 46, "{num_mirrored}");
}

#[test]
fn colour_jitter_changes_brightness_evenly_within_its_range() {
    let colour = Colour::Jitter { brightness: 0.5, contrast: 0.0, saturation: 0.0 };
    let augment = augment(AugmentConfig { colour, ..AugmentConfig::default() });
    let values = (0..4000).map(|item| {
        let mut clip = [100; 12];
        augment.apply(&mut clip, 2, draw(item));
        assert_eq!(clip, [clip[0]; 12]);
        f64::from(clip[0])
    });
    let values: Vec<f64> = values.collect();
    assert!(values.iter().all(|v| (50.0..=150.0).contains(v)));
    // Uniform over 50..150, cut to whole numbers: mean 99.5, deviation 28.9 / sqrt(4000) = 0.46.
    let mean = values.iter().sum::<f64>() / 4000.0;
    assert!((mean - 99.5).abs() < 5.0 * 0.46, "{mean}");
}

#[test]
fn erased_boxes_are_of_the_share_asked_for_and_the_same_in_every_frame() {
    let erasing = |fill| Erasing::Box { probability: 0.25, min_share: 0.1, max_share: 0.3, fill };
    let (side, frame_bytes) = (32, 32 * 32 * 3);
    let augment = |fill| augment(AugmentConfig { erasing: erasing(fill), ..AugmentConfig::default() });
    let (constant, pixel) = (augment(Fill::Constant), augment(Fill::Pixel));
    let (mut num_erased, mut area) = (0u32, 0.0);
    for item in 0..4000 {
        let mut clip = vec![0; 2 * frame_bytes];
        constant.apply(&mut clip, side, draw(item));
        assert!(clip[..frame_bytes] == clip[frame_bytes..]);
        let erased = clip[..frame_bytes].chunks_exact(3).filter(|pixel| **pixel == MEAN_RGB).count();
        num_erased += u32::from(erased > 0);
        area += erased as f64 / 1024.0;
        // The same draw with noise erases the same box.
        let mut noisy = vec![0; 2 * frame_bytes];
        pixel.apply(&mut noisy, side, draw(item));
        assert!(noisy[..frame_bytes] == noisy[frame_bytes..]);
        let outside = noisy.iter().zip(&clip).filter(|(_, constant)| **constant == 0);
        assert!(outside.map(|(noise, _)| *noise).all(|noise| noise == 0));
    }
    // Deviation sqrt(4000 * 0.25 * 0.75) = 27. Uniform shares: mean 0.2, deviation 0.058 / sqrt(1000) = 0.0018; boxes too
    // long for the frame are drawn again, which favours small ones a little.
    assert!(num_erased.abs_diff(1000) < 5 * 27, "{num_erased}");
    let mean = area / f64::from(num_erased);
    assert!((0.185..0.209).contains(&mean), "{mean}");
}

#[test]
fn erasing_noise_has_the_mean_and_the_deviation_of_imagenet() {
    let erasing = Erasing::Box { probability: 1.0, min_share: 0.9, max_share: 0.95, fill: Fill::Pixel };
    let augment = augment(AugmentConfig { erasing, ..AugmentConfig::default() });
    let mut clip = vec![0; 128 * 128 * 3];
    let item = (0..).find(|item| {
        augment.apply(&mut clip, 128, draw(*item));
        clip.iter().any(|v| *v > 0)
    });
    let greens: Vec<f64> = clip.chunks_exact(3).filter(|pixel| **pixel != [0; 3]).map(|p| f64::from(p[1])).collect();
    let mean = greens.iter().sum::<f64>() / greens.len() as f64;
    let deviation = (greens.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / greens.len() as f64).sqrt();
    // Of some 15,000 values; cutting to 0..=255 takes about one from the deviation of 57.
    assert!((mean - 116.0).abs() < 3.0 && (54.0..58.0).contains(&deviation), "item {item:?}: {mean}, {deviation}");
}

#[test]
fn every_frame_of_a_clip_is_varied_alike() {
    let augment = augment(everything());
    let side = 24;
    let frame: Vec<u8> = (0..side * side * 3).map(|i| (i * 7 % 251) as u8).collect();
    let mut num_changed = 0;
    for item in 0..300 {
        let mut clip = frame.repeat(5);
        augment.apply(&mut clip, side, draw(item));
        let first = &clip[..frame.len()];
        assert!(clip.chunks_exact(frame.len()).all(|other| other == first), "item {item}");
        num_changed += usize::from(first != frame);
    }
    // Colour jitter leaves next to none as it was.
    assert!(num_changed > 290, "{num_changed}");
}

#[test]
fn each_setting_draws_from_a_stream_of_its_own() {
    let all = augment(everything());
    let cropped = with_crop(everything().crop);
    for item in 0..20 {
        assert_eq!(all.window(WIDE, draw(item)), cropped.window(WIDE, draw(item)));
        let other = ClipDraw { epoch: 1, ..draw(item) };
        assert_ne!(all.window(WIDE, draw(item)), all.window(WIDE, other));
    }
}

#[test]
fn what_moves_pixels_is_refused_beside_stored_tokens() {
    let refused = |config: AugmentConfig| augment(config).expect_in_register().unwrap_err().to_string();
    let whole = everything();
    let none = AugmentConfig::default();
    let cases = [
        ("augment.crop ", AugmentConfig { crop: whole.crop.clone(), ..none.clone() }),
        ("augment.flip ", AugmentConfig { flip: whole.flip, ..none.clone() }),
        ("augment.instants ", AugmentConfig { instants: whole.instants, ..none.clone() }),
        ("augment.rand_augment.ops ", AugmentConfig { rand_augment: whole.rand_augment, ..none.clone() }),
    ];
    for (setting, config) in cases {
        let said = refused(config);
        assert!(said.starts_with(setting) && said.contains("out of register with stored tokens"), "{said}");
    }
    let ops = OpSet::Photometric;
    let rand_augment = RandAugment::Increasing { num_ops: 4, magnitude: 7.0, magnitude_std: 0.5, ops };
    let allowed =
        AugmentConfig { crop: Crop::Random {}, rand_augment, colour: whole.colour, erasing: whole.erasing, ..none };
    augment(allowed).expect_in_register().unwrap();
}

#[test]
fn settings_out_of_range_and_unknown_keys_are_refused_by_name() {
    let none = AugmentConfig::default;
    let scale = [0.5, 0.1];
    let rand_augment = RandAugment::Increasing { num_ops: 4, magnitude: 11.0, magnitude_std: 0.5, ops: OpSet::All };
    let erasing = Erasing::Box { probability: 0.25, min_share: 0.0, max_share: 0.3, fill: Fill::Constant };
    let cases = [
        ("augment.crop.scales = []", AugmentConfig { crop: Crop::MultiScale { scales: vec![] }, ..none() }),
        (
            "augment.crop.scale = [0.5, 0.1]",
            AugmentConfig { crop: Crop::RandomResized { scale, ratio: [0.75, 1.3] }, ..none() },
        ),
        (
            "augment.flip.probability = NaN",
            AugmentConfig { flip: Flip::Horizontal { probability: f64::NAN }, ..none() },
        ),
        ("augment.rand_augment.magnitude = 11.0", AugmentConfig { rand_augment, ..none() }),
        ("augment.erasing.min_share = 0.0", AugmentConfig { erasing, ..none() }),
        ("augment.repeats = 0", AugmentConfig { repeats: 0, ..none() }),
    ];
    for (start, config) in cases {
        let said = config.check().unwrap_err().to_string();
        assert!(said.starts_with(start), "{said}");
    }
    let parsed = serde_json::from_str::<Crop>(r#"{ "kind": "random", "size": 3 }"#);
    assert!(parsed.unwrap_err().to_string().contains("unknown field `size`"));
}
