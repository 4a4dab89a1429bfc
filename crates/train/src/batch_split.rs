/// How the clips of one step are shared out: to ranks, then to micro-batches, in order, the same number to each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSplit {
    /// Processes that train together.
    pub num_ranks: usize,
    /// Micro-batches of each rank.
    pub accumulate: usize,
    /// Clips of one micro-batch.
    pub num_clips: usize,
}

impl BatchSplit {
    /// The clips of one rank among those of the step.
    pub fn of_rank(&self, rank: usize) -> std::ops::Range<usize> {
        let num_clips = self.accumulate * self.num_clips;
        rank * num_clips..(rank + 1) * num_clips
    }
}

impl std::fmt::Display for BatchSplit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let BatchSplit { num_ranks, accumulate, num_clips } = self;
        let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let batch = count(num_ranks * accumulate * num_clips, "clip");
        let (ranks, parts) = (count(*num_ranks, "rank"), count(*accumulate, "micro-batch").replace("chs", "ches"));
        write!(f, "{batch} = {ranks} x {parts} x {}", count(*num_clips, "clip"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_clip_of_a_step_goes_to_one_rank() {
        let split = BatchSplit { num_ranks: 2, accumulate: 3, num_clips: 2 };
        assert_eq!((split.of_rank(0), split.of_rank(1)), (0..6, 6..12));
        assert_eq!(split.to_string(), "12 clips = 2 ranks x 3 micro-batches x 2 clips");
        let one = BatchSplit { num_ranks: 1, accumulate: 1, num_clips: 1 };
        assert_eq!(one.to_string(), "1 clip = 1 rank x 1 micro-batch x 1 clip");
    }
}
