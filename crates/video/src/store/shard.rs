use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::VideoError;

/// One of several parts that an import is divided into, so that several machines share the work. Written `2/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shard {
    /// From 0.
    index: u32,
    count: u32,
}

impl Shard {
    /// The one part of an import that is not divided.
    pub const WHOLE: Shard = Shard { index: 0, count: 1 };

    /// From 0.
    pub fn index(self) -> u32 {
        self.index
    }

    /// How many parts there are.
    pub fn count(self) -> u32 {
        self.count
    }

    /// Which of `len` sorted files are in this part: neighbours, so that the parts in order are the whole.
    pub fn range(self, len: usize) -> Range<usize> {
        let end = |index: u32| (len as u64 * u64::from(index) / u64::from(self.count)) as usize;
        end(self.index)..end(self.index + 1)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index + 1, self.count)
    }
}

impl FromStr for Shard {
    type Err = VideoError;

    fn from_str(text: &str) -> Result<Self, VideoError> {
        let rule = "part/parts, such as 1/8 to 8/8";
        let parts = text.split_once('/').and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        match parts {
            Some((number @ 1.., count)) if number <= count => Ok(Shard { index: number - 1, count }),
            _ => Err(VideoError::Option { option: "shard", value: format!("{text:?}"), rule }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_in_order_are_the_whole() {
        for (len, count) in [(10, 3), (2, 5), (0, 4), (7, 1)] {
            let parts = (1..=count).map(|k| format!("{k}/{count}").parse::<Shard>().unwrap().range(len));
            assert_eq!(parts.flatten().collect::<Vec<_>>(), (0..len).collect::<Vec<_>>(), "{len} in {count}");
        }
    }

    #[test]
    fn a_part_that_is_not_there_is_refused() {
        for text in ["0/4", "5/4", "1", "1/0", "a/b", "-1/4", "1/4/2"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
        assert_eq!("3/4".parse::<Shard>().unwrap().to_string(), "3/4");
    }
}
