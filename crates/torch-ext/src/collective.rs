//! Ranks: processes, on one machine or several, that train one model together. Sums, means and broadcasts over libtorch's
//! own c10d (TCPStore, ProcessGroupGloo).
//!
//! ```text
//! Rendezvous --Group::connect--> Group --sum, mean, broadcast, sum_values, max_values--> the same values on every rank
//! ```
//!
//! Every rank has to call the same functions in the same order with lists of the same shapes. Each call begins with a
//! small exchange of what is about to be done, so that ranks that differ get [`GroupError::Mismatch`] instead of garbage.
//!
//! Gloo works on the CPU. Tensors on a GPU are staged there bucket by bucket; that path has never run on a GPU.
//!
//! A rank that ends, hangs or cannot be reached is found out at the next exchange and named on every other rank; the
//! group has then ended. See `letters.rs` for how.

mod address;
mod buckets;
mod diagnosis;
mod error;
mod gloo;
mod intent;
mod join;
mod letters;

use std::cell::RefCell;
use std::time::{Duration, Instant};

use tch::Tensor;

pub use self::error::{GroupError, Loss, Ranks};
use self::gloo::{Gloo, Reduction, Work};
use self::intent::{Call, Intent};
use self::join::Joined;
use self::letters::{Letter, LetterBox};
use crate::Error;

/// Where ranks meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendezvous {
    /// Host name or address of rank 0.
    pub addr: String,
    /// Port of the store.
    pub port: u16,
    /// This process, `0..num_ranks`.
    pub rank: usize,
    /// How many processes there are.
    pub num_ranks: usize,
    /// Who serves the store.
    pub store: StoreHost,
    /// The network interface to use; `None` for the one that leads to rank 0.
    pub interface: Option<String>,
    /// How long ranks wait for each other: to join, and in every exchange. More than the longest that one of them does
    /// alone in between.
    pub timeout: Duration,
}

/// Who serves the store through which ranks find each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreHost {
    /// Rank 0 does.
    Rank0,
    /// torchrun's agent does.
    Outside {
        /// How often the agent has restarted the ranks: its store still holds what earlier ones wrote.
        attempt: u64,
    },
}

/// This process among the ranks.
#[derive(Debug)]
pub struct Group {
    rank: usize,
    num_ranks: usize,
    timeout: Duration,
    state: RefCell<State>,
}

#[derive(Debug)]
enum State {
    /// One rank only: every exchange leaves things as they are.
    Alone,
    Connected(Connected),
    Ended,
}

#[derive(Debug)]
struct Connected {
    gloo: Gloo,
    letters: LetterBox,
}

/// How often a rank that waits looks into its letter box.
const LOOK: Duration = Duration::from_secs(1);

impl Connected {
    /// Waits for a reduction to end, unless another rank writes that it cannot.
    fn wait(&self, work: &Work) -> Result<(), Error> {
        while !work.wait(LOOK)? {
            if self.letters.has_letters() {
                let message = "another rank reports a failure".to_owned();
                return Err(Error::Torch { during: "an exchange between ranks", message });
            }
        }
        Ok(())
    }
}

impl Group {
    /// The group of a process that trains by itself.
    pub fn alone() -> Self {
        Group { rank: 0, num_ranks: 1, timeout: Duration::ZERO, state: RefCell::new(State::Alone) }
    }

    /// Waits for all other ranks and connects to them. One rank connects to nothing.
    ///
    /// # Errors
    /// Every [`GroupError`] but `Mismatch` and `Ended`; within the rendezvous' timeout, and some seconds to find out who is
    /// missing.
    pub fn connect(at: &Rendezvous) -> Result<Self, GroupError> {
        if at.num_ranks <= 1 {
            return Ok(Group::alone());
        }
        let Joined { store, letters, own } = join::join(at)?;
        let began = Instant::now();
        match Gloo::connect(&store, own, (at.rank, at.num_ranks), at.timeout) {
            Ok(gloo) => {
                let state = RefCell::new(State::Connected(Connected { gloo, letters }));
                Ok(Group { rank: at.rank, num_ranks: at.num_ranks, timeout: at.timeout, state })
            }
            Err(err) => Err(diagnosis::diagnose(&letters, err, began.elapsed())),
        }
    }

    /// This process, `0..num_ranks`.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many processes train together.
    pub fn num_ranks(&self) -> usize {
        self.num_ranks
    }

    /// Whether this is rank 0, the one that writes.
    pub fn is_first(&self) -> bool {
        self.rank == 0
    }

    /// How long ranks wait for each other.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Replaces every tensor by its sum over the ranks, in place, any element types and devices mixed. The tensors are
    /// exchanged in buckets of 25 MiB.
    ///
    /// # Errors
    /// [`GroupError::Mismatch`] when the lists differ between ranks; [`GroupError::Lost`] or [`GroupError::Stopped`] when
    /// a rank is missing; [`GroupError::Torch`] for what libtorch refuses. After an error the tensors hold anything and
    /// the group has ended.
    pub fn sum(&self, tensors: &[Tensor]) -> Result<(), GroupError> {
        self.exchange(Call::Sum, tensors)
    }

    /// As [`sum`](Self::sum), divided by the number of ranks. Floating point only.
    ///
    /// # Errors
    /// As [`sum`](Self::sum).
    pub fn mean(&self, tensors: &[Tensor]) -> Result<(), GroupError> {
        self.exchange(Call::Mean, tensors)
    }

    /// Replaces every tensor by rank 0's, in place.
    ///
    /// # Errors
    /// As [`sum`](Self::sum).
    pub fn broadcast(&self, tensors: &[Tensor]) -> Result<(), GroupError> {
        self.exchange(Call::Broadcast, tensors)
    }

    /// Replaces every number by its sum over the ranks.
    ///
    /// # Errors
    /// As [`sum`](Self::sum).
    pub fn sum_values(&self, values: &mut [f64]) -> Result<(), GroupError> {
        self.exchange_values(Call::Sum, values)
    }

    /// Replaces every number by the largest of all ranks. A wish to stop, told as 1.0, reaches all this way.
    ///
    /// # Errors
    /// As [`sum`](Self::sum).
    pub fn max_values(&self, values: &mut [f64]) -> Result<(), GroupError> {
        self.exchange_values(Call::Max, values)
    }

    /// Waits until every rank has come here.
    ///
    /// # Errors
    /// As [`sum`](Self::sum).
    pub fn barrier(&self) -> Result<(), GroupError> {
        self.exchange(Call::Barrier, &[])
    }

    /// Ends the group with a word to the other ranks, which get [`GroupError::Stopped`] from their next exchange. For a
    /// failure of this rank alone; does nothing once the group has ended. Only the first line of `why` is told.
    pub fn stop(&self, why: &str) {
        if let State::Connected(Connected { gloo, letters }) = self.state.replace(State::Ended) {
            let said = why.lines().next().unwrap_or_default().to_owned();
            letters.send_all(&Letter::Stopped { said });
            // Only now: the letter is to be there when the connection ends.
            drop(gloo);
        }
    }

    fn exchange_values(&self, call: Call, values: &mut [f64]) -> Result<(), GroupError> {
        let tensor = Tensor::from_slice(values);
        self.exchange(call, std::slice::from_ref(&tensor))?;
        let length = values.len();
        tensor.f_copy_data(values, length).map_err(|err| Error::torch("reading exchanged values", &err.to_string()))?;
        Ok(())
    }

    fn exchange(&self, call: Call, tensors: &[Tensor]) -> Result<(), GroupError> {
        let connected = match self.state.replace(State::Ended) {
            State::Alone => {
                self.state.replace(State::Alone);
                return Ok(());
            }
            State::Ended => return Err(GroupError::Ended),
            State::Connected(connected) => connected,
        };
        let began = Instant::now();
        match tch::no_grad(|| self.agree(&connected, call, tensors)) {
            Ok(()) => {
                self.state.replace(State::Connected(connected));
                Ok(())
            }
            Err(GroupError::Torch(err)) => {
                let Connected { gloo, letters } = connected;
                // Its end would wait for exchanges that cannot end any more.
                std::mem::forget(gloo);
                if matches!(err, Error::OutOfMemory { .. }) {
                    letters.send_all(&Letter::Stopped { said: err.to_string() });
                    return Err(err.into());
                }
                Err(diagnosis::diagnose(&letters, err, began.elapsed()))
            }
            Err(err) => Err(err),
        }
    }

    /// Tells each other what is about to be done; does it when all say the same.
    fn agree(&self, connected: &Connected, call: Call, tensors: &[Tensor]) -> Result<(), GroupError> {
        let intents = self.gather(connected, Intent::of(call, tensors))?;
        if let Some(rank) = intents.iter().position(|intent| *intent != intents[0]) {
            let (first, other) = (intents[0].to_string(), intents[rank].to_string());
            return Err(GroupError::Mismatch { first, rank, other });
        }
        let (reduction, divisor) = match call {
            Call::Sum | Call::Barrier => (Reduction::Sum, 1),
            Call::Mean => (Reduction::Sum, self.num_ranks),
            Call::Max => (Reduction::Max, 1),
            Call::Broadcast => (Reduction::FromFirst, 1),
        };
        Ok(buckets::reduce(connected, reduction, tensors, divisor)?)
    }

    /// The intents of all ranks: a sum in which each has filled its own row alone.
    fn gather(&self, connected: &Connected, own: Intent) -> Result<Vec<Intent>, Error> {
        let mut rows = vec![0i64; self.num_ranks * Intent::WIDTH];
        rows[self.rank * Intent::WIDTH..][..Intent::WIDTH].copy_from_slice(&own.row());
        let table = Tensor::from_slice(&rows);
        connected.wait(&connected.gloo.start(Reduction::Sum, &table)?)?;
        let length = rows.len();
        table.f_copy_data(&mut rows, length).map_err(|err| Error::torch("reading intents", &err.to_string()))?;
        Ok(rows.as_chunks().0.iter().copied().map(Intent::from_row).collect())
    }
}

#[cfg(test)]
mod tests;
