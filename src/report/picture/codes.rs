use super::patches::viridis;
use super::{GAP_COLOUR, Picture};
use crate::report::ReportError;

/// Side of a cell, pixels.
const CELL_PX: usize = 16;

/// A level with this many times its even share of the tokens, or more, is brightest.
const BRIGHTEST: f32 = 2.0;

impl Picture {
    /// How the tokens spread over the levels of a finite scalar quantizer: one row per channel, one column per level.
    /// Dark blue is a level without a token, teal one with its even share, yellow one with twice that or more; grey is
    /// beyond the channel's last level.
    ///
    /// * `codes` - of all tokens, in `0..K`; channel 0 is the fastest digit, as `vector_quantize::Fsq` counts
    /// * `levels` - of each channel, at least 1; K is their product
    ///
    /// # Errors
    /// [`ReportError::CodeRange`]; [`ReportError::PictureSize`] without a channel or with too many levels.
    pub(crate) fn code_use(codes: &[u32], levels: &[i64]) -> Result<Self, ReportError> {
        let num_codes: i64 = levels.iter().product();
        if let Some(code) = codes.iter().find(|code| i64::from(**code) >= num_codes) {
            return Err(ReportError::CodeRange { code: *code, num_codes });
        }
        let most_levels = levels.iter().copied().max().unwrap_or(0) as usize;
        let mut cells = Self::filled(most_levels, levels.len(), GAP_COLOUR)?;
        let mut basis = 1;
        for (channel, num_levels) in levels.iter().enumerate() {
            let mut counts = vec![0usize; *num_levels as usize];
            for code in codes {
                counts[(i64::from(*code) / basis % num_levels) as usize] += 1;
            }
            let even = codes.len().max(1) as f32 / *num_levels as f32;
            for (level, count) in counts.iter().enumerate() {
                cells.set(level, channel, viridis(*count as f32 / even / BRIGHTEST));
            }
            basis *= num_levels;
        }
        cells.upscale(CELL_PX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_counts_its_own_digit() {
        // Levels 2 and 3: code = first + 2 * second. 0 = (0, 0), 2 = (0, 1), 4 = (0, 2), 5 = (1, 2).
        let picture = Picture::code_use(&[0, 2, 4, 5], &[2, 3]).unwrap();
        assert_eq!((picture.width(), picture.height()), (3 * 16, 2 * 16));
        let cell = |level: usize, channel: usize| picture.at(level * 16 + 8, channel * 16 + 8);
        // First channel: three of four tokens at level 0, whose even share is two: 1.5 / 2; one at level 1: 0.5 / 2.
        assert_eq!([cell(0, 0), cell(1, 0)], [viridis(0.75), viridis(0.25)]);
        assert_eq!(cell(2, 0), GAP_COLOUR, "the first channel has no third level");
        // Second channel: 1, 1 and 2 of 4, whose even share is 4 / 3.
        assert_eq!([cell(0, 1), cell(1, 1), cell(2, 1)], [viridis(0.375), viridis(0.375), viridis(0.75)]);
    }

    #[test]
    fn a_level_that_no_token_takes_is_dark_and_a_crowded_one_yellow() {
        let picture = Picture::code_use(&[3, 3, 3], &[4]).unwrap();
        assert_eq!([picture.at(0, 0), picture.at(63, 0)], [[68, 1, 84], [253, 231, 37]]);
        assert_eq!(Picture::code_use(&[], &[4]).unwrap().at(63, 15), [68, 1, 84]);
    }

    #[test]
    fn codes_of_another_quantizer_are_refused() {
        let refused = Picture::code_use(&[0, 6], &[2, 3]);
        assert!(matches!(refused, Err(ReportError::CodeRange { code: 6, num_codes: 6 })));
        assert!(matches!(Picture::code_use(&[], &[]), Err(ReportError::PictureSize { .. })));
    }
}
