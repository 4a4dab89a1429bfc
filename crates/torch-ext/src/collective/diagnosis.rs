//! From a failed exchange to the rank that caused it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::error::{GroupError, Loss, Ranks};
use super::letters::{Delivery, Letter, LetterBox};
use crate::Error;

/// How long the other survivors may take to say that they are waiting too: several of their looks into the letter box.
const PATIENCE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

/// Finds out why an exchange failed after `waited` and tells the other ranks, who stop waiting when they read it.
pub(super) fn diagnose(letters: &LetterBox, failure: Error, waited: Duration) -> GroupError {
    let mut heard = vec![false; letters.others().count() + 1];
    let found = letters.others().map(|rank| (rank, letters.send(rank, &Letter::Present))).collect::<Vec<_>>();
    let until = Instant::now() + PATIENCE;
    loop {
        // A letter counts more than what we see ourselves: its writer may be gone by now as well.
        for (from, letter) in letters.take() {
            match letter {
                Letter::Stopped { said } => return GroupError::Stopped { rank: from, said },
                Letter::Lost { ranks, how } => return GroupError::Lost { ranks, how },
                Letter::Present => heard[from] = true,
            }
        }
        let missing: Vec<usize> = letters.others().filter(|rank| !heard[*rank]).collect();
        if missing.is_empty() {
            // All are here: the failure is libtorch's own.
            return GroupError::Torch(failure);
        }
        let seen = found.iter().filter(|(rank, _)| missing.contains(rank));
        if let Some((ranks, how)) = absent(seen.copied()) {
            return tell(letters, ranks, how);
        }
        if Instant::now() >= until {
            // Somebody may have been ending when the first letter came.
            let again = missing.iter().map(|rank| (*rank, letters.send(*rank, &Letter::Present)));
            let silent = (Ranks(missing.clone()), Loss::Silent { secs: waited.as_secs() });
            let (ranks, how) = absent(again).unwrap_or(silent);
            return tell(letters, ranks, how);
        }
        sleep(POLL);
    }
}

/// Who did not take a letter: the ended ones, else those whose machine does not answer.
fn absent(found: impl Iterator<Item = (usize, Delivery)>) -> Option<(Ranks, Loss)> {
    let found: Vec<(usize, Delivery)> = found.collect();
    let with = |delivery| -> Vec<usize> {
        found.iter().filter(|(_, found)| *found == delivery).map(|(rank, _)| *rank).collect()
    };
    let causes = [(with(Delivery::Refused), Loss::Gone), (with(Delivery::NoAnswer), Loss::Unreachable)];
    causes.into_iter().find(|(ranks, _)| !ranks.is_empty()).map(|(ranks, how)| (Ranks(ranks), how))
}

/// Writes to all who can read it. Whoever was only late learns what was made of it.
fn tell(letters: &LetterBox, ranks: Ranks, how: Loss) -> GroupError {
    let is_late = matches!(how, Loss::Silent { .. });
    for other in letters.others().filter(|rank| is_late || !ranks.0.contains(rank)) {
        letters.send(other, &Letter::Lost { ranks: ranks.clone(), how });
    }
    GroupError::Lost { ranks, how }
}
