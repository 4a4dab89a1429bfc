use std::io::Cursor;

use super::patches::viridis;
use super::*;

/// A picture whose pixel at `(x, y)` is `[x, y, seed]`.
fn numbered(width: usize, height: usize, seed: u8) -> Picture {
    let pixel = |i: usize| [(i % width) as u8, (i / width) as u8, seed];
    Picture::new(width, height, (0..width * height).flat_map(pixel).collect()).unwrap()
}

#[test]
fn the_png_crate_reads_back_what_was_written() {
    let picture = numbered(5, 3, 200);
    let mut reader = png::Decoder::new(Cursor::new(picture.png())).read_info().unwrap();
    let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut rgb).unwrap();
    assert_eq!((info.width, info.height, info.color_type), (5, 3, png::ColorType::Rgb));
    assert_eq!(rgb, picture.rgb);
}

#[test]
fn a_contact_sheet_puts_each_frame_in_its_cell() {
    let frames: Vec<Picture> = (0..5).map(|i| numbered(4, 3, i)).collect();
    let sheet = Picture::contact_sheet(&frames, 3, 2).unwrap();
    // Three frames of 4 and two gaps of 2 across; two of 3 and one gap down.
    assert_eq!((sheet.width(), sheet.height()), (16, 8));
    assert_eq!(sheet.at(0, 0), [0, 0, 0]);
    assert_eq!(sheet.at(6 + 3, 2), [3, 2, 1]);
    assert_eq!(sheet.at(6 + 1, 5 + 2), [1, 2, 4]);
    assert_eq!(sheet.at(4, 0), GAP_COLOUR);
    assert_eq!(sheet.at(0, 4), GAP_COLOUR);
    assert_eq!(sheet.at(12, 5), GAP_COLOUR, "the sixth cell is empty");
}

#[test]
fn upscaling_repeats_pixels() {
    let big = numbered(2, 2, 9).upscale(3).unwrap();
    assert_eq!((big.at(2, 2), big.at(3, 2), big.at(5, 5)), ([0, 0, 9], [1, 0, 9], [1, 1, 9]));
}

#[test]
fn frames_are_cut_from_a_clip_in_order() {
    let bytes: Vec<u8> = (0..2 * 2 * 3 * 3).collect();
    let frames = Picture::from_frames_u8(&bytes, [2, 2, 3, 3]).unwrap();
    assert_eq!((frames[0].width(), frames[0].height()), (3, 2));
    // The second frame starts at byte 18; its pixel (2, 1) is the sixth: byte 18 + 15.
    assert_eq!(frames[1].at(2, 1), [33, 34, 35]);
}

#[test]
fn heat_runs_from_dark_blue_at_0_to_yellow_at_1() {
    // The two ends and the middle of matplotlib 3.11's viridis, between its entries 127 and 128.
    assert_eq!((viridis(0.0), viridis(0.5), viridis(1.0)), ([68, 1, 84], [33, 144, 140], [253, 231, 37]));
    let black = Picture::filled(4, 2, [0; 3]).unwrap();
    let heat = black.overlay_grid_heat(&[0.0, 1.0], PatchGrid { rows: 1, cols: 2 }).unwrap();
    // Half of each colour over black.
    assert_eq!(heat.at(1, 1), [34, 1, 42]);
    assert_eq!(heat.at(2, 0), [127, 116, 19]);
}

#[test]
fn hidden_patches_are_dark_and_the_others_untouched() {
    let white = Picture::filled(8, 8, [255; 3]).unwrap();
    let hidden = white.dim_patches(&[false, true, false, false], PatchGrid { rows: 2, cols: 2 }).unwrap();
    assert_eq!(hidden.at(3, 0), [255; 3]);
    // 255 * 0.2; every fourth diagonal is hatched.
    assert_eq!((hidden.at(5, 0), hidden.at(4, 0)), ([51; 3], [96; 3]));
    assert_eq!(hidden.at(4, 4), [255; 3]);
}

#[test]
fn neighbouring_patches_share_one_outline() {
    let black = Picture::filled(12, 4, [0; 3]).unwrap();
    let red = [255, 0, 0];
    let outlined = black.outline_patches(&[true, true, false], PatchGrid { rows: 1, cols: 3 }, red).unwrap();
    let row = |y: usize| (0..12).map(|x| if outlined.at(x, y) == red { '#' } else { '.' }).collect::<String>();
    assert_eq!([row(0), row(1), row(2), row(3)], ["########....", "#......#....", "#......#....", "########...."]);
}

#[test]
fn sizes_that_do_not_fit_are_errors() {
    let picture = numbered(4, 4, 0);
    let grid = PatchGrid { rows: 3, cols: 2 };
    assert!(matches!(Picture::new(2, 2, vec![0; 11]), Err(ReportError::PixelCount { expected: 12, found: 11, .. })));
    assert!(matches!(Picture::new(0, 2, vec![]), Err(ReportError::PictureSize { .. })));
    assert!(matches!(picture.upscale(0), Err(ReportError::PictureSize { .. })));
    assert!(matches!(picture.upscale(usize::MAX), Err(ReportError::PictureSize { .. })));
    assert!(matches!(Picture::from_frames_u8(&[0; 8], [1, 2, 4, 1]), Err(ReportError::NotFrames { .. })));
    assert!(matches!(Picture::from_frames_u8(&[0; 8], [usize::MAX, 2, 4, 3]), Err(ReportError::PixelCount { .. })));
    assert!(matches!(Picture::contact_sheet(&[], 2, 1), Err(ReportError::EmptySheet { .. })));
    let two = [numbered(4, 4, 0), numbered(4, 5, 0)];
    assert!(matches!(Picture::contact_sheet(&two, 2, 1), Err(ReportError::SizesDiffer { index: 1, .. })));
    assert!(matches!(picture.overlay_grid_heat(&[0.0; 6], grid), Err(ReportError::NotTiled { .. })));
    let grid = PatchGrid { rows: 2, cols: 2 };
    assert!(matches!(picture.dim_patches(&[true; 3], grid), Err(ReportError::PatchCount { found: 3, .. })));
    let heat = picture.overlay_grid_heat(&[0.0, 1.0, f32::NAN, 0.0], grid);
    assert!(matches!(heat, Err(ReportError::HeatRange { index: 2, .. })));
    assert!(picture.overlay_grid_heat(&[0.0, 1.5, 0.0, 0.0], grid).is_err());
}
