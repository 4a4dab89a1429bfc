use super::fingerprint::{Fingerprint, SAMPLES_PER_SEC, Sample};
use super::{Checked, Evidence, Overlap};

/// Differing bits of 64 up to which two pictures look alike. Half of them differ by chance.
const LOOK_BITS: u32 = 12;
/// Share of the shorter video's samples that must look alike.
const MIN_SHARE: f64 = 0.5;
/// Share of the changes in either video that must happen in both, at the same time and place.
const MIN_AGREEMENT: f64 = 0.4;
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
    videos[first + 1..].iter().filter_map(found).collect()
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
    let least = (num_short / 2).max(MIN_SAMPLES as isize);
    // The shift at which most changes agree.
    let (best, shift) = (least - num_short..=num_long - least)
        .map(|shift| (Tally::at(&short.samples, &long.samples, shift), shift))
        .max_by_key(|(tally, shift)| (tally.common, tally.num_alike, -shift))?;
    let num_looks = short.samples.iter().filter(|sample| sample.lighter.is_some()).count();
    let share = f64::from(best.num_alike) / num_looks.max(1) as f64;
    let agreement = f64::from(best.common) / f64::from(best.either.max(1));
    let is_same = best.common >= MIN_CHANGES && share >= MIN_SHARE && agreement >= MIN_AGREEMENT;
    let later = if std::ptr::eq(short, a) { shift } else { -shift };
    is_same.then_some(Evidence::SamePictures { share, agreement, shift_secs: later as f64 / SAMPLES_PER_SEC })
}

/// Whether enough pictures of the shorter video are anywhere in the longer one: a quick look that most pairs fail.
fn worth_a_look(short: &[Sample], long: &[Sample]) -> bool {
    let looks: Vec<u64> = short.iter().filter_map(|sample| sample.lighter).collect();
    let anchors: Vec<u64> = looks.iter().copied().step_by(looks.len().div_ceil(NUM_ANCHORS).max(1)).collect();
    let is_there = |look: &&u64| long.iter().any(|sample| sample.lighter.is_some_and(|other| near(**look, other)));
    let num_found = anchors.iter().filter(is_there).count();
    num_found > 0 && num_found as f64 >= MIN_SHARE * anchors.len() as f64
}

fn near(a: u64, b: u64) -> bool {
    (a ^ b).count_ones() <= LOOK_BITS
}

/// What two videos have in common at one shift.
#[derive(Clone, Copy, Default)]
struct Tally {
    num_alike: u32,
    /// Changes of cells that both have.
    common: u32,
    /// Changes of cells that one of them has or both.
    either: u32,
}

impl Tally {
    /// Sample `k` of `short` beside sample `k + shift` of `long`.
    fn at(short: &[Sample], long: &[Sample], shift: isize) -> Tally {
        let skipped = (-shift).max(0) as usize;
        let pairs = short.iter().skip(skipped).zip(long.iter().skip(shift.max(0) as usize));
        pairs.fold(Tally::default(), |tally, (a, b)| Tally {
            num_alike: tally.num_alike + u32::from(a.lighter.zip(b.lighter).is_some_and(|(a, b)| near(a, b))),
            common: tally.common + (a.rising & b.rising).count_ones() + (a.falling & b.falling).count_ones(),
            either: tally.either + (a.rising | b.rising).count_ones() + (a.falling | b.falling).count_ones(),
        })
    }
}
