use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ScoreTable;
use crate::EvalError;

/// How a data set is scored: which label spaces, subsets and measures, and which class stands first of equal scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// Diving48 V2: one of 48 dives, of which one has no clip. Top-1, top-5, and the mean over the classes that have clips.
    #[serde(rename = "diving48-v2")]
    Diving48V2,
    /// EPIC-KITCHENS-100 action recognition (challenge C1): verbs, nouns and their pairs. Top-1 and top-5 of all segments, top-1
    /// of tail classes and of unseen participants.
    #[serde(rename = "epic100")]
    Epic100,
    /// Any labelled clips: top-1, top-5 and the mean over classes in each label space.
    #[serde(rename = "plain")]
    Plain,
}

/// Which class stands first of those with equal scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ties {
    /// The lower one, as `argmax` has it.
    Lower,
    /// The higher one, as `numpy.argsort` read backwards has it.
    Higher,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Protocol; 3] = [Protocol::Diving48V2, Protocol::Epic100, Protocol::Plain];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Diving48V2 => "diving48-v2",
            Protocol::Epic100 => "epic100",
            Protocol::Plain => "plain",
        }
    }

    pub(super) fn ties(self) -> Ties {
        match self {
            Protocol::Epic100 => Ties::Higher,
            Protocol::Diving48V2 | Protocol::Plain => Ties::Lower,
        }
    }

    /// Label spaces that are scored; of a plain set, all that there are scores of.
    pub fn spaces(self, table: &ScoreTable) -> Vec<String> {
        match self {
            Protocol::Diving48V2 => vec!["class".to_owned()],
            Protocol::Epic100 => vec!["verb".to_owned(), "noun".to_owned()],
            Protocol::Plain => table.spaces().map(|(name, _)| name.to_owned()).collect(),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Protocol {
    type Err = EvalError;

    fn from_str(text: &str) -> Result<Self, EvalError> {
        let found = Protocol::ALL.into_iter().find(|protocol| protocol.name() == text);
        found.ok_or_else(|| EvalError::UnknownProtocol { name: text.to_owned() })
    }
}

/// Number of classes that stand before the right one.
pub(super) fn rank(scores: &[f64], label: usize, ties: Ties) -> usize {
    let before = |class: usize| match ties {
        Ties::Lower => class < label,
        Ties::Higher => class > label,
    };
    let stands_before =
        |(class, score): &(usize, &f64)| **score > scores[label] || (**score == scores[label] && before(*class));
    scores.iter().enumerate().filter(stands_before).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_found_by_their_names() {
        for protocol in Protocol::ALL {
            assert_eq!(protocol.name().parse::<Protocol>().unwrap(), protocol);
            assert_eq!(serde_json::to_value(protocol).unwrap(), protocol.name());
        }
        let said = "epic-100".parse::<Protocol>().unwrap_err().to_string();
        assert_eq!(said, "no protocol is called \"epic-100\": there are diving48-v2, epic100, plain");
    }

    #[test]
    fn ties_go_to_the_lower_or_to_the_higher_class() {
        let scores = [0.5, 0.9, 0.5, 0.5];
        assert_eq!([0, 1, 2, 3].map(|label| rank(&scores, label, Ties::Lower)), [1, 0, 2, 3]);
        assert_eq!([0, 1, 2, 3].map(|label| rank(&scores, label, Ties::Higher)), [3, 0, 2, 1]);
    }
}
