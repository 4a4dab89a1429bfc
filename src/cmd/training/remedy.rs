//! After a run ran out of memory: which settings would fit, found by trying.

use std::io::Write as _;

use tch::Device;
use torch_ext::memory;
use train::BatchSplit;

use crate::exit::one_line;
use crate::session::Session;

/// A run that ran out of memory, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{said}; {remedy}")]
pub(crate) struct OutOfMemory {
    said: String,
    remedy: String,
}

/// What of a run's settings its memory depends on, results apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Clips of a step on this rank.
    num_clips: i64,
    /// Micro-batches that they are split into.
    accumulate: i64,
    /// Where blocks can be recomputed: the setting's key.
    recompute: Option<&'static str>,
}

impl Room {
    /// * `recompute` - where blocks can be recomputed: the setting's key
    pub(crate) fn of(split: BatchSplit, recompute: Option<&'static str>) -> Self {
        let num_clips = (split.accumulate * split.num_clips) as i64;
        Room { num_clips, accumulate: split.accumulate as i64, recompute }
    }

    /// Changes that leave the result as it is, cheapest first: more micro-batches take no time worth the name, recomputing
    /// blocks a third more.
    fn changes(self) -> Vec<Vec<String>> {
        let smaller = (self.accumulate + 1..=self.num_clips).filter(|parts| self.num_clips % parts == 0);
        let splits: Vec<String> = smaller.map(|parts| format!("train.accumulate={parts}")).collect();
        let mut changes: Vec<Vec<String>> = splits.iter().map(|split| vec![split.clone()]).collect();
        if let Some(key) = self.recompute {
            let recompute = format!("{key}=\"every_block\"");
            changes.push(vec![recompute.clone()]);
            changes.extend(splits.into_iter().map(|split| vec![recompute.clone(), split]));
        }
        changes
    }
}

/// Adds to an error that says that memory ran out which change of settings would have fitted; other errors pass through.
/// The first change that does not run out again is the one. To be called once the run's own tensors are gone.
///
/// * `step` - a training step on noise under the given changes of settings
pub(crate) fn with_remedy(
    err: anyhow::Error,
    room: Room,
    session: &Session,
    step: impl Fn(&[String]) -> anyhow::Result<()>,
) -> anyhow::Error {
    if !is_out_of_memory(&err) {
        return err;
    }
    let changes = room.changes();
    // Several ranks would have to try at once, and the others are ending.
    let alone = session.ranks().is_ok_and(|ranks| ranks.num_ranks() == 1);
    for sets in if alone { &changes[..] } else { &[] } {
        writeln!(std::io::stderr(), "out of memory; trying {}", sets.join(", ")).ok();
        memory::reset_peak(session.device).ok();
        match step(sets) {
            Ok(()) => {
                let sets: Vec<String> = sets.iter().map(|set| format!("--set '{set}'")).collect();
                let remedy = format!("this fits{}: go on with --resume {}", peak(session.device), sets.join(" "));
                return OutOfMemory { said: one_line(&err), remedy }.into();
            }
            Err(again) if is_out_of_memory(&again) => {}
            Err(_) => break,
        }
    }
    let remedy = match (alone, changes.is_empty()) {
        (true, _) => "no setting that leaves the result as it is makes it fit: lower clip.num_frames, clip.size_px or \
                      the model's width and depth"
            .to_owned(),
        (false, false) => format!("go on with --resume and one of {}", changes.concat().join(", ")),
        (false, true) => "train with more ranks, or lower clip.num_frames".to_owned(),
    };
    OutOfMemory { said: one_line(&err), remedy }.into()
}

fn peak(device: Device) -> String {
    let peak = memory::stats(device).ok().map(|stats| stats.peak_bytes).filter(|bytes| *bytes > 0);
    peak.map_or_else(String::new, |bytes| format!(" ({:.2} GiB at the peak)", bytes as f64 / (1u64 << 30) as f64))
}

/// By the words: the types that carry it are those of every crate that computes.
fn is_out_of_memory(err: &anyhow::Error) -> bool {
    err.chain().any(|cause| torch_ext::is_out_of_memory(&cause.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn micro_batches_are_tried_before_recomputing() {
        let room = Room { num_clips: 6, accumulate: 2, recompute: Some("model.encoder.recompute") };
        let changes: Vec<String> = room.changes().into_iter().map(|sets| sets.join(" ")).collect();
        let recompute = "model.encoder.recompute=\"every_block\"";
        let want = [
            "train.accumulate=3".to_owned(),
            "train.accumulate=6".to_owned(),
            recompute.to_owned(),
            format!("{recompute} train.accumulate=3"),
            format!("{recompute} train.accumulate=6"),
        ];
        assert_eq!(changes, want);
        assert!(Room { num_clips: 1, accumulate: 1, recompute: None }.changes().is_empty());
    }
}
