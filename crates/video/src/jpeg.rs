//! Frames as JPEG, the form in which the clip store keeps them.

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use crate::VideoError;

/// Quality of frames that are encoded here: about a tenth of the raw size on real video (measured), no visible blocks.
/// Our choice.
const QUALITY: u8 = 90;

/// Whether bytes begin with a JPEG, by its markers alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outline {
    /// A JPEG from start to end marker.
    Whole(Extent),
    /// What may become one with more bytes.
    CutShort,
    /// Something else.
    Damaged,
}

/// Length and size of a JPEG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// From start to end marker.
    pub(crate) num_bytes: usize,
    pub(crate) width_px: u32,
    pub(crate) height_px: u32,
}

/// Finds the end and the size of the JPEG at the beginning of `bytes`, without decoding it.
pub(crate) fn outline(bytes: &[u8]) -> Outline {
    let word = |at: usize| Some(usize::from(*bytes.get(at)?) << 8 | usize::from(*bytes.get(at + 1)?));
    if bytes.len() >= 2 && !bytes.starts_with(&[0xFF, 0xD8]) {
        return Outline::Damaged;
    }
    let (mut at, mut size) = (2, None);
    while let Some(marker) = word(at) {
        match marker {
            0xFFD9 => {
                let whole = |(width_px, height_px)| Extent { num_bytes: at + 2, width_px, height_px };
                return size.map(whole).map_or(Outline::Damaged, Outline::Whole);
            }
            0xFF01..=0xFFFE => {}
            _ => return Outline::Damaged,
        }
        let Some(len) = word(at + 2) else { break };
        // Start of frame, whatever the kind of coding: precision, height, width.
        if matches!(marker, 0xFFC0..=0xFFC2)
            && let (Some(height), Some(width)) = (word(at + 5), word(at + 7))
        {
            size = Some((width as u32, height as u32));
        }
        at += 2 + len;
        if marker == 0xFFDA {
            let Some(scan) = bytes.get(at..).and_then(scan_bytes) else { break };
            at += scan;
        }
    }
    Outline::CutShort
}

/// Length of entropy-coded data: up to the first 0xFF that is neither stuffing nor a restart marker.
fn scan_bytes(bytes: &[u8]) -> Option<usize> {
    let ends = |at: &usize| !matches!(bytes.get(at + 1), None | Some(0 | 0xD0..=0xD7 | 0xFF));
    memchr::memchr_iter(0xFF, bytes).find(ends)
}

/// A picture as rows of interleaved red, green, blue, each `0..=255`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Width.
    pub width_px: u32,
    /// Height.
    pub height_px: u32,
    /// `[height_px, width_px, 3]`, row-major.
    pub rgb: Vec<u8>,
}

/// Encodes `rgb` (`[height_px, width_px, 3]`) with 4:2:0 chroma at quality 90, for a store of frames of one's own; an import
/// stores the pictures that ffmpeg makes.
///
/// # Errors
/// [`VideoError::Picture`] when a side is 0, above 65535, or does not fit the number of bytes.
pub fn encode(width_px: u32, height_px: u32, rgb: &[u8]) -> Result<Vec<u8>, VideoError> {
    let refuse = |problem: String| VideoError::Picture { width_px, height_px, problem };
    let side = |px: u32| u16::try_from(px).map_err(|_over| refuse("a side is above 65535 pixels".to_owned()));
    let (width, height) = (side(width_px)?, side(height_px)?);
    if rgb.len() as u64 != u64::from(width_px) * u64::from(height_px) * 3 {
        return Err(refuse(format!("{} bytes are given", rgb.len())));
    }
    let mut jpeg = Vec::with_capacity(rgb.len() / 8);
    let mut encoder = Encoder::new(&mut jpeg, QUALITY);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.encode(rgb, width, height, ColorType::Rgb).map_err(|err| refuse(err.to_string()))?;
    Ok(jpeg)
}

/// Decodes one JPEG to RGB.
///
/// # Errors
/// [`VideoError::Jpeg`] when the data is damaged or cut short.
pub fn decode(jpeg: &[u8]) -> Result<Picture, VideoError> {
    // The decoder fills what a cut-off stream lacks with grey; the end marker tells.
    if !jpeg.ends_with(&[0xFF, 0xD9]) {
        return Err(VideoError::Jpeg { problem: "the end marker is missing".to_owned() });
    }
    let options = DecoderOptions::default().set_strict_mode(true).jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(jpeg), options);
    let failed = |problem: String| VideoError::Jpeg { problem };
    let rgb = decoder.decode().map_err(|err| failed(format!("{err:?}")))?;
    let (width, height) = decoder.dimensions().ok_or_else(|| failed("no size".to_owned()))?;
    if rgb.len() != width * height * 3 {
        return Err(failed(format!("{width}x{height} pixels in {} bytes", rgb.len())));
    }
    // Both sides of a JPEG are 16-bit numbers.
    Ok(Picture { width_px: width as u32, height_px: height as u32, rgb })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A smooth ramp, which chroma subsampling hardly touches.
    fn ramp(width: u32, height: u32) -> Vec<u8> {
        (0..height).flat_map(|y| (0..width).flat_map(move |x| [(x * 2) as u8, (y * 2) as u8, 90])).collect()
    }

    #[test]
    fn a_smooth_picture_comes_back_within_a_few_grey_levels() {
        let rgb = ramp(97, 64);
        let back = decode(&encode(97, 64, &rgb).unwrap()).unwrap();
        assert_eq!((back.width_px, back.height_px), (97, 64));
        let worst = rgb.iter().zip(&back.rgb).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst <= 6, "{worst}");
    }

    #[test]
    fn a_jpeg_cut_anywhere_is_an_error_and_not_grey() {
        let whole = encode(64, 64, &ramp(64, 64)).unwrap();
        for keep in (0..whole.len()).step_by(7) {
            assert!(decode(&whole[..keep]).is_err(), "{keep} of {}", whole.len());
        }
        let mut gap = whole[..whole.len() / 2].to_vec();
        gap.extend([0xFF, 0xD9]);
        assert!(decode(&gap).is_err(), "half of the data with an end marker");
    }

    #[test]
    fn an_outline_is_the_size_and_the_length() {
        let jpeg = encode(40, 24, &ramp(40, 24)).unwrap();
        let whole = Outline::Whole(Extent { num_bytes: jpeg.len(), width_px: 40, height_px: 24 });
        assert_eq!(outline(&jpeg), whole);
        assert_eq!(outline(&[jpeg.as_slice(), b"what follows"].concat()), whole);
        for len in 0..jpeg.len() {
            assert_eq!(outline(&jpeg[..len]), Outline::CutShort, "{len} bytes");
        }
        assert_eq!(outline(b"P6 40 24"), Outline::Damaged);
    }

    #[test]
    fn sizes_that_jpeg_cannot_hold_are_refused() {
        assert!(matches!(encode(0, 4, &[]), Err(VideoError::Picture { .. })));
        assert!(matches!(encode(70_000, 1, &vec![0; 210_000]), Err(VideoError::Picture { .. })));
        assert!(matches!(encode(4, 4, &[0; 5]), Err(VideoError::Picture { .. })));
    }
}
