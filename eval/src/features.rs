use nn::{During, NnError, expect_shape};
use serde::{Deserialize, Serialize};
use spec::Grid;
use tch::{Kind, Tensor};

use crate::EvalError;

/// How the tokens of a clip become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Pool {
    /// Mean over all tokens. Loses the order of events: a clip played backwards may give the same vector.
    Mean {},
    /// Mean over each of `parts` equal spans of time, one after the other. Keeps the order of events, which tells a
    /// dive forward from one backward.
    TimeParts {
        /// Spans; divides the latent frames of a clip.
        parts: i64,
    },
}

/// One vector per clip: `[B, D]`, or `[B, parts * D]` with [`Pool::TimeParts`].
///
/// * `tokens_bnd` - all tokens in grid order, `[B, N, D]`
///
/// # Errors
/// [`EvalError::TimeParts`], [`EvalError::Nn`].
pub fn pool(tokens_bnd: &Tensor, grid: Grid, pool: Pool) -> Result<Tensor, EvalError> {
    expect_shape("tokens", tokens_bnd, &[-1, grid.num_tokens(), -1])?;
    let parts = match pool {
        Pool::Mean {} => 1,
        Pool::TimeParts { parts } => parts,
    };
    if parts < 1 || grid.t % parts != 0 {
        return Err(EvalError::TimeParts { parts, frames: grid.t });
    }
    // Time is the slowest axis, so a span of time is a run of tokens.
    let spans = tokens_bnd.f_reshape([tokens_bnd.size()[0], parts, grid.num_tokens() / parts, tokens_bnd.size()[2]]);
    let means = spans.and_then(|x| x.f_mean_dim([2i64].as_slice(), false, Kind::Float)).during("pooling tokens")?;
    Ok(means.flatten(1, 2))
}

/// One vector, label and group per clip.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    x_nd: Vec<f32>,
    width: usize,
    labels: Vec<i64>,
    groups: Vec<String>,
}

impl Features {
    /// * `x_nd` - `[n, d]` row after row
    /// * `width` - d
    /// * `labels` - class of each clip
    /// * `groups` - what clips of one origin share: source video, person
    ///
    /// # Errors
    /// [`EvalError::Counts`], [`EvalError::NotFinite`].
    pub fn new(x_nd: Vec<f32>, width: usize, labels: Vec<i64>, groups: Vec<String>) -> Result<Self, EvalError> {
        let n = labels.len();
        if n == 0 || width == 0 || x_nd.len() != n * width || groups.len() != n {
            return Err(EvalError::Counts { values: x_nd.len(), width, labels: n, groups: groups.len() });
        }
        if let Some(at) = x_nd.iter().position(|value| !value.is_finite()) {
            return Err(EvalError::NotFinite { clip: at / width, column: at % width, value: x_nd[at] });
        }
        Ok(Features { x_nd, width, labels, groups })
    }

    /// Number of clips.
    pub fn num_clips(&self) -> usize {
        self.labels.len()
    }

    /// Values per clip.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Class of each clip.
    pub fn labels(&self) -> &[i64] {
        &self.labels
    }

    /// Group of each clip.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// The chosen clips, in the order given.
    pub(crate) fn select(&self, clips: &[usize]) -> Features {
        let row = |clip: &usize| &self.x_nd[clip * self.width..(clip + 1) * self.width];
        Features {
            x_nd: clips.iter().flat_map(row).copied().collect(),
            width: self.width,
            labels: clips.iter().map(|clip| self.labels[*clip]).collect(),
            groups: clips.iter().map(|clip| self.groups[*clip].clone()).collect(),
        }
    }

    /// `[n, d]` double, on the CPU.
    pub(crate) fn tensor(&self) -> Result<Tensor, NnError> {
        let flat = Tensor::f_from_slice(&self.x_nd).during("reading features")?;
        flat.view([-1, self.width as i64]).f_to_kind(Kind::Double).during("reading features")
    }

    /// Checks that every label names one of `num_classes` classes.
    pub(crate) fn expect_classes(&self, num_classes: usize) -> Result<(), EvalError> {
        match self.labels.iter().position(|label| !(0..num_classes as i64).contains(label)) {
            Some(clip) => Err(EvalError::Label { clip, label: self.labels[clip], num_classes }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two latent frames of 1 x 2 tokens, width 2: (1, 10) (3, 30), then (5, 50) (9, 90). The second clip runs backwards.
    fn tokens() -> (Tensor, Grid) {
        let clip = Tensor::from_slice(&[1.0f32, 10.0, 3.0, 30.0, 5.0, 50.0, 9.0, 90.0]).view([1, 4, 2]);
        let backwards = clip.view([1, 2, 2, 2]).flip([1]).view([1, 4, 2]);
        (Tensor::cat(&[clip, backwards], 0), Grid { t: 2, h: 1, w: 2 })
    }

    #[test]
    fn the_mean_forgets_the_order_of_events_and_time_parts_keep_it() {
        let (tokens, grid) = tokens();
        let mean = pool(&tokens, grid, Pool::Mean {}).unwrap();
        assert!(mean.equal(&Tensor::from_slice2(&[[4.5f32, 45.0], [4.5, 45.0]])));
        let parts = pool(&tokens, grid, Pool::TimeParts { parts: 2 }).unwrap();
        assert!(parts.equal(&Tensor::from_slice2(&[[2.0f32, 20.0, 7.0, 70.0], [7.0, 70.0, 2.0, 20.0]])));
    }

    #[test]
    fn spans_that_do_not_divide_are_refused() {
        let (tokens, grid) = tokens();
        for parts in [0, 3, -1] {
            let refused = pool(&tokens, grid, Pool::TimeParts { parts });
            assert!(matches!(refused, Err(EvalError::TimeParts { frames: 2, .. })), "{parts}");
        }
        assert!(matches!(pool(&tokens, Grid { t: 3, ..grid }, Pool::Mean {}), Err(EvalError::Nn(_))));
    }

    #[test]
    fn a_feature_that_is_no_number_is_refused_by_place() {
        let groups = vec!["a".to_owned(), "b".to_owned()];
        let said = Features::new(vec![1.0, 2.0, 3.0, f32::NAN], 2, vec![0, 1], groups.clone()).unwrap_err().to_string();
        assert_eq!(said, "feature 1 of clip 1 is NaN; the encoder gives no usable features");
        assert!(matches!(Features::new(vec![1.0; 3], 2, vec![0, 1], groups), Err(EvalError::Counts { .. })));
        assert!(matches!(Features::new(vec![], 2, vec![], vec![]), Err(EvalError::Counts { .. })));
    }
}
