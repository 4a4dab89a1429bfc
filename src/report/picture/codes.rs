use super::patches::viridis;
use super::{GAP_COLOUR, Picture};
use crate::report::ReportError;

/// Side of a cell, pixels.
const CELL_PX: usize = 16;

/// A value with this many times its even share of the tokens, or more, is brightest.
const BRIGHTEST: f32 = 2.0;

/// A row of cells; a digit with more values goes on in the next.
const MAX_COLUMNS: usize = 64;

/// Cells of a digit with more values than these stand for several neighbouring ones each.
const MAX_CELLS: usize = MAX_COLUMNS * MAX_COLUMNS;

/// The cells of one digit.
struct Digit {
    num_values: usize,
    /// Values that a cell stands for.
    per_cell: usize,
    num_cells: usize,
}

impl Digit {
    fn new(num_values: i64) -> Self {
        let num_values = num_values.max(1) as usize;
        let per_cell = num_values.div_ceil(MAX_CELLS);
        Digit { num_values, per_cell, num_cells: num_values.div_ceil(per_cell) }
    }

    fn rows(&self) -> usize {
        self.num_cells.div_ceil(MAX_COLUMNS)
    }
}

impl Picture {
    /// How tokens use their codes, digit by digit: one row per digit, one cell per value of it; a digit of more than 64 values
    /// goes on in further rows. For a finite scalar quantizer the digits are its channels, for a learned codebook there is one,
    /// the code itself. Dark blue is a value without a token, teal one with its even share, yellow one with twice that or more;
    /// grey is beyond the last value.
    ///
    /// * `codes` - of all tokens, in `0..K`; digit 0 is the fastest
    /// * `digits` - how many values each has, at least 1; K is their product
    ///
    /// # Errors
    /// [`ReportError::CodeRange`]; [`ReportError::PictureSize`] without a digit.
    pub(crate) fn code_use(codes: &[u32], digits: &[i64]) -> Result<Self, ReportError> {
        let num_codes: i64 = digits.iter().product();
        if let Some(code) = codes.iter().find(|code| i64::from(**code) >= num_codes) {
            return Err(ReportError::CodeRange { code: *code, num_codes });
        }
        let digits: Vec<Digit> = digits.iter().map(|num_values| Digit::new(*num_values)).collect();
        let columns = digits.iter().map(|digit| digit.num_cells.min(MAX_COLUMNS)).max().unwrap_or(0);
        let mut cells = Self::filled(columns, digits.iter().map(Digit::rows).sum(), GAP_COLOUR)?;
        let (mut basis, mut top) = (1, 0);
        for digit in &digits {
            let mut counts = vec![0usize; digit.num_cells];
            for code in codes {
                counts[*code as usize / basis % digit.num_values / digit.per_cell] += 1;
            }
            let even = codes.len().max(1) as f32 / digit.num_cells as f32;
            for (cell, count) in counts.iter().enumerate() {
                let colour = viridis(*count as f32 / even / BRIGHTEST);
                cells.set(cell % MAX_COLUMNS, top + cell / MAX_COLUMNS, colour);
            }
            basis *= digit.num_values;
            top += digit.rows();
        }
        cells.upscale(if columns < MAX_COLUMNS { CELL_PX } else { CELL_PX / 2 })
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
    fn a_large_codebook_goes_on_in_further_rows() {
        // 130 codes in rows of 64 of 8 pixels each: 129 is the second cell of the third row.
        let picture = Picture::code_use(&[129], &[130]).unwrap();
        assert_eq!((picture.width(), picture.height()), (64 * 8, 3 * 8));
        assert_eq!(picture.at(8 + 4, 16 + 4), [253, 231, 37]);
        assert_eq!(picture.at(4, 4), [68, 1, 84]);
        assert_eq!(picture.at(2 * 8 + 4, 16 + 4), GAP_COLOUR);
        // 2^18 codes: 64 neighbours to a cell; 200 is in the fourth.
        let picture = Picture::code_use(&[200], &[1 << 18]).unwrap();
        assert_eq!((picture.width(), picture.height()), (64 * 8, 64 * 8));
        assert_eq!(picture.at(3 * 8 + 4, 4), [253, 231, 37]);
    }

    #[test]
    fn codes_of_another_quantizer_are_refused() {
        let refused = Picture::code_use(&[0, 6], &[2, 3]);
        assert!(matches!(refused, Err(ReportError::CodeRange { code: 6, num_codes: 6 })));
        assert!(matches!(Picture::code_use(&[], &[]), Err(ReportError::PictureSize { .. })));
    }
}
