use std::path::Path;
use std::sync::Arc;

use spec::{ClipGeometry, ClipSpec, Sampling, Short};
use tempfile::TempDir;

use super::*;
use crate::tokens::tests::{made_from, write};
use crate::*;

const SEED: u64 = 11;
/// Side of a cube in the square that is encoded, pixels.
const PATCH_PX: usize = 8;
/// Rows and columns of tokens in that square.
const STORED: usize = 6;

fn geometry(num_frames: i64, size_px: i64, short: Short) -> ClipGeometry {
    let sampling = Sampling::Rate { frames_per_sec: 10.0 };
    ClipSpec { num_frames, size_px, patch: [2, 8, 8], sampling, short }.check().unwrap()
}

/// A clip store of one video at 10 frames per second, `frame` giving the RGB of each, and its source without tokens.
fn source(dir: &Path, (width_px, height_px): (u32, u32), frames: &[Vec<u8>]) -> ClipSource {
    let path = dir.join("clips.h5");
    let options = StoreOptions { short_side_px: height_px, max_frames_per_sec: None };
    let (mut writer, _) = ClipStoreWriter::begin(&path, options).unwrap();
    for rgb in frames {
        writer.push_frame(&jpeg::encode(width_px, height_px, rgb).unwrap()).unwrap();
    }
    let num_frames = frames.len() as u32;
    let decoded = Decoded { num_frames, frames_per_sec: 10.0, source_frames_per_sec: 10.0, width_px, height_px };
    writer.commit(NewVideo { name: "v", content_hash: "0", decoded, notes: "" }).unwrap();
    let stop_secs = f64::from(num_frames) / 10.0;
    let group = String::new();
    writer
        .finish(
            &[Segment {
                id: "s".to_owned(),
                video: 0,
                start_secs: 0.0,
                stop_secs,
                labels: Vec::new(),
                group,
                subject: String::new(),
            }],
            &[],
        )
        .unwrap();
    let store = Arc::new(ClipStore::open(&path).unwrap());
    ClipSource {
        store,
        tokens: None,
        geometry: geometry(16, 32, Short::Hold),
        augment: Augment::default(),
        with_flow: false,
    }
}

/// A video whose cubes, in its centre square, each have a grey of their own.
///
/// * `cube_px` - side of a cube in the stored frame
fn coloured(dir: &Path, cube_px: usize) -> ClipSource {
    let side = STORED * cube_px;
    let (width, margin) = (side + 2 * cube_px, cube_px);
    let grey = |frame: usize, y: usize, x: usize| match (x >= margin).then(|| (x - margin) / cube_px) {
        Some(column) if column < STORED => code(frame / 2, y / cube_px, column) as u8 * 4,
        _ => 255,
    };
    let picture = |frame: usize| (0..side).flat_map(|y| (0..width).flat_map(move |x| [grey(frame, y, x); 3])).collect();
    source(dir, (width as u32, side as u32), &(0..48).map(picture).collect::<Vec<_>>())
}

/// Code of a cube, `0..60`: no two neighbours share one, in space or time.
fn code(latent_frame: usize, row: usize, column: usize) -> u32 {
    ((latent_frame * 23 + row * 17 + column * 7) % 60) as u32
}

fn tokens(dir: &Path, source: &ClipSource) -> TokenStore {
    let path = dir.join("tokens.h5");
    let header = TokenHeader {
        size_px: (STORED * PATCH_PX) as i64,
        codebook_size: 60,
        ..made_from(source.store.id(), &source.geometry)
    };
    let places = (0..24).flat_map(|t| (0..STORED * STORED).map(move |i| (t, i / STORED, i % STORED)));
    let codes: Vec<u32> = places.map(|(t, row, column)| code(t, row, column)).collect();
    let priorities = codes.iter().map(|code| *code as f32 / 2.0).collect();
    write(&path, &header, &[Tokens { codes, priorities }]);
    TokenStore::open(&path).unwrap()
}

fn drawn(item: u64, start_frame: usize) -> ClipRequest {
    let view = View::Drawn(ClipDraw { seed: SEED, epoch: 0, item });
    ClipRequest { segment: 0, start_frame, num_frames: 16, view }
}

/// Mean grey of the inside of a clip's cube: resizing mixes its border with its neighbours.
fn inside(clip: &LoadedClip, (latent_frame, row, column): (usize, usize, usize), side: usize) -> f64 {
    let mut sum = 0.0;
    for y in 2..6 {
        for x in 2..6 {
            let at = ((latent_frame * 2 * side + row * PATCH_PX + y) * side + column * PATCH_PX + x) * 3;
            sum += f64::from(clip.rgb[at]);
        }
    }
    sum / 16.0
}

/// Loads clips of 4 x 4 tokens out of 6 x 6 and compares every code with the grey of its pixels.
#[track_caller]
fn expect_register(cube_px: usize) {
    let dir = tempfile::tempdir().unwrap();
    let mut source = coloured(dir.path(), cube_px);
    source.tokens = Some(Arc::new(tokens(dir.path(), &source)));
    source.augment = AugmentConfig { crop: Crop::Random {}, ..AugmentConfig::default() }.check().unwrap();
    let mut corners = std::collections::BTreeSet::new();
    for item in 0..120 {
        let start_frame = item as usize * 2 % 34;
        let clip = load_clip(&source, drawn(item, start_frame)).unwrap();
        let tokens = clip.tokens.as_ref().unwrap();
        assert_eq!((tokens.codes.len(), clip.rgb.len()), (8 * 4 * 4, 16 * 32 * 32 * 3));
        for (index, code) in tokens.codes.iter().enumerate() {
            let place = (index / 16, index / 4 % 4, index % 4);
            let grey = inside(&clip, place, 32);
            assert!((grey - f64::from(*code) * 4.0).abs() < 2.0, "item {item}, {place:?}: code {code}, grey {grey}");
            assert_eq!(tokens.priorities[index], *code as f32 / 2.0);
        }
        corners.insert((tokens.codes[0] + 60 - code(start_frame / 2, 0, 0)) % 60);
    }
    // All nine places of 4 x 4 in 6 x 6 were seen.
    assert_eq!(corners.len(), 9);
}

#[test]
fn only_beside_tokens_must_a_clip_be_whole_cubes() {
    let dir = tempfile::tempdir().unwrap();
    let mut source = coloured(dir.path(), PATCH_PX);
    let load = |source: &ClipSource, start_frame, num_frames| {
        load_clip(source, ClipRequest { segment: 0, start_frame, num_frames, view: View::CENTRE })
    };
    let (odd, all) = (load(&source, 3, 17).unwrap(), load(&source, 0, 48).unwrap());
    let frame = 32 * 32 * 3;
    assert_eq!(odd.rgb, all.rgb[3 * frame..20 * frame]);
    source.tokens = Some(Arc::new(tokens(dir.path(), &source)));
    for (start_frame, num_frames) in [(3, 16), (2, 17)] {
        assert!(matches!(load(&source, start_frame, num_frames), Err(VideoError::ClipStart { .. })));
    }
}

#[test]
fn codes_and_pixels_are_of_the_same_cubes_wherever_the_crop_lies() {
    expect_register(PATCH_PX);
}

#[test]
fn codes_and_pixels_are_of_the_same_cubes_in_a_store_of_larger_frames() {
    expect_register(2 * PATCH_PX);
}

#[test]
fn a_fixed_view_shows_the_middle_tokens_of_a_larger_square() {
    let dir = tempfile::tempdir().unwrap();
    let mut source = coloured(dir.path(), PATCH_PX);
    source.tokens = Some(Arc::new(tokens(dir.path(), &source)));
    let request = ClipRequest { view: View::CENTRE, ..drawn(0, 4) };
    let clip = load_clip(&source, request).unwrap();
    assert_eq!(clip.tokens.as_ref().unwrap().codes[..2], [code(2, 1, 1), code(2, 1, 2)]);
    assert!((inside(&clip, (0, 0, 0), 32) - f64::from(code(2, 1, 1)) * 4.0).abs() < 2.0);
    let side = ClipRequest { view: View::Fixed { instant: Part::WHOLE, crop: Part { index: 0, of: 3 } }, ..request };
    assert!(matches!(load_clip(&source, side), Err(VideoError::OutOfRegister { .. })));
}

#[test]
fn clips_larger_than_their_tokens_and_augmentation_out_of_register_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut source = coloured(dir.path(), PATCH_PX);
    source.tokens = Some(Arc::new(tokens(dir.path(), &source)));
    source.augment =
        AugmentConfig { flip: Flip::Horizontal { probability: 0.5 }, ..AugmentConfig::default() }.check().unwrap();
    assert!(matches!(source.check(), Err(VideoError::OutOfRegister { setting: "augment.flip", .. })));
    source.augment = Augment::default();
    source.geometry = geometry(16, 56, Short::Hold);
    assert!(matches!(load_clip(&source, drawn(0, 0)), Err(VideoError::TokenMismatch { field: "size_px", .. })));
    source.geometry = geometry(16, 32, Short::Loop);
    assert!(matches!(source.check(), Err(VideoError::TokenMismatch { field: "short", .. })));
}

/// A video of noise and the augmentation of VideoMAE's fine-tuning.
fn varied() -> (TempDir, ClipSource) {
    let dir = tempfile::tempdir().unwrap();
    let noise = |frame: usize| (0..72 * 48 * 3).map(|i| ((i * i + frame * 97 + i * 31) % 253) as u8).collect();
    let mut source = source(dir.path(), (72, 48), &(0..48).map(noise).collect::<Vec<_>>());
    source.augment = AugmentConfig {
        crop: Crop::RandomResized { scale: [0.08, 1.0], ratio: [0.75, 4.0 / 3.0] },
        flip: Flip::Horizontal { probability: 0.5 },
        instants: InstantChoice::Random,
        rand_augment: RandAugment::Increasing { num_ops: 4, magnitude: 7.0, magnitude_std: 0.5, ops: OpSet::All },
        erasing: Erasing::Box { probability: 0.25, min_share: 0.02, max_share: 1.0 / 3.0, fill: Fill::Pixel },
        ..AugmentConfig::default()
    }
    .check()
    .unwrap();
    (dir, source)
}

#[test]
fn a_clip_is_the_same_for_any_number_of_workers_and_in_any_order() {
    let (_dir, source) = varied();
    let request = |item: u64| drawn(item, (item * 2 % 34) as usize);
    let load = |num_workers, item_of: fn(u64) -> u64| {
        let options = LoaderOptions { num_workers, prefetch_steps: 3, max_bytes: 1 << 30 };
        let plan = Arc::new(move |step| vec![request(item_of(step))]);
        let mut loader = Loader::start(source.clone(), plan, 0..24, options).unwrap();
        std::iter::from_fn(|| loader.next()).flat_map(|batch| batch.unwrap().clips).collect::<Vec<_>>()
    };
    let one = load(1, |step| step);
    let mut backwards = load(4, |step| 23 - step);
    backwards.reverse();
    assert!(one == backwards);
    assert!(one[5] == load_clip(&source, request(5)).unwrap());
    assert!(one.windows(2).all(|pair| pair[0].rgb != pair[1].rgb));
}

#[test]
fn another_epoch_gives_other_crops() {
    let (_dir, source) = varied();
    let at = |epoch| {
        let view = View::Drawn(ClipDraw { seed: SEED, epoch, item: 0 });
        load_clip(&source, ClipRequest { view, ..drawn(0, 0) }).unwrap().rgb
    };
    assert!(at(0) != at(1) && at(0) == at(0));
}

#[test]
fn a_video_that_does_not_move_gives_clips_that_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let picture: Vec<u8> = (0..72 * 48 * 3).map(|i| (i * 7 % 253) as u8).collect();
    let still = source(dir.path(), (72, 48), &vec![picture; 48]);
    let source = ClipSource { augment: varied().1.augment, ..still };
    for item in 0..40 {
        let clip = load_clip(&source, drawn(item, 0)).unwrap();
        let first = &clip.rgb[..32 * 32 * 3];
        assert!(clip.rgb.chunks_exact(first.len()).all(|frame| frame == first), "item {item}");
    }
}

#[test]
fn a_short_segment_says_how_many_of_its_frames_are_real() {
    let dir = tempfile::tempdir().unwrap();
    let grey = |frame: usize| vec![frame as u8 * 20; 32 * 32 * 3];
    let source = source(dir.path(), (32, 32), &(0..10).map(grey).collect::<Vec<_>>());
    for (short, seen) in [(Short::Hold, [9, 9, 9, 9, 9, 9]), (Short::Loop, [0, 1, 2, 3, 4, 5])] {
        let source = ClipSource { geometry: geometry(16, 32, short), ..source.clone() };
        let clip = load_clip(&source, ClipRequest { view: View::CENTRE, ..drawn(0, 0) }).unwrap();
        assert_eq!((clip.num_real, clip.real_mask().iter().filter(|real| **real).count()), (10, 10));
        assert!(clip.real_mask()[9] && !clip.real_mask()[10]);
        for (frame, expected) in (10..16).zip(seen) {
            assert!(clip.rgb[frame * 32 * 32 * 3].abs_diff(expected * 20) <= 1, "{short:?}, frame {frame}");
        }
    }
}

#[test]
fn three_crops_lie_along_the_long_side() {
    let dir = tempfile::tempdir().unwrap();
    // Columns are as bright as they are far to the right; three squares of 32 start at 0, 16, 32.
    let picture: Vec<u8> = (0..64 * 32).flat_map(|i| [(i % 64) as u8 * 4; 3]).collect();
    let source = source(dir.path(), (64, 32), &vec![picture; 16]);
    let first_columns = [0, 1, 2].map(|index| {
        let view = View::Fixed { instant: Part::WHOLE, crop: Part { index, of: 3 } };
        load_clip(&source, ClipRequest { view, ..drawn(0, 0) }).unwrap().rgb[0]
    });
    for (got, expected) in first_columns.into_iter().zip([0, 64, 128]) {
        assert!(got.abs_diff(expected) <= 2, "{first_columns:?}");
    }
}
