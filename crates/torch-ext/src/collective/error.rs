use std::fmt;
use std::io;
use std::net::IpAddr;

use crate::Error;

/// Why ranks did not come together, or fell apart.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// The host name or address of rank 0 leads nowhere from here.
    #[error("the address {addr:?} of rank 0 leads nowhere from this machine; set MASTER_ADDR to one that does")]
    Address {
        /// What was given.
        addr: String,
        /// What the system said.
        source: io::Error,
    },
    /// The network interface that was asked for is not there or has no address.
    #[error("no network interface {name:?} with an address on this machine; correct or unset GLOO_SOCKET_IFNAME")]
    Interface {
        /// What was given.
        name: String,
    },
    /// Rank 0 cannot serve the store on its port.
    #[error("rank 0 cannot listen on port {port}; set MASTER_PORT to a free one, the same for all ranks")]
    Port {
        /// The port.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// This rank cannot open its letter box.
    #[error("rank {rank} cannot listen on its own address {own}; set GLOO_SOCKET_IFNAME to the interface to use")]
    Listen {
        /// This rank.
        rank: usize,
        /// The address by which the others were to reach it.
        own: IpAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Nobody serves the store: rank 0, or torchrun's agent, was never started or cannot be reached.
    #[error(
        "nobody answers at {addr}:{port} after {secs} s: rank 0 did not come or cannot be reached; \
         check MASTER_ADDR and MASTER_PORT"
    )]
    Unreachable {
        /// Host name or address of rank 0.
        addr: String,
        /// Its port.
        port: u16,
        /// How long it was tried.
        secs: u64,
    },
    /// Some ranks were not there in time.
    #[error("{ranks} of {num_ranks} did not join within {secs} s")]
    Absent {
        /// The missing ones.
        ranks: Ranks,
        /// How many were expected.
        num_ranks: usize,
        /// How long they were waited for.
        secs: u64,
    },
    /// Another process has already joined under this rank.
    #[error("rank {rank} has joined twice; give every process a RANK of its own")]
    Twice {
        /// The rank.
        rank: usize,
    },
    /// One rank is known by an address that only its own machine can reach, while another is on a second machine.
    #[error(
        "rank {rank} is only known as {own}, which other machines cannot reach; set MASTER_ADDR to an address \
         instead of a name, or GLOO_SOCKET_IFNAME to the interface to use"
    )]
    Loopback {
        /// The rank.
        rank: usize,
        /// Its loopback address.
        own: IpAddr,
    },
    /// Ranks are missing from an exchange. The group has ended.
    #[error("{ranks} {how}")]
    Lost {
        /// The missing ones.
        ranks: Ranks,
        /// What is known of them.
        how: Loss,
    },
    /// A rank said farewell with [`Group::stop`](super::Group::stop). The group has ended.
    #[error("rank {rank} stopped: {said}")]
    Stopped {
        /// The rank.
        rank: usize,
        /// Its reason.
        said: String,
    },
    /// Ranks entered different exchanges, or the same one with other tensors: a bug, or ranks of different settings.
    #[error(
        "the ranks do not do the same: rank 0 {first}, rank {rank} {other}; start all with the same program and settings"
    )]
    Mismatch {
        /// What rank 0 was about to do.
        first: String,
        /// The first rank that differs.
        rank: usize,
        /// What it was about to do.
        other: String,
    },
    /// The group ended with an earlier error.
    #[error("the ranks are no longer connected, after an earlier failure")]
    Ended,
    /// Any other failure of libtorch.
    #[error(transparent)]
    Torch(#[from] Error),
}

/// What is known of ranks that are missing from an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Their processes have ended: killed, crashed, or stopped by an error of their own.
    Gone,
    /// Their machines do not answer.
    Unreachable,
    /// Their processes live but did not come to the exchange in time.
    Silent {
        /// How long the exchange was waited for, seconds.
        secs: u64,
    },
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Loss::Gone => write!(f, "ended in the middle of the run"),
            Loss::Unreachable => write!(f, "cannot be reached any more: machine or network are down"),
            Loss::Silent { secs } => write!(f, "did not answer for {secs} s"),
        }
    }
}

/// Ranks in ascending order; reads "rank 1", "ranks 1 and 3", "ranks 1, 2 and 5".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranks(pub Vec<usize>);

impl fmt::Display for Ranks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => write!(f, "no rank"),
            [one] => write!(f, "rank {one}"),
            [most @ .., last] => {
                let most: Vec<String> = most.iter().map(usize::to_string).collect();
                write!(f, "ranks {} and {last}", most.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_read_as_one_would_say_them() {
        let said = |ranks: &[usize]| Ranks(ranks.to_vec()).to_string();
        assert_eq!(
            (said(&[1]), said(&[1, 3]), said(&[0, 2, 5])),
            ("rank 1".into(), "ranks 1 and 3".into(), "ranks 0, 2 and 5".into())
        );
    }
}
