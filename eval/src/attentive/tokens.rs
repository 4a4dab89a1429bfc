use nn::{During, NnError, expect_shape};
use tch::{Kind, Tensor};

use crate::EvalError;

/// Tokens, label and group of each clip.
#[derive(Debug)]
pub struct TokenSet {
    tokens_nld: Tensor,
    labels: Vec<i64>,
    groups: Vec<String>,
}

impl TokenSet {
    /// * `tokens_nld` - L tokens of each clip, `[n, L, D]` float
    /// * `labels` - class of each clip
    /// * `groups` - what clips of one origin share
    ///
    /// # Errors
    /// [`EvalError::Counts`]; [`EvalError::NotFinite`] names the first clip and the number of the value among its own;
    /// [`EvalError::Nn`].
    pub fn new(tokens_nld: Tensor, labels: Vec<i64>, groups: Vec<String>) -> Result<Self, EvalError> {
        expect_shape("tokens", &tokens_nld, &[-1, -1, -1])?;
        let (n, width) = (labels.len(), tokens_nld.size()[2] as usize);
        if n == 0 || tokens_nld.size()[0] != n as i64 || groups.len() != n || tokens_nld.numel() == 0 {
            return Err(EvalError::Counts { values: tokens_nld.numel(), width, labels: n, groups: groups.len() });
        }
        for clip in 0..n {
            // One clip at a time: a mask over all tokens would be another quarter of them.
            let finite =
                tokens_nld.f_get(clip as i64).and_then(|x| x.f_isfinite()?.f_all()).during("reading tokens")?;
            if bool::try_from(&finite).during("reading tokens")? {
                continue;
            }
            let values = Vec::<f32>::try_from(tokens_nld.get(clip as i64).to_kind(Kind::Float).flatten(0, -1));
            let values = values.during("reading tokens")?;
            let column = values.iter().position(|value| !value.is_finite()).unwrap_or(0);
            return Err(EvalError::NotFinite { clip, column, value: values[column] });
        }
        Ok(TokenSet { tokens_nld, labels, groups })
    }

    /// Number of clips.
    pub fn num_clips(&self) -> usize {
        self.labels.len()
    }

    /// Values per token.
    pub fn width(&self) -> i64 {
        self.tokens_nld.size()[2]
    }

    /// Class of each clip.
    pub fn labels(&self) -> &[i64] {
        &self.labels
    }

    /// Group of each clip.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// Where the tokens are, and where a probe of them is trained.
    pub(super) fn device(&self) -> tch::Device {
        self.tokens_nld.device()
    }

    /// Tokens `[B, L, D]` and labels `[B]` of some clips.
    pub(super) fn batch(&self, clips: &[usize]) -> Result<(Tensor, Tensor), NnError> {
        let index: Vec<i64> = clips.iter().map(|clip| *clip as i64).collect();
        let labels: Vec<i64> = clips.iter().map(|clip| self.labels[*clip]).collect();
        let taken = || {
            let index = Tensor::f_from_slice(&index)?.f_to_device(self.device())?;
            let tokens = self.tokens_nld.f_index_select(0, &index)?.f_to_kind(Kind::Float)?;
            Ok((tokens, Tensor::f_from_slice(&labels)?.f_to_device(self.device())?))
        };
        taken().during("taking tokens of clips")
    }
}
