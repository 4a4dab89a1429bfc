use std::collections::VecDeque;

use tch::{TchError, Tensor};

/// What a stack of causal convolutions remembers of the frames before those that it is given, so that a long video can
/// pass through in chunks and come out as it would at once.
///
/// Each [`crate::CausalConv3d`] keeps the last `kernel - stride` frames of its input. They lie in the order in which the
/// stack calls its convolutions, which has to be the same for every chunk.
#[derive(Debug)]
pub struct Past(Option<Chunks>);

#[derive(Debug, Default)]
struct Chunks {
    /// `[B, T, H, W, C]` each, of the convolutions that have not been called for this chunk yet, then of those that have.
    frames: VecDeque<Tensor>,
    /// Chunks that are through.
    num_done: usize,
}

impl Past {
    /// Nothing: what comes is a whole clip. Nothing is remembered either.
    pub fn none() -> Self {
        Past(None)
    }

    /// Before the first chunk.
    pub fn of_chunks() -> Self {
        Past(Some(Chunks::default()))
    }

    /// Whether what comes next is the beginning of a clip.
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|chunks| chunks.num_done == 0)
    }

    /// To be called when a chunk has passed through the whole stack.
    pub fn end_chunk(&mut self) {
        if let Some(chunks) = &mut self.0 {
            chunks.num_done += 1;
        }
    }

    /// `x_bthwc` with the `count` frames of its past before it: zeros at the beginning.
    pub(crate) fn before(&mut self, x_bthwc: &Tensor, count: i64) -> Result<Tensor, TchError> {
        let remembered = match &mut self.0 {
            Some(chunks) if chunks.num_done > 0 => chunks.frames.pop_front(),
            _ => None,
        };
        let past = match remembered {
            Some(frames) => frames,
            None => {
                let mut size = x_bthwc.size();
                size[1] = count;
                x_bthwc.f_new_zeros(&size, (x_bthwc.kind(), x_bthwc.device()))?
            }
        };
        let joined = Tensor::f_cat(&[&past, x_bthwc], 1)?;
        if let Some(chunks) = &mut self.0 {
            // A copy: a view would keep the whole chunk.
            chunks.frames.push_back(joined.f_narrow_copy(1, joined.size()[1] - count, count)?.f_detach()?);
        }
        Ok(joined)
    }
}
