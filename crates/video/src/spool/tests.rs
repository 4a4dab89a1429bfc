use proptest::prelude::*;

use super::*;

/// A journal of a header and rows with so many bytes of data each.
fn journal(lens: &[u8]) -> (Vec<u8>, Vec<usize>) {
    let mut text = b"\"header\"\n".to_vec();
    let (mut ends, mut data_bytes) = (vec![text.len()], 0);
    for (k, len) in lens.iter().enumerate() {
        data_bytes += u64::from(*len);
        text.extend(serde_json::to_vec(&Line { data_bytes, row: k }).unwrap());
        text.push(b'\n');
        ends.push(text.len());
    }
    (text, ends)
}

fn rows(text: &[u8], data_bytes: u64) -> Option<(Vec<End>, Vec<usize>)> {
    whole_lines::<String, usize>(text, data_bytes).map(|(_, ends, rows)| (ends, rows))
}

proptest! {
    #[test]
    fn any_bytes_are_a_journal_or_none(text: Vec<u8>, data_bytes: u64) {
        if let Some((ends, rows)) = rows(&text, data_bytes) {
            prop_assert_eq!(ends.len(), rows.len() + 1);
            prop_assert!(ends.iter().all(|end| end.journal_bytes <= text.len() as u64 && end.data_bytes <= data_bytes));
        }
    }

    /// However much of both files a kill left, what counts is the rows that are whole in both.
    #[test]
    fn a_cut_journal_has_the_rows_that_are_whole(lens: Vec<u8>, cut: prop::sample::Index, data_share in 0.0..=1.0) {
        let (text, ends) = journal(&lens);
        let cut = cut.index(text.len() + 1);
        let all: u64 = lens.iter().map(|len| u64::from(*len)).sum();
        let data_bytes = (all as f64 * data_share) as u64;
        let mut sum = 0;
        let fits = |(len, end): &(&u8, &usize)| {
            sum += u64::from(**len);
            sum <= data_bytes && **end <= cut
        };
        let num_whole = lens.iter().zip(&ends[1..]).take_while(fits).count();
        match rows(&text[..cut], data_bytes) {
            Some((_, rows)) => prop_assert_eq!(rows, (0..num_whole).collect::<Vec<_>>()),
            None => prop_assert!(cut < ends[0]),
        }
    }

    #[test]
    fn a_journal_with_a_changed_byte_has_fewer_rows_or_as_many(lens: Vec<u8>, at: prop::sample::Index, byte: u8) {
        let (mut text, _) = journal(&lens);
        let at = at.index(text.len());
        text[at] = byte;
        if let Some((ends, rows)) = rows(&text, u64::MAX) {
            prop_assert!(rows.len() <= lens.len() + 1 && ends.is_sorted_by_key(|end| end.data_bytes));
        }
    }
}
