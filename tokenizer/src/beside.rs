use torch_ext::Group;
use vector_quantize::Share;

use crate::loss::Critics;
use crate::{Tokenizer, TokenizerError, Watch};

/// What stands beside a tokenizer in training and not afterwards: networks that judge it, and a watch over codes and scorer.
#[derive(Debug)]
pub struct Beside {
    /// Those that the config asks for.
    pub critics: Critics,
    /// `None` where a loss is all that is wanted: it then has no terms of the watch, and a learned codebook stays as it is.
    pub watch: Option<Watch>,
}

/// Which batch of a run is being looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Of the run, from 1.
    pub step: u64,
    /// Which of the step's micro-batches over all ranks.
    pub share: Share,
}

impl Place {
    /// The only batch of a step.
    pub fn of_step(step: u64) -> Self {
        Place { step, share: Share::WHOLE }
    }
}

impl Beside {
    /// Nothing.
    pub fn none() -> Self {
        Beside { critics: Critics::none(), watch: None }
    }

    /// Moves what no gradient moves by the batches whose losses were computed since the last call, those of all ranks.
    ///
    /// # Errors
    /// [`TokenizerError::Ranks`] when a rank is missing; [`TokenizerError::Nn`] and [`TokenizerError::Vq`] when libtorch fails.
    pub fn after_step(&mut self, tokenizer: &Tokenizer, step: u64, ranks: &Group) -> Result<(), TokenizerError> {
        self.critics.after_step(ranks)?;
        self.watch.as_mut().map_or(Ok(()), |watch| watch.after_step(tokenizer, step, ranks))
    }

    /// Forgets the batches since the last [`Beside::after_step`]: their step was not taken.
    pub fn drop_collected(&mut self) {
        self.critics.drop_collected();
        if let Some(watch) = &mut self.watch {
            watch.drop_collected();
        }
    }
}
