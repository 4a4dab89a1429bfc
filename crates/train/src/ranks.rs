//! Where this process stands among the ranks, as its launcher tells it in the environment.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use torch_ext::{Rendezvous, StoreHost};

use crate::TrainError;

/// How long ranks wait for each other where `LONGVID_DIST_TIMEOUT` does not say, seconds.
pub const DEFAULT_TIMEOUT_SECS: u64 = 300;

/// A process that was started as one of several ranks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launched {
    /// Where the ranks meet.
    pub rendezvous: Rendezvous,
    /// This process among those of its machine, `0..num_local_ranks`: which GPU is its own.
    pub local_rank: usize,
    /// How many ranks share this machine; 1 where nobody tells.
    pub num_local_ranks: usize,
}

/// Reads what torchrun (and `longvid launch`) or srun tell their processes; `None` for a process that trains alone.
///
/// * torchrun: `RANK`, `WORLD_SIZE`, `LOCAL_RANK`, `MASTER_ADDR`, `MASTER_PORT`; `LOCAL_WORLD_SIZE`,
///   `TORCHELASTIC_USE_AGENT_STORE` and `TORCHELASTIC_RESTART_COUNT` where they are set
/// * srun: `SLURM_PROCID`, `SLURM_STEP_NUM_TASKS` (or `SLURM_NTASKS`), `SLURM_LOCALID`; rank 0 is on the first host of
///   `SLURM_STEP_NODELIST` (or `SLURM_JOB_NODELIST`), its port 15000 and the last four digits of `SLURM_JOB_ID`, as in
///   PyTorch Lightning. `MASTER_ADDR` and `MASTER_PORT` overrule both. A batch script outside srun is one process.
///
/// torchrun's variables count more than SLURM's: it may run inside a SLURM job. For both, `LONGVID_DIST_TIMEOUT` are
/// seconds, and `GLOO_SOCKET_IFNAME` is the network interface to use (the first of a list).
///
/// * `lookup` - the value of an environment variable
///
/// # Errors
/// [`TrainError::Launch`] for a variable that is missing beside others, is no number, or contradicts another.
pub fn launched(lookup: impl Fn(&str) -> Option<String>) -> Result<Option<Launched>, TrainError> {
    let env = Environment { lookup };
    if env.has("RANK") || env.has("WORLD_SIZE") || env.has("LOCAL_RANK") {
        return env.torchrun().map(Some);
    }
    // srun starts steps; a batch script itself has the variables of its job alone.
    if env.has("SLURM_PROCID") && (env.has("SLURM_STEP_NUM_TASKS") || env.has("SLURM_STEP_NODELIST")) {
        return env.slurm();
    }
    Ok(None)
}

struct Environment<F> {
    lookup: F,
}

impl<F: Fn(&str) -> Option<String>> Environment<F> {
    /// Empty counts as not set.
    fn get(&self, variable: &str) -> Option<String> {
        (self.lookup)(variable).filter(|value| !value.is_empty())
    }

    fn has(&self, variable: &str) -> bool {
        self.get(variable).is_some()
    }

    fn torchrun(&self) -> Result<Launched, TrainError> {
        let needs = "torchrun and longvid launch set RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT; set all or none";
        let addr = self.required("MASTER_ADDR", needs)?;
        let port = self.number("MASTER_PORT", needs)?;
        let (rank, num_ranks) = self.rank_of(("RANK", "WORLD_SIZE"), needs)?;
        let local_rank = self.number("LOCAL_RANK", needs)?;
        let num_local_ranks = self.optional_number("LOCAL_WORLD_SIZE")?.unwrap_or(1);
        if self.has("LOCAL_WORLD_SIZE") && local_rank >= num_local_ranks {
            let remedy = format!("must be below LOCAL_WORLD_SIZE = {num_local_ranks}");
            return Err(wrong("LOCAL_RANK", local_rank, remedy));
        }
        let store = match self.get("TORCHELASTIC_USE_AGENT_STORE").as_deref() {
            Some("True") => {
                StoreHost::Outside { attempt: self.optional_number("TORCHELASTIC_RESTART_COUNT")?.unwrap_or(0) }
            }
            _ => StoreHost::Rank0,
        };
        let rendezvous = self.rendezvous((addr, port), (rank, num_ranks), store)?;
        Ok(Launched { rendezvous, local_rank, num_local_ranks })
    }

    /// `None` for a step of one task.
    fn slurm(&self) -> Result<Option<Launched>, TrainError> {
        let needs = "srun sets it; start the ranks with srun, or with MASTER_ADDR and MASTER_PORT of your own";
        let count = if self.has("SLURM_STEP_NUM_TASKS") { "SLURM_STEP_NUM_TASKS" } else { "SLURM_NTASKS" };
        let (rank, num_ranks) = self.rank_of(("SLURM_PROCID", count), needs)?;
        if num_ranks == 1 {
            return Ok(None);
        }
        let local_rank = self.number("SLURM_LOCALID", needs)?;
        let addr = match self.get("MASTER_ADDR") {
            Some(addr) => addr,
            None => self.first_slurm_host(needs)?,
        };
        let port = match self.optional_number("MASTER_PORT")? {
            Some(port) => port,
            None => 15000 + (self.number::<u64>("SLURM_JOB_ID", needs)? % 10_000) as u16,
        };
        let rendezvous = self.rendezvous((addr, port), (rank, num_ranks), StoreHost::Rank0)?;
        let num_local_ranks = self.optional_number("SLURM_NTASKS_PER_NODE")?.unwrap_or(1);
        Ok(Some(Launched { rendezvous, local_rank, num_local_ranks }))
    }

    fn first_slurm_host(&self, needs: &str) -> Result<String, TrainError> {
        let variable = if self.has("SLURM_STEP_NODELIST") { "SLURM_STEP_NODELIST" } else { "SLURM_JOB_NODELIST" };
        let list = self.required(variable, needs)?;
        first_host(&list).ok_or_else(|| wrong(variable, list, "is no list of hosts; set MASTER_ADDR".to_owned()))
    }

    fn rendezvous(
        &self,
        (addr, port): (String, u16),
        (rank, num_ranks): (usize, usize),
        store: StoreHost,
    ) -> Result<Rendezvous, TrainError> {
        let secs = self.optional_number("LONGVID_DIST_TIMEOUT")?.unwrap_or(DEFAULT_TIMEOUT_SECS);
        if secs == 0 {
            return Err(wrong("LONGVID_DIST_TIMEOUT", secs, "must be at least 1 second".to_owned()));
        }
        let interfaces = self.get("GLOO_SOCKET_IFNAME");
        let interface = interfaces.and_then(|list| list.split(',').next().map(str::to_owned));
        Ok(Rendezvous { addr, port, rank, num_ranks, store, interface, timeout: Duration::from_secs(secs) })
    }

    /// A rank and how many there are.
    fn rank_of(&self, (rank, count): (&'static str, &'static str), needs: &str) -> Result<(usize, usize), TrainError> {
        let (value, num_ranks) = (self.number(rank, needs)?, self.number(count, needs)?);
        if value >= num_ranks {
            return Err(wrong(rank, value, format!("must be below {count} = {num_ranks}")));
        }
        Ok((value, num_ranks))
    }

    fn required(&self, variable: &'static str, needs: &str) -> Result<String, TrainError> {
        self.get(variable).ok_or_else(|| missing(variable, needs))
    }

    fn number<T: FromStr>(&self, variable: &'static str, needs: &str) -> Result<T, TrainError> {
        self.optional_number(variable)?.ok_or_else(|| missing(variable, needs))
    }

    fn optional_number<T: FromStr>(&self, variable: &'static str) -> Result<Option<T>, TrainError> {
        let Some(text) = self.get(variable) else { return Ok(None) };
        match text.trim().parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(wrong(variable, text, "is not a number that fits".to_owned())),
        }
    }
}

/// The first name of SLURM's short form, such as `node[03-07,9],other`.
fn first_host(list: &str) -> Option<String> {
    let mut host = String::new();
    let mut rest = list.trim();
    while let Some(at) = rest.find(['[', ',']) {
        host.push_str(&rest[..at]);
        if rest[at..].starts_with(',') {
            return Some(host).filter(|host| !host.is_empty());
        }
        let (numbers, after) = rest[at + 1..].split_once(']')?;
        host.push_str(numbers.split(['-', ',']).next()?);
        rest = after;
    }
    host.push_str(rest);
    Some(host).filter(|host| !host.is_empty() && !host.contains(']'))
}

fn missing(variable: &'static str, needs: &str) -> TrainError {
    TrainError::Launch { variable, value: None, remedy: format!("is not set, but others are: {needs}") }
}

fn wrong(variable: &'static str, value: impl Display, remedy: String) -> TrainError {
    TrainError::Launch { variable, value: Some(value.to_string()), remedy }
}

#[cfg(test)]
mod tests;
