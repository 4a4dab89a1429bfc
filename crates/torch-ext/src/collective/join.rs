//! How ranks find each other: through the store that rank 0 (or torchrun) serves.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::IntoRawFd as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::address;
use super::error::{GroupError, Loss, Ranks};
use super::gloo::{Store, StoreAddress};
use super::letters::LetterBox;
use super::{Rendezvous, StoreHost};

const POLL: Duration = Duration::from_millis(20);
/// How long the store stays after ranks were found absent, for the others to read who.
const FAREWELL: Duration = Duration::from_secs(2);

/// A rank that all others know.
pub(super) struct Joined {
    pub(super) store: Store,
    pub(super) letters: LetterBox,
    /// The address by which the others reach this rank.
    pub(super) own: IpAddr,
}

/// Enters the store and waits until every rank has.
pub(super) fn join(at: &Rendezvous) -> Result<Joined, GroupError> {
    let deadline = Instant::now() + at.timeout;
    let rank_0 = address::resolve(&at.addr, at.port)?;
    let own = address::own(at.interface.as_deref(), &at.addr, &rank_0)?;
    let store = open_store(at, &rank_0, deadline)?;
    let listener = LetterBox::listen(own);
    let listener = listener.map_err(|source| GroupError::Listen { rank: at.rank, own, source })?;
    let letters_at = listener.local_addr().map_err(|source| GroupError::Listen { rank: at.rank, own, source })?;

    if store.add(&format!("joined/{}", at.rank), 1)? > 1 {
        return Err(GroupError::Twice { rank: at.rank });
    }
    store.set(&format!("letters/{}", at.rank), &letters_at.to_string())?;
    let addresses = wait_for_all(at, &store, deadline)?;
    expect_reachable(&addresses)?;
    Ok(Joined { store, letters: LetterBox::new(at.rank, listener, addresses), own })
}

fn open_store(at: &Rendezvous, rank_0: &[SocketAddr], deadline: Instant) -> Result<Store, GroupError> {
    let (serves, prefix) = match at.store {
        StoreHost::Rank0 => (at.rank == 0, "longvid".to_owned()),
        // torchrun's store outlives a restart of the ranks.
        StoreHost::Outside { attempt } => (false, format!("longvid/{attempt}")),
    };
    let listen_fd = if serves {
        Some(listen(at.port).map_err(|source| GroupError::Port { port: at.port, source })?.into_raw_fd())
    } else {
        wait_for_store(at, rank_0, deadline)?;
        None
    };
    let address = StoreAddress { host: &at.addr, port: at.port, prefix: &prefix };
    Ok(Store::open(&address, listen_fd, deadline.saturating_duration_since(Instant::now()))?)
}

/// A socket on all addresses, of both families where the machine has IPv6.
fn listen(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)))
}

/// Rank 0 may be started last.
fn wait_for_store(at: &Rendezvous, rank_0: &[SocketAddr], deadline: Instant) -> Result<(), GroupError> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let (addr, port, secs) = (at.addr.clone(), at.port, at.timeout.as_secs());
            return Err(GroupError::Unreachable { addr, port, secs });
        }
        if rank_0.iter().any(|to| TcpStream::connect_timeout(to, left.min(Duration::from_secs(2))).is_ok()) {
            return Ok(());
        }
        sleep(POLL.min(left));
    }
}

/// The letter boxes of all ranks.
fn wait_for_all(at: &Rendezvous, store: &Store, deadline: Instant) -> Result<Vec<SocketAddr>, GroupError> {
    let absent = |ranks| {
        let (num_ranks, secs) = (at.num_ranks, at.timeout.as_secs());
        GroupError::Absent { ranks, num_ranks, secs }
    };
    // Once everybody is in, only rank 0's end can take the store away.
    let lost = |_| GroupError::Lost { ranks: Ranks(vec![0]), how: Loss::Gone };
    let mut addresses: Vec<Option<SocketAddr>> = vec![None; at.num_ranks];
    loop {
        for (rank, address) in addresses.iter_mut().enumerate().filter(|(_, address)| address.is_none()) {
            let told = store.get(&format!("letters/{rank}")).map_err(lost)?;
            *address = told.and_then(|text| text.parse().ok());
        }
        if let Some(all) = addresses.iter().copied().collect::<Option<Vec<_>>>() {
            return Ok(all);
        }
        let missing: Vec<usize> = (0..at.num_ranks).filter(|rank| addresses[*rank].is_none()).collect();
        // Whoever is out of patience first says so, and all others end with the same words.
        if let Some(told) = store.get("absent").map_err(lost)? {
            store.add("read", 1).ok();
            return Err(absent(Ranks(told.split(',').filter_map(|rank| rank.parse().ok()).collect())));
        }
        if Instant::now() >= deadline {
            let told: Vec<String> = missing.iter().map(usize::to_string).collect();
            store.set("absent", &told.join(",")).map_err(lost)?;
            let others = at.num_ranks - missing.len() - 1;
            let until = Instant::now() + FAREWELL;
            while Instant::now() < until && store.add("read", 0).is_ok_and(|num_read| num_read < others as i64) {
                sleep(POLL);
            }
            return Err(absent(Ranks(missing)));
        }
        sleep(POLL);
    }
}

/// With ranks on several machines, loopback addresses lead nowhere.
fn expect_reachable(addresses: &[SocketAddr]) -> Result<(), GroupError> {
    let on_loopback = |address: &SocketAddr| address.ip().is_loopback();
    match addresses.iter().position(on_loopback) {
        Some(rank) if !addresses.iter().all(on_loopback) => {
            Err(GroupError::Loopback { rank, own: addresses[rank].ip() })
        }
        _ => Ok(()),
    }
}
