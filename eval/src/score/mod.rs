//! Scores of clips and what they are worth by a published protocol.

mod table;

pub use table::{Averaging, ScoreHeader, ScoreTable, ScoreValues, StoredViews};
