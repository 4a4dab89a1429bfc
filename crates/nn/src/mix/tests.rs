use spec::{Purpose, rng_for};
use tch::Device;

use super::*;

const VIDEOMAE: MixConfig =
    MixConfig { mixup_alpha: 0.8, cutmix_alpha: 1.0, probability: 1.0, cutmix_share: 0.5, smoothing: 0.1 };
/// Rows and columns.
const FRAME: [i64; 2] = [6, 8];

fn rng(item: u64) -> Rng {
    rng_for(5, 0, item, Purpose::Mix)
}

/// `[3, 2, 6, 8, 3]`, every value another.
fn clips() -> Tensor {
    Tensor::arange(3 * 2 * 6 * 8 * 3, (Kind::Float, Device::Cpu)).view([3, 2, 6, 8, 3])
}

#[test]
fn mixed_clips_are_those_of_a_plain_loop_in_both_layouts() {
    let clips = clips();
    for item in 0..20 {
        let mix = VIDEOMAE.draw(FRAME, &mut rng(item)).unwrap();
        let last = mix.clips(&clips, ClipLayout::ChannelsLast).unwrap();
        let first = mix.clips(&clips.permute([0, 4, 1, 2, 3]), ClipLayout::ChannelsFirst).unwrap();
        assert!(first.permute([0, 2, 3, 4, 1]).equal(&last));
        for b in 0..3 {
            for y in 0..6 {
                for x in 0..8 {
                    let own = clips.double_value(&[b, 1, y, x, 2]);
                    let other = clips.double_value(&[2 - b, 1, y, x, 2]);
                    let want = match mix {
                        Mix::Off => own,
                        Mix::Mixup { share } => share * own + (1.0 - share) * other,
                        Mix::Cutmix(cut) => {
                            let inside = (cut.top..cut.bottom).contains(&y) && (cut.left..cut.right).contains(&x);
                            if inside { other } else { own }
                        }
                    };
                    assert!((last.double_value(&[b, 1, y, x, 2]) - want).abs() < 1e-3, "{mix:?}");
                }
            }
        }
    }
}

#[test]
fn a_label_has_the_share_of_the_pixels_that_are_the_clips_own() {
    // Own pixels are 1 and others' 0, or the reverse.
    let clips = Tensor::from_slice(&[0f32, 1.0]).view([2, 1, 1, 1, 1]).expand([2, 1, 6, 8, 1], false).contiguous();
    let labels = smooth_labels(&Tensor::from_slice(&[0i64, 2]), 4, 0.0).unwrap();
    for item in 0..50 {
        let mix = VIDEOMAE.draw(FRAME, &mut rng(item)).unwrap();
        let mixed = mix.clips(&clips, ClipLayout::ChannelsLast).unwrap();
        let own = mixed.get(1).mean(Kind::Double).double_value(&[]);
        let labels = mix.labels(&labels).unwrap();
        assert!((labels.double_value(&[1, 2]) - own).abs() < 1e-5, "{mix:?}");
        assert!((labels.double_value(&[1, 0]) - (1.0 - own)).abs() < 1e-5, "{mix:?}");
        assert!((mix.share() - own).abs() < 1e-5);
    }
}

#[test]
fn a_box_at_the_border_is_cut_off_and_its_label_corrected() {
    // 1 - 0.75 of 8 x 8: sides of 4, reaching 2 to each side of the middle.
    let mut at_border = 0;
    for item in 0..200 {
        let cut = CutBox::draw(0.75, [8, 8], &mut rng(item));
        let (height, width) = (cut.bottom - cut.top, cut.right - cut.left);
        assert!((2..=4).contains(&height) && (2..=4).contains(&width), "{cut:?}");
        assert!((Mix::Cutmix(cut).share() - (1.0 - (height * width) as f64 / 64.0)).abs() < 1e-12);
        at_border += i64::from(height * width < 16);
    }
    assert!(at_border > 50);
}

#[test]
fn shares_have_the_moments_of_the_beta_distribution() {
    let mixup = MixConfig { cutmix_alpha: 0.0, ..VIDEOMAE };
    let mut rng = rng(0);
    let shares: Vec<f64> = (0..20_000).map(|_| mixup.draw(FRAME, &mut rng).unwrap().share()).collect();
    let mean = shares.iter().sum::<f64>() / 20_000.0;
    let variance = shares.iter().map(|share| (share - mean).powi(2)).sum::<f64>() / 20_000.0;
    // Beta(a, a): mean 1/2, variance 1 / (4 (2 a + 1)) = 0.0962 at 0.8; deviations 0.0022 and about 0.0006.
    assert!((mean - 0.5).abs() < 0.011 && (variance - 0.0962).abs() < 0.003, "{mean}, {variance}");
}

#[test]
fn half_of_the_batches_get_cutmix_and_none_when_off() {
    let mut rng = rng(0);
    let cut = (0..10_000).filter(|_| matches!(VIDEOMAE.draw(FRAME, &mut rng).unwrap(), Mix::Cutmix(_))).count();
    assert!(cut.abs_diff(5000) < 5 * 50, "{cut}");
    let off = MixConfig { mixup_alpha: 0.0, cutmix_alpha: 0.0, ..VIDEOMAE };
    assert_eq!(off.draw(FRAME, &mut rng).unwrap(), Mix::Off);
    let rare = MixConfig { probability: 0.2, ..VIDEOMAE };
    let mixed = (0..10_000).filter(|_| rare.draw(FRAME, &mut rng).unwrap() != Mix::Off).count();
    assert!(mixed.abs_diff(2000) < 5 * 40, "{mixed}");
}

#[test]
fn bytes_are_mixed_to_the_nearest_byte() {
    let clips = Tensor::from_slice(&[10u8, 21]).view([2, 1, 1, 1, 1]);
    let mixed = Mix::Mixup { share: 0.75 }.clips(&clips, ClipLayout::ChannelsLast).unwrap();
    // 0.75 * 10 + 0.25 * 21 = 12.75, 0.75 * 21 + 0.25 * 10 = 18.25.
    assert_eq!(Vec::<u8>::try_from(mixed.view([2])).unwrap(), [13, 18]);
}

#[test]
fn smoothing_spreads_its_share_over_all_classes() {
    let got = smooth_labels(&Tensor::from_slice(&[1i64]), 4, 0.1).unwrap();
    let want = Tensor::from_slice(&[0.025f32, 0.925, 0.025, 0.025]).view([1, 4]);
    assert!(got.allclose(&want, 1e-6, 1e-6, false));
}

#[test]
fn impossible_settings_and_other_frames_are_refused() {
    for bad in [
        MixConfig { mixup_alpha: -0.1, ..VIDEOMAE },
        MixConfig { cutmix_alpha: f64::NAN, ..VIDEOMAE },
        MixConfig { probability: 1.5, ..VIDEOMAE },
        MixConfig { smoothing: 1.0, ..VIDEOMAE },
    ] {
        assert!(matches!(bad.draw(FRAME, &mut rng(0)), Err(NnError::Config { .. })), "{bad:?}");
    }
    let cut = Mix::Cutmix(CutBox::draw(0.5, [8, 8], &mut rng(0)));
    assert!(matches!(cut.clips(&clips(), ClipLayout::ChannelsLast), Err(NnError::Shape { .. })));
}
