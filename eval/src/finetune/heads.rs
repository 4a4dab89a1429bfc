use std::collections::BTreeSet;

use nn::During;
use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

use crate::EvalError;

/// Which classifiers stand on an encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum HeadKind {
    /// One for each label space, whose cross-entropies add up: `class`; or `verb` and `noun`, as LVMAE classifies
    /// EPIC-KITCHENS (that the losses are added is not published; our default).
    Each {},
    /// One over the combinations of labels that occur in training: AVION's action head. The probability of a verb is the sum
    /// of its actions'.
    Joint {},
}

/// The classifiers of one training set: what each of their outputs stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heads {
    /// Number of classes of each label space.
    classes: Vec<usize>,
    /// With a joint head, what it tells apart: a label of each space, ascending.
    combinations: Option<Vec<Vec<i64>>>,
}

impl Heads {
    /// * `classes` - number of classes of each label space
    /// * `labels` - of each training clip, one label per space
    ///
    /// # Errors
    /// [`EvalError::Label`], [`EvalError::OutOfRange`] for a single label space under a joint head.
    pub fn new(kind: HeadKind, classes: &[usize], labels: &[Vec<i64>]) -> Result<Self, EvalError> {
        for (clip, labels) in labels.iter().enumerate() {
            for (label, num_classes) in labels.iter().copied().zip(classes.iter().copied()) {
                if !(0..num_classes as i64).contains(&label) {
                    return Err(EvalError::Label { clip, label, num_classes });
                }
            }
        }
        let is_joint = matches!(kind, HeadKind::Joint {});
        if is_joint && classes.len() < 2 {
            let rule = "at least 2 for a joint head; take model.heads = { kind = \"each\" }";
            return Err(EvalError::OutOfRange { key: "label spaces", value: classes.len() as f64, rule });
        }
        let combinations = || labels.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
        Ok(Heads { classes: classes.to_vec(), combinations: is_joint.then(combinations) })
    }

    /// Number of label spaces.
    pub fn num_spaces(&self) -> usize {
        self.classes.len()
    }

    /// Logits of each head.
    pub fn widths(&self) -> Vec<i64> {
        match &self.combinations {
            Some(combinations) => vec![combinations.len() as i64],
            None => self.classes.iter().map(|n| *n as i64).collect(),
        }
    }

    /// The right output of each head, `[B]` int64 each.
    ///
    /// * `labels` - of each clip, one label per space
    ///
    /// # Errors
    /// [`EvalError::Combination`] for one that a joint head does not know; [`EvalError::Nn`].
    pub fn classes_of(&self, labels: &[Vec<i64>]) -> Result<Vec<Tensor>, EvalError> {
        let outputs: Vec<Vec<i64>> = match &self.combinations {
            Some(known) => {
                let unknown = |labels: &Vec<i64>| EvalError::Combination { labels: labels.clone() };
                let find = |labels| known.binary_search(labels).map(|at| at as i64).or(Err(unknown(labels)));
                vec![labels.iter().map(find).collect::<Result<_, _>>()?]
            }
            None => (0..self.classes.len()).map(|space| labels.iter().map(|clip| clip[space]).collect()).collect(),
        };
        let tensor = |outputs: &Vec<i64>| Tensor::f_from_slice(outputs).during("reading labels");
        Ok(outputs.iter().map(tensor).collect::<Result<_, _>>()?)
    }

    /// The logarithm of each class's probability, `[B, C]` double for each label space, and last, with a joint head, that of
    /// each combination. A class in no combination has 1e-30.
    ///
    /// * `logits` - of each head, `[B, K]`
    ///
    /// # Errors
    /// [`EvalError::Nn`].
    pub fn log_probabilities(&self, logits: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        let normalised = |logits: &Tensor| logits.f_to_kind(Kind::Double)?.f_log_softmax(-1, Kind::Double);
        let all = || -> Result<Vec<Tensor>, TchError> {
            let Some(combinations) = &self.combinations else { return logits.iter().map(normalised).collect() };
            let joint_bk = normalised(&logits[0])?;
            let of_space = |(space, num_classes): (usize, &usize)| {
                let classes: Vec<i64> = combinations.iter().map(|labels| labels[space]).collect();
                let hot_kc = Tensor::f_from_slice(&classes)?.f_one_hot(*num_classes as i64)?;
                let hot_kc = hot_kc.f_to_kind(Kind::Double)?.f_to_device(joint_bk.device())?;
                joint_bk.f_exp()?.f_matmul(&hot_kc)?.f_clamp_min(1e-30)?.f_log()
            };
            let mut each = self.classes.iter().enumerate().map(of_space).collect::<Result<Vec<_>, _>>()?;
            each.push(joint_bk);
            Ok(each)
        };
        Ok(all().during("the probabilities of classes")?)
    }

    /// Whether there is a joint head.
    pub fn is_joint(&self) -> bool {
        self.combinations.is_some()
    }

    /// The joint head's output for these labels; `None` for labels that no training clip has together, or without such a
    /// head.
    pub fn combination(&self, labels: &[i64]) -> Option<usize> {
        self.combinations.as_ref()?.binary_search_by(|known| known.as_slice().cmp(labels)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three verbs, two nouns; (0, 1), (1, 0) and (1, 1) occur, verb 2 never.
    fn joint() -> Heads {
        let labels = [vec![1, 1], vec![0, 1], vec![1, 0], vec![0, 1]];
        Heads::new(HeadKind::Joint {}, &[3, 2], &labels).unwrap()
    }

    #[test]
    fn a_joint_heads_verbs_and_nouns_are_sums_over_its_actions() {
        let heads = joint();
        assert_eq!(heads.widths(), [3]);
        // Combinations in order: (0, 1), (1, 0), (1, 1) with probabilities 1/2, 1/3, 1/6.
        let logits = Tensor::from_slice(&[3f64.ln(), 2f64.ln(), 0.0]).view([1, 3]) + 5.0;
        let got: Vec<Vec<f64>> = heads
            .log_probabilities(&[logits])
            .unwrap()
            .iter()
            .map(|x| Vec::try_from(x.exp().flatten(0, 1)).unwrap())
            .collect();
        let want = [vec![0.5, 0.5, 1e-30], vec![1.0 / 3.0, 2.0 / 3.0], vec![0.5, 1.0 / 3.0, 1.0 / 6.0]];
        for (got, want) in got.iter().flatten().zip(want.iter().flatten()) {
            assert!((got - want).abs() < 1e-12, "{got} instead of {want}");
        }
    }

    #[test]
    fn each_head_learns_its_label_and_a_joint_one_the_combination() {
        let labels = [vec![1, 0], vec![0, 1]];
        let ints = |tensors: Vec<Tensor>| -> Vec<Vec<i64>> {
            tensors.iter().map(|tensor| Vec::try_from(tensor).unwrap()).collect()
        };
        let each = Heads::new(HeadKind::Each {}, &[3, 2], &labels).unwrap();
        assert_eq!(each.widths(), [3, 2]);
        assert_eq!(ints(each.classes_of(&labels).unwrap()), [[1, 0], [0, 1]]);
        assert_eq!(ints(joint().classes_of(&labels).unwrap()), [[1, 0]]);
        let said = joint().classes_of(&[vec![0, 0]]).unwrap_err().to_string();
        assert!(said.contains("[0, 0]") && said.contains("no training clip"), "{said}");
        assert_eq!([[0, 1], [1, 1], [0, 0]].map(|labels| joint().combination(&labels)), [Some(0), Some(2), None]);
    }

    #[test]
    fn labels_beyond_the_classes_and_a_joint_head_of_one_space_are_refused() {
        let said = Heads::new(HeadKind::Each {}, &[3, 2], &[vec![0, 0], vec![0, 2]]).unwrap_err().to_string();
        assert_eq!(said, "clip 1 has label 2, but classes are numbered from 0 to below 2");
        let said = Heads::new(HeadKind::Joint {}, &[3], &[vec![0]]).unwrap_err().to_string();
        assert!(said.contains("label spaces = 1") && said.contains("\"each\""), "{said}");
    }
}
