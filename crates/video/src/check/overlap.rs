use super::fingerprint::{Fingerprint, SAMPLES_PER_SEC, Sample};
use super::{Checked, Evidence, Overlap};

/// Differing bits of 64 up to which two pictures look alike. Half of them differ by chance.
const LOOK_BITS: u32 = 12;
/// Share of the shorter video that must last beside the other one.
const MIN_COMMON: f64 = 0.5;
/// Share of the samples of the common time that must look alike.
const MIN_SHARE: f64 = 0.85;
/// Share of the changes in either video that must happen in both, at the same time and place.
const MIN_AGREEMENT: f64 = 0.4;
/// Correlation of the changes of all cells over the common time that a copy must reach.
const MIN_CORRELATION: f64 = 0.7;
/// Changes that must happen in both before agreement means anything: a still scene tells nothing.
const MIN_CHANGES: u32 = 48;
/// Fewest samples that are compared, 1.5 seconds.
const MIN_SAMPLES: usize = 12;
/// Samples of the shorter video that are looked up in the other one before any closer look.
const NUM_ANCHORS: usize = 64;

/// The overlaps of one video with those after it. Of several equal files each is paired with the first alone.
pub(super) fn with_later(videos: &[Checked], first: usize) -> Vec<Overlap> {
    let video = &videos[first];
    let is_repeat = || videos[..first].iter().any(|before| same_bytes(before, video));
    let found = |other: &Checked| {
        let evidence = match (&video.fingerprint, &other.fingerprint) {
            _ if same_bytes(video, other) => (!is_repeat()).then_some(Evidence::SameBytes),
            (Some(a), Some(b)) => alike(a, b),
            _ => None,
        }?;
        Some(Overlap { first: video.place.clone(), second: other.place.clone(), evidence })
    };
    let later = videos[first + 1..].iter().filter(|other| !stay_together(video, other));
    later.filter_map(found).collect()
}

/// Videos of one group in one store are on one side of every split.
fn stay_together(a: &Checked, b: &Checked) -> bool {
    a.place.source == b.place.source && !a.groups.is_disjoint(&b.groups)
}

fn same_bytes(a: &Checked, b: &Checked) -> bool {
    a.content_hash.is_some() && a.content_hash == b.content_hash
}

/// Whether two videos show the same pictures, allowing a shift in time.
fn alike(a: &Fingerprint, b: &Fingerprint) -> Option<Evidence> {
    let (short, long) = if a.samples.len() <= b.samples.len() { (a, b) } else { (b, a) };
    if short.samples.len() < MIN_SAMPLES || !worth_a_look(&short.samples, &long.samples) {
        return None;
    }
    let (num_short, num_long) = (short.samples.len() as isize, long.samples.len() as isize);
    let least = ((num_short as f64 * MIN_COMMON) as isize).max(MIN_SAMPLES as isize);
    // The shift at which most changes agree.
    let (best, shift) = (least - num_short..=num_long - least)
        .map(|shift| (Tally::at(&short.samples, &long.samples, shift), shift))
        .max_by_key(|(tally, shift)| (tally.common, tally.num_alike, -shift))?;
    let share = f64::from(best.num_alike) / f64::from(best.num_seen.max(1));
    let agreement = f64::from(best.common) / f64::from(best.either.max(1));
    let correlation = correlation(&short.samples, &long.samples, shift);
    let is_same = best.common >= MIN_CHANGES
        && share >= MIN_SHARE
        && agreement >= MIN_AGREEMENT
        && correlation >= MIN_CORRELATION;
    let later = if std::ptr::eq(short, a) { shift } else { -shift };
    is_same.then_some(Evidence::SamePictures { share, correlation, shift_secs: later as f64 / SAMPLES_PER_SEC })
}

/// Whether enough pictures of the shorter video are anywhere in the longer one: a quick look that most pairs fail.
fn worth_a_look(short: &[Sample], long: &[Sample]) -> bool {
    let looks: Vec<u64> = short.iter().filter_map(|sample| sample.lighter).collect();
    let anchors: Vec<u64> = looks.iter().copied().step_by(looks.len().div_ceil(NUM_ANCHORS).max(1)).collect();
    let is_there = |look: &&u64| long.iter().any(|sample| sample.lighter.is_some_and(|other| near(**look, other)));
    let num_found = anchors.iter().filter(is_there).count();
    num_found > 0 && num_found as f64 >= MIN_COMMON * MIN_SHARE * anchors.len() as f64
}

fn near(a: u64, b: u64) -> bool {
    (a ^ b).count_ones() <= LOOK_BITS
}

/// Sample `k` of `short` beside sample `k + shift` of `long`, as far as both last.
fn beside<'a>(short: &'a [Sample], long: &'a [Sample], shift: isize) -> impl Iterator<Item = (&'a Sample, &'a Sample)> {
    short.iter().skip((-shift).max(0) as usize).zip(long.iter().skip(shift.max(0) as usize))
}

/// Correlation of the changes at one shift, `-1..=1`; their mean is taken as zero.
fn correlation(short: &[Sample], long: &[Sample], shift: isize) -> f64 {
    let dot = |a: &Sample, b: &Sample| -> i64 {
        a.change.iter().zip(&b.change).map(|(a, b)| i64::from(*a) * i64::from(*b)).sum()
    };
    let sums = beside(short, long, shift)
        .fold([0; 3], |[ab, aa, bb], (a, b)| [ab + dot(a, b), aa + dot(a, a), bb + dot(b, b)]);
    let [ab, aa, bb] = sums.map(|sum| sum as f64);
    ab / (aa * bb).sqrt().max(1.0)
}

/// What two videos have in common at one shift.
#[derive(Clone, Copy, Default)]
struct Tally {
    /// Pairs of pictures with contrast.
    num_seen: u32,
    /// Those of them that look alike.
    num_alike: u32,
    /// Changes of cells that both have.
    common: u32,
    /// Changes of cells that one of them has or both.
    either: u32,
}

impl Tally {
    fn at(short: &[Sample], long: &[Sample], shift: isize) -> Tally {
        beside(short, long, shift).fold(Tally::default(), |tally, (a, b)| {
            let looks = a.lighter.zip(b.lighter);
            Tally {
                num_seen: tally.num_seen + u32::from(looks.is_some()),
                num_alike: tally.num_alike + u32::from(looks.is_some_and(|(a, b)| near(a, b))),
                common: tally.common + (a.rising & b.rising).count_ones() + (a.falling & b.falling).count_ones(),
                either: tally.either + (a.rising | b.rising).count_ones() + (a.falling | b.falling).count_ones(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(change: i8) -> Sample {
        let mut cells = [0; 64];
        cells[0] = change;
        Sample { lighter: Some(1), rising: u64::from(change > 4), falling: u64::from(change < -4), change: cells }
    }

    #[test]
    fn a_tally_counts_at_the_shift() {
        let mut long = [9, -9, 9, 0, 9].map(sample);
        long[4].lighter = Some(0xFFFF << 16);
        let short = [9, 0, -9].map(sample);
        // Beside 9, 0, 9 from the third sample on: one rise in both, one fall beside a rise.
        let tally = Tally::at(&short, &long, 2);
        assert_eq!((tally.num_seen, tally.num_alike, tally.common, tally.either), (3, 2, 1, 3));
        // One sample later in the short video: 0, -9 beside 9, -9.
        let tally = Tally::at(&short, &long, -1);
        assert_eq!((tally.num_seen, tally.num_alike, tally.common, tally.either), (2, 2, 1, 2));
        // (81 + 0 - 81) and (0 + 81) / (9 * sqrt(2) * 9).
        assert!(correlation(&short, &long, 2).abs() < 1e-12);
        assert!((correlation(&short, &long, -1) - 0.5_f64.sqrt()).abs() < 1e-12);
    }
}
