//! Operations on the frames of a clip, with the definitions of Pillow's ImageOps and ImageEnhance. What depends on a
//! picture (extremes, histogram, mean) is taken from each frame, as VideoMAE does; what is drawn is the same in all.

use super::warp::Warp;

/// One operation with what was drawn for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Op {
    /// Stretches each colour so that its extremes become 0 and 255.
    AutoContrast,
    /// Maps each colour so that its histogram becomes as even as can be.
    Equalise,
    /// `255 - v`.
    Invert,
    /// Keeps the upper `bits` of each value, `0..=8`.
    Posterise { bits: u32 },
    /// Inverts values from the threshold on, `0..=256`.
    Solarise { threshold: u16 },
    /// Adds to values below 128.
    SolariseAdd { added: u8 },
    /// Between grey (0), the frame (1) and beyond.
    Colour { factor: f32 },
    /// Between the frame's mean grey (0), the frame (1) and beyond.
    Contrast { factor: f32 },
    /// Between black (0), the frame (1) and beyond.
    Brightness { factor: f32 },
    /// Between a smoothed frame (0), the frame (1) and beyond.
    Sharpness { factor: f32 },
    /// Counter-clockwise about the middle.
    Rotate { degrees: f64 },
    /// Row `y` moves left by `slope * y` pixels.
    ShearX { slope: f64 },
    /// Column `x` moves up by `slope * x` pixels.
    ShearY { slope: f64 },
    /// Left by a share of the side.
    TranslateX { share: f64 },
    /// Up by a share of the side.
    TranslateY { share: f64 },
}

/// What each value of each colour becomes.
type Tables = [[u8; 256]; 3];

impl Op {
    /// Applies the operation to every frame of a clip, `[T, side, side, 3]`.
    pub(super) fn apply(self, rgb: &mut [u8], side: usize) {
        let warp = |x, y| Warp::new([x, y], side);
        match self {
            Op::AutoContrast => per_frame(rgb, side, |frame| histograms(frame).map(|counts| stretched(&counts))),
            Op::Equalise => per_frame(rgb, side, |frame| histograms(frame).map(|counts| equalised(&counts))),
            Op::Invert => everywhere(rgb, |v| 255 - v),
            Op::Posterise { bits } => everywhere(rgb, |v| v & !(0xFF_u32 >> bits) as u8),
            Op::Solarise { threshold } => everywhere(rgb, |v| if u16::from(v) < threshold { v } else { 255 - v }),
            Op::SolariseAdd { added } => everywhere(rgb, |v| if v < 128 { v.saturating_add(added) } else { v }),
            Op::Colour { factor } => colour(rgb, factor),
            Op::Contrast { factor } => per_frame(rgb, side, |frame| {
                let mean = mean_grey(frame);
                [table(|v| blend(mean, v, factor)); 3]
            }),
            Op::Brightness { factor } => everywhere(rgb, |v| blend(0, v, factor)),
            Op::Sharpness { factor } => sharpen(rgb, side, factor),
            Op::Rotate { degrees } => {
                let (sin, cos) = (-degrees.to_radians()).sin_cos();
                // The middle stays where it is.
                let middle = side as f64 / 2.0;
                let still = |x: f64, y: f64| middle - x * middle - y * middle;
                warp([cos, sin, still(cos, sin)], [-sin, cos, still(-sin, cos)]).apply(rgb);
            }
            Op::ShearX { slope } => warp([1.0, slope, 0.0], [0.0, 1.0, 0.0]).apply(rgb),
            Op::ShearY { slope } => warp([1.0, 0.0, 0.0], [slope, 1.0, 0.0]).apply(rgb),
            Op::TranslateX { share } => warp([1.0, 0.0, share * side as f64], [0.0, 1.0, 0.0]).apply(rgb),
            Op::TranslateY { share } => warp([1.0, 0.0, 0.0], [0.0, 1.0, share * side as f64]).apply(rgb),
        }
    }
}

fn table(f: impl Fn(u8) -> u8) -> [u8; 256] {
    std::array::from_fn(|v| f(v as u8))
}

/// Changes every value of a clip by itself.
fn everywhere(rgb: &mut [u8], f: impl Fn(u8) -> u8) {
    let table = table(f);
    rgb.iter_mut().for_each(|value| *value = table[usize::from(*value)]);
}

/// Changes every value by tables that are worked out for each frame.
fn per_frame(rgb: &mut [u8], side: usize, tables_of: impl Fn(&[u8]) -> Tables) {
    for frame in rgb.chunks_exact_mut(side * side * 3) {
        let tables = tables_of(frame);
        for pixel in frame.chunks_exact_mut(3) {
            for (value, table) in pixel.iter_mut().zip(&tables) {
                *value = table[usize::from(*value)];
            }
        }
    }
}

fn histograms(frame: &[u8]) -> [[u32; 256]; 3] {
    let mut counts = [[0; 256]; 3];
    for pixel in frame.chunks_exact(3) {
        for (value, counts) in pixel.iter().zip(&mut counts) {
            counts[usize::from(*value)] += 1;
        }
    }
    counts
}

fn stretched(counts: &[u32; 256]) -> [u8; 256] {
    let lowest = counts.iter().position(|n| *n > 0).unwrap_or(0);
    let highest = counts.iter().rposition(|n| *n > 0).unwrap_or(0);
    if highest <= lowest {
        return table(|v| v);
    }
    table(|v| (usize::from(v).saturating_sub(lowest) * 255 / (highest - lowest)).min(255) as u8)
}

fn equalised(counts: &[u32; 256]) -> [u8; 256] {
    let last = counts.iter().rfind(|n| **n > 0).copied().unwrap_or(0);
    let step = (counts.iter().sum::<u32>() - last) / 255;
    if step == 0 {
        return table(|v| v);
    }
    let mut below = step / 2;
    std::array::from_fn(|v| {
        let value = (below / step).min(255) as u8;
        below += counts[v];
        value
    })
}

/// ITU-R 601-2 luma in Pillow's 16-bit fixed point.
fn grey(pixel: &[u8]) -> u8 {
    let weighed = |c: usize, weight: u32| u32::from(pixel[c]) * weight;
    ((weighed(0, 19_595) + weighed(1, 38_470) + weighed(2, 7_471) + 0x8000) >> 16) as u8
}

/// `from` at factor 0, `to` at 1, the line through both beyond, without the fraction.
fn blend(from: u8, to: u8, factor: f32) -> u8 {
    (f32::from(from) + factor * (f32::from(to) - f32::from(from))) as u8
}

/// Mean grey of a frame, rounded.
fn mean_grey(frame: &[u8]) -> u8 {
    let sum: u64 = frame.chunks_exact(3).map(|pixel| u64::from(grey(pixel))).sum();
    (sum as f64 / (frame.len() / 3) as f64 + 0.5) as u8
}

fn colour(rgb: &mut [u8], factor: f32) {
    for pixel in rgb.chunks_exact_mut(3) {
        let grey = grey(pixel);
        pixel.iter_mut().for_each(|value| *value = blend(grey, *value, factor));
    }
}

/// The smoothed frame has weight 5 on a pixel and 1 on each of its 8 neighbours; the border stays as it is.
fn sharpen(rgb: &mut [u8], side: usize, factor: f32) {
    let row_bytes = side * 3;
    let mut source = Vec::with_capacity(side * row_bytes);
    for frame in rgb.chunks_exact_mut(side * row_bytes) {
        source.clear();
        source.extend_from_slice(frame);
        let three = |at: usize| u32::from(source[at - 3]) + u32::from(source[at]) + u32::from(source[at + 3]);
        for y in 1..side.saturating_sub(1) {
            for at in y * row_bytes + 3..(y + 1) * row_bytes - 3 {
                let sum = three(at - row_bytes) + three(at) + three(at + row_bytes) + 4 * u32::from(source[at]);
                let smooth = ((sum + 6) / 13) as u8;
                frame[at] = blend(smooth, source[at], factor);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Applies an operation to a square of grey pixels, given row after row.
    fn greys<const N: usize>(op: Op, values: [u8; N]) -> [u8; N] {
        let mut rgb: Vec<u8> = values.iter().flat_map(|v| [*v; 3]).collect();
        op.apply(&mut rgb, N.isqrt());
        std::array::from_fn(|i| {
            assert!(rgb[3 * i] == rgb[3 * i + 1] && rgb[3 * i] == rgb[3 * i + 2], "{rgb:?}");
            rgb[3 * i]
        })
    }

    #[test]
    fn auto_contrast_stretches_each_colour_to_the_whole_range() {
        // (v - 50) * 255 / 100: 76.5 loses its fraction.
        assert_eq!(greys(Op::AutoContrast, [50, 80, 110, 150]), [0, 76, 153, 255]);
        assert_eq!(greys(Op::AutoContrast, [90; 4]), [90; 4]);
        let mut rgb = [10, 100, 7, 20, 200, 7, 10, 150, 7, 20, 100, 7];
        Op::AutoContrast.apply(&mut rgb, 2);
        assert_eq!(rgb, [0, 0, 7, 255, 255, 7, 0, 127, 7, 255, 0, 7]);
    }

    #[test]
    fn equalising_spreads_a_histogram() {
        // 32 x 32 pixels: 512 of 10, 256 of 20, 256 of 30. Step (1024 - 256) / 255 = 3, half of it 1:
        // 10 -> 1 / 3 = 0, 20 -> 513 / 3 = 171, 30 -> 769 / 3 = 256, cut to 255.
        let mut values = [10; 1024];
        values[512..768].fill(20);
        values[768..].fill(30);
        let got = greys(Op::Equalise, values);
        assert_eq!([got[0], got[600], got[900]], [0, 171, 255]);
        // Too few pixels for one step: nothing changes.
        assert_eq!(greys(Op::Equalise, [50, 80, 110, 150]), [50, 80, 110, 150]);
    }

    #[test]
    fn value_by_value_operations() {
        assert_eq!(greys(Op::Invert, [0, 1, 128, 255]), [255, 254, 127, 0]);
        // 0b1010_1011 with 2 bits is 0b1000_0000.
        assert_eq!(greys(Op::Posterise { bits: 2 }, [0b1010_1011, 63, 64, 255]), [128, 0, 64, 192]);
        assert_eq!(greys(Op::Posterise { bits: 0 }, [1, 63, 64, 255]), [0; 4]);
        assert_eq!(greys(Op::Posterise { bits: 8 }, [1, 63, 64, 255]), [1, 63, 64, 255]);
        assert_eq!(greys(Op::Solarise { threshold: 77 }, [0, 76, 77, 255]), [0, 76, 178, 0]);
        assert_eq!(greys(Op::Solarise { threshold: 256 }, [0, 76, 77, 255]), [0, 76, 77, 255]);
        assert_eq!(greys(Op::SolariseAdd { added: 77 }, [0, 127, 128, 255]), [77, 204, 128, 255]);
        assert_eq!(greys(Op::Brightness { factor: 1.5 }, [0, 101, 170, 200]), [0, 151, 255, 255]);
    }

    #[test]
    fn contrast_moves_values_away_from_the_mean() {
        // Mean (10 + 20 + 30 + 41) / 4 = 25.25, rounded 25: 25 + 2 (v - 25).
        assert_eq!(greys(Op::Contrast { factor: 2.0 }, [10, 20, 30, 41]), [0, 15, 35, 57]);
        assert_eq!(greys(Op::Contrast { factor: 0.0 }, [10, 20, 30, 41]), [25; 4]);
    }

    #[test]
    fn colour_moves_between_grey_and_more_than_itself() {
        // Grey of (200, 100, 50): (200 * 19595 + 100 * 38470 + 50 * 7471 + 32768) / 65536 = 124.7, cut to 124.
        let mut rgb = [200, 100, 50].repeat(4);
        Op::Colour { factor: 0.0 }.apply(&mut rgb, 2);
        assert_eq!(rgb, [124; 12]);
        let mut rgb = [200, 100, 50].repeat(4);
        Op::Colour { factor: 1.5 }.apply(&mut rgb, 2);
        // 124 + 1.5 * (76, -24, -74) = 238, 88, 13.
        assert_eq!(rgb, [238, 88, 13].repeat(4));
    }

    #[test]
    fn sharpness_moves_the_inside_away_from_its_neighbours() {
        // Middle: (5 * 100 + 8 * 35 + 6.5) / 13 = 60.5 cut: smooth 60; 60 + 1.5 * 40 = 120. The border stays.
        let square = [35, 35, 35, 35, 100, 35, 35, 35, 35];
        assert_eq!(greys(Op::Sharpness { factor: 1.5 }, square), [35, 35, 35, 35, 120, 35, 35, 35, 35]);
        assert_eq!(greys(Op::Sharpness { factor: 0.0 }, square), [35, 35, 35, 35, 60, 35, 35, 35, 35]);
    }

    #[test]
    fn a_quarter_turn_is_counter_clockwise() {
        assert_eq!(greys(Op::Rotate { degrees: 90.0 }, [1, 2, 3, 4, 5, 6, 7, 8, 9]), [3, 6, 9, 2, 5, 8, 1, 4, 7]);
        assert_eq!(greys(Op::Rotate { degrees: 180.0 }, [1, 2, 3, 4]), [4, 3, 2, 1]);
    }

    #[test]
    fn translation_and_shear_uncover_the_mean_colour() {
        let mut rgb: Vec<u8> = (1..=9).flat_map(|v| [v; 3]).collect();
        Op::TranslateX { share: 1.0 / 3.0 }.apply(&mut rgb, 3);
        let fill = [124, 116, 104];
        assert_eq!(rgb[..9], [2, 2, 2, 3, 3, 3, fill[0], fill[1], fill[2]]);
        assert_eq!(rgb[18..24], [8, 8, 8, 9, 9, 9]);
        let mut rgb: Vec<u8> = (1..=9).flat_map(|v| [v; 3]).collect();
        Op::TranslateY { share: -1.0 / 3.0 }.apply(&mut rgb, 3);
        assert_eq!(rgb[..3], fill);
        assert_eq!(rgb[9..18], [1, 1, 1, 2, 2, 2, 3, 3, 3]);
        // Row y is read at x + y + 1/2 - the middles of the rows are at 1/2, 3/2, 5/2 -: halfway between columns.
        let mut rgb: Vec<u8> = [0, 10, 20, 0, 10, 20, 0, 10, 20].into_iter().flat_map(|v| [v; 3]).collect();
        Op::ShearX { slope: 1.0 }.apply(&mut rgb, 3);
        assert_eq!([rgb[0], rgb[3], rgb[9]], [5, 15, 15]);
        assert_eq!(rgb[15..18], fill);
    }
}
