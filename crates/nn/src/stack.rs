use std::borrow::Borrow;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use crate::{Block, BlockCausal, CrossBlock, DecoderAttention, DecoderReach, DropPath, Mode, NnError, StackConfig};

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

    /// Runs all blocks, keeping what this says.
    ///
    /// * `x`, `beside` - what the first block reads, and what every block reads beside the one before it
    /// * `run` - some neighbouring blocks on these
    fn run<B: Clone + 'static>(
        self,
        blocks: &[B],
        (mut x, beside): (Tensor, Option<&Tensor>),
        run: impl Fn(&[B], &[Tensor]) -> Tensor + Clone + 'static,
    ) -> Result<Tensor, NnError> {
        let inputs =
            |x: &Tensor| [Some(x), beside].into_iter().flatten().map(Tensor::shallow_clone).collect::<Vec<_>>();
        let needs_grad = inputs(&x).iter().any(Tensor::requires_grad);
        let Some(per_part) = self.blocks_per_part().filter(|_| needs_grad) else {
            return Ok(run(blocks, &inputs(&x)));
        };
        for part in blocks.chunks(per_part) {
            let (part, run) = (part.to_vec(), run.clone());
            x = torch_ext::checkpoint(&inputs(&x).iter().collect::<Vec<_>>(), move |inputs| run(&part, inputs))?;
        }
        Ok(x)
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
    /// * `reach` - see [`Block::forward`]
    /// * `mode` - whether branches are dropped
    ///
    /// # Errors
    /// [`NnError::OutOfMemory`] and [`NnError::Torch`] from recomputed blocks.
    pub fn forward(&self, x_bnd: Tensor, reach: Option<&BlockCausal>, mode: Mode) -> Result<Tensor, NnError> {
        let reach = reach.map(|reach| Rc::new(reach.in_precision()));
        let run = move |blocks: &[(Rc<Block>, DropPath)], inputs: &[Tensor]| {
            blocks.iter().fold(inputs[0].shallow_clone(), |x, (block, drop)| match mode {
                Mode::Train => block.forward(&x, reach.as_deref(), *drop),
                Mode::Eval => block.forward(&x, reach.as_deref(), DropPath::OFF),
            })
        };
        self.recompute.run(&self.blocks, (x_bnd, None), run)
    }
}

/// A stack of blocks that read a memory, behind one function.
#[derive(Debug)]
pub struct CrossStack {
    // Shared with the closures that recompute blocks.
    blocks: Vec<Rc<CrossBlock>>,
    recompute: Recompute,
}

impl CrossStack {
    /// Blocks `0`, `1`, ... under `p`.
    ///
    /// # Errors
    /// [`StackConfig::check`], [`Recompute::check`].
    pub fn new<'a>(
        p: impl Borrow<Path<'a>>,
        cfg: &StackConfig,
        attention: DecoderAttention,
        recompute: Recompute,
    ) -> Result<Self, NnError> {
        cfg.check()?;
        recompute.check()?;
        let p = p.borrow();
        let blocks = (0..cfg.depth).map(|i| Rc::new(CrossBlock::new(p / i, cfg, attention))).collect();
        Ok(CrossStack { blocks, recompute })
    }

    /// All blocks in turn.
    ///
    /// * `x_bqd`, `memory_bmd`, `reach` - see [`CrossBlock::forward`]
    ///
    /// # Errors
    /// [`NnError::OutOfMemory`] and [`NnError::Torch`] from recomputed blocks.
    pub fn forward(&self, x_bqd: Tensor, memory_bmd: &Tensor, reach: &DecoderReach) -> Result<Tensor, NnError> {
        let reach = Rc::new(reach.in_precision());
        let run = move |blocks: &[Rc<CrossBlock>], inputs: &[Tensor]| {
            blocks.iter().fold(inputs[0].shallow_clone(), |x, block| block.forward(&x, &inputs[1], Some(&reach)))
        };
        self.recompute.run(&self.blocks, (x_bqd, Some(memory_bmd)), run)
    }
}

#[cfg(test)]
mod tests;
