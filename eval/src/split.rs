use std::collections::BTreeSet;

use crate::{EvalError, Features};

/// Training and test clips that share no group.
#[derive(Clone, Debug)]
pub struct Split {
    train: Features,
    test: Features,
    num_classes: usize,
}

impl Split {
    /// * `num_classes` - labels run from 0 up to below it; some may have no clips
    ///
    /// # Errors
    /// [`EvalError::SharedGroups`], [`EvalError::Widths`], [`EvalError::Label`].
    pub fn new(train: Features, test: Features, num_classes: usize) -> Result<Self, EvalError> {
        if train.width() != test.width() {
            return Err(EvalError::Widths { train: train.width(), test: test.width() });
        }
        train.expect_classes(num_classes)?;
        test.expect_classes(num_classes)?;
        expect_disjoint(train.groups(), test.groups())?;
        Ok(Split { train, test, num_classes })
    }

    /// What a probe may learn from.
    pub fn train(&self) -> &Features {
        &self.train
    }

    /// What it is measured on.
    pub fn test(&self) -> &Features {
        &self.test
    }

    /// Number of classes, those without clips included.
    pub fn num_classes(&self) -> usize {
        self.num_classes
    }
}

/// Checks that no group stands on both sides: to be asked before hours go into features.
///
/// # Errors
/// [`EvalError::SharedGroups`] names them.
pub fn expect_disjoint<S: AsRef<str>>(train: &[S], test: &[S]) -> Result<(), EvalError> {
    let known: BTreeSet<&str> = train.iter().map(S::as_ref).collect();
    let tested: BTreeSet<&str> = test.iter().map(S::as_ref).collect();
    let groups: Vec<String> = known.intersection(&tested).map(|group| (*group).to_owned()).collect();
    if groups.is_empty() { Ok(()) } else { Err(EvalError::SharedGroups { groups }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clips(groups: &[&str]) -> Features {
        let groups: Vec<String> = groups.iter().map(|g| (*g).to_owned()).collect();
        Features::new(vec![0.5; groups.len()], 1, vec![1; groups.len()], groups).unwrap()
    }

    #[test]
    fn a_group_on_both_sides_is_refused_by_name() {
        let said = Split::new(clips(&["P01", "P02", "P02", "P03"]), clips(&["P02", "P04", "P01"]), 2).unwrap_err();
        assert_eq!(said.to_string(), "2 group(s) stand in both training and test: P01, P02; split by group");
        let many: Vec<String> = (0..9).map(|i| format!("v{i}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let said = Split::new(clips(&many), clips(&many), 2).unwrap_err().to_string();
        assert!(said.starts_with("9 group(s)") && said.contains("v0, v1, v2, v3, v4, ...;"), "{said}");
        assert!(Split::new(clips(&["P01"]), clips(&["P1"]), 2).is_ok());
    }

    #[test]
    fn labels_without_a_class_are_refused() {
        let said = Split::new(clips(&["a"]), clips(&["b"]), 1).unwrap_err().to_string();
        assert_eq!(said, "clip 0 has label 1, but classes are numbered from 0 to below 1");
    }
}
