//! Settings of glibc's malloc that suit tensors.

/// Keeps freed memory in the process instead of returning it to the kernel after each tensor. By default glibc maps and
/// unmaps every tensor above 32 MiB, which costs tens of thousands of page faults per training step. The price: resident
/// memory stays at its peak. Returns whether all settings were taken (false on a libc without `mallopt`).
pub fn keep_freed_memory() -> bool {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: mallopt only sets parameters of the allocator.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, libc::c_int::MAX) == 1
                && libc::mallopt(libc::M_TRIM_THRESHOLD, -1) == 1
                && libc::mallopt(libc::M_TOP_PAD, 64 << 20) == 1
        }
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    false
}
