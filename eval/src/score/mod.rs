//! Scores of clips, and what they are worth by a published protocol.
//!
//! [`ScoreTable`] (what was answered) and [`Truth`] (what is right) meet in [`evaluate`], by a [`Protocol`]:
//!
//! | protocol      | label spaces     | all                       | subsets                              | of equal scores first |
//! | ------------- | ---------------- | ------------------------- | ------------------------------------ | --------------------- |
//! | `diving48-v2` | `class`          | top-1, top-5, mean class  | none                                 | the lower class       |
//! | `epic100`     | `verb`, `noun`   | top-1, top-5, also action | top-1 of tail and unseen, each target | the higher class      |
//! | `plain`       | those of the scores | top-1, top-5, mean class | none                              | the lower class       |
//!
//! A share is always of all clips of its subset. Every number is in an [`Evaluation`] beside what makes it partial, if anything.

mod action;
mod answers;
mod coverage;
mod evaluation;
mod protocol;
mod table;
#[cfg(test)]
mod tests;
mod truth;

pub use answers::{ClassAnswers, SpaceAnswers, WorstAnswer};
pub use coverage::{Coverage, Missing};
pub use evaluation::{Evaluation, Measure, Metric, Outcome, Subset, evaluate};
pub use protocol::Protocol;
pub use table::{Averaging, ScoreHeader, ScoreTable, ScoreValues, StoredViews};
pub use truth::{Truth, TruthClip, TruthSpace};
