use std::borrow::Borrow;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use crate::block::mask_in_precision;
use crate::{Block, DropPath, Mode, NnError, StackConfig};

/// Which activations are kept for the backward pass: `"none"`, `"every_block"` or `{ every = 3 }` in a preset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recompute {
    /// All: fastest.
    None,
    /// Only each block's input; a block runs again in the backward pass. About a third slower, gradients bit-equal.
    EveryBlock,
    /// Only the input of each part of this many blocks, the last of which may be smaller; a part runs again as a whole.
    /// Fewer inputs are kept, but all activations of one part at once. More than there are blocks: one part.
    Every(i64),
}

impl Recompute {
    /// Checks that a part has at least one block.
    ///
    /// # Errors
    /// [`NnError::Config`] with the value.
    pub fn check(self) -> Result<(), NnError> {
        match self {
            Recompute::Every(n) if n < 1 => {
                Err(NnError::Config { key: "recompute.every", value: n.to_string(), rule: "must be at least 1 block" })
            }
            _ => Ok(()),
        }
    }

    /// Blocks that run again together; `None`: nothing runs again.
    fn blocks_per_part(self) -> Option<usize> {
        match self {
            Recompute::None => None,
            Recompute::EveryBlock => Some(1),
            Recompute::Every(n) => Some(n.max(1) as usize),
        }
    }
}

/// A stack of blocks behind one function, with or without keeping activations.
#[derive(Debug)]
pub struct Stack {
    // Shared with the closures that recompute blocks.
    blocks: Vec<(Rc<Block>, DropPath)>,
    recompute: Recompute,
}

impl Stack {
    /// Blocks `0`, `1`, ... under `p`.
    ///
    /// * `drop_path` - rate of [`DropPath`] in the last block, less in those before
    ///
    /// # Errors
    /// [`StackConfig::check`], [`Recompute::check`], [`DropPath::check`].
    pub fn new<'a>(
        p: impl Borrow<Path<'a>>,
        cfg: &StackConfig,
        recompute: Recompute,
        drop_path: f64,
    ) -> Result<Self, NnError> {
        cfg.check()?;
        recompute.check()?;
        DropPath::check(drop_path)?;
        let p = p.borrow();
        let blocks = (0..cfg.depth).map(|i| Rc::new(Block::new(p / i, cfg)));
        Ok(Stack { blocks: blocks.zip(DropPath::per_block(drop_path, cfg.depth as usize)).collect(), recompute })
    }

    /// All blocks in turn.
    ///
    /// * `x_bnd` - tokens `[B, N, D]`
    /// * `mask_nn` - see [`Block::forward`]
    /// * `mode` - whether branches are dropped
    ///
    /// # Errors
    /// [`NnError::OutOfMemory`] and [`NnError::Torch`] from recomputed blocks.
    pub fn forward(&self, x_bnd: Tensor, mask_nn: Option<&Tensor>, mode: Mode) -> Result<Tensor, NnError> {
        let mask_nn = mask_nn.map(mask_in_precision);
        let run = move |blocks: &[(Rc<Block>, DropPath)], x_bnd: &Tensor, mask_nn: Option<&Tensor>| {
            blocks.iter().fold(x_bnd.shallow_clone(), |x, (block, drop)| match mode {
                Mode::Train => block.forward(&x, mask_nn, *drop),
                Mode::Eval => block.forward(&x, mask_nn, DropPath::OFF),
            })
        };
        let Some(per_part) = self.recompute.blocks_per_part().filter(|_| x_bnd.requires_grad()) else {
            return Ok(run(&self.blocks, &x_bnd, mask_nn.as_ref()));
        };
        let mut x = x_bnd;
        for part in self.blocks.chunks(per_part) {
            let (part, mask) = (part.to_vec(), mask_nn.as_ref().map(Tensor::shallow_clone));
            x = torch_ext::checkpoint(&[&x], move |inputs| run(&part, &inputs[0], mask.as_ref()))?;
        }
        Ok(x)
    }
}

#[cfg(test)]
mod tests;
