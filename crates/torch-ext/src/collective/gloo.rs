//! Safe handles on `shim/collective.cpp`.

use std::ffi::{CString, c_int};
use std::net::IpAddr;
use std::ptr;
use std::time::Duration;

use tch::Tensor;

use crate::Error;
use crate::shim::{self, CGloo, CStore, CWork};

/// The key-value store through which ranks find each other.
#[derive(Debug)]
pub(super) struct Store(*mut CStore);

/// Where the store listens.
#[derive(Debug)]
pub(super) struct StoreAddress<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    /// Put before every key.
    pub(super) prefix: &'a str,
}

impl Store {
    /// Connects to the store; serves it too where `listen_fd` is a bound socket, which the store takes over.
    pub(super) fn open(at: &StoreAddress, listen_fd: Option<c_int>, timeout: Duration) -> Result<Self, Error> {
        let (host, prefix) = (c_string(at.host), c_string(at.prefix));
        let mut out = ptr::null_mut();
        // SAFETY: two strings that outlive the call; `out` is written on success.
        let status = unsafe {
            let fd = listen_fd.unwrap_or(-1);
            shim::lv_store_open(host.as_ptr(), at.port, fd, prefix.as_ptr(), millis(timeout), &mut out)
        };
        shim::check(status, "opening the store of the ranks")?;
        Ok(Store(out))
    }

    /// Adds to a counter, which starts at 0; its new value.
    pub(super) fn add(&self, key: &str, amount: i64) -> Result<i64, Error> {
        let (key, mut sum) = (c_string(key), 0);
        // SAFETY: our own live store, a string that outlives the call, and a place for the result.
        let status = unsafe { shim::lv_store_add(self.0, key.as_ptr(), amount, &mut sum) };
        shim::check(status, "counting in the store of the ranks")?;
        Ok(sum)
    }

    pub(super) fn set(&self, key: &str, value: &str) -> Result<(), Error> {
        let (key, value) = (c_string(key), c_string(value));
        // SAFETY: our own live store and two strings that outlive the call.
        let status = unsafe { shim::lv_store_set(self.0, key.as_ptr(), value.as_ptr()) };
        shim::check(status, "writing to the store of the ranks")
    }

    /// The value of a key, cut at 1 KiB; `None` where nobody has set it yet.
    pub(super) fn get(&self, key: &str) -> Result<Option<String>, Error> {
        let (key, mut buffer, mut length) = (c_string(key), [0u8; 1024], 0i64);
        // SAFETY: our own live store, a string that outlives the call, and a buffer of the size that is told.
        let status = unsafe {
            shim::lv_store_get(self.0, key.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len() as i64, &mut length)
        };
        shim::check(status, "reading the store of the ranks")?;
        let Ok(length) = usize::try_from(length) else { return Ok(None) };
        let value = &buffer[..length.min(buffer.len())];
        Ok(Some(String::from_utf8_lossy(value).into_owned()))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // SAFETY: made by lv_store_open, freed here alone.
        unsafe { shim::lv_store_free(self.0) };
    }
}

/// Connections to all other ranks. To drop it waits for every reduction under way: not to be done after a failure.
#[derive(Debug)]
pub(super) struct Gloo(*mut CGloo);

/// What is done to one tensor.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reduction {
    Sum,
    Max,
    /// All take the values of rank 0.
    FromFirst,
}

impl Gloo {
    pub(super) fn connect(store: &Store, own: IpAddr, ranks: (usize, usize), timeout: Duration) -> Result<Self, Error> {
        let address = c_string(&own.to_string());
        let (rank, num_ranks) = (ranks.0 as c_int, ranks.1 as c_int);
        let mut out = ptr::null_mut();
        // SAFETY: a live store, which gloo keeps alive for itself, and a string that outlives the call.
        let status =
            unsafe { shim::lv_gloo_connect(store.0, address.as_ptr(), rank, num_ranks, millis(timeout), &mut out) };
        shim::check(status, "connecting the ranks")?;
        Ok(Gloo(out))
    }

    /// Starts a reduction of a contiguous CPU tensor, in place. Every rank has to start the same ones in the same order.
    pub(super) fn start(&self, reduction: Reduction, tensor: &Tensor) -> Result<Work, Error> {
        let operation = match reduction {
            Reduction::Sum => 0,
            Reduction::Max => 1,
            Reduction::FromFirst => 2,
        };
        let mut out = ptr::null_mut();
        // SAFETY: our own live group and a tensor borrowed for the call, which the work keeps alive for itself.
        let status = unsafe { shim::lv_gloo_start(self.0, operation, tensor.as_ptr().cast_mut(), &mut out) };
        shim::check(status, "starting an exchange between ranks")?;
        Ok(Work(out))
    }
}

impl Drop for Gloo {
    fn drop(&mut self) {
        // SAFETY: made by lv_gloo_connect, freed here alone.
        unsafe { shim::lv_gloo_free(self.0) };
    }
}

/// A reduction under way.
#[derive(Debug)]
pub(super) struct Work(*mut CWork);

impl Work {
    /// Waits for up to `slice`; whether the reduction has come to its end.
    pub(super) fn wait(&self, slice: Duration) -> Result<bool, Error> {
        let mut ended = 0;
        // SAFETY: our own live work and a place for the answer.
        let status = unsafe { shim::lv_work_wait(self.0, millis(slice), &mut ended) };
        shim::check(status, "an exchange between ranks")?;
        Ok(ended != 0)
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // SAFETY: made by lv_gloo_start, freed here alone.
        unsafe { shim::lv_work_free(self.0) };
    }
}

fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', " ")).unwrap_or_default()
}

fn millis(timeout: Duration) -> i64 {
    i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX).max(1)
}
