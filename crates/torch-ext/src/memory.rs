//! Exact bytes held by tensors: a counting allocator on the CPU, the allocator's own statistics on a device.
//!
//! The CPU counter sees every ATen allocation (saved activations, temporaries of attention, oneDNN reorders). It does
//! not see MKL's packing buffers, thread stacks, Rust's heap or memory wrapped by `from_blob`; for those look at
//! [`resident_bytes`].

use std::ffi::c_int;

use tch::Device;

use crate::{Error, shim};

/// Bytes held by tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryStats {
    /// Bytes held now.
    pub current_bytes: i64,
    /// The most that was held at once since the last [`reset_peak`].
    pub peak_bytes: i64,
}

/// Counts every allocation since [`install`] (CPU only).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocationCount {
    /// Sum of all sizes, freed or not.
    pub total_bytes: i64,
    /// Number of allocations.
    pub num_allocs: i64,
}

/// Replaces libtorch's CPU allocator by the counting one. To be called first thing in `main`, before any tensor exists:
/// oneDNN frees its buffers through whichever allocator is current.
///
/// # Errors
/// [`Error::Torch`] when another library has set an allocator with a higher priority.
pub fn install() -> Result<(), Error> {
    // SAFETY: no arguments; the allocator is a static of the shim and lives as long as the process.
    shim::check(unsafe { shim::lv_memory_install() }, "installing the counting allocator")
}

/// Bytes held by tensors on `device`. On the CPU zero unless [`install`] was called.
///
/// # Errors
/// [`Error::NotAvailable`] when the device has no allocator with statistics (no GPU, or CUDA was never used).
pub fn stats(device: Device) -> Result<MemoryStats, Error> {
    match device_code(device) {
        None => {
            let [current_bytes, peak_bytes, ..] = cpu_counters();
            Ok(MemoryStats { current_bytes, peak_bytes })
        }
        Some((kind, index)) => {
            let mut out = [0i64; 6];
            // SAFETY: `out` has the six places that the shim writes.
            let status = unsafe { shim::lv_device_stats(kind, index, out.as_mut_ptr()) };
            available(status)?;
            Ok(MemoryStats { current_bytes: out[0], peak_bytes: out[1] })
        }
    }
}

/// Starts a new peak at what is held now.
///
/// # Errors
/// As [`stats`].
pub fn reset_peak(device: Device) -> Result<(), Error> {
    match device_code(device) {
        None => {
            // SAFETY: touches atomics of the shim only.
            unsafe { shim::lv_memory_reset_peak() };
            Ok(())
        }
        // SAFETY: plain integers; the shim checks that the device has an allocator.
        Some((kind, index)) => available(unsafe { shim::lv_device_reset_peak(kind, index) }),
    }
}

/// Free and total bytes of a device.
///
/// # Errors
/// As [`stats`]; also for the CPU, whose free memory is the system's to tell ([`available_bytes`]).
pub fn device_free_and_total(device: Device) -> Result<(i64, i64), Error> {
    let Some((kind, index)) = device_code(device) else {
        return Err(Error::NotAvailable { what: "device memory", message: "the CPU is no device".into() });
    };
    let mut out = [0i64; 2];
    // SAFETY: `out` has the two places that the shim writes.
    available(unsafe { shim::lv_device_memory_info(kind, index, out.as_mut_ptr()) })?;
    Ok((out[0], out[1]))
}

/// Every CPU allocation so far.
pub fn allocation_count() -> AllocationCount {
    let [_, _, total_bytes, num_allocs] = cpu_counters();
    AllocationCount { total_bytes, num_allocs }
}

/// Makes CPU allocations beyond `bytes` in use fail as out of memory; `None` lifts the limit. Turns the kernel's kill
/// of the whole process into an error that can be reported.
pub fn set_cpu_limit(bytes: Option<i64>) {
    // SAFETY: stores one atomic.
    unsafe { shim::lv_memory_set_limit(bytes.unwrap_or(i64::MAX)) };
}

/// Resident bytes of this process: now, and the most since [`reset_resident_peak`]. `None` where /proc is missing.
/// Noisy by some 10 MiB, since the heap is reused; tensor bytes are the exact figure.
pub fn resident_bytes() -> Option<(i64, i64)> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    Some((kib_field(&status, "VmRSS:")?, kib_field(&status, "VmHWM:")?))
}

/// Starts a new resident peak; false where the kernel does not allow it.
pub fn reset_resident_peak() -> bool {
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// What the system could still give this process, bytes (`MemAvailable`). `None` where /proc is missing.
pub fn available_bytes() -> Option<i64> {
    kib_field(&std::fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
}

/// All memory of the machine, bytes (`MemTotal`). `None` where /proc is missing.
pub fn machine_bytes() -> Option<i64> {
    kib_field(&std::fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")
}

fn kib_field(text: &str, key: &str) -> Option<i64> {
    let kib: i64 = text.lines().find_map(|l| l.strip_prefix(key))?.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

fn cpu_counters() -> [i64; 4] {
    let mut out = [0i64; 4];
    // SAFETY: `out` has the four places that the shim writes.
    unsafe { shim::lv_memory_stats(out.as_mut_ptr()) };
    out
}

/// `c10::DeviceType` and index; `None` for the CPU.
pub(crate) fn device_code(device: Device) -> Option<(c_int, c_int)> {
    match device {
        Device::Cpu => None,
        Device::Cuda(index) => Some((1, index as c_int)),
        Device::Mps => Some((13, 0)),
        Device::Vulkan => Some((10, 0)),
    }
}

fn available(status: c_int) -> Result<(), Error> {
    if status == 0 {
        return Ok(());
    }
    let message = shim::last_error().lines().next().unwrap_or_default().to_owned();
    Err(Error::NotAvailable { what: "device memory statistics", message })
}
